//! What a MISP's import rules make of a value on its way in, by those that every MISP begins with
//! (the table `regexp` in its `MYSQL.sql`; run by its `RegexpBehavior.php` after all other
//! changes). No API shows a user which rules a MISP has: what its administrators changed in them is
//! not known here.

use super::patterns::Pattern;

/// What is replaced, and by what, in MISP's order. Those of its rules that can never match, or that
/// only keep values out, are left out.
static RULES: [(Pattern, &str); 17] = [
    (Pattern::new(r"(?i).:.ProgramData."), r"%ALLUSERSPROFILE%\"),
    (
        Pattern::new(r"(?i).:.Documents and Settings.All Users."),
        r"%ALLUSERSPROFILE%\",
    ),
    (
        Pattern::new(r"(?i).:.Program Files.Common Files."),
        r"%COMMONPROGRAMFILES%\",
    ),
    (
        Pattern::new(r"(?i).:.Users\\.*?\\AppData.Local.Temp."),
        r"%TEMP%\",
    ),
    (Pattern::new(r"(?i).:.Program Files."), r"%PROGRAMFILES%\"),
    (Pattern::new(r"(?i).:.Users.Public."), r"%PUBLIC%\"),
    (
        Pattern::new(r"(?i).:.Documents and Settings\\.*?\\Local Settings.Temp."),
        r"%TEMP%\",
    ),
    (
        Pattern::new(r"(?i).:.Users\\.*?\\AppData.Local."),
        r"%LOCALAPPDATA%\",
    ),
    (
        Pattern::new(r"(?i).:.Users\\.*?\\AppData.Roaming."),
        r"%APPDATA%\",
    ),
    (
        Pattern::new(r"(?i).:.Users\\.*?\\Application Data."),
        r"%APPDATA%\",
    ),
    (
        Pattern::new(r"(?i).:.Windows\\.*?\\Application Data."),
        r"%APPDATA%\",
    ),
    (Pattern::new(r"(?i).:.Users\\.*?\\"), r"%USERPROFILE%\"),
    (Pattern::new(r"(?i).:.DOCUME~1.\\.*?\\"), r"%USERPROFILE%\"),
    (
        Pattern::new(r"(?i).:.Documents and Settings\\.*?\\"),
        r"%USERPROFILE%\",
    ),
    (Pattern::new(r"(?i).:.Windows."), r"%WINDIR%\"),
    (
        Pattern::new(
            r"(?i).REGISTRY.USER.S-\d-\d-\d\d-(\d{9}-\d{10}-\d{9}|\d{10}-\d{10}-\d{9,10})-\d{4}",
        ),
        "HKCU",
    ),
    (Pattern::new(r"(?i).REGISTRY.MACHINE."), r"HKLM\"),
];

/// Longer values are not looked at, in bytes: no path is as long.
const LONGEST: usize = 4 << 10;

/// The value as the rules leave it; none if they leave it as it is.
pub fn apply_import_rules(value: &str) -> Option<String> {
    if value.len() > LONGEST {
        return None;
    }
    let changed = RULES.iter().fold(value.to_owned(), |value, (pattern, by)| {
        pattern.replace_all(&value, by)
    });
    (changed != value).then_some(changed)
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
