//! An event while it is read: its attributes become observables, and share its fate in the ledger.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, anyhow};

use super::map::{self, Marks, Wanted};
use super::{MOST_ARTIFACTS, One};
use crate::full::Alert;
use crate::json::Element;
use crate::ledger::{Item, Verdict};
use crate::markings::Tlp;
use crate::misp::wire::{Attribute, Object, Piece};
use crate::secret::Scrubber;
use crate::types::DataTypes;

/// Alerts shown in a report.
const SHOWN_ALERTS: usize = 50;
/// Observables shown of each alert.
const SHOWN_OBSERVABLES: usize = 50;

/// An event while it is read: what its attributes become. Only what the report can show is kept.
pub(super) struct Reading<'a> {
    one: &'a One<'a>,
    alert: Alert,
    observables: Vec<Wanted>,
    tlp: Tlp,
    data_types: DataTypes,
    pub(super) attributes: u64,
    verdicts: Vec<(Verdict, u64)>,
    places: HashMap<(String, String), usize>,
    iocs_beyond: u64,
    scrubber: Arc<Scrubber>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(one: &'a One<'a>, alert: Alert, tlp: Tlp) -> Self {
        Self {
            one,
            alert,
            observables: Vec::new(),
            tlp,
            data_types: DataTypes::thehive4(),
            attributes: 0,
            verdicts: Vec::new(),
            places: HashMap::new(),
            iocs_beyond: 0,
            scrubber: one.part.run.scrubber(),
        }
    }

    pub(super) fn piece(&mut self, piece: Piece) -> Result<()> {
        match piece {
            Piece::Attribute(element) => self.attribute(*element, None)?,
            Piece::Object(Element::Good(object)) => self.object(object)?,
            Piece::Object(Element::Bad(kind)) => self.attribute(Element::Bad(kind), None)?,
            Piece::Report(_) => {}
        }
        Ok(())
    }

    fn object(&mut self, object: Object) -> Result<()> {
        let is_deleted = object.deleted == Some(true);
        for element in object.attributes {
            let element = match element {
                Element::Good(attribute) if is_deleted => Element::Good(Attribute { deleted: Some(true), ..attribute }),
                element => element,
            };
            self.attribute(element, Some((&object.name, &object.uuid)))?;
        }
        Ok(())
    }

    fn attribute(&mut self, element: Element<Attribute>, within: Option<(&str, &str)>) -> Result<()> {
        self.attributes += 1;
        self.one.part.fetched(Item::Attributes, 1);
        if self.is_too_large() {
            return Err(anyhow!("{}", self.one.config.filters.too_large()));
        }
        let verdict = match element {
            Element::Bad(kind) => Verdict::Failed(format!("an attribute is {kind}, not an object")),
            Element::Good(attribute) if attribute.deleted == Some(true) => Verdict::Skipped("deleted".to_owned()),
            Element::Good(attribute) => match self.one.config.choice.rule(&attribute) {
                Some(rule) => Verdict::Skipped(rule),
                None => self.chosen(&attribute, within),
            },
        };
        match self.verdicts.iter_mut().find(|(known, _)| *known == verdict) {
            Some((_, number)) => *number += 1,
            None => self.verdicts.push((verdict, 1)),
        }
        Ok(())
    }

    /// An attribute that passed every filter.
    fn chosen(&mut self, attribute: &Attribute, within: Option<(&str, &str)>) -> Verdict {
        let marks = Marks::default();
        match map::observables(attribute, within, self.tlp, &self.data_types, &marks, &self.scrubber) {
            Ok(observables) => {
                observables.into_iter().for_each(|observable| self.observable(observable));
                Verdict::Created
            }
            Err(reason) => Verdict::Failed(reason),
        }
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.one.config.filters.is_too_large(self.attributes)
    }

    /// Keeps an observable as far as the report shows it; all are counted.
    fn observable(&mut self, observable: Wanted) {
        let key = (observable.data_type.clone(), observable.data.clone());
        let observables = &mut self.observables;
        if let Some(known) = self.places.get(&key).and_then(|place| observables.get_mut(*place)) {
            return map::merge(known, observable);
        }
        self.alert.observable_count += 1;
        if observables.len() < KEPT_OBSERVABLES {
            self.places.insert(key, observables.len());
            observables.push(observable);
        } else {
            self.iocs_beyond += u64::from(observable.ioc);
        }
    }

    /// Writes the attributes' verdicts into the ledger and, if the event was read, its alert into the report.
    pub(super) fn end(mut self, verdict: &Verdict) {
        let part = self.one.part;
        match verdict {
            Verdict::Created | Verdict::Updated | Verdict::Unchanged => {
                self.verdicts.iter().for_each(|(verdict, number)| part.record(Item::Attributes, verdict, *number));
                for (verdict, number) in &self.verdicts {
                    if let Verdict::Failed(reason) = verdict {
                        part.fail(format!("event {}: {number} attributes: {reason}", self.alert.source_ref));
                    }
                }
                self.alert.observables = self.observables.iter().map(|one| one.shown(&self.scrubber)).collect();
                show(self.alert, self.iocs_beyond, self.one);
            }
            Verdict::Skipped(rule) => part.record(Item::Attributes, &Verdict::Skipped(rule.clone()), self.attributes),
            Verdict::Failed(_) => {
                part.record(
                    Item::Attributes,
                    &Verdict::Failed("its event was not read to the end".to_owned()),
                    self.attributes,
                );
            }
        }
    }
}

/// Observables kept of one event: enough for all artifacts of a report.
const KEPT_OBSERVABLES: usize = 2_000;

fn show(mut alert: Alert, iocs_beyond: u64, one: &One<'_>) {
    let most = match one.config.max_artifacts {
        0 => MOST_ARTIFACTS,
        some => some.min(MOST_ARTIFACTS),
    };
    let most = usize::try_from(most).unwrap_or(0);
    let mut draft = one.part.run.draft();
    let mut cut = iocs_beyond;
    for observable in alert.observables.iter().filter(|observable| observable.ioc) {
        let is_known = draft
            .artifacts
            .iter()
            .any(|known| known.data == observable.data && known.data_type == observable.data_type);
        match draft.artifacts.len() < most {
            _ if is_known => {}
            true => draft.artifacts.push(map::artifact(observable)),
            false => cut += 1,
        }
    }
    let left_out = &mut draft.full.left_out;
    if cut > 0 {
        *left_out.entry("artifacts".to_owned()).or_default() += cut;
    }
    alert.observables.truncate(SHOWN_OBSERVABLES);
    if draft.full.alerts.len() < SHOWN_ALERTS {
        draft.full.alerts.push(alert);
    } else {
        *draft.full.left_out.entry("alerts".to_owned()).or_default() += 1;
    }
}
