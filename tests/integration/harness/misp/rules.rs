//! Import rules (MISP's *Administration, Import Regexp*): they rewrite values on their way in, or keep them out. These are the
//! ones that a new MISP 2.5.1 has, as its table `regexp` holds them; what they do was recorded as
//! `447-events-add-import-regexp`.

use std::sync::LazyLock;

use regex::{NoExpand, Regex};

use super::validate::Refused;

/// Pattern, without regard to case, and what stands in its place; nothing keeps the value out.
const DEFAULT: [(&str, &str); 26] = [
    (r".:.ProgramData.", r"%ALLUSERSPROFILE%\"),
    (
        r".:.Documents and Settings.All Users.",
        r"%ALLUSERSPROFILE%\",
    ),
    (r".:.Program Files.Common Files.", r"%COMMONPROGRAMFILES%\"),
    (
        r".:.Program Files (x86).Common Files.",
        r"%COMMONPROGRAMFILES(x86)%\",
    ),
    (r".:.Users\\(.*?)\\AppData.Local.Temp.", r"%TEMP%\"),
    (r".:.Program Files.", r"%PROGRAMFILES%\"),
    (r".:.Program Files (x86).", r"%PROGRAMFILES(X86)%\"),
    (r".:.Users.Public.", r"%PUBLIC%\"),
    (
        r".:.Documents and Settings\\(.*?)\\Local Settings.Temp.",
        r"%TEMP%\",
    ),
    (r".:.Users\\(.*?)\\AppData.Local.", r"%LOCALAPPDATA%\"),
    (r".:.Users\\(.*?)\\AppData.Roaming.", r"%APPDATA%\"),
    (r".:.Users\\(.*?)\\Application Data.", r"%APPDATA%\"),
    (r".:.Windows\\(.*?)\\Application Data.", r"%APPDATA%\"),
    (r".:.Users\\(.*?)\\", r"%USERPROFILE%\"),
    (r".:.DOCUME~1.\\(.*?)\\", r"%USERPROFILE%\"),
    (r".:.Documents and Settings\\(.*?)\\", r"%USERPROFILE%\"),
    (r".:.Windows.", r"%WINDIR%\"),
    (
        r".REGISTRY.USER.S(-[0-9]{1}){2}-[0-9]{2}(-[0-9]{9}){1}(-[0-9]{10}){1}-[0-9]{9}-[0-9]{4}",
        "HKCU",
    ),
    (
        r".REGISTRY.USER.S(-[0-9]{1}){2}-[0-9]{2}(-[0-9]{10}){2}-[0-9]{9}-[0-9]{4}",
        "HKCU",
    ),
    (
        r".REGISTRY.USER.S(-[0-9]{1}){2}-[0-9]{2}(-[0-9]{10}){3}-[0-9]{4}",
        "HKCU",
    ),
    (r".REGISTRY.MACHINE.", r"HKLM\"),
    (r".Registry.Machine.", r"HKLM\"),
    (r"%USERPROFILE%.Application Data.Microsoft.UProof", ""),
    (r"%USERPROFILE%.Local Settings.History", ""),
    (r"%APPDATA%.Microsoft.UProof", ""),
    (
        r"%LOCALAPPDATA%.Microsoft.Windows.Temporary Internet Files",
        "",
    ),
];

static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rule = |(pattern, instead): (&str, &'static str)| {
        (
            Regex::new(&format!("(?i){pattern}")).expect("a pattern"),
            instead,
        )
    };
    DEFAULT.into_iter().map(rule).collect()
});

/// The value as the rules leave it, one after the other (MISP's `Regexp.php`, `replaceSpecific`).
pub(super) fn rewritten(mut value: String) -> Result<String, Refused> {
    for (pattern, instead) in RULES.iter() {
        if instead.is_empty() {
            if pattern.is_match(&value) {
                let why = "This value is blocked by a regular expression in the import filters.";
                return Err(Refused::Field("value", why.to_owned()));
            }
        } else {
            value = pattern.replace_all(&value, NoExpand(instead)).into_owned();
        }
    }
    Ok(value)
}
