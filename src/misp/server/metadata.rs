//! What a server knows beside its events: who we are, its attribute types, its tags, its
//! warninglists.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Account;
use super::{HttpError, Server, for_each_element};
use crate::json::{self, Element, JsonStream};
use crate::misp::Whose;
use crate::misp::tag_resolution::{KnownTag, TagResolution, predicate_of};
use crate::misp::wire::{Event, Organisation};
use crate::types::MispCapabilities;

impl Server {
    /// Who we are, asked once (`fixtures/wire/misp/013-users-view-me-partner.json`).
    ///
    /// # Errors
    /// That the server does not say.
    pub fn account(&self) -> Result<&Account> {
        match self.account.get() {
            Some(account) => Ok(account),
            None => {
                // Two threads may both ask: the first answer is kept.
                let account = self.fetch_account()?;
                Ok(self.account.get_or_init(|| account))
            }
        }
    }

    /// Whose an event is, by the organisation of the key's user. Whoever may add events may name
    /// any creator in a file that he uploads (`addMISPExportFile` in MISP's `Event.php`), and one
    /// who may synchronise can leave it unlocked (`_add` there); the organisation that the event
    /// then belongs to is his own.
    ///
    /// # Errors
    /// That the server does not say who we are.
    pub fn owner_of(&self, event: &Event) -> Result<Whose> {
        let own = &self.account()?.organisation.uuid;
        let is_own = |organisation: &Organisation| organisation.uuid.eq_ignore_ascii_case(own);
        let is_ours = event.orgc.as_ref().is_some_and(is_own);
        // Where the server shows no owner, what it says of the creator counts.
        let is_here = event.org.as_ref().is_none_or(is_own);

        Ok(match (is_ours, is_here, event.locked == Some(true)) {
            (true, true, false) => Whose::Ours,
            (true, true, true) => Whose::CameBack,
            (true, false, true) => Whose::Brought,
            (true, false, false) | (false, ..) => Whose::Theirs,
        })
    }

    /// What these tags are called here (`fixtures/wire/misp/401-tags-search-list.json`). Who we are
    /// is asked only if that decides something.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn resolve_tag_names(&self, wanted: &[&str]) -> Result<TagResolution> {
        let is_asked = |names: &[String]| {
            let mut wanted = wanted.iter();
            wanted.all(|name| names.iter().any(|asked| asked == name))
        };
        let ahead = self.tags_ahead.get().filter(|(names, _)| is_asked(names));
        let tags = match ahead {
            Some((_, tags)) => tags.clone(),
            None => self.fetch_tags(wanted)?,
        };

        // Where no right decides, the question who we are is spared.
        let nobody = Account::default();
        let account = if TagResolution::depends_on_rights(wanted, &tags) {
            self.account()?
        } else {
            &nobody
        };

        Ok(TagResolution::new(wanted, &tags, account))
    }

    /// Asks for tags before they are needed: [`Self::resolve_tag_names`] does not ask again for
    /// these.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn ask_tags_ahead(&self, wanted: &[&str]) -> Result<()> {
        let names = wanted.iter().map(ToString::to_string).collect();
        let tags = self.fetch_tags(wanted)?;
        self.tags_ahead.get_or_init(|| (names, tags));
        Ok(())
    }

    /// The tags of these names. What comes beside what was meant is not kept.
    fn fetch_tags(&self, wanted: &[&str]) -> Result<Vec<KnownTag>> {
        let mut tags = Vec::new();
        let is_meant = |name: &str, tag: &KnownTag| name.to_lowercase() == tag.name.to_lowercase();
        self.search_tags(&TagResolution::names_to_ask(wanted), &is_meant, &mut tags)?;
        Ok(tags)
    }

    /// The predicates and taxonomies in these namespaces of which an event has at most one tag.
    /// Every role may ask, and a taxonomy need not be enabled
    /// (`fixtures/wire/misp/506-taxonomies-view-workflow.json`,
    /// `507-taxonomies-view-unknown.json`).
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn fetch_exclusive_predicates(
        &self,
        namespaces: &BTreeSet<String>,
    ) -> Result<HashSet<String>> {
        // Anything but a plain word would make another path of it.
        let is_name = |name: &&String| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        let mut exclusive = HashSet::new();

        for namespace in namespaces.iter().filter(is_name) {
            let asked = self.get(&format!("taxonomies/view/{namespace}.json"), |answer| {
                answer.read_as::<Described>()
            });
            let Described { taxonomy, entries } = match asked {
                Ok(described) => described,
                // A namespace that is no taxonomy there excludes nothing.
                Err(error) if HttpError::status_of(&error) == Some(404) => continue,
                Err(error) => return Err(error),
            };

            // A number asks for the taxonomy that has it.
            if !taxonomy.namespace.eq_ignore_ascii_case(namespace) {
                continue;
            }
            let is_whole = taxonomy.exclusive == Some(true);
            let tags = entries
                .iter()
                .filter(|entry| is_whole || entry.exclusive_predicate == Some(true));
            exclusive.extend(
                tags.filter_map(|entry| predicate_of(&entry.tag))
                    .map(ToOwned::to_owned),
            );
        }

        Ok(exclusive)
    }

    /// The names of the tags of these ATT&CK techniques, by their numbers (`T1566.001`): a cluster
    /// of MISP's galaxy of attack patterns is found by its external number, whatever it is called
    /// there. A search by that number is let through by no route, so that the galaxy comes as a
    /// whole (`fixtures/wire/misp/610-galaxies-view-attack-pattern.json`); a server that lacks it
    /// knows none (`611-galaxies-view-unknown.json`). Clusters that somebody made there himself do
    /// not count; of several the first by name does.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn find_techniques(&self, numbers: &BTreeSet<&str>) -> Result<BTreeMap<String, String>> {
        let path = format!("galaxies/view/{ATTACK_PATTERNS}.json");
        let asked = self.get(&path, |answer| {
            let mut found: BTreeMap<String, String> = BTreeMap::new();
            for_each_element(answer, &["GalaxyCluster"], &mut |cluster: Element<
                Cluster,
            >| {
                let Some(cluster) = cluster.into_option().filter(Cluster::is_usual) else {
                    return Ok(());
                };
                for number in cluster.numbers().filter(|number| numbers.contains(number)) {
                    let known = found.entry(number.to_owned());
                    let name = known.or_insert_with(|| cluster.tag_name.clone());
                    if cluster.tag_name < *name {
                        name.clone_from(&cluster.tag_name);
                    }
                }
                Ok(())
            })?;
            Ok(found)
        });

        match asked {
            Err(error) if HttpError::status_of(&error) == Some(404) => Ok(BTreeMap::new()),
            asked => asked,
        }
    }

    /// The attribute types of this server, by category (`fixtures/wire/misp/describeTypes.json`).
    ///
    /// # Errors
    /// That the server does not describe them.
    pub fn types(&self, version: &str) -> Result<MispCapabilities> {
        let (line, described) = self.get("attributes/describeTypes.json", |answer| {
            Ok((answer.request_line().to_owned(), answer.read_value()?))
        })?;
        let mappings = described
            .pointer("/result/category_type_mappings")
            .and_then(Value::as_object);
        let mappings = mappings
            .with_context(|| format!("{line}: the answer has no category_type_mappings"))?;

        let texts = |list: &Value| -> Vec<String> {
            list.as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(ToOwned::to_owned)
                .collect()
        };

        Ok(MispCapabilities::new(
            mappings
                .iter()
                .map(|(category, list)| (category, texts(list))),
            version,
        ))
    }

    /// Asks for warninglists before they are needed: [`Self::check_warninglists`] does not ask
    /// again for these values.
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn check_warninglists_ahead(&self, values: &[&str]) -> Result<()> {
        let hits = self.check_warninglists(values)?;
        let asked = values.iter().map(ToString::to_string).collect();
        self.warninglists_ahead.get_or_init(|| (asked, hits));
        Ok(())
    }

    /// The warninglists that have one of these values, by value
    /// (`fixtures/wire/misp/244-warninglist-check.json`; without a hit the answer is an empty list,
    /// `fixtures/wire/misp/245-warninglist-check-nomatch.json`).
    ///
    /// # Errors
    /// What stopped the asking.
    pub fn check_warninglists(&self, values: &[&str]) -> Result<WarninglistHits> {
        const VALUES: usize = 5_000;

        let ahead = self.warninglists_ahead.get();
        if let Some((_, hits)) = ahead.filter(|(asked, _)| asked == values) {
            return Ok(hits.clone());
        }
        let mut hits = HashMap::new();

        for values in values.chunks(VALUES) {
            let found = self.post_query("warninglists/checkValue", &json!(values), |answer| {
                let line = answer.request_line().to_owned();
                read_warninglist_hits(JsonStream::new(answer.into_body()), values)
                    .with_context(|| format!("{line}: reading the answer"))
            })?;
            hits.extend(found);
        }
        Ok(hits)
    }
}

/// The names of warninglists by the value that they have.
pub type WarninglistHits = HashMap<String, Vec<String>>;

/// Warninglists of a value that are kept: an observable gets no more tags.
const MOST_LISTS: usize = 100;

/// The galaxy of ATT&CK's attack patterns, of all its domains: it has this uuid everywhere
/// (misp-galaxy's `galaxies/mitre-attack-pattern.json`).
const ATTACK_PATTERNS: &str = "c4e851fa-775f-11e7-8163-b774922098cd";
/// What the tags of its clusters begin with.
pub const ATTACK_PATTERN_TAG: &str = "misp-galaxy:mitre-attack-pattern=\"";

/// A cluster of a galaxy.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Cluster {
    #[serde(deserialize_with = "json::text")]
    tag_name: String,
    /// True if it came with the galaxy.
    #[serde(deserialize_with = "json::flag")]
    default: Option<bool>,
    #[serde(deserialize_with = "json::flag")]
    deleted: Option<bool>,
    #[serde(rename = "GalaxyElement", deserialize_with = "json::objects")]
    elements: Vec<ClusterElement>,
}

/// One thing that is said of a cluster.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ClusterElement {
    #[serde(deserialize_with = "json::text")]
    key: String,
    #[serde(deserialize_with = "json::text")]
    value: String,
}

impl Cluster {
    fn is_usual(&self) -> bool {
        let is_of_galaxy = self.tag_name.starts_with(ATTACK_PATTERN_TAG);
        is_of_galaxy && self.default != Some(false) && self.deleted != Some(true)
    }

    fn numbers(&self) -> impl Iterator<Item = &str> {
        let numbers = self.elements.iter().filter(|one| one.key == "external_id");
        numbers.map(|one| one.value.as_str())
    }
}

/// A taxonomy and its tags.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Described {
    #[serde(rename = "Taxonomy", deserialize_with = "json::object_or_default")]
    taxonomy: Taxonomy,
    #[serde(deserialize_with = "json::objects")]
    entries: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Taxonomy {
    #[serde(deserialize_with = "json::text")]
    namespace: String,
    #[serde(deserialize_with = "json::flag")]
    exclusive: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "json::text")]
    tag: String,
    #[serde(deserialize_with = "json::flag")]
    exclusive_predicate: Option<bool>,
}

/// A warninglist.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Warninglist {
    #[serde(deserialize_with = "json::text")]
    name: String,
}

#[derive(Deserialize)]
struct Lists(#[serde(deserialize_with = "json::objects")] Vec<Warninglist>);

/// The lists by value, of the values that were asked for; without a hit there is an empty list.
fn read_warninglist_hits(
    mut source: JsonStream<'_>,
    asked: &[&str],
) -> Result<HashMap<String, Vec<String>>> {
    let asked: HashSet<&str> = asked.iter().copied().collect();
    let mut hits = HashMap::new();
    if source.is_list()? {
        source.visit_items(&mut |source| source.skip_value())?;
        source.require_end()?;
        return Ok(hits);
    }

    ensure!(
        source.is_object()?,
        "warninglists by value were asked for, and the answer is something else"
    );

    source.visit_fields(&mut |value, source| {
        if let Some(Lists(lists)) = source.read_value()?.ok().filter(|_| asked.contains(value)) {
            let names = lists
                .into_iter()
                .map(|list| list.name)
                .filter(|name| !name.is_empty());
            hits.insert(value.to_owned(), names.take(MOST_LISTS).collect());
        }

        Ok(())
    })?;

    source.require_end()?;

    Ok(hits)
}
