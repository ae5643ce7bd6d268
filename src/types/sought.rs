//! A value that is looked up: how a MISP may have it written, and whether an attribute is it. Asking is elsewhere.

use super::choices;
use super::form;
use super::normalise::normalise;
use super::server::ServerTypes;
use super::table::{self, Form, Import, Row, TABLE};
use super::validate::is_valid;
use crate::text::pasted;

/// A value that an analyst looks up, as an observable of some type.
#[derive(Clone, Debug)]
pub struct Sought {
    /// Ways of writing it, each once: first as it was given, then as MISP stores it.
    spellings: Vec<String>,
    /// Ways of writing it that mean it only in attributes of their own type: bare numbers.
    numbers: Vec<(&'static str, String)>,
    /// True if the value itself is such a number.
    is_number: bool,
    /// The MISP types that an observable of this type stands for.
    rows: Vec<&'static Row>,
}

impl Sought {
    /// Takes an observable's type, however it is spelt, and its data.
    #[must_use]
    pub fn new(data_type: &str, data: &str) -> Self {
        let (given, fold) = (pasted(data), choices::fold(data_type));
        let guessed = table::row(form::guess(data_type, given).kind);
        let is_pair = given.contains('|');
        let stands = |row: &&Row| is_for(row.import, &fold) || (is_pair && row.is_composite());
        let rows: Vec<&Row> = TABLE.iter().filter(stands).chain(guessed).collect();
        let is_number = fold == "autonomous-system";
        let mut sought = Self { spellings: Vec::new(), numbers: Vec::new(), is_number, rows };
        sought.add(given.to_owned());
        // Somebody may have pasted the same into MISP.
        sought.add(data.trim().to_owned());
        for row in sought.rows.clone() {
            match spelling(row, given) {
                Some(stored) if is_numeric(row) => sought.numbers.push((row.kind, stored)),
                Some(stored) => sought.add(stored),
                None => {}
            }
        }
        if fold == "hash" {
            // Of a feed only hashes of values are searched, so the case that its producer chose has to be met.
            sought.add(given.to_ascii_lowercase());
            sought.add(given.to_ascii_uppercase());
        }
        sought
    }

    fn add(&mut self, one: String) {
        if !one.is_empty() && !self.spellings.contains(&one) {
            self.spellings.push(one);
        }
    }

    /// What is to be searched for: every spelling, and of what is written as a composite its first half, since MISP
    /// compares halves alone (its `AppModel.php`, `generic_add_filter` over `value1` and `value2`). None for no value.
    #[must_use]
    pub fn asked(&self) -> Vec<&str> {
        let mut asked: Vec<&str> = self.spellings.iter().map(String::as_str).collect();
        for (_, number) in &self.numbers {
            if !asked.contains(&number.as_str()) {
                asked.push(number);
            }
        }
        for half in self.spellings.iter().filter_map(|one| one.split_once('|')).map(|(first, _)| first.trim()) {
            if !half.is_empty() && !asked.contains(&half) {
                asked.push(half);
            }
        }
        asked
    }

    /// True if an attribute of this MISP type and value is the value, or has it as a half. The port of a composite is no
    /// value of its own.
    #[must_use]
    pub fn is(&self, kind: &str, value: &str) -> bool {
        let row = table::row(kind);
        if self.is_written(row, value) {
            return true;
        }
        let Some((first, second)) = value.split_once('|') else { return false };
        match row.map(|row| row.import) {
            Some(Import::Halves(left, right)) => {
                self.is_written(table::row(left), first) || self.is_written(table::row(right), second)
            }
            Some(Import::Ported(left)) => self.is_written(table::row(left), first),
            Some(Import::Is(_) | Import::Other) => false,
            None => kind.contains('|') && (self.is_written(None, first) || self.is_written(None, second)),
        }
    }

    /// True if this is one of the spellings, or would be, once MISP had stored it as a type that the observable stands for.
    fn is_written(&self, row: Option<&'static Row>, value: &str) -> bool {
        let value = pasted(value);
        let has = |text: &str| self.spellings.iter().any(|one| one == text);
        let row = row.filter(|row| !self.is_number || self.is_for(row));
        if has(value) && (row.is_some() || !self.is_number) {
            return true;
        }
        let Some(row) = row.filter(|row| self.is_for(row)) else { return false };
        let is_same = |one: &String| is_caseless(row) && one.eq_ignore_ascii_case(value);
        spelling(row, value).is_some_and(|stored| match is_numeric(row) {
            true => self.numbers.iter().any(|(kind, number)| *kind == row.kind && *number == stored),
            false => has(&stored),
        }) || self.spellings.iter().any(is_same)
    }

    fn is_for(&self, row: &Row) -> bool {
        self.rows.iter().any(|known| known.kind == row.kind)
    }
}

/// True if attributes that become this are what an observable type means. A domain may be stored as a host name, and a
/// host name as a domain.
fn is_for(import: Import, fold: &str) -> bool {
    let is_name = |data_type: &str| ["domain", "hostname"].contains(&data_type);
    match import {
        Import::Is(data_type) => data_type == fold || (is_name(data_type) && is_name(fold)),
        Import::Other => fold == "other",
        Import::Halves(..) | Import::Ported(_) => false,
    }
}

/// True for types whose values lose so much when MISP stores them that what is left means nothing elsewhere: `AS1` is `1`.
fn is_numeric(row: &Row) -> bool {
    matches!(row.form, Form::As | Form::Card | Form::Phone | Form::Bank)
}

/// The value as MISP stores it for a type; none if it would refuse it, or make of it what the analyst did not mean: any
/// text is true as a boolean, and `39/45` has the digits of a card's number.
fn spelling(row: &Row, value: &str) -> Option<String> {
    const GROUPING: &str = " +-().";
    let is_digits = || value.chars().all(|c| c.is_ascii_alphanumeric() || GROUPING.contains(c));
    let means_it = match row.form {
        Form::Bool => false,
        Form::Card | Form::Phone | Form::Bank => is_digits(),
        _ => true,
    };
    let stored = means_it.then(|| normalise(row.kind, value))?;
    is_valid(row, &stored, &ServerTypes::newest()).then_some(stored)
}

/// True for types where case means nothing, though MISP keeps it for some of them.
fn is_caseless(row: &Row) -> bool {
    let is_text = matches!(row.form, Form::Ssdeep | Form::Impfuzzy | Form::Ssh | Form::Vhash);
    match row.import {
        Import::Is("hash") => !is_text,
        Import::Is(data_type) => ["ip", "domain", "hostname", "mail"].contains(&data_type),
        Import::Other | Import::Halves(..) | Import::Ported(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(data_type: &str, data: &str, kind: &str, value: &str) -> bool {
        Sought::new(data_type, data).is(kind, value)
    }

    #[test]
    fn a_value_is_searched_for_as_it_was_given_and_as_misp_stores_it() {
        for (data_type, data, asked) in [
            ("ip", " 2001:DB8:0::1 ", vec!["2001:DB8:0::1", "2001:db8::1"]),
            ("ip", "192.0.2.1:80", vec!["192.0.2.1:80", "192.0.2.1|80", "192.0.2.1"]),
            ("url", "hxxp://evil[.]example", vec!["hxxp://evil[.]example", "http://evil.example"]),
            ("fqdn", "WWW.Evil[.]example.", vec!["WWW.Evil[.]example.", "www.evil.example"]),
            ("mail", "Boss@Evil.example", vec!["Boss@Evil.example", "boss@evil.example"]),
            ("autonomous-system", "AS13335", vec!["AS13335", "13335"]),
            ("other", "39/45", vec!["39/45"]),
            ("other", "1337", vec!["1337"]),
            ("other", "a|b", vec!["a|b", "a"]),
            ("other", "cve-2021-44228", vec!["cve-2021-44228", "CVE-2021-44228"]),
            ("domain", "  ", vec![]),
        ] {
            let sought = Sought::new(data_type, data);
            let found = sought.asked();
            assert_eq!(found.first(), asked.first(), "{data}");
            for one in &asked {
                assert!(found.contains(one), "{one} is not in {found:?}");
            }
        }
        let numbers = Sought::new("other", "1337").asked().len();
        assert!(numbers <= 3, "{numbers}");
        assert_eq!(Sought::new("other", "39/45").asked(), ["39/45"]);
    }

    #[test]
    fn hits_are_the_value_or_a_half_of_a_composite() {
        for (data_type, data, kind, value) in [
            ("ip", "198.51.100.2", "ip-dst|port", "198.51.100.2|443"),
            ("ip", "198.51.100.3", "domain|ip", "alltypes.example|198.51.100.3"),
            ("domain", "ALLTYPES.example", "domain|ip", "alltypes.example|198.51.100.3"),
            ("domain", "www.alltypes.example", "hostname|port", "www.alltypes.example|8443"),
            (
                "hash",
                "A45996261299F7D30E22E7A2528473CF",
                "filename|md5",
                "file name.exe|a45996261299f7d30e22e7a2528473cf",
            ),
            ("hash", "727ceef6a51773d8fbdefb5d1e712f21", "malware-sample", "x.exe|727CEEF6A51773D8FBDEFB5D1E712F21"),
            ("filename", "file name.exe", "filename|md5", "file name.exe|a45996261299f7d30e22e7a2528473cf"),
            (
                "other",
                "x.exe|727ceef6a51773d8fbdefb5d1e712f21",
                "filename|md5",
                "x.exe|727CEEF6A51773D8FBDEFB5D1E712F21",
            ),
            ("mail", "boss@evil.example", "email-reply-to", "Boss@Evil.example"),
            ("ip", "2001:db8::1", "ip-src", "2001:0DB8::1"),
            ("other", "value", "no-such|type", "some|value"),
            ("other", "+49 (89) 1234", "phone-number", "+49891234"),
            ("autonomous-system", "as13335", "AS", "13335"),
            ("autonomous-system", "13335", "AS", "AS13335"),
            ("domain", "EVIL[.]example", "text", "evil.example"),
        ] {
            assert!(is(data_type, data, kind, value), "{data} {value}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_no_hit() {
        for (data_type, data, kind, value) in [
            ("other", "39/45", "bin", "3945"),
            ("other", "x", "boolean", "1"),
            ("other", "1", "boolean", "true"),
            ("other", "1337", "ip-dst|port", "192.0.2.1|1337"),
            ("other", "-1", "counter", "1"),
            ("other", "-1", "regkey|value", "HKLM\\x|1"),
            ("autonomous-system", "AS13335", "size-in-bytes", "13335"),
            ("autonomous-system", "13335", "size-in-bytes", "13335"),
            ("filename", "Evil.exe", "filename", "evil.exe"),
            ("ip", "192.0.2.1", "ip-dst", "192.0.2.10"),
            ("ip", "192.0.2.1", "ip-dst", "192.0.2.0/24"),
            ("domain", "evil.example", "text", "EVIL.example"),
            ("url", "http://evil.example/A", "url", "http://evil.example/a"),
            ("hash", "3:abc:def", "ssdeep", "3:ABC:def"),
        ] {
            assert!(!is(data_type, data, kind, value), "{data} {value}");
        }
    }
}
