//! The plan of an export, as a value: what is wanted, compared with what the event on a MISP holds. Pure: it can be
//! printed (a dry run), counted (the ledger), carried out, and made again (a second run plans nothing).

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::sending::Sending;
use crate::ids::Ids;
use crate::ledger::Verdict;
use crate::markings::Tlp;
use crate::misp::Held;
use crate::misp::wire::Attribute;

/// The event that a case should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Computed from the case, so that every export meets the same event.
    pub uuid: Uuid,
    /// The case's title.
    pub info: String,
    /// The day the case began, UTC.
    pub date: String,
    /// 1 high, 2 medium, 3 low.
    pub threat_level: u8,
    /// 0 initial, 2 completed.
    pub analysis: u8,
    /// TLP and PAP of the case.
    pub tags: Vec<String>,
    /// The case's TLP.
    pub tlp: Tlp,
    /// Who is named as creator in a feed: `{"name", "uuid"}`. A server knows that by the key.
    pub organisation: Value,
    /// The attributes.
    pub attributes: Vec<WantedAttribute>,
    /// Attributes that would be wanted if their TLP did not forbid it here.
    pub withheld: Vec<Uuid>,
}

/// An attribute that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedAttribute {
    /// Computed from the event and what the attribute stands for.
    pub uuid: Uuid,
    /// MISP's type.
    pub kind: String,
    /// MISP's category.
    pub category: String,
    /// The value, as MISP will store it.
    pub value: String,
    /// The observable's message.
    pub comment: String,
    /// The stricter of the observable's TLP and the case's.
    pub tlp: Tlp,
    /// True if that is stricter than the case's.
    pub is_stricter: bool,
    /// The observables that it stands for, by their position.
    pub from: Vec<usize>,
}

impl WantedAttribute {
    /// 0 (own organisation only) for RED and AMBER+STRICT, so that a later rise of the event's distribution releases
    /// nothing; 5 (as the event) for the rest.
    #[must_use]
    pub fn distribution(&self) -> u8 {
        if self.tlp.is_closed() { 0 } else { 5 }
    }

    /// Its tags: the TLP, where it is stricter than the case's.
    pub fn tags(&self) -> impl Iterator<Item = &'static str> {
        self.is_stricter.then(|| self.tlp.tag()).into_iter()
    }
}

/// What is to be done with one wanted attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is not there: add it.
    Add,
    /// It is there: leave it. The text is a remark.
    Leave(Option<String>),
    /// It is left out, by this rule.
    Skip(String),
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// True if the event has to be made.
    pub create: bool,
    /// One step for each wanted attribute, in its order.
    pub steps: Vec<Step>,
    /// What differs and is left as it is.
    pub remarks: Vec<String>,
    /// What somebody has to do something about.
    pub alarms: Vec<String>,
}

/// What became of an attribute, with a remark.
pub type Outcome = (Verdict, Option<String>);

impl Plan {
    /// Compares what is wanted with what is held.
    #[must_use]
    pub fn new(wanted: &Wanted, held: Option<&Held>, ids: &Ids) -> Self {
        let Some(held) = held else {
            return Self { create: true, steps: vec![Step::Add; wanted.attributes.len()], ..Self::default() };
        };
        if held.event.locked == Some(true) {
            return Self::managed_elsewhere(wanted);
        }
        let index = Index::new(&held.attributes);
        Self {
            create: false,
            steps: wanted.attributes.iter().map(|attribute| index.step(attribute)).collect(),
            remarks: remarks(wanted, held, ids),
            alarms: alarms(wanted, held),
        }
    }

    /// The plan for an event that came by synchronisation: nothing is written.
    #[must_use]
    pub fn managed_elsewhere(wanted: &Wanted) -> Self {
        let skip = Step::Skip("managed on another MISP".to_owned());
        let remark = "the event came here by synchronisation: it is managed on another MISP, and nothing is written";
        Self { steps: vec![skip; wanted.attributes.len()], remarks: vec![remark.to_owned()], ..Self::default() }
    }

    /// True if nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.create && !self.steps.contains(&Step::Add)
    }

    /// The attributes to add.
    pub fn additions<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = &'a WantedAttribute> {
        wanted
            .attributes
            .iter()
            .zip(&self.steps)
            .filter(|(_, step)| **step == Step::Add)
            .map(|(attribute, _)| attribute)
    }

    /// What became of each wanted attribute, in its order: read from what the event holds afterwards, not from what the
    /// MISP answered. `after` is none if the event is not there, or could
    /// not be looked at, which `sending` tells.
    #[must_use]
    pub fn outcome(&self, wanted: &Wanted, sending: &Sending, after: Option<&Held>) -> Vec<Outcome> {
        let index = after.map(|held| Index::new(&held.attributes));
        let outcome = |attribute: &WantedAttribute, step: &Step| match (step, &index) {
            (Step::Leave(remark), _) => (Verdict::Unchanged, remark.clone()),
            (Step::Skip(rule), _) => (Verdict::Skipped(rule.clone()), None),
            (Step::Add, Some(index)) => index.added(attribute, sending),
            (Step::Add, None) => (sending.missing(attribute), None),
        };
        wanted.attributes.iter().zip(&self.steps).map(|(attribute, step)| outcome(attribute, step)).collect()
    }

    /// What would become of each wanted attribute if the plan were carried out.
    #[must_use]
    pub fn forecast(&self) -> Vec<Outcome> {
        let forecast = |step: &Step| match step {
            Step::Add => (Verdict::Created, None),
            Step::Leave(remark) => (Verdict::Unchanged, remark.clone()),
            Step::Skip(rule) => (Verdict::Skipped(rule.clone()), None),
        };
        self.steps.iter().map(forecast).collect()
    }
}

/// What an event holds, by uuid and by value.
struct Index<'a> {
    by_uuid: HashMap<Uuid, &'a Attribute>,
    by_value: HashSet<(&'a str, &'a str)>,
}

impl<'a> Index<'a> {
    fn new(attributes: &'a [Attribute]) -> Self {
        let by_uuid = attributes
            .iter()
            .filter_map(|attribute| Some((Uuid::parse_str(&attribute.uuid).ok()?, attribute)))
            .collect();
        let live = attributes.iter().filter(|attribute| attribute.deleted != Some(true));
        Self { by_uuid, by_value: live.map(|attribute| (attribute.kind.as_str(), attribute.value.as_str())).collect() }
    }

    fn step(&self, wanted: &WantedAttribute) -> Step {
        match self.by_uuid.get(&wanted.uuid) {
            Some(held) if held.deleted == Some(true) => Step::Skip("deleted in MISP".to_owned()),
            Some(held) => Step::Leave(difference(wanted, held)),
            None if self.by_value.contains(&(wanted.kind.as_str(), wanted.value.as_str())) => {
                Step::Leave(Some("added by somebody else".to_owned()))
            }
            None => Step::Add,
        }
    }

    fn added(&self, wanted: &WantedAttribute, sending: &Sending) -> Outcome {
        match self.by_uuid.get(&wanted.uuid) {
            Some(held) if held.deleted != Some(true) => (Verdict::Created, difference(wanted, held)),
            Some(_) | None => (sending.missing(wanted), None),
        }
    }
}

/// What somebody changed on an attribute of ours, or what MISP stores in another way.
fn difference(wanted: &WantedAttribute, held: &Attribute) -> Option<String> {
    let tags: Vec<_> = held.tags.iter().map(|tag| tag.name.as_str()).collect();
    let fields = [
        ("type", held.kind != wanted.kind),
        ("category", held.category != wanted.category),
        ("value", held.value != wanted.value),
        ("to_ids", held.to_ids == Some(false)),
        ("comment", held.comment != wanted.comment),
        ("distribution", wanted.distribution() == 0 && held.distribution.is_some_and(|d| d != 0)),
        ("TLP tag", wanted.is_stricter && Tlp::from_tags(tags).is_none_or(|tlp| tlp < wanted.tlp)),
    ];
    let differing: Vec<_> = fields.iter().filter(|(_, differs)| *differs).map(|(field, _)| *field).collect();
    (!differing.is_empty()).then(|| format!("differs in MISP, left as it is: {}", differing.join(", ")))
}

/// What an export of this version sees and does not do yet: changes of the header, and retractions.
fn remarks(wanted: &Wanted, held: &Held, ids: &Ids) -> Vec<String> {
    let mut remarks = Vec::new();
    if held.event.info != wanted.info {
        remarks.push("the event's info differs from the case's title: this version does not change it".to_owned());
    }
    if Tlp::from_tags(held.event.tags()).is_none_or(|tlp| tlp < wanted.tlp) {
        remarks.push(format!(
            "the event lacks the tag {}: this version does not add tags to an event that is there",
            wanted.tlp.tag()
        ));
    }
    let uuids: HashSet<_> =
        wanted.attributes.iter().map(|one| one.uuid).chain(wanted.withheld.iter().copied()).collect();
    let is_dropped = |attribute: &&Attribute| {
        let uuid = Uuid::parse_str(&attribute.uuid).ok();
        attribute.deleted != Some(true) && uuid.is_some_and(|uuid| ids.is_mine(&uuid) && !uuids.contains(&uuid))
    };
    let dropped = held.attributes.iter().filter(is_dropped).count();
    if dropped > 0 {
        remarks.push(format!("{dropped} attributes of earlier exports are no IOCs of the case any more: this version does not retract them"));
    }
    remarks
}

/// IOCs that went out before their TLP forbade it.
fn alarms(wanted: &Wanted, held: &Held) -> Vec<String> {
    let withheld: HashSet<_> = wanted.withheld.iter().map(ToString::to_string).collect();
    let is_exposed =
        |attribute: &&Attribute| attribute.deleted != Some(true) && withheld.contains(&attribute.uuid.to_lowercase());
    let exposed: Vec<_> = held.attributes.iter().filter(is_exposed).map(|attribute| attribute.uuid.as_str()).collect();
    let alarm = || {
        format!(
            "{} IOCs were exported before they became RED or AMBER+STRICT, and everyone who pulls this feed can still read \
             them: this version does not retract them, so remove these attributes from the event's file: {}",
            exposed.len(),
            exposed.join(", ")
        )
    };
    if exposed.is_empty() { Vec::new() } else { vec![alarm()] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn wanted(values: &[String]) -> Wanted {
        let ids = Ids::new("here");
        let uuid = ids.event("~1", "");
        let attribute = |(index, value): (usize, &String)| WantedAttribute {
            uuid: ids.id(&uuid, &["domain", value]),
            kind: "domain".into(),
            category: "Network activity".into(),
            value: value.clone(),
            comment: String::new(),
            tlp: Tlp::Amber,
            is_stricter: false,
            from: vec![index],
        };
        Wanted {
            uuid,
            info: "T".into(),
            date: "2026-01-01".into(),
            threat_level: 2,
            analysis: 0,
            tags: vec!["tlp:amber".into()],
            tlp: Tlp::Amber,
            organisation: json!({}),
            attributes: values.iter().enumerate().map(attribute).collect(),
            withheld: Vec::new(),
        }
    }

    /// What a MISP holds after these attributes arrived.
    fn held<'a>(attributes: impl Iterator<Item = &'a WantedAttribute>) -> Held {
        let attribute = |one: &WantedAttribute| {
            serde_json::from_value(json!({
                "uuid": one.uuid, "type": one.kind, "category": one.category, "value": one.value, "to_ids": true,
                "comment": one.comment, "distribution": one.distribution().to_string(),
            }))
            .unwrap()
        };
        let event = serde_json::from_value(json!({"info": "T", "Tag": [{"name": "TLP:AMBER"}]})).unwrap();
        Held { event, attributes: attributes.map(attribute).collect() }
    }

    proptest! {
        #[test]
        fn a_second_plan_is_empty_whatever_arrived_before(
            values in prop::collection::btree_set("[a-z]{1,8}", 0..20),
            arrived in prop::collection::vec(any::<bool>(), 20),
        ) {
            let wanted = wanted(&values.into_iter().collect::<Vec<_>>());
            let ids = Ids::new("here");
            // A first run that broke off anywhere, then a second one that finishes.
            let before = wanted.attributes.iter().zip(&arrived).filter(|(_, there)| **there).map(|(attribute, _)| attribute);
            let before = held(before);
            let plan = Plan::new(&wanted, Some(&before), &ids);
            let after = held(wanted.attributes.iter());
            prop_assert_eq!(plan.additions(&wanted).count() + before.attributes.len(), wanted.attributes.len());
            let outcome = plan.outcome(&wanted, &Sending::default(), Some(&after));
            prop_assert!(outcome.iter().all(|(verdict, _)| matches!(verdict, Verdict::Created | Verdict::Unchanged)));
            let again = Plan::new(&wanted, Some(&after), &ids);
            prop_assert!(again.is_empty() && again.remarks.is_empty());
        }
    }

    #[test]
    fn without_an_event_all_is_to_be_made() {
        let plan = Plan::new(&wanted(&["a.example".into()]), None, &Ids::new("here"));
        assert_eq!(plan, Plan { create: true, steps: vec![Step::Add], ..Plan::default() });
        assert_eq!(plan.forecast(), [(Verdict::Created, None)]);
    }

    #[test]
    fn what_is_missing_afterwards_is_refused_lost_not_verified_or_not_sent() {
        let wanted = wanted(&["a.example".into()]);
        let plan = Plan::new(&wanted, None, &Ids::new("here"));
        let nothing = held([].into_iter());
        let said = |sending: &Sending, after: Option<&Held>| {
            plan.outcome(&wanted, sending, after)[0].0.reason().unwrap().to_owned()
        };
        let mut sending = Sending::default();
        assert_eq!(said(&sending, Some(&nothing)), "not sent");
        assert!(!sending.had_effect());
        sending.sent(&wanted.attributes, false);
        assert_eq!(said(&sending, Some(&nothing)), "not verified");
        sending.sent(&wanted.attributes, true);
        sending.is_unseen = true;
        assert_eq!(said(&sending, None), "not verified");
        sending.is_unseen = false;
        assert!(said(&sending, None).starts_with("lost"));
        assert!(said(&sending, Some(&nothing)).starts_with("lost"));
        sending.reasons.insert(wanted.attributes[0].uuid, "bad".into());
        assert_eq!(said(&sending, Some(&nothing)), "refused by MISP: bad");
    }

    #[test]
    fn what_went_out_before_it_became_red_is_an_alarm_and_no_retraction() {
        let mut wanted = wanted(&["a.example".into()]);
        let before = held(wanted.attributes.iter());
        wanted.withheld = wanted.attributes.drain(..).map(|attribute| attribute.uuid).collect();
        let plan = Plan::new(&wanted, Some(&before), &Ids::new("here"));
        assert!(plan.remarks.is_empty() && plan.alarms[0].contains(&wanted.withheld[0].to_string()));
    }

    #[test]
    fn closed_items_stay_with_their_organisation() {
        let mut attribute = wanted(&["a.example".into()]).attributes.remove(0);
        assert_eq!((attribute.distribution(), attribute.tags().count()), (5, 0));
        (attribute.tlp, attribute.is_stricter) = (Tlp::AmberStrict, true);
        assert_eq!((attribute.distribution(), attribute.tags().collect::<Vec<_>>()), (0, vec!["tlp:amber+strict"]));
    }
}
