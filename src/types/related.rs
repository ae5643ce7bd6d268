//! What says something of a sought value though it is another one: a network that holds the
//! address, a parent domain, the host of a URL, the URL without its query, the domain of a mail
//! address, a registry key with the other name of its hive. Such a hit is never the value itself:
//! it says how it was found. Pure.

use std::collections::{HashMap, HashSet};

use super::detect;
use super::equal::equality_key;
use super::misp_types::{MispType, find_row};
use super::networks::Network;
use super::normalise::address_and_port;
use super::observable_types;
use super::refang;
use super::search_value::SearchValue;
use super::validate::normalise;
use crate::text::trim_pasted;

/// The longest name that a DNS knows, in characters, with some room.
const LONGEST_NAME: usize = 300;

/// The names of hives.
const HIVES: [(&str, &str); 5] = [
    ("HKLM", "HKEY_LOCAL_MACHINE"),
    ("HKCU", "HKEY_CURRENT_USER"),
    ("HKCR", "HKEY_CLASSES_ROOT"),
    ("HKU", "HKEY_USERS"),
    ("HKCC", "HKEY_CURRENT_CONFIG"),
];

/// The values that are related to one that is looked up.
#[derive(Clone, Debug, Default)]
pub struct RelatedValues {
    /// The address or network whose networks are sought.
    network: Option<Network>,
    /// How MISP writes that, if it is the value itself: that is searched for elsewhere.
    own: String,
    /// What the address itself is, where it is not what was looked up.
    address: Option<&'static str>,
    /// Names, as [`canonical_name`] writes them.
    names: HashMap<String, Relation>,
    /// Other ways of writing the value.
    written: Vec<(Relation, SearchValue)>,
}

/// How a value was found that is not the one that was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// In words: `in 203.0.113.0/24`.
    pub how: String,
    /// How far it is from the value: the smallest number is the nearest.
    pub distance: u8,
}

impl RelatedValues {
    /// Those of an observable, by its type, however it is spelt, and its data.
    pub fn new(data_type: &str, data: &str) -> Self {
        let fold = observable_types::canonical_type(data_type);
        let is_known = observable_types::find(data_type).is_some() || find_row(&fold).is_some();
        let is_any = fold == "other" || !is_known;
        let given = refang::mail(&refang::url(trim_pasted(data)));
        let mut related = Self::default();

        match fold.as_ref() {
            "registry" => related.add_hives(&given),
            "mail" => related.add_mail(&given),
            "ip" | "domain" | "hostname" | "url" => related.add_place(&given, fold == "url"),
            _ if !is_any => {}
            _ if given.contains("://") => related.add_place(&given, true),
            _ if given.contains('\\') => related.add_hives(&given),
            _ if given.contains('@') => related.add_mail(&given),
            // Any text has dots; a name has no blanks, and of a pair each half may be one.
            _ => given
                .split('|')
                .take(2)
                .for_each(|half| related.add_place(half, false)),
        }

        related
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        let Self {
            network,
            own: _,
            address: _,
            names,
            written,
        } = self;
        network.is_none() && names.is_empty() && written.is_empty()
    }

    /// What is to be searched for, each once.
    pub fn search_terms(&self) -> Vec<String> {
        let networks = self.network.iter().flat_map(|sought| sought.holders());
        // An attribute may have a name in either script.
        let names = self.names.keys().flat_map(|name| {
            let unicode = idna::domain_to_unicode(name).0;
            [name.clone(), unicode]
        });
        let written = self.written.iter();
        let written = written.flat_map(|(_, value)| value.search_terms());
        let mut known = HashSet::new();

        let terms = networks.chain(names).chain(written.map(str::to_owned));
        terms
            .filter(|term| *term != self.own)
            .filter(|term| !equality_key(term).is_empty() && known.insert(term.clone()))
            .collect()
    }

    /// Patterns of SQL's `LIKE` for what no list of values names: networks with bits that stand for
    /// hosts.
    pub fn search_patterns(&self) -> Vec<String> {
        self.network
            .map_or_else(Vec::new, |sought| sought.holder_patterns())
    }

    /// True if an observable is one of them.
    pub fn is_observable(&self, data_type: &str, data: &str) -> bool {
        let kind = detect::guess(data_type, data).kind;
        self.compare_attribute(kind, data).is_some()
    }

    /// How an attribute of this MISP type and value is related, if it is; of several ways the
    /// nearest. That it is not the value itself is for the caller to know.
    pub fn compare_attribute(&self, kind: &str, value: &str) -> Option<Relation> {
        let row = find_row(kind);
        // The halves of a type that is not known may be anything.
        let unknown = || kind.contains('|').then_some(("", Some("")));
        let halves = row.map_or_else(unknown, MispType::halves);
        // A feed may have it as `evil.example:80`.
        let stored = match (halves, row) {
            (Some(_), Some(row)) => normalise(row.kind, value),
            _ => value.to_owned(),
        };
        let parts = halves.and_then(|(left, right)| {
            let (first, second) = stored.split_once('|')?;
            Some([Some((left, first)), right.map(|right| (right, second))])
        });
        let parts = parts.into_iter().flatten().flatten();

        let of_parts = [(kind, value)]
            .into_iter()
            .chain(parts)
            .filter_map(|(kind, part)| self.compare_part(find_row(kind), trim_pasted(part)));
        let written = self.written.iter();
        let of_written = written
            .filter(|(_, other)| other.compare_attribute(kind, value).is_some())
            .map(|(relation, _)| relation.clone());

        of_parts
            .chain(of_written)
            .min_by_key(|relation| relation.distance)
    }

    fn compare_part(&self, row: Option<&MispType>, value: &str) -> Option<Relation> {
        let bare = refang::dots(value);
        let held = Network::parse(&bare).zip(self.network);
        if let Some((holder, sought)) = held.filter(|(holder, sought)| holder.holds(*sought)) {
            return Some(self.relate_network(holder, sought));
        }
        if self.names.is_empty() || !may_be_name(row) {
            return None;
        }
        self.names.get(&canonical_name(&bare)?).cloned()
    }

    fn relate_network(&self, holder: Network, sought: Network) -> Relation {
        let how = match (holder.is_address(), self.address) {
            (false, _) => format!("in {}", holder.to_text()),
            (true, Some(what)) => what.to_owned(),
            (true, None) => format!("as {}", holder.to_text()),
        };
        // The longest network is the nearest. One that holds another is never longer than that.
        let distance = sought.length() - holder.length();

        Relation { how, distance }
    }

    /// An address, a name or a URL.
    fn add_place(&mut self, given: &str, is_url: bool) {
        let bare = refang::dots(given);
        let without_port = || {
            let pair = address_and_port(&bare);
            Network::parse(pair.split_once('|')?.0)
        };

        if let Some(network) = Network::parse(&bare) {
            self.network = Some(network);
            self.own = normalise("ip-dst", &bare);
        } else if let Some(network) = without_port() {
            self.network = Some(network);
        } else if is_url || bare.contains("://") {
            self.add_url(given);
        } else {
            self.add_parents(bare.split(['|', ':', '/']).next().unwrap_or_default());
        }
    }

    fn add_url(&mut self, given: &str) {
        let url = UrlParts::split(given);
        let host = url.host.trim_matches(['[', ']']).trim_end_matches('.');

        if let Some(network) = Network::parse(host) {
            (self.network, self.address) = (Some(network), Some(OF_URL));
        } else {
            self.add_name(host, OF_URL);
        }
        for (removed, shorter) in url.shorten() {
            self.add_written(format!("URL without {removed}"), "url", &shorter);
        }
    }

    fn add_mail(&mut self, given: &str) {
        if let Some((_, domain)) = given.rsplit_once('@') {
            // The sender may have been pasted as `Name <user@host>`.
            self.add_name(domain.trim_end_matches('>'), "domain of the mail address");
        }
    }

    /// A name that belongs to the value, and its parents.
    fn add_name(&mut self, name: &str, how: &str) {
        if let Some(name) = canonical_name(name) {
            let how = how.to_owned();
            self.names.insert(name, Relation { how, distance: 0 });
        }
        self.add_parents(name);
    }

    fn add_parents(&mut self, name: &str) {
        let Some(name) = canonical_name(name) else {
            return;
        };
        for (parent, distance) in parents(&name).zip(1..) {
            let how = format!("parent domain {parent}");
            // A name that is there already is nearer.
            self.names
                .entry(parent.to_owned())
                .or_insert(Relation { how, distance });
        }
    }

    fn add_hives(&mut self, given: &str) {
        // As the address bar of Windows' Registry Editor shows it.
        let key = refang::strip_prefix_ignore_case(given, "Computer\\").unwrap_or(given);
        let Some((hive, rest)) = key.split_once('\\').filter(|(_, rest)| !rest.is_empty()) else {
            return;
        };
        // As PowerShell writes it: `HKLM:\Software`.
        let hive = hive.trim_end_matches(':');
        let is_meant = |(short, long): &&(&str, &str)| {
            [short, long]
                .iter()
                .any(|name| name.eq_ignore_ascii_case(hive))
        };
        if let Some((short, long)) = HIVES.iter().find(is_meant) {
            for name in [short, long] {
                let written = format!("{name}\\{rest}");
                if !written.eq_ignore_ascii_case(given) {
                    self.add_written(format!("hive written {name}"), "registry", &written);
                }
            }
        }
    }

    fn add_written(&mut self, how: String, data_type: &str, value: &str) {
        let relation = Relation { how, distance: 0 };
        self.written
            .push((relation, SearchValue::new(data_type, value)));
    }
}

const OF_URL: &str = "host of the URL";

/// True for types whose values may be a name of the DNS: those of names, and those of any text.
fn may_be_name(row: Option<&MispType>) -> bool {
    row.and_then(MispType::observable_type)
        .is_none_or(|data_type| ["domain", "hostname", "other"].contains(&data_type))
}

/// A name as the DNS has it: small letters, Punycode, no dots around. None for what is no name with
/// a dot in it.
fn canonical_name(text: &str) -> Option<String> {
    let name = text.trim().trim_matches('.');
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_') || !c.is_ascii();
    if name.len() > LONGEST_NAME || !name.contains('.') || !name.chars().all(is_name) {
        return None;
    }
    let small = name.to_lowercase();
    // What IDNA refuses is compared as it is written.
    let ascii = idna::domain_to_ascii(&small).unwrap_or(small);
    let is_address = ascii
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));

    (!is_address && ascii.contains('.')).then_some(ascii)
}

/// The parents of a name, the nearest first, up to the one that somebody can register: a public
/// suffix such as `co.uk` or `github.io` is nobody's.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    // Without a part that somebody can register there are no parents.
    let least = psl::domain_str(name).map_or(usize::MAX, str::len);
    let dots = name.match_indices('.').map(|(at, _)| at + 1);
    dots.filter_map(|at| name.get(at..))
        .take_while(move |parent| parent.len() >= least)
        .filter(|parent| !parent.starts_with('.'))
}

/// A URL taken apart; joined, the parts are the URL again.
struct UrlParts<'a> {
    /// With `://`; empty for what has none.
    scheme: &'a str,
    /// With `@`.
    user: &'a str,
    host: &'a str,
    /// With `:`.
    port: &'a str,
    /// With query and fragment.
    path: &'a str,
}

impl<'a> UrlParts<'a> {
    fn split(url: &'a str) -> Self {
        let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
        // Browsers take a backslash for a slash.
        let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, place) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        // The colons in brackets are those of an address.
        let end = place.rfind(']').unwrap_or(0);
        let port = place.rfind(':').filter(|at| *at >= end);
        let (host, port) = place.split_at(port.unwrap_or(place.len()));

        Self {
            scheme,
            user,
            host,
            port,
            path,
        }
    }

    /// The URL without what says little of where it leads: its fragment, its query, both also
    /// without what a host may be written with. Each comes with what was taken from it.
    fn shorten(&self) -> Vec<(String, String)> {
        let Self {
            scheme,
            user,
            host,
            port,
            path,
        } = *self;
        let without_fragment = path.split('#').next().unwrap_or_default();
        let without_query = path.split(['?', '#']).next().unwrap_or_default();
        let is_usual = matches!(
            (scheme.to_ascii_lowercase().as_str(), port),
            ("http://", ":80") | ("https://", ":443")
        );
        let bare_host = host.trim_end_matches('.');
        let bare = format!("{scheme}{bare_host}{}", if is_usual { "" } else { port });
        let of_host: Vec<&str> = [
            (!user.is_empty()).then_some("credentials"),
            is_usual.then_some("its usual port"),
            (bare_host != host).then_some("the dot behind its host"),
        ]
        .into_iter()
        .flatten()
        .collect();

        let mut urls: Vec<(String, String)> = Vec::new();
        for (path, cut) in [
            (path, None),
            (without_fragment, Some("fragment")),
            (without_query, Some("query")),
        ] {
            let plain = format!("{scheme}{user}{host}{port}{path}");
            let bare = format!("{bare}{path}");
            // The root of a host is written with a slash and without one.
            let root = (path == "/").then(|| bare.trim_end_matches('/').to_owned());
            let of_bare = of_host.iter().copied().chain(cut).collect::<Vec<_>>();
            let bares = [Some(bare), root].into_iter().flatten();
            let bares = bares.map(|url| (of_bare.join(" and "), url));
            let plain = (cut.unwrap_or_default().to_owned(), plain);
            for (removed, url) in [plain].into_iter().chain(bares) {
                if !removed.is_empty() && !urls.iter().any(|(_, known)| *known == url) {
                    urls.push((removed, url));
                }
            }
        }

        let given = format!("{scheme}{user}{host}{port}{path}");
        urls.retain(|(_, url)| *url != given);
        urls
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::super::equal::are_equal;
    use super::super::networks::like;
    use super::*;

    #[derive(Deserialize)]
    struct Written {
        published: Vec<(String, String)>,
        cases: Vec<(String, String, BTreeMap<String, String>)>,
    }

    fn written() -> Written {
        serde_json::from_str(include_str!("../../fixtures/lookups/related.json")).unwrap()
    }

    fn names(data_type: &str, data: &str) -> Vec<String> {
        let mut names: Vec<_> = RelatedValues::new(data_type, data)
            .names
            .into_keys()
            .collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names
    }

    #[test]
    fn each_case_finds_what_was_written_down() {
        let Written { published, cases } = written();
        for (data_type, data, expected) in cases {
            let (sought, related) = (
                SearchValue::new(&data_type, &data),
                RelatedValues::new(&data_type, &data),
            );
            let mut found = BTreeMap::new();
            for (kind, value) in &published {
                if sought.compare_attribute(kind, value).is_some() {
                    found.insert(value.clone(), String::new());
                } else if let Some(relation) = related.compare_attribute(kind, value) {
                    found.insert(value.clone(), relation.how);
                    let first = value.split('|').next().unwrap();
                    let is_asked = |term: &String| are_equal(term, value) || are_equal(term, first);
                    assert!(
                        related.search_terms().iter().any(is_asked)
                            || related.search_patterns().iter().any(|one| like(one, value)),
                        "{data}: {value} is not asked for"
                    );
                }
            }
            assert_eq!(found, expected, "{data_type} {data}");
        }
    }

    #[test]
    fn a_public_suffix_is_nobodys_parent() {
        for (name, parents) in [
            (
                "a.b.example.co.uk",
                vec!["b.example.co.uk", "example.co.uk"],
            ),
            ("example.co.uk", vec![]),
            ("co.uk", vec![]),
            ("uk", vec![]),
            ("a.b.github.io", vec!["b.github.io"]),
            ("a.city.kawasaki.jp", vec!["city.kawasaki.jp"]),
            ("a.b.c.kawasaki.jp", vec!["b.c.kawasaki.jp"]),
            ("www.食狮.公司.cn", vec!["xn--85x722f.xn--55qx5d.cn"]),
            (
                "www.xn--85x722f.xn--55qx5d.cn",
                vec!["xn--85x722f.xn--55qx5d.cn"],
            ),
            ("a.b.unknown-suffix", vec!["b.unknown-suffix"]),
            ("192.0.2.1.", vec![]),
            (".", vec![]),
            ("a..example.org", vec!["example.org"]),
        ] {
            assert_eq!(names("domain", name), parents, "{name}");
        }
    }

    #[test]
    fn the_value_itself_is_not_asked_for_once_more() {
        for (data_type, data, own) in [
            ("ip", "203.0.113.77", "203.0.113.77"),
            ("ip", "2001:DB8::0:1", "2001:db8::1"),
            ("ip", "203.0.113.0/24", "203.0.113.0/24"),
            ("domain", "www.example.org", "www.example.org"),
            ("url", "http://example.org/a?b", "http://example.org/a?b"),
            ("registry", "HKLM\\a", "HKLM\\a"),
        ] {
            let terms = RelatedValues::new(data_type, data).search_terms();
            assert!(
                !terms.is_empty() && !terms.contains(&own.to_owned()),
                "{terms:?}"
            );
        }
        // These are others.
        for (data_type, data, other) in [
            ("ip", "::ffff:192.0.2.1", "192.0.2.1"),
            ("url", "http://192.0.2.1/", "192.0.2.1"),
            ("ip", "203.0.113.77/24", "203.0.113.0/24"),
            ("mail", "a@example.org", "example.org"),
        ] {
            let terms = RelatedValues::new(data_type, data).search_terms();
            assert!(terms.contains(&other.to_owned()), "{terms:?}");
        }
    }

    #[test]
    fn a_chain_of_127_labels_has_a_parent_for_each() {
        let name = "a.".repeat(124) + "example.org";
        let related = RelatedValues::new("domain", &name);
        assert_eq!(related.names.len(), 124);
        assert_eq!(related.search_terms().len(), 124);
        let relation = related.compare_attribute("domain", "example.org").unwrap();
        assert_eq!(relation.distance, 124);
        assert!(RelatedValues::new("domain", &("a.".repeat(5_000) + "example.org")).is_empty());
    }

    #[test]
    fn what_has_nothing_around_it_asks_for_nothing() {
        for (data_type, data) in [
            ("hash", "0123456789abcdef0123456789abcdef"),
            ("filename", "www.example.org"),
            ("user-agent", "http://www.example.org/"),
            ("uri_path", "/a/b"),
            ("autonomous-system", "AS64500"),
            ("mail-subject", "a@b.example"),
            ("other", "some text. And more"),
            ("other", "a\\b"),
            ("registry", "HKLM"),
            ("registry", "HKXX\\a"),
            ("domain", ""),
            ("url", ""),
            ("mail", "@"),
        ] {
            let related = RelatedValues::new(data_type, data);
            assert!(related.is_empty(), "{data_type} {data}: {related:?}");
        }
    }

    #[test]
    fn a_url_is_shortened_step_by_step() {
        let shorter = |url: &str| -> Vec<String> {
            let urls = UrlParts::split(url).shorten().into_iter();
            urls.map(|(removed, url)| format!("{url} without {removed}"))
                .collect()
        };
        assert_eq!(
            shorter("http://u:p@a.example.:80/x?y#z"),
            [
                "http://a.example/x?y#z without credentials and its usual port and the dot behind its host",
                "http://u:p@a.example.:80/x?y without fragment",
                "http://a.example/x?y without credentials and its usual port and the dot behind its host and fragment",
                "http://u:p@a.example.:80/x without query",
                "http://a.example/x without credentials and its usual port and the dot behind its host and query",
            ]
        );
        assert_eq!(
            shorter("http://a.example/?x"),
            [
                "http://a.example/ without query",
                "http://a.example without query"
            ]
        );
        assert_eq!(shorter("http://a.example/x"), [""; 0]);
        assert_eq!(shorter("a.example/x?y"), ["a.example/x without query"]);
        assert_eq!(shorter("http://[2001:db8::1]/x"), [""; 0]);
    }

    proptest! {
        /// Whatever is looked up, nothing breaks, and little is asked for.
        #[test]
        fn any_text_has_few_related_values(
            data_type in "ip|domain|url|mail|registry|other",
            data in "([a-z0-9.:/@%!#?\\\\|\\[\\]é\u{301}\u{1f600} -]|https?://|HKLM\\\\){0,80}",
        ) {
            let related = RelatedValues::new(&data_type, &data);
            prop_assert!(related.search_terms().len() + related.search_patterns().len() < 700);
            for (kind, value) in written().published {
                related.compare_attribute(&kind, &value);
            }
        }
    }
}
