//! What an escape stands for: those of URLs, of HTML, of mails, and of JSON and programs.

/// The character that an escape at the beginning of a text stands for, and the escape's length in
/// bytes.
pub fn unescape(text: &str) -> Option<(char, usize)> {
    match text.chars().next()? {
        '%' => unescape_unit(text).or_else(|| unescape_bytes(text, '%')),
        '=' => unescape_bytes(text, '='),
        '&' => unescape_html(text),
        '\\' => unescape_backslash(text),
        _ => None,
    }
}

/// `%u002F`, as old browsers write it.
fn unescape_unit(text: &str) -> Option<(char, usize)> {
    let digits = text.get(1..)?.strip_prefix(['u', 'U'])?;
    Some((parse_char(digits, 4, 16)?, 6))
}

/// `%2F` and `=2F`, `%C3%A4` in UTF-8, and `%E4` of an old server in Latin-1.
fn unescape_bytes(text: &str, sign: char) -> Option<(char, usize)> {
    let escapes = (0..4).map_while(|number| {
        let digits = text.get(3 * number..)?.strip_prefix(sign)?;
        u8::try_from(parse_number(digits, 2, 16)?).ok()
    });
    let bytes: Vec<u8> = escapes.collect();
    let whole = (1..=bytes.len()).find_map(|length| {
        let first = std::str::from_utf8(bytes.get(..length)?).ok()?;
        Some((first.chars().next()?, 3 * length))
    });

    whole.or_else(|| Some((char::from(*bytes.first()?), 3)))
}

/// `&quot;`, `&#47;`, `&#x2F;`, and the numbers without `;`.
fn unescape_html(text: &str) -> Option<(char, usize)> {
    const NAMED: [(&str, char); 8] = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&apos;", '\''),
        ("&sol;", '/'),
        ("&plus;", '+'),
        ("&nbsp;", ' '),
    ];

    let named = NAMED.iter().find(|(name, _)| text.starts_with(name));
    if let Some((name, character)) = named {
        return Some((*character, name.len()));
    }
    let number = text.strip_prefix("&#")?;
    let (character, rest) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => parse_leading_char(digits, 16)?,
        None => parse_leading_char(number, 10)?,
    };
    let rest = rest.strip_prefix(';').unwrap_or(rest);

    Some((character, text.len() - rest.len()))
}

/// `\u002f`, `\x2f`, `\u{2f}`, `\U0000002f`, `\057`, `\n`. Any other character behind a backslash
/// stands for itself.
fn unescape_backslash(text: &str) -> Option<(char, usize)> {
    let escaped = text.get(1..)?;
    let kind = escaped.chars().next()?;
    let digits = escaped.get(kind.len_utf8()..)?;
    let coded = match kind {
        'u' | 'x' if let Some(code) = digits.strip_prefix('{') => parse_leading_char(code, 16)
            .and_then(|(character, rest)| Some((character, rest.strip_prefix('}')?)))
            .map(|(character, rest)| (character, text.len() - rest.len())),
        'x' => parse_char(digits, 2, 16).map(|character| (character, 4)),
        'U' if let Some(character) = parse_char(digits, 8, 16) => Some((character, 10)),
        'u' | 'U' => parse_char(digits, 4, 16)
            .map(|character| (character, 6))
            .or_else(|| Some((parse_surrogates(digits)?, 12))),
        '0'..='3' => parse_char(escaped, 3, 8).map(|character| (character, 4)),
        // As a blank, which `fold` reads all white space as.
        'n' | 'r' | 't' => Some((' ', 2)),
        _ => None,
    };

    coded.or(Some((kind, 1 + kind.len_utf8())))
}

/// `d83d\ude00`: the halves of a character in UTF-16.
fn parse_surrogates(digits: &str) -> Option<char> {
    let low = digits.get(4..)?.strip_prefix("\\u")?;
    let half = |digits: &str| u16::try_from(parse_number(digits, 4, 16)?).ok();

    char::decode_utf16([half(digits)?, half(low)?]).next()?.ok()
}

/// The character whose number is in all the digits at the beginning of a text, and what follows.
fn parse_leading_char(text: &str, radix: u32) -> Option<(char, &str)> {
    const MOST: usize = 8;

    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let length = text.bytes().take(MOST).take_while(is_digit).count();

    Some((parse_char(text, length, radix)?, text.get(length..)?))
}

/// The character whose number so many digits at the beginning of a text are.
fn parse_char(text: &str, length: usize, radix: u32) -> Option<char> {
    char::from_u32(parse_number(text, length, radix)?)
}

fn parse_number(text: &str, length: usize, radix: u32) -> Option<u32> {
    let digits = text.get(..length)?;
    // `from_str_radix` takes a sign too.
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| is_number)
}
