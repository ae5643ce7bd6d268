//! What an export does beside the IOCs: a link to the case, warninglist hits, and sightings.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::{Result, ensure};
use uuid::Uuid;

use super::case::CaseObservable;
use super::connection::{ConnectionExport, ExportResult};
use super::mapping::CaseLink;
use super::reporting::NAMED;
use super::sighting_tags;
use super::verdicts::SkipRule;
use crate::config::Warninglists;
use crate::json::Element;
use crate::misp::draft::AttributeDraft;
use crate::misp::wire::SightingKind;
use crate::misp::{EventContent, Misp};
use crate::report::ledger::{ItemKind, Verdict};
use crate::tags;
use crate::text::{format_count, join_first};
use crate::thehive::MOST_OTHERS;
use crate::thehive::wire::Observable;
use crate::time;

impl ConnectionExport<'_> {
    /// Whether the event links to the page of its case.
    pub fn case_link(&self) -> CaseLink<'_> {
        match &self.job.url {
            _ if !self.settings.export_case_url => CaseLink::No,
            _ if self.is_public() => CaseLink::Public,
            Some(url) => CaseLink::To(url),
            None => CaseLink::Unknown,
        }
    }

    /// The warninglists of this MISP that have one of the values. That they cannot be asked stops
    /// nothing. In a dry run they are not: nothing of the case goes out then.
    pub fn check_warninglists(
        &self,
        misp: &Misp,
        done: &ExportResult,
    ) -> HashMap<String, Vec<String>> {
        let attributes = &done.mapped.wanted.attributes;
        let values = self.values_to_check(attributes);
        if values.is_empty() || done.stopped.is_some() {
            return HashMap::new();
        }
        let hits = misp.ask_server(|server| server.check_warninglists(&values));
        let hits = hits.unwrap_or_else(|error| {
            self.part
                .warn(format!("the warninglists were not asked: {error:#}"));
            HashMap::new()
        });

        let lists_of = |attribute: &AttributeDraft| -> Vec<String> {
            attribute
                .value_parts()
                .filter_map(|part| hits.get(part))
                .flatten()
                .cloned()
                .collect()
        };

        let hits: HashMap<String, Vec<String>> = iocs(attributes)
            .map(|attribute| (attribute.value.clone(), lists_of(attribute)))
            .filter(|(_, lists)| !lists.is_empty())
            .collect();

        if !hits.is_empty() {
            let shown = |text: &str| self.part.run.report_text(text);
            let mut named: Vec<_> = hits
                .iter()
                .map(|(value, lists)| {
                    let lists: Vec<_> = lists.iter().map(|list| shown(list)).collect();
                    format!("{} ({})", shown(value), lists.join(", "))
                })
                .collect();

            named.sort_unstable();
            self.part.warn(format!(
                "on warninglists of this MISP: {}",
                join_first(&named, NAMED)
            ));
        }

        hits
    }

    /// Asks the warninglists before the answer is needed. Nothing is made of an error: then they are
    /// asked again.
    pub fn check_warninglists_ahead(&self, misp: &Misp, attributes: &[AttributeDraft]) {
        let values = self.values_to_check(attributes);
        if !values.is_empty() {
            let _ = misp.ask_server(|server| server.check_warninglists_ahead(&values));
        }
    }

    fn values_to_check<'d>(&self, attributes: &'d [AttributeDraft]) -> Vec<&'d str> {
        let is_off = self.settings.warninglists == Warninglists::Off
            || self.job.dry_run
            || self.job.network.clock().is_over();
        if is_off {
            return Vec::new();
        }
        let values = iocs(attributes).flat_map(AttributeDraft::value_parts);
        values.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// One sighting of each kind for each observable of which an analyst says it, by the uuid of our
    /// own attribute, unless one of ours is there: a sighting by value would count in every event
    /// that has the value (`fixtures/wire/misp/423-sighting-by-own-attribute-uuid.json`). One of
    /// ours is of our organisation: anybody may name this program as the source of his.
    pub fn add_sightings(&self, misp: &Misp, done: &ExportResult) {
        if !self.settings.export_sightings {
            return self.warn_of_unsent_sightings();
        }
        let (wanted, left_out) = self.wanted_sightings(done);
        if wanted.is_empty() && left_out.is_empty() {
            return;
        }
        if self.is_public() {
            self.part
                .warn("a feed carries no sightings: none is exported");
            return;
        }

        let number = wanted.len() + left_out.len();
        self.part.count_fetched(ItemKind::Sightings, number as u64);
        for (kind, value, rule) in left_out {
            self.settle_sighting(kind, &value, &rule.into());
        }
        if !wanted.is_empty() {
            self.send_wanted(misp, done, wanted);
        }
    }

    fn send_wanted(&self, misp: &Misp, done: &ExportResult, wanted: Vec<WantedSighting<'_>>) {
        let drafts = done.mapped.wanted.attributes.iter().zip(&done.results);
        let added: HashSet<Uuid> = drafts
            .filter(|(_, result)| result.verdict == Verdict::Created)
            .map(|(draft, _)| draft.uuid)
            .collect();
        let held = find_held(misp, done);
        let now = self.job.network.clock().now;

        for sighting in wanted {
            let uuid = sighting.attribute.uuid;
            let verdict = match &held {
                // A second one cannot be told from a first.
                Err(error) => {
                    Verdict::Failed(format!("whether it is there is not known: {error:#}"))
                }
                Ok((said, there)) => match said.get(&(uuid, sighting.kind)) {
                    Some(known) => sighting.verdict_beside(*known),
                    None if !sighting.is_possible(now) => SkipRule::ImpossibleDate.into(),
                    None if self.job.dry_run
                        && (there.contains(&uuid) || added.contains(&uuid)) =>
                    {
                        Verdict::Created
                    }
                    None if !there.contains(&uuid) => SkipRule::NoAttribute.into(),
                    None => self.send_sighting(misp, &sighting),
                },
            };

            self.settle_sighting(sighting.kind, &sighting.attribute.value, &verdict);
        }
    }

    fn settle_sighting(&self, kind: SightingKind, value: &str, verdict: &Verdict) {
        self.part.settle(ItemKind::Sightings, verdict, || {
            let value = self.part.run.report_text(value);
            match kind {
                SightingKind::Seen => format!("the sighting of {value}"),
                SightingKind::FalsePositive => format!("that {value} is a false positive"),
                SightingKind::Expiration => format!("the expiration of {value}"),
            }
        });
    }

    fn send_sighting(&self, misp: &Misp, sighting: &WantedSighting<'_>) -> Verdict {
        let uuid = &sighting.attribute.uuid;
        match misp.add_sighting(uuid, sighting.kind, sighting.moment) {
            Ok(()) => {
                self.part.run.mark_written();
                Verdict::Created
            }
            Err(error) => Verdict::Failed(format!("{error:#}")),
        }
    }

    /// Says that what analysts tagged for MISP stays here.
    fn warn_of_unsent_sightings(&self) {
        let says = |ioc: &CaseObservable| {
            let said = sighting_tags::statements_of(&ioc.observable);
            said.iter().any(|said| said.is_tag)
        };
        let all = self.input.observables.iter().flatten();
        let number = all.filter(|ioc| says(ioc)).count() as u64;
        if number > 0 {
            let number = format_count(number, "observable has", "observables have");
            self.part.warn(format!(
                "{number} a tag misp:sighting, and \"export_sightings\" is off: nothing is said of \
                 it in MISP"
            ));
        }
    }

    /// What is to be said of our attributes, one of each kind for each; and what is said by tags of
    /// observables that have none, with the reason.
    fn wanted_sightings<'d>(
        &'d self,
        done: &'d ExportResult,
    ) -> (Vec<WantedSighting<'d>>, LeftOut) {
        let attributes = attributes_by_observable(&done.mapped.wanted.attributes);
        let mut wanted = BTreeMap::new();
        let mut left_out = Vec::new();

        for (index, ioc) in self.input.observables.iter().enumerate() {
            let Ok(CaseObservable { observable, .. }) = ioc else {
                continue;
            };
            for said in sighting_tags::statements_of(observable) {
                let rule = match attributes.get(&index) {
                    Some(attribute) => {
                        wanted
                            .entry((attribute.uuid, said.kind))
                            .or_insert(WantedSighting {
                                attribute,
                                kind: said.kind,
                                moment: said.moment,
                            });
                        continue;
                    }
                    // The flag alone has always meant IOCs.
                    None if !said.is_tag => continue,
                    None if !observable.ioc => SkipRule::NotAnIoc,
                    None => SkipRule::NoAttribute,
                };
                left_out.push((said.kind, name_of(observable), rule));
            }
        }

        left_out.extend(self.said_of_others());
        (wanted.into_values().collect(), left_out)
    }

    /// What is said by tags of observables that are no IOCs, which are not read with the case.
    fn said_of_others(&self) -> LeftOut {
        let is_asked = self.input.is_case && !self.is_public();
        let Some(thehive) = self.job.thehive.filter(|_| is_asked) else {
            return Vec::new();
        };
        let others = thehive.fetch_tagged_others(self.input.case.holder(), tags::SIGHTING);
        let others = others.unwrap_or_else(|error| {
            self.part.warn(format!(
                "whether observables that are no IOCs have a tag misp:sighting is not known: \
                 {error:#}"
            ));
            Vec::new()
        });

        if others.len() >= MOST_OTHERS {
            self.part.warn(format!(
                "of the observables that are no IOCs and have a tag misp:sighting the first \
                 {MOST_OTHERS} are counted"
            ));
        }

        let known = self.input.observables.iter().flatten();
        let known: HashSet<&str> = known.map(|ioc| ioc.observable.id.as_str()).collect();
        let others = others.into_iter().filter_map(Element::into_option);
        others
            .filter(|other| !other.ioc && !known.contains(other.id.as_str()))
            .flat_map(|other| {
                let said = sighting_tags::statements_of(&other).into_iter();
                said.filter(|said| said.is_tag)
                    .map(|said| (said.kind, name_of(&other), SkipRule::NotAnIoc))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

/// What our organisation said of each attribute of an event, with the moment; and the attributes
/// that are there.
type HeldSightings = (HashMap<(Uuid, SightingKind), Option<i64>>, HashSet<Uuid>);

fn find_held(misp: &Misp, done: &ExportResult) -> Result<HeldSightings> {
    let organisation = misp.ask_server(|server| Ok(server.account()?.organisation.id.as_str()))?;
    ensure!(
        !organisation.is_empty(),
        "MISP does not say of which organisation the key's user is"
    );

    let (mut said, mut there) = (HashMap::new(), HashSet::new());
    for (uuid, attribute) in done.after.iter().flat_map(EventContent::attributes_by_uuid) {
        let all = attribute.sightings.named.iter();
        for known in all.filter(|known| known.organisation == organisation) {
            said.insert((uuid, known.kind), known.moment);
        }
        if attribute.deleted != Some(true) {
            there.insert(uuid);
        }
    }
    Ok((said, there))
}

/// The value of an observable, or the name of its file.
fn name_of(observable: &Observable) -> String {
    let file = observable.attachment.as_ref().map(|file| file.name.clone());
    file.filter(|_| observable.data.is_empty())
        .unwrap_or_else(|| observable.data.clone())
}

/// A sighting that is to be in MISP.
struct WantedSighting<'d> {
    attribute: &'d AttributeDraft,
    kind: SightingKind,
    /// None for now.
    moment: Option<i64>,
}

/// What is said of an observable and not sent: what, of which value, why not.
type LeftOut = Vec<(SightingKind, String, SkipRule)>;

impl WantedSighting<'_> {
    /// What becomes of it where our organisation has said it. An expiration of another day stays:
    /// a colleague may have set it.
    fn verdict_beside(&self, known: Option<i64>) -> Verdict {
        let day = |moment: Option<i64>| moment.map(time::format_date);
        let is_other = self.kind == SightingKind::Expiration
            && self.moment.is_some()
            && day(self.moment) != day(known);
        if is_other {
            SkipRule::OtherExpiration.into()
        } else {
            Verdict::Unchanged
        }
    }

    /// True for a moment that can be: what was seen was not seen in the future.
    fn is_possible(&self, now: i64) -> bool {
        self.moment.is_none_or(|moment| match self.kind {
            SightingKind::Expiration => time::is_day(moment),
            SightingKind::Seen | SightingKind::FalsePositive => time::is_plausible(moment, now),
        })
    }
}

/// The attribute that stands for each observable, by its position. Of a file's attributes it is its
/// sha256.
fn attributes_by_observable(drafts: &[AttributeDraft]) -> BTreeMap<usize, &AttributeDraft> {
    let mut all: BTreeMap<usize, &AttributeDraft> = BTreeMap::new();
    for attribute in drafts.iter().filter(|draft| draft.to_ids) {
        let place = attribute.place.as_ref();
        let is_best = place.is_some_and(|place| place.relation == "sha256");
        for index in &attribute.from {
            let known = all.entry(*index).or_insert(attribute);
            if is_best {
                *known = attribute;
            }
        }
    }
    all
}

fn iocs(attributes: &[AttributeDraft]) -> impl Iterator<Item = &AttributeDraft> {
    let is_ioc = |attribute: &&AttributeDraft| attribute.to_ids && attribute.file.is_none();
    attributes.iter().filter(is_ioc)
}
