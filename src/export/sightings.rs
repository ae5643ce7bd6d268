//! What an export does beside the IOCs: a link to the case, warninglist hits, and sightings of
//! sighted observables.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::connection::{ConnectionExport, ExportResult};
use super::mapping::CaseLink;
use super::reporting::NAMED;
use super::verdicts::SkipRule;
use crate::config::Warninglists;
use crate::misp::draft::AttributeDraft;
use crate::misp::{EventContent, Misp};
use crate::report::ledger::{ItemKind, Verdict};
use crate::text::join_first;
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

    /// One sighting for each sighted observable, by the uuid of our own attribute, unless one of
    /// ours is there: a sighting by value would count in every event that has the value
    /// (`fixtures/wire/misp/423-sighting-by-own-attribute-uuid.json`). One of ours is of our
    /// organisation: anybody may name this program as the source of his.
    pub fn add_sightings(&self, misp: &Misp, done: &ExportResult) {
        if !self.settings.export_sightings {
            return;
        }
        let sighted = self.sighted_attributes(done);
        if sighted.is_empty() {
            return;
        }
        if self.is_public() {
            self.part
                .warn("a feed carries no sightings: none is exported");
            return;
        }

        self.part
            .count_fetched(ItemKind::Sightings, sighted.len() as u64);

        let own = misp.ask_server(|server| Ok(server.account()?.organisation.id.as_str()));
        let organisation = own.unwrap_or_else(|error| {
            self.part.warn(format!(
                "whose the sightings in MISP are is not known: {error:#}"
            ));
            ""
        });

        let is_ours = |by: &String| !organisation.is_empty() && by == organisation;
        let (mut seen, mut there) = (HashSet::new(), HashSet::new());
        for (uuid, attribute) in done.after.iter().flat_map(EventContent::attributes_by_uuid) {
            if attribute.sightings.under_our_name.iter().any(is_ours) {
                seen.insert(uuid);
            }
            if attribute.deleted != Some(true) {
                there.insert(uuid);
            }
        }

        let wanted = done.mapped.wanted.attributes.iter().zip(&done.results);
        let added: HashSet<Uuid> = wanted
            .filter(|(_, result)| result.verdict == Verdict::Created)
            .map(|(draft, _)| draft.uuid)
            .collect();

        for (attribute, moment) in sighted {
            let verdict = match attribute.uuid {
                uuid if seen.contains(&uuid) => Verdict::Unchanged,
                uuid if self.job.dry_run && (there.contains(&uuid) || added.contains(&uuid)) => {
                    Verdict::Created
                }
                uuid if !there.contains(&uuid) => SkipRule::NoAttribute.into(),
                uuid => self.send_sighting(misp, &uuid, moment),
            };

            self.part.settle(ItemKind::Sightings, &verdict, || {
                let value = self.part.run.report_text(&attribute.value);
                format!("the sighting of {value}")
            });
        }
    }

    fn send_sighting(&self, misp: &Misp, uuid: &Uuid, moment: Option<i64>) -> Verdict {
        match misp.add_sighting(uuid, moment) {
            Ok(()) => {
                self.part.run.mark_written();
                Verdict::Created
            }
            Err(error) => Verdict::Failed(format!("{error:#}")),
        }
    }

    /// One attribute for each sighted observable, and when it was sighted, in seconds, if TheHive
    /// says it. Of a file's attributes it is its sha256.
    fn sighted_attributes<'d>(
        &self,
        done: &'d ExportResult,
    ) -> Vec<(&'d AttributeDraft, Option<i64>)> {
        let mut of: BTreeMap<usize, &AttributeDraft> = BTreeMap::new();
        for attribute in done
            .mapped
            .wanted
            .attributes
            .iter()
            .filter(|draft| draft.to_ids)
        {
            let is_best = attribute
                .place
                .as_ref()
                .is_some_and(|place| place.relation == "sha256");
            for index in &attribute.from {
                let known = of.entry(*index).or_insert(attribute);
                if is_best {
                    *known = attribute;
                }
            }
        }

        let mut sighted: BTreeMap<Uuid, (&AttributeDraft, Option<i64>)> = BTreeMap::new();

        for (index, attribute) in of {
            let ioc = self.input.ioc_at(index);
            if let Some(ioc) = ioc.filter(|ioc| ioc.observable.sighted) {
                let moment = ioc.observable.sighted_at.map(time::to_seconds);
                sighted.entry(attribute.uuid).or_insert((attribute, moment));
            }
        }

        sighted.into_values().collect()
    }
}

fn iocs(attributes: &[AttributeDraft]) -> impl Iterator<Item = &AttributeDraft> {
    let is_ioc = |attribute: &&AttributeDraft| attribute.to_ids && attribute.file.is_none();
    attributes.iter().filter(is_ioc)
}
