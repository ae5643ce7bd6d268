//! A value that is looked up: how a MISP may have it written, and whether an attribute is it.
//! Asking is elsewhere.

use std::borrow::Cow;
use std::collections::HashSet;

use super::detect;
use super::equal::{are_equal, equality_key};
use super::misp_types::{MispType, TABLE, find_row};
use super::observable_types;
use super::refang::strip_prefix_ignore_case;
use super::rules::apply_import_rules;
use super::validate::{is_valid, normalise};
use crate::text::trim_pasted;

/// A value that an analyst looks up, as an observable of some type.
#[derive(Clone, Debug, Default)]
pub struct SearchValue {
    /// Ways of writing it, each once: first as it was given, then as MISP stores it.
    spellings: Vec<String>,
    /// Ways of writing it that mean it only in attributes of their own type: bare numbers.
    numbers: Vec<(&'static str, String)>,
    /// What MISP's import rules make of it.
    rewritten: Vec<String>,
    /// What MISP takes for one of the spellings.
    keys: HashSet<String>,
    /// True if the value itself is such a number.
    is_number: bool,
    /// The type that an observable like this goes to MISP as.
    usual: Option<&'static MispType>,
    /// The MISP types that an observable of this type stands for.
    rows: Vec<&'static MispType>,
}

/// How an attribute's value is what was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// It is the same.
    Same,
    /// MISP takes both for the same: they differ in case where that may mean something, in accents
    /// or the like.
    OtherCase,
    /// It is what MISP's import rules make of it, which they may make of others too.
    Rewritten,
}

impl Likeness {
    /// In words; nothing for what is the same.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::OtherCase => "other case",
            Self::Rewritten => "by an import rule",
        }
    }
}

impl SearchValue {
    /// Takes an observable's type, however it is spelt, and its data.
    pub fn new(data_type: &str, data: &str) -> Self {
        let given = trim_pasted(data);
        let fold = observable_types::canonical_type(data_type);
        let usual = find_row(detect::guess(data_type, given).kind);
        // "other" and a type that is not known tell nothing: any type is tried that fits the value.
        let is_any = fold == "other"
            || (observable_types::find(data_type).is_none() && find_row(&fold).is_none());
        let is_pair = given.contains('|');
        let is_covered =
            |row: &&MispType| is_any || is_meant_by(row, &fold) || (is_pair && row.is_composite());

        let mut sought = Self {
            is_number: fold == "autonomous-system",
            usual,
            rows: TABLE.iter().filter(is_covered).chain(usual).collect(),
            ..Self::default()
        };

        sought.add_spelling(given.to_owned());
        // Somebody may have pasted the same into MISP.
        sought.add_spelling(data.trim().to_owned());
        for row in sought.rows.clone() {
            let is_meant = !is_any || usual.is_some_and(|usual| usual.kind == row.kind);
            sought.add_stored_spelling(row, given, is_meant);
        }
        for spelling in sought.spellings.clone() {
            for written in host_spellings(&spelling) {
                sought.add_spelling(written);
            }
        }

        let spellings = sought.spellings.iter();
        sought.rewritten = spellings
            .clone()
            .filter_map(|spelling| apply_import_rules(spelling))
            .collect();
        sought.keys = spellings
            .map(|spelling| equality_key(spelling))
            .filter(|key| !key.is_empty())
            .collect();

        sought
    }

    /// One that is any of several values, as the hashes of a file are.
    pub fn any_of(values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(Self::default(), |mut all, value| {
            all.spellings.extend(value.spellings);
            all.numbers.extend(value.numbers);
            all.rewritten.extend(value.rewritten);
            all.keys.extend(value.keys);
            all.is_number |= value.is_number;
            all.usual = all.usual.or(value.usual);
            all.rows.extend(value.rows);
            all
        })
    }

    /// Adds how MISP stores the value as this type; `is_meant` if the analyst means the type.
    fn add_stored_spelling(&mut self, row: &'static MispType, given: &str, is_meant: bool) {
        let Some(stored) = stored_spelling(row, given, is_meant) else {
            return;
        };
        if is_numeric(row) {
            // MISP changes a value once: of `tel:0049…` it keeps the zeros, which it takes for `+`
            // in `0049…`.
            let zeros = stored.strip_prefix('+').map(|digits| format!("00{digits}"));
            let written = zeros.into_iter().chain([stored]);
            self.numbers
                .extend(written.map(|number| (row.kind, number)));
        } else if is_meant || !are_equal(&stored, given) {
            // A type that only writes it in another case is not why it was looked up.
            self.add_spelling(stored);
        }
    }

    fn add_spelling(&mut self, spelling: String) {
        if !spelling.is_empty() && !self.spellings.contains(&spelling) {
            self.spellings.push(spelling);
        }
    }

    /// What is to be searched for: every spelling, and of what is written as a composite its first
    /// half, since MISP compares halves alone (its `AppModel.php`, `generic_add_filter` over
    /// `value1` and `value2`). None for no value, or for one that MISP takes for none.
    pub fn search_terms(&self) -> Vec<&str> {
        let numbers = self.numbers.iter().map(|(_, number)| number);
        let wholes = self
            .spellings
            .iter()
            .chain(numbers)
            .chain(&self.rewritten)
            .map(String::as_str);
        let halves = wholes
            .clone()
            .filter_map(|term| term.split_once('|'))
            .map(|(first, _)| first.trim());
        let mut known = HashSet::new();

        wholes
            .chain(halves)
            .filter(|term| !equality_key(term).is_empty() && known.insert(*term))
            .collect()
    }

    /// How an attribute of this MISP type and value is the value, or has it as a half, if so. The
    /// port of a composite is no value of its own.
    pub fn compare_attribute(&self, kind: &str, value: &str) -> Option<Likeness> {
        let row = find_row(kind);
        let whole = self.compare_value(row, value);
        if whole.is_some() {
            return whole;
        }
        // The halves of a type that is not known may be anything.
        let unknown = || kind.contains('|').then_some(("", Some("")));
        let (left, right) = row.map_or_else(unknown, MispType::halves)?;
        // A feed may have it as `192.0.2.1:80`.
        let stored = row.map_or_else(|| value.to_owned(), |row| normalise(row.kind, value));
        let (first, second) = stored.split_once('|')?;

        let of_first = self.compare_value(find_row(left), first);
        let of_second = right.and_then(|right| self.compare_value(find_row(right), second));
        of_first.into_iter().chain(of_second).min()
    }

    /// True if an observable is the value, in any way that MISP takes for it.
    pub fn is_observable(&self, data_type: &str, data: &str) -> bool {
        let row = find_row(detect::guess(data_type, data).kind);
        let as_text = || {
            (!self.is_number)
                .then(|| self.compare_spelling(None, trim_pasted(data)))
                .flatten()
        };
        self.compare_value(row, data).or_else(as_text).is_some()
    }

    /// If this is one of the spellings, or would be, once MISP had stored it as a type that the
    /// observable stands for.
    fn compare_value(&self, row: Option<&'static MispType>, value: &str) -> Option<Likeness> {
        let value = trim_pasted(value);
        // A bare number means itself only in attributes of its own types.
        let row = row.filter(|row| !self.is_number || self.covers_type(row));
        let as_it_is = (row.is_some() || !self.is_number)
            .then(|| self.compare_spelling(row, value))
            .flatten();
        // Nothing is nearer than the same, so that no more has to be looked at then.
        let row = row.filter(|row| self.covers_type(row) && as_it_is != Some(Likeness::Same));
        let stored = row.and_then(|row| Some((row, stored_spelling(row, value, true)?)));

        let as_stored = stored.and_then(|(row, stored)| match is_numeric(row) {
            true => self
                .numbers
                .contains(&(row.kind, stored))
                .then_some(Likeness::Same),
            false => self.compare_spelling(Some(row), &stored),
        });

        [as_it_is, as_stored].into_iter().flatten().min()
    }

    fn compare_spelling(&self, row: Option<&'static MispType>, value: &str) -> Option<Likeness> {
        let is_same = |row: Option<&'static MispType>| {
            let value = fold_case(row, value);
            self.spellings
                .iter()
                .any(|spelling| fold_case(row, spelling) == value)
        };

        // Case may mean nothing in the attribute's type, or in the type of what is sought.
        if is_same(row) || is_same(self.usual) {
            Some(Likeness::Same)
        } else if self.keys.contains(&equality_key(value)) {
            Some(Likeness::OtherCase)
        } else {
            let is_rewritten = self
                .rewritten
                .iter()
                .any(|spelling| are_equal(spelling, value));
            is_rewritten.then_some(Likeness::Rewritten)
        }
    }

    fn covers_type(&self, row: &MispType) -> bool {
        self.rows.iter().any(|known| known.kind == row.kind)
    }
}

/// True if attributes that become this are what an observable type means. A domain may be stored as
/// a host name, and a host name as a domain.
fn is_meant_by(row: &MispType, fold: &str) -> bool {
    let is_name = |data_type: &str| ["domain", "hostname"].contains(&data_type);
    row.observable_type()
        .is_some_and(|data_type| data_type == fold || (is_name(data_type) && is_name(fold)))
}

/// True for types whose values lose so much when MISP stores them that what is left means nothing
/// elsewhere: `AS1` is `1`.
fn is_numeric(row: &MispType) -> bool {
    row.kind == "AS" || loses_signs(row)
}

/// True for numbers of which MISP keeps digits and letters alone.
fn loses_signs(row: &MispType) -> bool {
    const KINDS: [&str; 7] = [
        "bic",
        "bin",
        "cc-number",
        "iban",
        "phone-number",
        "prtn",
        "whois-registrant-phone",
    ];
    KINDS.contains(&row.kind)
}

/// The value as MISP stores it for a type; none if it would refuse it, or make of it what the
/// analyst did not mean: any text is true as a boolean, and of what nobody said to be a number,
/// `39/45` has the digits of a card's.
fn stored_spelling(row: &MispType, value: &str, is_meant: bool) -> Option<String> {
    const GROUPING: &str = " +-().";

    let number = strip_prefix_ignore_case(value, "tel:").unwrap_or(value);
    let is_digits = || {
        number
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || GROUPING.contains(c))
    };
    if row.kind == "boolean" || (loses_signs(row) && !is_meant && !is_digits()) {
        return None;
    }

    let stored = normalise(row.kind, value);
    is_valid(row, &stored).then_some(stored)
}

/// A name, or a URL with one, with the name in the other script: MISP stores what it was given, and
/// refangs only what is hidden in small letters (its `ComplexTypeTool.php`).
fn host_spellings(value: &str) -> Vec<String> {
    let (before, host, behind) = split_host(value);
    if !host.contains('.') || host.contains(char::is_whitespace) {
        return Vec::new();
    }
    let mut hosts = match host.is_ascii() {
        true if host.to_ascii_lowercase().contains("xn--") => vec![idna::domain_to_unicode(host).0],
        true => Vec::new(),
        false => idna::domain_to_ascii(host).into_iter().collect(),
    };

    // MISP stores `[DOT]` in a URL as it is, and its database finds that in small letters.
    if !before.is_empty() {
        let (first, last) = host.rsplit_once('.').unwrap_or_default();
        for dot in ["[dot]", "(dot)"] {
            // People hide every dot, or the last one only.
            hosts.extend([host.replace('.', dot), format!("{first}{dot}{last}")]);
        }
    }

    hosts
        .into_iter()
        .map(|host| format!("{before}{host}{behind}"))
        .collect()
}

/// A URL's host, and what stands before and behind it; of what is no URL, the whole.
fn split_host(value: &str) -> (&str, &str, &str) {
    let start = value.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = value.split_at(start);
    let (authority, path) = match start {
        0 => (rest, ""),
        _ => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
    };
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    let port = authority
        .rfind(':')
        .filter(|at| *at > user)
        .unwrap_or(authority.len());
    let before = value.get(..scheme.len() + user).unwrap_or_default();
    let host = authority.get(user..port).unwrap_or_default();
    let behind = value.get(before.len() + host.len()..).unwrap_or(path);

    (before, host, behind)
}

/// A value without the case that means nothing in it, though MISP may keep it.
fn fold_case<'a>(row: Option<&MispType>, value: &'a str) -> Cow<'a, str> {
    let Some(row) = row else {
        return Cow::Borrowed(value);
    };
    let is_text = ["ssdeep", "impfuzzy", "ssh-fingerprint", "vhash"].contains(&row.kind);

    let is_caseless = match row.observable_type() {
        Some("hash") => !is_text,
        Some("filename") => is_windows_name(value),
        Some("url") => {
            let (before, host, behind) = split_host(value);
            let (scheme, user) = before.split_at(before.find("://").map_or(0, |at| at + 3));
            return Cow::Owned(format!(
                "{}{user}{}{behind}",
                scheme.to_lowercase(),
                host.to_lowercase()
            ));
        }
        Some("ip" | "domain" | "hostname" | "mail" | "registry") => true,
        _ => false,
    };

    if is_caseless {
        Cow::Owned(value.to_lowercase())
    } else {
        Cow::Borrowed(value)
    }
}

/// True for the name of a file that only Windows has, whose names have no case.
fn is_windows_name(name: &str) -> bool {
    const ENDINGS: &str = "bat cmd com cpl dll exe hta lnk msi ocx pif ps1 scr sys vbe vbs wsf";

    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    name.contains('\\')
        || ENDINGS
            .split(' ')
            .any(|known| known.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    use Likeness::{OtherCase, Rewritten, Same};

    const MD5: &str = "a45996261299f7d30e22e7a2528473cf";

    /// Compares observables (data type and data) with attributes (type and value).
    fn assert_each_is(expected: Option<Likeness>, rows: &[(&str, &str, &str, &str)]) {
        for (data_type, data, kind, value) in rows {
            assert_eq!(
                SearchValue::new(data_type, data).compare_attribute(kind, value),
                expected,
                "{data} {value}"
            );
        }
    }

    #[test]
    fn a_value_is_searched_for_as_it_was_given_and_as_misp_stores_it() {
        for (data_type, data, asked) in [
            (
                "ip",
                " 2001:DB8:0::1 ",
                vec!["2001:DB8:0::1", "2001:db8::1"],
            ),
            (
                "ip",
                "192.0.2.1:80",
                vec!["192.0.2.1:80", "192.0.2.1|80", "192.0.2.1"],
            ),
            (
                "url",
                "hxxp://evil[.]example",
                vec!["hxxp://evil[.]example", "http://evil.example"],
            ),
            (
                "fqdn",
                "WWW.Evil[.]example.",
                vec!["WWW.Evil[.]example.", "www.evil.example"],
            ),
            (
                "mail",
                "Boss@Evil.example",
                vec!["Boss@Evil.example", "boss@evil.example"],
            ),
            ("autonomous-system", "AS13335", vec!["AS13335", "13335"]),
            ("other", "39/45", vec!["39/45"]),
            ("other", "1337", vec!["1337"]),
            ("other", "a|b", vec!["a|b", "a"]),
            (
                "other",
                "cve-2021-44228",
                vec!["cve-2021-44228", "CVE-2021-44228"],
            ),
            ("domain", "  ", vec![]),
        ] {
            let sought = SearchValue::new(data_type, data);
            let found = sought.search_terms();
            assert_eq!(found.first(), asked.first(), "{data}");
            for one in &asked {
                assert!(found.contains(one), "{one} is not in {found:?}");
            }
        }

        assert_eq!(SearchValue::new("other", "1337").search_terms(), ["1337"]);
        assert_eq!(SearchValue::new("other", "39/45").search_terms(), ["39/45"]);
    }

    #[test]
    fn hits_are_a_composite_and_a_half_of_it() {
        assert_each_is(
            Some(Same),
            &[
                ("ip", "198.51.100.2", "ip-dst|port", "198.51.100.2|443"),
                ("ip", "2001:db8::1", "ip-dst|port", "[2001:DB8::1]:443"),
                ("ip", "198.51.100.3", "domain|ip", "a.example|198.51.100.3"),
                ("domain", "A.example", "domain|ip", "a.example|198.51.100.3"),
                (
                    "domain",
                    "www.a.example",
                    "hostname|port",
                    "www.a.example|8443",
                ),
                (
                    "hash",
                    &MD5.to_uppercase(),
                    "filename|md5",
                    &format!("file name.exe|{MD5}"),
                ),
                (
                    "hash",
                    MD5,
                    "malware-sample",
                    &format!("x.exe|{}", MD5.to_uppercase()),
                ),
                (
                    "filename",
                    "file name.exe",
                    "filename|md5",
                    &format!("file name.exe|{MD5}"),
                ),
                (
                    "other",
                    &format!("x.exe|{MD5}"),
                    "filename|md5",
                    &format!("x.exe|{}", MD5.to_uppercase()),
                ),
                ("other", "value", "no-such|type", "some|value"),
            ],
        );
    }

    #[test]
    fn hits_are_the_value_in_another_spelling() {
        assert_each_is(
            Some(Same),
            &[
                (
                    "mail",
                    "boss@evil.example",
                    "email-reply-to",
                    "Boss@Evil.example",
                ),
                ("ip", "2001:db8::1", "ip-src", "2001:0DB8::1"),
                ("other", "+49 (89) 1234", "phone-number", "+49891234"),
                ("other", "+49891234", "phone-number", "0049891234"),
                ("autonomous-system", "as13335", "AS", "13335"),
                ("autonomous-system", "13335", "AS", "AS13335"),
                ("domain", "EVIL[.]example", "text", "evil.example"),
            ],
        );
    }

    #[test]
    fn what_only_looks_alike_is_no_hit() {
        assert_each_is(
            None,
            &[
                ("other", "39/45", "bin", "3945"),
                ("other", "x", "boolean", "1"),
                ("other", "1", "boolean", "true"),
                ("other", "1337", "ip-dst|port", "192.0.2.1|1337"),
                ("other", "-1", "counter", "1"),
                ("other", "-1", "regkey|value", "HKLM\\x|1"),
                ("autonomous-system", "AS13335", "size-in-bytes", "13335"),
                ("autonomous-system", "13335", "size-in-bytes", "13335"),
                ("ip", "192.0.2.1", "ip-dst", "192.0.2.10"),
                ("ip", "192.0.2.1", "ip-dst", "192.0.2.0/24"),
            ],
        );
    }

    #[test]
    fn what_has_no_case_is_the_same_in_any() {
        assert_each_is(
            Some(Same),
            &[
                ("url", "http://x.example/a", "url", "HTTP://X.example/a"),
                (
                    "url",
                    "http://u:P@x.example:80/a",
                    "link",
                    "http://u:P@X.example:80/a",
                ),
                ("registry", "HKLM\\Software", "regkey", "hklm\\software"),
                (
                    "registry",
                    "HKLM\\Software",
                    "regkey|value",
                    "hklm\\software|1",
                ),
                ("filename", "Evil.EXE", "filename", "evil.exe"),
                ("filename", "C:\\Évil", "filename", "c:\\évil"),
                (
                    "filename",
                    r"C:\Windows\evil.exe",
                    "filename",
                    r"c:\windows\evil.exe",
                ),
                (
                    "filename",
                    "Evil.exe",
                    "filename|md5",
                    &format!("EVIL.exe|{MD5}"),
                ),
                ("domain", "evil.example", "text", "EVIL.example"),
            ],
        );
    }

    /// Equal for MISP, which therefore finds each by the other.
    #[test]
    fn what_differs_in_case_or_accents_is_a_hit_and_said_so_where_case_may_mean_something() {
        assert_each_is(
            Some(OtherCase),
            &[
                ("url", "http://x.example/a", "url", "http://x.example/A"),
                ("url", "http://u@x.example/a", "url", "http://U@x.example/a"),
                ("filename", "Makefile", "filename", "makefile"),
                ("filename", "Réc2.exe", "filename", "Rec2.exe"),
                ("other", "Global\\Evil", "mutex", "GLOBAL\\evil"),
                ("user-agent", "Evil/1", "user-agent", "evil/1"),
                ("mail-subject", "Straße", "email-subject", "STRASSE"),
                ("hash", "3:abc:def", "ssdeep", "3:ABC:def"),
            ],
        );
    }

    #[test]
    fn a_domain_is_the_same_in_unicode_and_in_punycode() {
        let (unicode, ascii) = ("münchen.example", "xn--mnchen-3ya.example");
        let [in_unicode, in_ascii] = [unicode, ascii].map(|host| format!("http://{host}/a"));

        assert_each_is(
            Some(Same),
            &[
                ("domain", ascii, "domain", "München.example"),
                (
                    "domain",
                    unicode,
                    "domain|ip",
                    &format!("{ascii}|192.0.2.1"),
                ),
                ("url", &in_unicode, "url", &in_ascii),
            ],
        );
    }

    #[test]
    fn a_path_is_found_as_misp_rewrites_it() {
        let [given, rewritten] = [r"C:\Windows\evil.exe", r"%windir%\evil.exe"];
        assert_each_is(
            Some(Rewritten),
            &[("filename", given, "filename", rewritten)],
        );
    }

    #[test]
    fn what_nobody_gave_a_type_is_whatever_it_can_be_written_as() {
        for (data, kind, value) in [
            (
                "Www.Evil.example:8080",
                "hostname|port",
                "www.evil.example|8080",
            ),
            ("198.51.100.203:8443", "ip-dst|port", "198.51.100.203|8443"),
            ("bob[at]evil.example", "email-dst", "bob@evil.example"),
            (
                "00-11-22-AA-BB-CC-DD-EE",
                "mac-eui-64",
                "00:11:22:aa:bb:cc:dd:ee",
            ),
            ("tel:+49 (0)89 1234", "phone-number", "+49891234"),
            ("evil[.]example", "domain", "evil.example"),
            (
                "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99",
                "x509-fingerprint-md5",
                "aabbccddeeff00112233445566778899",
            ),
        ] {
            assert_each_is(Some(Same), &[("other", data, kind, value)]);
            let asked: Vec<String> = SearchValue::new("other", data)
                .search_terms()
                .into_iter()
                .map(equality_key)
                .collect();
            assert!(
                asked.contains(&equality_key(value))
                    || asked.contains(&equality_key(value.split('|').next().unwrap())),
                "{asked:?}"
            );
        }
    }

    #[test]
    fn what_misp_takes_for_nothing_is_not_asked_for() {
        for data in ["\u{301}", "\u{200b}", " \u{a0}", "\u{1}\u{301}"] {
            assert_eq!(
                SearchValue::new("other", data).search_terms(),
                [""; 0],
                "{data:?}"
            );
        }
    }
}
