//! What is retracted is certain: the case is still there, and TheHive was asked for each value by
//! itself, whether it is an IOC of the case.

use std::collections::HashSet;

use anyhow::Result;
use uuid::Uuid;

use super::case::{CaseObservable, ExportInput};
use super::connection::ConnectionExport;
use super::draft::EventDraft;
use super::mapping::Decision;
use super::plan::{Action, Plan, Planned};
use super::verdicts::SkipRule;
use crate::http;
use crate::json::Element;
use crate::misp::draft::AttributeDraft;
use crate::thehive::TheHive;

/// Why nothing is retracted of a case that is gone, as the sources of a merge are: TheHive then
/// counts no observable, and gives none, without a word.
const GONE: &str = "the case is not there any more";

impl ConnectionExport<'_> {
    /// Asks TheHive for what is to be retracted, and notes in `wanted` what is an IOC all the same.
    /// None if nothing is to be retracted; else why nothing may be, if so.
    pub fn recheck_retractions(
        &self,
        plan: &Plan,
        wanted: &mut EventDraft,
    ) -> Option<Result<(), SkipRule>> {
        let values: Vec<_> = plan.attributes.iter().filter_map(retracted_value).collect();
        let thehive = self
            .job
            .thehive
            // An export of a single observable retracts nothing.
            .filter(|_| !values.is_empty() && self.input.is_case)?;

        let asked = match self.fetch_iocs_among(&values, thehive) {
            Ok(Some(asked)) => asked,
            Ok(None) => return Some(Err(SkipRule::CaseIsNotWhole(GONE.to_owned()))),
            Err(error) => {
                return Some(Err(SkipRule::CaseIsNotWhole(format!(
                    "TheHive does not say whether what is to be retracted is an IOC: {error:#}"
                ))));
            }
        };

        wanted.spared = self.map_new_iocs(asked, wanted);

        Some(Ok(()))
    }

    /// The IOCs of the case that have one of the values; none if there is no such case.
    fn fetch_iocs_among(
        &self,
        retracted: &[(&str, bool)],
        thehive: &TheHive,
    ) -> Result<Option<Vec<CaseObservable>>> {
        let case = &self.input.case;
        let values = retracted
            .iter()
            // An observable of the case may be half of what the attribute has.
            .flat_map(|(value, _)| std::iter::once(*value).chain(value.split('|')));
        let mut values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
        values.sort_unstable();
        values.dedup();
        // Objects are made of files, too, which have no value to ask for.
        let with_files = retracted.iter().any(|(_, is_in_object)| *is_in_object);
        let (is_there, asked) = http::at_once(
            || thehive.has(case.holder()),
            || thehive.fetch_iocs_by_value(case.holder(), &values, with_files),
        );
        // Of a case that is gone TheHive gives no observable: that does not mean that none is an
        // IOC.
        if !is_there? {
            return Ok(None);
        }
        let asked = asked?;

        let iocs = asked
            .into_iter()
            .filter_map(Element::into_option)
            .filter(|observable| observable.ioc);

        Ok(Some(
            iocs.map(|observable| CaseObservable {
                observable,
                tlp: case.tlp,
                pap: case.pap,
            })
            .collect(),
        ))
    }

    /// What these IOCs are beside those that were read: half a composite is another attribute than
    /// the whole.
    fn map_new_iocs(&self, asked: Vec<CaseObservable>, wanted: &EventDraft) -> Vec<AttributeDraft> {
        let read: HashSet<&str> = self
            .input
            .observables
            .iter()
            .flatten()
            .map(|ioc| ioc.observable.id.as_str())
            .collect();

        let new: Vec<_> = asked
            .into_iter()
            .filter(|ioc| !read.contains(ioc.observable.id.as_str()))
            .collect();
        if new.is_empty() {
            return Vec::new();
        }

        // Mapped together with those that were read: a new one may be the other half of a
        // composite.
        let decided = [self.decided, &vec![Decision::Send; new.len()]].concat();
        let observables = self
            .input
            .observables
            .iter()
            .cloned()
            .chain(new.into_iter().map(Ok))
            .collect();

        let input = ExportInput {
            observables,
            ..self.input.clone()
        };
        let known: HashSet<Uuid> = wanted.attributes.iter().map(|draft| draft.uuid).collect();
        let together = ConnectionExport {
            input: &input,
            decided: &decided,
            ..*self
        }
        .map_case(wanted.uuid)
        .wanted
        .attributes;

        together
            .into_iter()
            .filter(|draft| !known.contains(&draft.uuid))
            .collect()
    }
}

/// The value of an attribute that is to be retracted, and whether it is in an object. One that is
/// only closed stays an IOC of the case.
fn retracted_value(planned: &Planned) -> Option<(&str, bool)> {
    let unwanted = planned.unwanted().filter(|unwanted| !unwanted.is_closing)?;
    matches!(planned.action, Action::Change(_))
        .then_some((unwanted.value.as_str(), planned.object.is_some()))
}
