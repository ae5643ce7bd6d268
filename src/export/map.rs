//! Case and observables to the event that they should be. Pure.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::case::{Case, Input, Ioc};
use super::plan::{Wanted, WantedAttribute};
use crate::ids::{self, Ids};
use crate::ledger::Verdict;
use crate::secret::shortened;
use crate::time;
use crate::types::{self, Given, Overrides, ServerTypes};

/// The event that a case should be on one MISP.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The event.
    pub wanted: Wanted,
    /// Observables that this MISP would not take, or may not have, by their position.
    pub refused: BTreeMap<usize, Verdict>,
    /// What the analyst should know about the mapping.
    pub warnings: Vec<String>,
}

const TLP: &str = "tlp";

/// What is decided about each observable without asking any MISP: what is no IOC stays here, and so does what may not be
/// passed on where everyone can read it (`is_public`: a feed).
#[must_use]
pub fn decide(input: &Input, is_public: bool) -> Vec<Option<Verdict>> {
    input.observables.iter().map(|one| decided(one, is_public)).collect()
}

/// Maps what is left of a case.
#[must_use]
pub fn case(
    input: &Input,
    decided: &[Option<Verdict>],
    ids: &Ids,
    overrides: &Overrides,
    server: &ServerTypes,
) -> Mapped {
    let chosen = |wanted: &dyn Fn(Option<&Verdict>) -> bool| -> Vec<(usize, &Ioc)> {
        let all = input.observables.iter().zip(decided).enumerate();
        all.filter_map(|(index, (ioc, verdict))| Some((index, ioc.as_ref().ok().filter(|_| wanted(verdict.as_ref()))?)))
            .collect()
    };
    let open = chosen(&|verdict| verdict.is_none());
    let mapping = attributes(&open, overrides, server);
    let at = |place: &usize| open.get(*place).map(|(index, _)| *index);
    let refused = mapping
        .refused
        .iter()
        .filter_map(|(place, reason)| Some((at(place)?, Verdict::Failed(format!("refused before sending: {reason}")))));
    let mut refused: BTreeMap<_, _> = refused.collect();
    let mut wanted = event(&input.case, ids);
    let mut warnings = warnings(&input.case, &open, &wanted);
    let closed = chosen(&|verdict| verdict.and_then(Verdict::reason) == Some(TLP));
    let closed = attributes(&closed, overrides, server).wanted;
    wanted.withheld = closed.iter().map(|one| ids.id(&wanted.uuid, &[&one.fold, &one.value])).collect();
    for one in mapping.wanted {
        warnings.extend(one.warning.iter().map(|warning| format!("{}: {warning}", shortened(&one.value, 100))));
        // The same value is there twice, once closed: the stricter holds.
        if wanted.withheld.contains(&ids.id(&wanted.uuid, &[&one.fold, &one.value])) {
            refused.extend(one.from.iter().filter_map(at).map(|index| (index, Verdict::Skipped(TLP.to_owned()))));
        } else {
            wanted.attributes.extend(attribute(&wanted.uuid, one, &open, &input.case, ids));
        }
    }
    Mapped { wanted, refused, warnings }
}

fn attributes(iocs: &[(usize, &Ioc)], overrides: &Overrides, server: &ServerTypes) -> types::Mapping {
    let given: Vec<_> = iocs.iter().map(|(_, ioc)| given(ioc)).collect();
    types::attributes(&given, overrides, server)
}

fn warnings(case: &Case, open: &[(usize, &Ioc)], wanted: &Wanted) -> Vec<String> {
    let is_changed = |(_, ioc): &&(usize, &Ioc)| storable(&ioc.observable.message) != ioc.observable.message.trim();
    let comments = open.iter().filter(is_changed).count();
    let title = "the case's title is empty or has characters that MISP cannot store: they are replaced".to_owned();
    let comments = (comments > 0)
        .then(|| format!("{comments} comments have characters that MISP cannot store: they are replaced"));
    (wanted.info != case.title).then_some(title).into_iter().chain(comments).collect()
}

fn decided(one: &Result<Ioc, String>, is_public: bool) -> Option<Verdict> {
    match one {
        Err(problem) => Some(Verdict::Failed(problem.clone())),
        Ok(ioc) if !ioc.observable.ioc => Some(Verdict::Skipped(super::NOT_AN_IOC.to_owned())),
        Ok(ioc) if is_public && ioc.tlp.is_closed() => Some(Verdict::Skipped(TLP.to_owned())),
        Ok(ioc) if is_file(ioc) => Some(Verdict::Failed("files are not exported by this version".to_owned())),
        Ok(_) => None,
    }
}

fn is_file(ioc: &Ioc) -> bool {
    ioc.observable.attachment.is_some() || ioc.observable.data_type == "file"
}

fn given(ioc: &Ioc) -> Given<'_> {
    Given { data_type: &ioc.observable.data_type, data: &ioc.observable.data, tags: &ioc.observable.tags }
}

fn event(case: &Case, ids: &Ids) -> Wanted {
    let title = storable(&case.title);
    let instance = ids.instance();
    Wanted {
        uuid: ids.event(&case.id, &case.created),
        info: if title.is_empty() { format!("Case #{}", case.number) } else { title },
        date: time::date(case.start),
        threat_level: match case.severity {
            ..=1 => 3,
            2 => 2,
            3.. => 1,
        },
        analysis: if case.is_resolved { 2 } else { 0 },
        tags: std::iter::once(case.tlp.tag()).chain(case.pap.map(|pap| pap.tag())).map(ToOwned::to_owned).collect(),
        tlp: case.tlp,
        organisation: json!({"name": instance, "uuid": ids::plain(&["organisation", instance])}),
        attributes: Vec::new(),
        withheld: Vec::new(),
    }
}

/// Several observables may stand for one attribute: the strictest TLP and the first comment hold.
fn attribute(
    event: &Uuid,
    wanted: types::Wanted,
    open: &[(usize, &Ioc)],
    case: &Case,
    ids: &Ids,
) -> Option<WantedAttribute> {
    let of: Vec<_> = wanted.from.iter().filter_map(|place| open.get(*place)).collect();
    let tlp = of.iter().map(|(_, ioc)| ioc.tlp).max()?;
    let comment = of.iter().map(|(_, ioc)| ioc.observable.message.trim()).find(|message| !message.is_empty());
    Some(WantedAttribute {
        uuid: ids.id(event, &[&wanted.fold, &wanted.value]),
        kind: wanted.kind.into_owned(),
        category: wanted.category.into_owned(),
        value: wanted.value,
        comment: comment.map(storable).unwrap_or_default(),
        tlp,
        is_stricter: tlp > case.tlp,
        from: of.iter().map(|(index, _)| *index).collect(),
    })
}

/// MISP cannot store characters above U+FFFF and answers 500 (`fixtures/wire/misp/307-add-emoji-info.json`).
fn storable(text: &str) -> String {
    types::without_astral(text).trim().to_owned()
}
