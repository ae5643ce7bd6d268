//! The names that tags have on a MISP, and those that cannot be set there. MISP drops a tag that it
//! may not make in silence, and an edit that carries nothing else unpublishes the event
//! (`fixtures/wire/misp/408-edit-unknown-tag-only-unpublishes.json`); so it is known before a plan
//! is made. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

use super::server::account::Account;
use crate::json;

/// A tag that a MISP has (`fixtures/wire/misp/401-tags-search-list.json`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KnownTag {
    /// Its number.
    #[serde(deserialize_with = "json::text")]
    pub id: String,
    /// Its name, as written.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
    #[serde(deserialize_with = "json::number")]
    org_id: Option<i64>,
    #[serde(deserialize_with = "json::number")]
    user_id: Option<i64>,
    #[serde(deserialize_with = "json::flag")]
    hide_tag: Option<bool>,
    #[serde(deserialize_with = "json::flag")]
    local_only: Option<bool>,
    #[serde(deserialize_with = "json::flag")]
    exportable: Option<bool>,
}

/// Two names of one marking: MISP's taxonomies knew the second before the first.
const SYNONYMS: [(&str, &str); 2] = [("tlp:clear", "tlp:white"), ("PAP:CLEAR", "PAP:WHITE")];
/// The longest name that MISP keeps whole, in bytes.
const LONGEST: usize = 255;

/// The names of tags on a MISP.
#[derive(Clone, Debug, Default)]
pub struct TagResolution {
    /// By the wanted name in lower case: the name there, or why it is not set. A name that is not
    /// among them may be made.
    names: HashMap<String, Result<String, Why>>,
    /// Those of them, in lower case, that would be made.
    new: HashSet<String>,
    /// The predicates, and the namespaces, of which an event has at most one tag.
    exclusive: HashSet<String>,
}

/// Why a tag is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is not there, and the user may not make it.
    Unknown,
    /// MISP cannot store it.
    Unstorable,
    /// It has a line end or the like.
    Control,
    /// It is hidden.
    Hidden,
    /// It is for local use.
    Local,
    /// It is not exportable.
    Mute,
    /// It is another's.
    Restricted,
    /// The user may not change tags of what is there.
    NoTagger,
}

impl Why {
    /// The reason for several tags, and what may be done, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Unknown => {
                "this MISP does not have them, and the key's user may not make them (role \
                 permission tag editor)"
            }
            Self::Unstorable => {
                "MISP cannot store them: a tag has at most 255 bytes, no emoji, and is not \"0\""
            }
            Self::Control => "they have line ends or other control characters",
            Self::Hidden => "they are hidden on this MISP, where an administrator can enable them",
            Self::Local => "this MISP keeps them for local use, and a local tag is not passed on",
            Self::Mute => "they are not exportable on this MISP",
            Self::Restricted => "this MISP keeps them for another organisation or user",
            Self::NoTagger => "the key's user may not change tags (role permission tagger)",
        }
    }
}

impl TagResolution {
    /// True if there is no tag of this name yet, and setting it makes one, whose name everybody
    /// there can read.
    pub fn is_new(&self, wanted: &str) -> bool {
        self.new.contains(&wanted.to_lowercase())
    }

    /// What the wanted tags are called where they are set already. Any other one is taken for one
    /// that can be set, until a plan wants to.
    pub fn of_tags_that_are_set<'a>(wanted: &[&str], set: impl Iterator<Item = &'a str>) -> Self {
        let set: HashMap<String, &str> = set.map(|name| (name.to_lowercase(), name)).collect();
        let find_name = |name: &str| {
            let there = set.get(&name.to_lowercase());
            there.or_else(|| set.get(&synonym_of(name)?.to_lowercase()))
        };
        let named = wanted
            .iter()
            .filter_map(|name| Some((name.to_lowercase(), Ok((*find_name(name)?).to_owned()))));

        Self {
            names: named.collect(),
            ..Self::default()
        }
    }

    /// Compares the wanted names with those that a MISP knows.
    pub fn new(wanted: &[&str], tags: &[KnownTag], account: &Account) -> Self {
        let usable: HashMap<_, _> = tags
            .iter()
            .map(|tag| {
                (
                    tag.name.to_lowercase(),
                    tag.reason_unusable(account)
                        .map_or_else(|| Ok(tag.name.clone()), Err),
                )
            })
            .collect();

        // Where a MISP has only the older word of a marking, that is set.
        let find_name = |name: &str| -> Option<Result<String, Why>> {
            let known = usable.get(&name.to_lowercase());
            known
                .or_else(|| usable.get(&synonym_of(name)?.to_lowercase()))
                .cloned()
        };

        let makes = account.role.makes_tags();
        let is_new =
            |name: &&&str| find_name(name).is_none() && reason_unstorable(name).is_none() && makes;
        let new = wanted
            .iter()
            .filter(is_new)
            .map(|name| name.to_lowercase())
            .collect();

        let named = wanted.iter().map(|name| {
            let there = match find_name(name) {
                Some(there) => there,
                None => match reason_unstorable(name) {
                    Some(why) => Err(why),
                    None if makes => Ok((*name).to_owned()),
                    None => Err(Why::Unknown),
                },
            };

            (name.to_lowercase(), there)
        });

        Self {
            names: named.collect(),
            new,
            exclusive: HashSet::new(),
        }
    }

    /// The names to ask for: the wanted ones and their synonyms.
    pub fn names_to_ask<'a>(wanted: &[&'a str]) -> Vec<&'a str> {
        let synonyms = SYNONYMS
            .iter()
            .filter(|(first, _)| wanted.contains(first))
            .map(|(_, second)| *second);
        wanted.iter().copied().chain(synonyms).collect()
    }

    /// True if MISP lacks one of the names, or restricts it, so that the user's rights count.
    pub fn depends_on_rights(wanted: &[&str], tags: &[KnownTag]) -> bool {
        // Whatever a user without any rights cannot set depends on rights.
        let strict = Self::new(wanted, tags, &Account::default());
        wanted.iter().any(|name| strict.resolve(name).is_none())
    }

    /// What a tag is called there; none if it cannot be set.
    pub fn resolve(&self, wanted: &str) -> Option<String> {
        let there = self.names.get(&wanted.to_lowercase());
        there.map_or_else(|| Some(wanted.to_owned()), |there| there.clone().ok())
    }

    /// The wanted names that cannot be set, by the reason.
    pub fn group_refused<'a>(&self, wanted: &[&'a str]) -> BTreeMap<Why, Vec<&'a str>> {
        let mut refused: BTreeMap<Why, Vec<&str>> = BTreeMap::new();
        for name in wanted {
            if let Some(Err(why)) = self.names.get(&name.to_lowercase()) {
                refused.entry(*why).or_default().push(name);
            }
        }

        refused
    }

    /// The wanted names that cannot be set.
    pub fn list_refused<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        wanted
            .iter()
            .copied()
            .filter(|name| self.resolve(name).is_none())
            .collect()
    }

    /// The same for an event that is there, whose tags the user may not set: none can be.
    pub fn refuse_all(wanted: &[&str]) -> Self {
        Self {
            names: wanted
                .iter()
                .map(|name| (name.to_lowercase(), Err(Why::NoTagger)))
                .collect(),
            ..Self::default()
        }
    }

    /// Learns of which predicates and namespaces an event has at most one tag.
    pub fn add_exclusive(&mut self, predicates: HashSet<String>) {
        self.exclusive.extend(predicates);
    }

    /// The tag among others beside which MISP does not allow this one.
    pub fn find_rival<'t>(
        &self,
        tag: &str,
        mut others: impl Iterator<Item = &'t str>,
    ) -> Option<&'t str> {
        let predicate =
            predicate_of(tag).filter(|predicate| self.exclusive.contains(*predicate))?;
        others.find(|other| {
            predicate_of(other) == Some(predicate) && other.to_lowercase() != tag.to_lowercase()
        })
    }
}

/// What MISP may allow one value of: `workflow:state` of `workflow:state="draft"`, `tlp` of
/// `tlp:red` (its `Taxonomy.php`, `stripLastTagComponent`).
pub fn predicate_of(tag: &str) -> Option<&str> {
    let is_word = |text: &str| !text.is_empty() && !text.contains([':', '=', '"']);
    let (key, value) = tag
        .split_once('=')
        .map_or((tag, None), |(key, value)| (key, Some(value)));
    let (namespace, name) = key
        .split_once(':')
        .filter(|(first, second)| is_word(first) && is_word(second))?;
    let Some(value) = value else {
        return Some(namespace).filter(|_| is_word(name));
    };
    let value = value.strip_prefix('"')?.strip_suffix('"')?;

    (!value.is_empty() && !value.contains('"')).then_some(key)
}

fn synonym_of(name: &str) -> Option<&'static str> {
    let mut synonyms = SYNONYMS.iter();
    let found = synonyms.find(|(first, _)| first.eq_ignore_ascii_case(name));
    found.map(|(_, second)| *second)
}

impl KnownTag {
    /// An edit of an event sets a hidden tag, and one for local use for everybody (MISP's
    /// `Tag.php`, `captureTag`), which its pages refuse (`EventsController.php`, `addTag`), so that
    /// it is left to them. One that is not exportable is not shown in lists, so that it would be
    /// missed for ever (`EventsController.php`, `index`).
    fn reason_unusable(&self, account: &Account) -> Option<Why> {
        // 0 stands for nobody in particular.
        let is_free = |owner: Option<i64>, mine: &str| {
            owner.is_none_or(|owner| owner == 0 || owner.to_string() == mine)
        };
        let is_mine = is_free(self.org_id, &account.organisation.id)
            && is_free(self.user_id, &account.user.id);
        let reasons = [
            (Why::Restricted, !is_mine),
            (Why::Hidden, self.hide_tag == Some(true)),
            (Why::Local, self.local_only == Some(true)),
            (Why::Mute, self.exportable == Some(false)),
        ];

        reasons
            .into_iter()
            .find(|(_, holds)| *holds)
            .map(|(why, _)| why)
    }
}

/// Why MISP cannot store a name: it cuts one that is longer than its column, answers 500 to
/// characters that the column cannot hold, and drops `0`, which PHP takes for nothing
/// (`fixtures/wire/misp/448-tags-add-256-characters.json`, `309-add-emoji-tag.json`,
/// `504-edit-adds-tag-0.json`).
fn reason_unstorable(name: &str) -> Option<Why> {
    if name.len() > LONGEST || name == "0" || name.chars().any(|c| c > '\u{ffff}') {
        return Some(Why::Unstorable);
    }
    name.chars().any(char::is_control).then_some(Why::Control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tag_is_named_as_misp_names_it_and_made_only_by_who_may() {
        let rows: Vec<KnownTag> = serde_json::from_value(json!([
            {"name": "TLP:Amber", "org_id": "0", "user_id": "0"}, {"name": "PAP:WHITE"},
            {"name": "theirs", "org_id": "7"}, {"name": "local", "local_only": true},
            {"name": "mute", "exportable": false},
        ]))
        .unwrap();

        let wanted = [
            "tlp:amber",
            "PAP:CLEAR",
            "new",
            "theirs",
            "local",
            "mute",
            "emoji 😀",
            "a\nb",
        ];

        let poor = TagResolution::new(&wanted, &rows, &Account::default());
        assert_eq!(poor.resolve("tlp:amber").as_deref(), Some("TLP:Amber"));
        assert_eq!(poor.resolve("PAP:CLEAR").as_deref(), Some("PAP:WHITE"));
        assert_eq!(
            poor.list_refused(&wanted),
            ["new", "theirs", "local", "mute", "emoji 😀", "a\nb"]
        );
        let refused: Vec<_> = poor.group_refused(&wanted).into_iter().collect();

        let expected = [
            (Why::Unknown, vec!["new"]),
            (Why::Unstorable, vec!["emoji 😀"]),
            (Why::Control, vec!["a\nb"]),
            (Why::Local, vec!["local"]),
            (Why::Mute, vec!["mute"]),
            (Why::Restricted, vec!["theirs"]),
        ];

        assert_eq!(refused, expected);
        let mut rights = Account::default();
        rights.organisation.id = "7".into();
        rights.role.tag_editor = Some(true);

        assert_eq!(
            TagResolution::new(&wanted, &rows, &rights).list_refused(&wanted),
            ["local", "mute", "emoji 😀", "a\nb"]
        );

        assert!(
            TagResolution::depends_on_rights(&wanted, &rows)
                && !TagResolution::depends_on_rights(&["tlp:amber"], &rows)
        );
        assert_eq!(
            TagResolution::names_to_ask(&["tlp:clear", "x", "100%"]),
            ["tlp:clear", "x", "100%", "tlp:white"]
        );
    }

    #[test]
    fn a_tag_is_parted_as_misp_parts_it() {
        let parted = [
            ("workflow:state=\"draft\"", Some("workflow:state")),
            ("tlp:red", Some("tlp")),
            ("a:b=c", None),
            ("a:b=\"\"", None),
            ("a:b:c", None),
            (":b", None),
            ("plain", None),
        ];

        for (tag, expected) in parted {
            assert_eq!(predicate_of(tag), expected, "{tag}");
        }
        let mut names = TagResolution::default();
        let there = ["workflow:state=\"draft\"", "workflow:todo=\"review\""];
        let rival = |names: &TagResolution, tag| names.find_rival(tag, there.into_iter());
        assert_eq!(rival(&names, "workflow:state=\"complete\""), None);
        names.add_exclusive(HashSet::from(["workflow:state".to_owned()]));
        assert_eq!(rival(&names, "workflow:state=\"complete\""), Some(there[0]));

        assert_eq!(
            (
                rival(&names, there[0]),
                rival(&names, "workflow:todo=\"x\"")
            ),
            (None, None)
        );
    }

    #[test]
    fn a_name_is_stored_whole_up_to_255_bytes() {
        let of = |length: usize| reason_unstorable(&"é".repeat(length));
        assert_eq!(
            (of(127), of(128), reason_unstorable("0")),
            (None, Some(Why::Unstorable), Some(Why::Unstorable))
        );
    }
}
