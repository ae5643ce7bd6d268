//! What an export tells of one connection: the event, and every observable's verdict.

use std::collections::HashMap;

use super::apply::One;
use super::case;
use super::map::Mapped;
use super::plan::{Outcome, Plan, Wanted, WantedAttribute};
use crate::config::connections::Target;
use crate::cortex::report::Operation;
use crate::full::{EventLine, ObservableLine};
use crate::ledger::{Item, Verdict};
use crate::misp::Held;
use crate::misp::server::Server;

impl One<'_> {
    /// Tags that MISP left out in silence, since the key's user may not make them
    /// (`fixtures/wire/misp/125-event-add-unknown-tag-partner.json`), and a publication that a write took back.
    pub(super) fn check_event(&self, wanted: &Wanted, before: Option<&Held>, after: Option<&Held>) {
        let Some(after) = after else { return };
        let there: Vec<_> = after.event.tags().map(str::to_lowercase).collect();
        let is_lacking = |tag: &&String| !there.contains(&tag.to_lowercase());
        let lacking: Vec<_> = wanted.tags.iter().filter(is_lacking).map(String::as_str).collect();
        if before.is_none() && !lacking.is_empty() && !self.is_public() {
            self.part.warn(format!(
                "MISP left out the tags {}: they do not exist there, and the key's user may not make them (role \
                 permission tag editor)",
                lacking.join(", ")
            ));
        }
        if before.is_some_and(|before| before.event.published == Some(true)) && after.event.published != Some(true) {
            self.part.warn(
                "the event was published; MISP took that back when the new IOCs were added: review and publish it again",
            );
        }
    }

    pub(super) fn tell_event(&self, wanted: &Wanted, held: Option<&Held>, plan: &Plan, attributes: usize) {
        let verdict = match (plan.create, plan.is_empty()) {
            (true, _) => Verdict::Created,
            (false, false) => Verdict::Updated,
            (false, true) => Verdict::Unchanged,
        };
        let run = &self.part.run;
        let line = EventLine {
            uuid: wanted.uuid.to_string(),
            id: held.map(|held| run.shown(&held.event.id)).filter(|id| !id.is_empty()),
            title: run.shown(held.map_or(&wanted.info, |held| &held.event.info)),
            link: match &self.connection.target {
                Target::Server { url, .. } => Some(Server::link(url, &wanted.uuid)),
                Target::Feed { .. } => None,
            },
            organisation: held.map_or_else(String::new, |held| run.shown(held.event.organisation())),
            date: wanted.date.clone(),
            tlp: wanted.tlp.word().to_owned(),
            attributes: attributes as u64,
            verdict: verdict.word().to_owned(),
            reason: None,
        };
        self.part.with(|part| part.events = vec![line]);
        if held.is_some() && !self.dry_run {
            let tag = format!("misp:event=\"{}:{}\"", self.connection.name, wanted.uuid);
            run.draft().operations.push(Operation::AddTagToCase { tag });
        }
    }

    /// Writes every observable's verdict into ledger and report.
    pub(super) fn tell(&self, decided: &[Option<Verdict>], mapped: &Mapped, outcome: &[Outcome], is_stopped: bool) {
        let became = became(mapped, outcome);
        for (index, (one, decided)) in self.input.observables.iter().zip(decided).enumerate() {
            let (verdict, remark, attribute) =
                match (decided.as_ref().or(mapped.refused.get(&index)), became.get(&index)) {
                    (Some(verdict), _) => (verdict.clone(), None, None),
                    (None, Some((attribute, (verdict, remark)))) => {
                        self.part.record(Item::Observables, verdict, 1);
                        (verdict.clone(), remark.clone(), Some(*attribute))
                    }
                    (None, None) => {
                        let verdict = Verdict::Failed("not mapped".to_owned());
                        self.part.record(Item::Observables, &verdict, 1);
                        (verdict, None, None)
                    }
                };
            let (data_type, data) = self.shown(one, index);
            if let (Verdict::Failed(reason), false) = (&verdict, is_stopped) {
                self.part.fail(format!("{data} ({data_type}): {reason}"));
            }
            self.part.show_observable(ObservableLine {
                data_type,
                data,
                verdict: verdict.word().to_owned(),
                reason: verdict.reason().map(ToOwned::to_owned).or(remark),
                attribute: attribute.map(|attribute| format!("{}/{}", attribute.category, attribute.kind)),
                uuid: attribute.map(|attribute| attribute.uuid.to_string()),
            });
        }
    }

    /// Type and value of an observable, or of what stands in its place.
    fn shown(&self, one: &Result<case::Ioc, String>, index: usize) -> (String, String) {
        let Ok(ioc) = one else { return ("no observable".to_owned(), format!("element {}", index + 1)) };
        let observable = &ioc.observable;
        let value = observable.attachment.as_ref().map_or(&observable.data, |attachment| &attachment.name);
        (self.part.run.shown(&observable.data_type), self.part.run.shown(value))
    }
}

/// What each observable became. One that became several attributes takes the first verdict of [`rank`].
fn became<'a>(mapped: &'a Mapped, outcome: &'a [Outcome]) -> HashMap<usize, (&'a WantedAttribute, &'a Outcome)> {
    let mut became: HashMap<usize, (&WantedAttribute, &Outcome)> = HashMap::new();
    for (attribute, outcome) in mapped.wanted.attributes.iter().zip(outcome) {
        for index in &attribute.from {
            let known = became.entry(*index).or_insert((attribute, outcome));
            if rank(&outcome.0) < rank(&known.1.0) {
                *known = (attribute, outcome);
            }
        }
    }
    became
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Failed(_) => 0,
        Verdict::Created => 1,
        Verdict::Updated => 2,
        Verdict::Unchanged => 3,
        Verdict::Skipped(_) => 4,
    }
}

/// How many attributes an event holds that are not deleted.
pub(super) fn live(held: Option<&Held>) -> usize {
    held.map_or(0, |held| held.attributes.iter().filter(|attribute| attribute.deleted != Some(true)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_link_names_the_event() {
        assert_eq!(
            Server::link(&"https://h/misp/".parse().unwrap(), &Uuid::nil()),
            "https://h/misp/events/view/00000000-0000-0000-0000-000000000000"
        );
    }
}
