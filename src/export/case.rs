//! The case and its observables, from the job or from TheHive, as checked values. Which of TheHive's two TLP scales the
//! numbers are on is decided here.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use uuid::Uuid;

use crate::json::{Element, Flaw};
use crate::markings::{Pap, Scale, Tlp};
use crate::thehive::TheHive;
use crate::thehive::wire::{Observable, member};
use crate::{tags, time};

/// A case, as far as an event needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// `~25313328`.
    pub id: String,
    /// The number that people use.
    pub number: String,
    /// Its title.
    pub title: String,
    /// When it was created, in milliseconds as TheHive writes it; empty if it does not say.
    pub created: String,
    /// When it began, in seconds since 1970.
    pub start: i64,
    /// 1 low to 4 critical.
    pub severity: i64,
    /// Its TLP.
    pub tlp: Tlp,
    /// Its PAP.
    pub pap: Option<Pap>,
    /// True once it is resolved.
    pub is_resolved: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// True if it is written as TheHive 5 writes cases, whose pages have other addresses.
    pub is_five: bool,
}

/// An observable, or what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ioc {
    /// The observable as read.
    pub observable: Observable,
    /// The stricter of its own TLP and the case's.
    pub tlp: Tlp,
}

/// What an export starts from.
#[derive(Clone, Debug)]
pub struct Input {
    /// The case.
    pub case: Case,
    /// Its observables, in order; a bad one says what it is instead.
    pub observables: Vec<Result<Ioc, String>>,
    /// Why attributes that the case does not want may not be retracted; nothing if the case was read as a whole and is
    /// ours alone.
    pub whole: Result<(), String>,
    /// False if only one observable is exported.
    pub is_case: bool,
    /// The event that the case's one alert was made of, and the connection that the alert names.
    pub origin: Option<(String, Uuid)>,
    /// What the reader should know.
    pub warnings: Vec<String>,
}

/// The observables that a job carries; none if it carries none.
///
/// # Errors
/// That there are more than can be exported.
pub fn carried(data: &Value) -> Result<Option<Vec<Element<Observable>>>> {
    const MOST: usize = 100_000;
    let mut lists = ["observables", "artifacts"].into_iter().filter_map(|name| data.get(name)?.as_array());
    let Some(list) = lists.find(|list| !list.is_empty()) else { return Ok(None) };
    ensure!(list.len() <= MOST, "the job carries more than {MOST} observables: it is not exported");
    let read = |one: &Value| {
        serde_json::from_value(one.clone()).unwrap_or_else(|error| Element::Bad(Flaw::unreadable(&error.to_string())))
    };
    Ok(Some(list.iter().map(read).collect()))
}

/// The case's id, by which TheHive is asked.
///
/// # Errors
/// That the job's data is no case.
pub fn id(data: &Value) -> Result<String> {
    ensure!(data.is_object(), "the job's data is {}, not a case", crate::json::kind(data));
    let id = member(data, &["_id", "id"]).and_then(Value::as_str).filter(|id| !id.trim().is_empty());
    id.map(ToOwned::to_owned).context("the job's data is no case: it has no \"_id\"")
}

/// When the case was created, in milliseconds; empty if its data do not say.
#[must_use]
pub fn created(data: &Value) -> String {
    moment(data, &["_createdAt", "createdAt"]).map(|milliseconds| milliseconds.to_string()).unwrap_or_default()
}

fn moment(data: &Value, names: &[&str]) -> Option<i64> {
    member(data, names).and_then(|value| scalar(value).parse().ok())
}

impl Input {
    /// The same input without what `clean` takes out of its texts; an observable whose value it changes is not exported.
    #[must_use]
    pub fn cleaned(mut self, clean: impl Fn(&str) -> String) -> Self {
        self.case.title = clean(&self.case.title);
        self.case.number = clean(&self.case.number);
        self.case.tags.retain(|tag| clean(tag) == *tag);
        for one in &mut self.observables {
            let Ok(ioc) = one else { continue };
            ioc.observable.message = clean(&ioc.observable.message);
            ioc.observable.tags.retain(|tag| clean(tag) == *tag);
            let name = ioc.observable.attachment.as_ref().map(|attachment| attachment.name.as_str());
            let is_touched = |text: &str| clean(text) != text;
            if is_touched(&ioc.observable.data) || name.is_some_and(is_touched) {
                *one = Err("carries a key of this program's own configuration".to_owned());
            }
        }
        self
    }

    /// Takes case and observables apart. `thehive` tells the TLP scale, if it may be asked.
    ///
    /// # Errors
    /// A case without a member that an event cannot do without.
    pub fn new(data: &Value, elements: Vec<Element<Observable>>, thehive: Option<&TheHive>) -> Result<Self> {
        let mut warnings = Vec::new();
        let scale = scale(data, &elements, thehive, &mut warnings)?;
        let case = case(data, scale, &mut warnings)?;
        let observables = elements.into_iter().map(|element| match element {
            Element::Bad(flaw) => Err(flaw.to_string().replace("not an object", "not an observable")),
            Element::Good(observable) => {
                let own = tlp(observable.tlp, &observable.tlp_label, scale).unwrap_or(case.tlp);
                Ok(Ioc { observable, tlp: own.max(case.tlp) })
            }
        });
        let whole = Err("the job brought the observables, so the case was not read as a whole".to_owned());
        Ok(Self { observables: observables.collect(), case, whole, is_case: true, origin: None, warnings })
    }

    /// The connections that the case's tags `misp:to="<name>"` name.
    #[must_use]
    pub fn addressees(&self) -> Vec<&str> {
        self.case.tags.iter().filter_map(|tag| tags::value(tag, tags::TO)).collect()
    }
}

/// The stricter of number and label. A number outside the scale is read as RED, the strictest.
fn tlp(number: Option<i64>, label: &str, scale: Scale) -> Option<Tlp> {
    let number = number.map(|number| Tlp::from_number(number, scale).unwrap_or(Tlp::Red));
    number.max(Tlp::from_word(label))
}

fn marking(data: &Value, name: &str) -> Option<i64> {
    data.get(name).and_then(|value| crate::json::marking(value).ok().flatten())
}

/// TLP 3 is RED on a scale of four and AMBER+STRICT on one of five. An object tells which by a label or by a 4; else
/// TheHive's version tells; else the stricter reading holds.
fn scale(
    data: &Value,
    elements: &[Element<Observable>],
    thehive: Option<&TheHive>,
    warnings: &mut Vec<String>,
) -> Result<Scale> {
    let of_case =
        (data.get("tlp").and_then(Value::as_i64), data.get("tlpLabel").and_then(Value::as_str).unwrap_or_default());
    let of_observables = elements.iter().filter_map(|element| match element {
        Element::Good(observable) => Some((observable.tlp, observable.tlp_label.as_str())),
        Element::Bad(_) => None,
    });
    let markings: Vec<_> = std::iter::once(of_case).chain(of_observables).collect();
    let is_strict =
        |(number, label): &(Option<i64>, &str)| Tlp::from_word(label) == Some(Tlp::AmberStrict) || *number == Some(4);
    if markings.iter().any(is_strict) {
        return Ok(Scale::Five);
    }
    if !markings.iter().any(|(number, label)| *number == Some(3) && Tlp::from_word(label).is_none()) {
        return Ok(Scale::Four);
    }
    if let Some(thehive) = thehive {
        return thehive.scale();
    }
    if is_five(data) {
        warnings.push(
            "TLP 3 is read as RED, the stricter reading: TheHive 5.2 and later mean AMBER+STRICT by it, earlier ones RED. \
             Set \"thehive_url\" and \"thehive_key\", so that TheHive's version can be asked"
                .to_owned(),
        );
    }
    Ok(Scale::Four)
}

fn case(data: &Value, scale: Scale, warnings: &mut Vec<String>) -> Result<Case> {
    let text = |names: &[&str]| member(data, names).map(scalar).unwrap_or_default();
    let number = |names: &[&str]| moment(data, names);
    let made = number(&["_createdAt", "createdAt"]);
    let start = number(&["startDate"]).or(made).context("the case has neither \"startDate\" nor \"createdAt\"")?;
    let label = text(&["tlpLabel"]);
    let tlp = tlp(marking(data, "tlp"), &label, scale);
    if tlp.is_none() {
        warnings.push("the case has no TLP: AMBER is taken".to_owned());
    }
    let status = text(&["stage", "status"]);
    let case = Case {
        id: id(data)?,
        number: text(&["number", "caseId"]),
        title: text(&["title"]).trim().to_owned(),
        created: created(data),
        start: start.div_euclid(1_000),
        severity: number(&["severity"]).unwrap_or(2),
        tlp: tlp.unwrap_or(Tlp::Amber),
        pap: marking(data, "pap").map(|number| Pap::from_number(number).unwrap_or(Pap::Red)),
        is_resolved: ["resolved", "duplicated", "closed"].contains(&status.to_ascii_lowercase().as_str()),
        tags: data.get("tags").and_then(Value::as_array).into_iter().flatten().map(scalar).collect(),
        is_five: is_five(data),
    };
    ensure!(!time::date(case.start).is_empty(), "the case's \"startDate\" is no moment in milliseconds since 1970");
    Ok(case)
}

/// True for a case with members that TheHive 4 does not have.
fn is_five(data: &Value) -> bool {
    ["stage", "extendedStatus", "customFieldValues"].iter().any(|name| data.get(name).is_some())
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn input(case: Value, observables: Value) -> Input {
        let elements = carried(&json!({"observables": observables})).unwrap().unwrap_or_default();
        Input::new(&case, elements, None).unwrap()
    }

    fn base() -> Value {
        json!({"_id": "~1", "createdAt": 1_630_917_246_993_i64, "startDate": 1_630_917_180_000_i64, "caseId": 42, "title": "T", "tlp": 2})
    }

    fn with(mut case: Value, more: Value) -> Value {
        case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        case
    }

    #[test]
    fn both_versions_of_thehive_give_the_same_case() {
        let four = input(base(), json!([])).case;
        let five = json!({"_id": "~1", "_createdAt": 1_630_917_246_993_i64, "startDate": 1_630_917_180_000_i64, "number": 42, "title": "T", "tlp": 2, "tlpLabel": "AMBER"});
        assert_eq!(input(five, json!([])).case, four);
        assert_eq!((four.created.as_str(), four.start), ("1630917246993", 1_630_917_180));
    }

    #[test]
    fn an_item_is_as_strict_as_the_stricter_of_the_two() {
        let observables = json!([{"tlp": 0}, {"tlp": 3}, {}, {"tlp": 77}, {"tlp": 3.0}, {"tlp": "3"}, {"tlp": "x"}, {"tlp": true}, {"tlp": null}]);
        let tlps: Vec<_> = input(base(), observables).observables.into_iter().map(|ioc| ioc.unwrap().tlp).collect();
        let [amber, red] = [Tlp::Amber, Tlp::Red];
        assert_eq!(tlps, [amber, red, amber, red, red, red, red, red, amber]);
        assert_eq!(input(with(base(), json!({"tlp": "x"})), json!([])).case.tlp, red);
        assert_eq!(input(with(base(), json!({"tlp": 4, "tlpLabel": "GREEN"})), json!([])).case.tlp, red);
    }

    #[test]
    fn a_label_or_a_four_shows_the_scale_of_five() {
        assert_eq!(
            input(with(base(), json!({"tlp": 3, "tlpLabel": "AMBER+STRICT"})), json!([])).case.tlp,
            Tlp::AmberStrict
        );
        assert_eq!(input(with(base(), json!({"tlp": 3})), json!([{"tlp": 4}])).case.tlp, Tlp::AmberStrict);
        assert_eq!(input(with(base(), json!({"tlp": 4})), json!([])).case.tlp, Tlp::Red);
    }

    #[test]
    fn without_a_sign_three_is_red_and_thehive_five_is_told_why() {
        let four = input(with(base(), json!({"tlp": 3})), json!([]));
        assert_eq!((four.case.tlp, four.warnings.len()), (Tlp::Red, 0));
        let five = input(with(base(), json!({"tlp": 3, "stage": "InProgress"})), json!([]));
        assert_eq!((five.case.tlp, five.warnings.len()), (Tlp::Red, 1));
    }

    #[test]
    fn what_is_no_observable_is_named() {
        let observables =
            input(base(), json!(["x", 3, {"dataType": "ip", "data": "192.0.2.1", "ioc": true}])).observables;
        assert_eq!(observables[0], Err("is a text, not an observable".into()));
        assert!(observables[2].as_ref().unwrap().observable.ioc);
    }
}
