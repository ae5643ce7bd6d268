//! In how many ways a character may be escaped: what a text may begin with.

/// How often an escape is escaped again, and how many blanks are one.
pub(super) const MOST_SIGNS: usize = 16;

/// What a text may begin with: characters, and the bytes that spell each.
pub(super) fn for_each_reading(text: &str, mut found: impl FnMut(char, usize)) {
    let Some(first) = text.chars().next() else {
        return;
    };

    if first.is_whitespace() {
        return found(
            ' ',
            text.chars()
                .take(MOST_SIGNS)
                .take_while(|one| one.is_whitespace())
                .map(char::len_utf8)
                .sum(),
        );
    }

    found(first, first.len_utf8());

    match first {
        '+' => found(' ', 1),
        '%' => decode_percent(text, found),
        '&' => decode_html(text, found),
        '\\' => decode_backslash(text, found),
        '=' => decode_quoted_printable(text, found),
        _ => {}
    }
}

/// `=2F`, in a byte of ASCII.
fn decode_quoted_printable(text: &str, mut found: impl FnMut(char, usize)) {
    let code = text.get(1..).and_then(|digits| parse_digits(digits, 2, 16));
    code.and_then(char::from_u32)
        .into_iter()
        .for_each(|character| found(character, 3));
}

/// `%2F`, `%252F`, `%C3%A4`, `%E4` of an old server, and `%u002F`.
fn decode_percent(text: &str, mut found: impl FnMut(char, usize)) {
    let code = text
        .get(1..)
        .and_then(|rest| parse_digits(rest.strip_prefix(['u', 'U'])?, 4, 16));
    code.and_then(char::from_u32)
        .into_iter()
        .for_each(|character| found(character, 6));
    let (mut bytes, mut at) = (Vec::new(), 0);

    while let Some((byte, end)) = decode_percent_byte(text, at).filter(|_| bytes.len() < 4) {
        bytes.push(byte);
        at = end;
        match std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.chars().next())
        {
            Some(character) => return report_url_char(text, character, at, found),
            None if bytes.len() == 1 => found(char::from(byte), at),
            None => {}
        }
    }
}

fn report_url_char(text: &str, character: char, end: usize, mut found: impl FnMut(char, usize)) {
    found(
        if character.is_whitespace() {
            ' '
        } else {
            character
        },
        end,
    );

    // A percent sign that was escaped, before two digits that were not.
    let signs = text
        .as_bytes()
        .get(1..)
        .unwrap_or_default()
        .chunks(2)
        .take(MOST_SIGNS)
        .take_while(|two| *two == b"25")
        .count();

    (1..=signs)
        .map(|signs| 1 + 2 * signs)
        .filter(|length| *length != end)
        .for_each(|length| found('%', length));
}

/// The byte of an escape, and where it ends.
pub(super) fn decode_percent_byte(text: &str, at: usize) -> Option<(u8, usize)> {
    let mut digits = text.get(at..)?.strip_prefix('%')?;
    let mut end = at + 3;
    while let Some(rest) = digits
        .strip_prefix("25")
        .filter(|rest| end < at + 2 * MOST_SIGNS && parse_digits(rest, 2, 16).is_some())
    {
        digits = rest;
        end += 2;
    }

    Some((u8::try_from(parse_digits(digits, 2, 16)?).ok()?, end))
}

/// `&#47;`, `&#x2F;`, the same without `;`, `&quot;`, `&amp;quot;`.
fn decode_html(text: &str, mut found: impl FnMut(char, usize)) {
    let mut rest = text.get(1..).unwrap_or_default();
    while let Some(more) = rest
        .strip_prefix("amp;")
        .filter(|_| text.len() - rest.len() < 4 * MOST_SIGNS)
    {
        rest = more;
        found('&', text.len() - rest.len());
    }

    let named = [
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("sol", '/'),
        ("plus", '+'),
        ("nbsp", ' '),
    ];

    let spelt = match rest.strip_prefix('#') {
        Some(code) => code.strip_prefix(['x', 'X']).map_or_else(
            || parse_char_code(code, 10),
            |code| parse_char_code(code, 16),
        ),
        None => named.iter().find_map(|(name, character)| {
            Some((*character, rest.strip_prefix(name)?.strip_prefix(';')?))
        }),
    };

    if let Some((character, after)) = spelt {
        found(
            character,
            text.len() - after.strip_prefix(';').unwrap_or(after).len(),
        );
    }
}

/// The character whose number in all the digits at the beginning of a text, and what follows them.
fn parse_char_code(text: &str, radix: u32) -> Option<(char, &str)> {
    const MOST: usize = 8;

    let length = text
        .bytes()
        .take(MOST)
        .take_while(|byte| char::from(*byte).is_digit(radix))
        .count();

    Some((
        parse_digits(text, length, radix).and_then(char::from_u32)?,
        text.get(length..)?,
    ))
}

/// `\"`, `\/`, `\u002f`, `\x2f`, `\u{2f}`, `\U0000002f`, `\057`, and the same with more
/// backslashes.
fn decode_backslash(text: &str, mut found: impl FnMut(char, usize)) {
    let signs = text
        .bytes()
        .take(MOST_SIGNS)
        .take_while(|byte| *byte == b'\\')
        .count();

    let rest = text.get(signs..).unwrap_or_default();
    [2, 4, 8]
        .into_iter()
        .filter(|length| *length <= signs)
        .for_each(|length| found('\\', length));
    let Some(next) = rest.chars().next() else {
        return;
    };
    let code = |digits: &str, length: usize| parse_digits(digits.get(1..)?, length, 16);
    let in_braces = || {
        let (character, after) = parse_char_code(rest.get(1..)?.strip_prefix('{')?, 16)?;
        Some((character, text.len() - after.strip_prefix('}')?.len()))
    };
    if let Some((character, length)) = in_braces().filter(|_| matches!(next, 'u' | 'x')) {
        return found(character, length);
    }

    match next {
        'U' if let Some(character) = code(rest, 8).and_then(char::from_u32) => {
            found(character, signs + 9)
        }
        '0'..='3' if let Some(character) = parse_digits(rest, 3, 8).and_then(char::from_u32) => {
            found(character, signs + 3)
        }
        'u' | 'U' => {
            let Some(code) = code(rest, 4) else {
                return found(next, signs + 1);
            };

            let low = || {
                let low = rest
                    .get(5..)?
                    .strip_prefix(text.get(..signs)?)?
                    .strip_prefix('u')?;
                char::decode_utf16([
                    u16::try_from(code).ok()?,
                    u16::try_from(parse_digits(low, 4, 16)?).ok()?,
                ])
                .next()?
                .ok()
            };

            match (char::from_u32(code), low()) {
                (Some(character), _) => found(character, signs + 5),
                (None, Some(character)) => found(character, 2 * signs + 10),
                (None, None) => {}
            }
        }
        'x' => match code(rest, 2).and_then(char::from_u32) {
            Some(character) => found(character, signs + 3),
            None => found(next, signs + 1),
        },
        'n' | 'r' | 't' => {
            found(' ', signs + 1);
            found(next, signs + 1);
        }
        _ => found(next, signs + next.len_utf8()),
    }
}

/// The number that so many digits at the beginning of a text spell.
fn parse_digits(text: &str, length: usize, radix: u32) -> Option<u32> {
    let digits = text
        .get(..length)
        .filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)))?;
    u32::from_str_radix(digits, radix).ok()
}
