//! What the two sides can hold: the types and categories of one MISP server, and the observable
//! types of one TheHive. Asking them is not done here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::misp_types::{MispType, TABLE, find_place, find_row};
use super::observable_types;

/// The last version known to refuse onion addresses of version 3, every `integer`, and ids of
/// vulnerabilities that are no CVE (recorded on that version).
const STRICT: (u32, u32, u32) = (2, 5, 1);

/// Types that every MISP since 2.4 has in this category, and checks alike (its `Attribute.php`,
/// `$categoryDefinitions`). Nothing else about a server can matter to what is of them.
const EVERYWHERE: [(&str, &[&str]); 3] = [
    (
        "Network activity",
        &[
            "AS",
            "domain",
            "hostname",
            "ip-dst",
            "ip-src",
            "uri",
            "url",
            "user-agent",
        ],
    ),
    (
        "Payload delivery",
        &[
            "email-src",
            "email-dst",
            "email-subject",
            "filename",
            "filename|md5",
            "filename|sha1",
            "filename|sha256",
            "md5",
            "sha1",
            "sha256",
        ],
    ),
    ("Persistence mechanism", &["regkey"]),
];

/// The types one MISP server has, and how it checks them.
#[derive(Debug)]
pub struct MispCapabilities {
    /// Type to its categories; none for the newest MISP, whose table is ours.
    types: Option<BTreeMap<String, Vec<String>>>,
    version: Option<(u32, u32, u32)>,
    name: String,
    /// Of one that was not asked: whether something was decided that another may decide otherwise.
    doubt: Option<AtomicBool>,
}

impl MispCapabilities {
    /// The newest MISP: all types of the table.
    pub const fn newest() -> Self {
        Self {
            types: None,
            version: None,
            name: String::new(),
            doubt: None,
        }
    }

    /// A server that was not asked, taken for the newest MISP. [`Self::is_doubtful`] says whether
    /// it has to be.
    pub const fn assumed() -> Self {
        Self {
            types: None,
            version: None,
            name: String::new(),
            doubt: Some(AtomicBool::new(false)),
        }
    }

    /// True if something was decided by the newest MISP's table that another MISP may decide
    /// otherwise.
    pub fn is_doubtful(&self) -> bool {
        let doubt = self.doubt.as_ref();
        doubt.is_some_and(|doubt| doubt.load(Ordering::Relaxed))
    }

    /// Notes a doubt, if what was decided is in doubt.
    pub(super) fn doubt_if(&self, is_doubtful: impl FnOnce() -> bool) {
        if let Some(doubt) = self.doubt.as_ref().filter(|_| is_doubtful()) {
            doubt.store(true, Ordering::Relaxed);
        }
    }

    /// The same of this version; an unreadable one counts as the newest.
    pub fn with_version(self, version: &str) -> Self {
        Self {
            version: parse_version(version),
            name: version.to_owned(),
            ..self
        }
    }

    /// A server as it describes itself: `category_type_mappings` of `attributes/describeTypes` and
    /// `version` of `servers/getVersion`. An empty mapping or an unreadable version counts as the
    /// newest.
    pub fn new<C, T, S>(mappings: impl IntoIterator<Item = (C, T)>, version: &str) -> Self
    where
        C: AsRef<str>,
        T: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (category, kinds) in mappings {
            for kind in kinds {
                let categories = types.entry(kind.into()).or_default();
                categories.push(category.as_ref().to_owned());
            }
        }

        Self {
            types: (!types.is_empty()).then_some(types),
            version: parse_version(version),
            name: version.to_owned(),
            doubt: None,
        }
    }

    /// Whether the server knows this type.
    pub fn has(&self, kind: &str) -> bool {
        let is_everywhere = || EVERYWHERE.iter().any(|(_, kinds)| kinds.contains(&kind));
        self.doubt_if(|| !is_everywhere());
        match &self.types {
            Some(types) => types.contains_key(kind),
            None => find_row(kind).is_some(),
        }
    }

    /// Whether the type is allowed in the category ("Options depend on the selected category.").
    pub fn allows(&self, kind: &str, category: &str) -> bool {
        let is_everywhere =
            |(known, kinds): &(&str, &[&str])| *known == category && kinds.contains(&kind);
        self.doubt_if(|| !EVERYWHERE.iter().any(is_everywhere));
        match &self.types {
            Some(types) => types
                .get(kind)
                .is_some_and(|all| all.iter().any(|c| c == category)),
            None => find_row(kind).is_some_and(|row| row.categories.contains(&category)),
        }
    }

    /// The category for a type when nothing else is said: MISP's default, else the first the server
    /// has for it.
    pub fn default_category(&self, kind: &str) -> Cow<'static, str> {
        let usual = find_row(kind).map(MispType::default_category);
        match (&self.types, usual) {
            (_, Some(usual)) if self.allows(kind, usual) => Cow::Borrowed(usual),
            (Some(types), _) => {
                let first = types.get(kind).and_then(|all| all.first());
                first.map_or(Cow::Borrowed("Other"), |first| Cow::Owned(first.clone()))
            }
            (None, usual) => Cow::Borrowed(usual.unwrap_or("Other")),
        }
    }

    /// Whether it checks like the newest MISP and not like 2.5.1.
    pub fn is_newer(&self) -> bool {
        self.version.is_none_or(|version| version > STRICT)
    }

    /// For messages: `MISP 2.5.1`.
    pub fn describe(&self) -> String {
        format!("MISP {}", self.name).trim_end().to_owned()
    }
}

fn parse_version(version: &str) -> Option<(u32, u32, u32)> {
    let digits = version.trim().trim_start_matches('v');
    let mut parts = digits.split(['.', '-']).map(|part| part.parse().ok());
    Some((
        // `2.5` says enough, and what stands behind the third part says nothing here.
        parts.next()??,
        parts.next()??,
        parts.next().flatten().unwrap_or(0),
    ))
}

/// The observable types one TheHive has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservableTypeSet {
    names: Vec<String>,
    /// For each row of the table, the observable type its values become.
    chosen: Vec<Cow<'static, str>>,
}

impl ObservableTypeSet {
    /// The sixteen of TheHive 4 (ObservableType.scala), which every TheHive 5 has too.
    pub fn thehive4() -> Self {
        const NAMES: &str = "url other user-agent regexp mail-subject registry mail \
                             autonomous-system domain ip uri_path filename hash file fqdn hostname";
        Self::new(NAMES.split(' '))
    }

    /// Those that TheHive lists (`listObservableType`); `other` is taken for granted. Custom ones
    /// are used for the MISP types they stand for.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        let chosen = TABLE
            .iter()
            .map(|row| choose_observable_type(row, &names))
            .collect();

        Self { names, chosen }
    }

    /// Whether TheHive has an observable type of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names
            .binary_search_by(|known| known.as_str().cmp(name))
            .is_ok()
    }

    /// The observable types of the table that this TheHive lacks, so that their values become
    /// `other`.
    pub fn missing_types(&self) -> Vec<&'static str> {
        let mut lacking: Vec<_> = TABLE
            .iter()
            .zip(&self.chosen)
            .filter(|(_, chosen)| *chosen == "other")
            .filter_map(|(row, _)| row.observable_type().filter(|usual| *usual != "other"))
            // No row of the table becomes `file`; the files of attributes do.
            .chain((!self.has("file")).then_some("file"))
            .collect();
        lacking.sort_unstable();
        lacking.dedup();

        lacking
    }

    /// What the values of a MISP type become; `other` for what is not in the table.
    pub fn observable_type(&self, kind: &str) -> Cow<'static, str> {
        find_place(kind)
            .and_then(|place| self.chosen.get(place))
            .cloned()
            .unwrap_or(Cow::Borrowed("other"))
    }
}

/// The observable type for a row: the table's own, else one that stands for the MISP type, else
/// one of its name, else `other`.
fn choose_observable_type(row: &MispType, names: &[String]) -> Cow<'static, str> {
    let usual = row.observable_type();
    let known = |wanted: &&'static str| names.iter().any(|name| name == wanted);
    if let Some(usual) = usual.filter(known) {
        return Cow::Borrowed(usual);
    }
    let synonyms = observable_types::observable_names_for(row.kind)
        .chain(usual.into_iter().flat_map(observable_types::synonyms))
        .chain([row.kind]);
    let find_name = |wanted: &str| {
        // An observable of type `file` has to come with the file itself.
        let is_wanted =
            |name: &&String| observable_types::fold_name(name) == wanted && *name != "file";
        names.iter().find(is_wanted)
    };

    match synonyms.filter_map(find_name).next() {
        Some(name) => Cow::Owned(name.clone()),
        None => Cow::Borrowed("other"),
    }
}
