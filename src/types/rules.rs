//! What a MISP's import rules make of a value on its way in, by those that every MISP begins with
//! (the table `regexp` in its `MYSQL.sql`; run by its `RegexpBehavior.php` after all other
//! changes). No API shows a user which rules a MISP has: what its administrators changed in them is
//! not known here.

/// A rule: what is replaced in any case, and by what. `?` is any character, `#` a digit, `*` as few
/// characters as possible.
type Rule = (&'static str, &'static str);

/// In MISP's order. Those of its rules that can never match, or that only keep values out, are left
/// out.
const RULES: [Rule; 19] = [
    ("?:?ProgramData?", r"%ALLUSERSPROFILE%\"),
    (
        "?:?Documents and Settings?All Users?",
        r"%ALLUSERSPROFILE%\",
    ),
    ("?:?Program Files?Common Files?", r"%COMMONPROGRAMFILES%\"),
    (r"?:?Users\*\AppData?Local?Temp?", r"%TEMP%\"),
    ("?:?Program Files?", r"%PROGRAMFILES%\"),
    ("?:?Users?Public?", r"%PUBLIC%\"),
    (
        r"?:?Documents and Settings\*\Local Settings?Temp?",
        r"%TEMP%\",
    ),
    (r"?:?Users\*\AppData?Local?", r"%LOCALAPPDATA%\"),
    (r"?:?Users\*\AppData?Roaming?", r"%APPDATA%\"),
    (r"?:?Users\*\Application Data?", r"%APPDATA%\"),
    (r"?:?Windows\*\Application Data?", r"%APPDATA%\"),
    (r"?:?Users\*\", r"%USERPROFILE%\"),
    (r"?:?DOCUME~1?\*\", r"%USERPROFILE%\"),
    (r"?:?Documents and Settings\*\", r"%USERPROFILE%\"),
    ("?:?Windows?", r"%WINDIR%\"),
    (
        "?REGISTRY?USER?S-#-#-##-#########-##########-#########-####",
        "HKCU",
    ),
    (
        "?REGISTRY?USER?S-#-#-##-##########-##########-#########-####",
        "HKCU",
    ),
    (
        "?REGISTRY?USER?S-#-#-##-##########-##########-##########-####",
        "HKCU",
    ),
    ("?REGISTRY?MACHINE?", r"HKLM\"),
];

/// Longer values are not looked at, in bytes: no path is as long, and every place in one may be the
/// beginning of a match.
const LONGEST: usize = 4 << 10;

/// The value as the rules leave it; none if they leave it as it is.
pub(super) fn apply_import_rules(value: &str) -> Option<String> {
    if value.len() > LONGEST {
        return None;
    }
    let changed = RULES
        .iter()
        .fold(value.to_owned(), |value, rule| apply_rule(&value, rule));
    (changed != value).then_some(changed)
}

fn apply_rule(value: &str, (pattern, by): &Rule) -> String {
    let (mut done, mut rest) = (String::with_capacity(value.len()), value);

    while let Some(c) = rest.chars().next() {
        let (text, behind) = match match_prefix(pattern, rest) {
            Some(behind) => (*by, behind),
            None => rest.split_at(c.len_utf8()),
        };
        done.push_str(text);
        rest = behind;
    }

    done
}

/// What is left of a text behind what matches at its beginning.
fn match_prefix<'a>(pattern: &str, text: &'a str) -> Option<&'a str> {
    let Some(wanted) = pattern.chars().next() else {
        return Some(text);
    };
    let next = pattern.get(wanted.len_utf8()..)?;
    if wanted == '*' {
        return text
            .char_indices()
            .take_while(|(_, c)| *c != '\n')
            .find_map(|(at, _)| match_prefix(next, text.get(at..)?));
    }

    let c = text.chars().next()?;
    let is_it = match wanted {
        '?' => c != '\n',
        '#' => c.is_ascii_digit(),
        _ => wanted.eq_ignore_ascii_case(&c),
    };

    match_prefix(next, text.get(c.len_utf8()..)?).filter(|_| is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each was stored so by a MISP 2.5.1 with the rules that it came with.
    #[test]
    fn paths_of_windows_and_its_registry_are_written_with_variables() {
        for (sent, stored) in [
            (r"C:\Users\bob\AppData\Roaming\x.exe", r"%APPDATA%\x.exe"),
            (r"c:\users\bob\appdata\local\temp\x.exe", r"%TEMP%\x.exe"),
            (r"C:\Users\bob\AppData\Local\x.exe", r"%LOCALAPPDATA%\x.exe"),
            (
                r"C:\Users\bob\Desktop\x.exe",
                r"%USERPROFILE%\Desktop\x.exe",
            ),
            (r"C:\Users\Public\x.exe", r"%PUBLIC%\x.exe"),
            (r"C:\Windows\System32\x.dll", r"%WINDIR%\System32\x.dll"),
            (
                r"D:\Program Files (x86)\Common Files\x",
                r"%PROGRAMFILES%\(x86)\Common Files\x",
            ),
            (r"C:\ProgramData\x.exe", r"%ALLUSERSPROFILE%\x.exe"),
            (
                r"C:\Documents and Settings\bob\Local Settings\Temp\x.exe",
                r"%TEMP%\x.exe",
            ),
            (r"\REGISTRY\MACHINE\Software\Evil", r"HKLM\Software\Evil"),
            (
                r"\Registry\User\S-1-5-21-1234567890-1234567890-123456789-1001\Software",
                r"HKCU\Software",
            ),
            ("OS: Windows 10", r"O%WINDIR%\10"),
            (
                r"cmd /c C:\ProgramData\a.exe C:\ProgramData\b.exe",
                r"cmd /c %ALLUSERSPROFILE%\a.exe %ALLUSERSPROFILE%\b.exe",
            ),
        ] {
            assert_eq!(apply_import_rules(sent).as_deref(), Some(stored), "{sent}");
        }
    }

    #[test]
    fn all_else_stays() {
        for value in [
            "",
            "x.exe",
            r"C:\x.exe",
            r"%TEMP%\x.exe",
            "http://evil.example/Windows/",
            "/tmp/é",
            r"C:\Users\bob",
            "C:é",
        ] {
            assert_eq!(apply_import_rules(value), None, "{value}");
        }
    }
}
