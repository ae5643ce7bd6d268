//! The case and its observables, from the job or from TheHive, as checked values. Which of
//! TheHive's two TLP scales the numbers are on is decided here.

use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use super::verdicts::SkipRule;
use crate::json::{self, Element, Flaw};
use crate::markings::{self, Pap, Scale, Tlp};
use crate::secret::{Scrubber, truncate_text};
use crate::text::join_first;
use crate::thehive::wire::{Observable, member};
use crate::thehive::{CaseProcedure, Holder, TheHive};
use crate::time;

/// A case, as far as an event needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// `~25313328`.
    pub id: String,
    /// The number that people use.
    pub number: String,
    /// Its title.
    pub title: String,
    /// Its description; none if that holds a secret of ours.
    pub description: Option<String>,
    /// When it was created, in milliseconds as TheHive writes it; empty if it does not say.
    pub created: String,
    /// When it began, in seconds since 1970.
    pub start: i64,
    /// 1 low to 4 critical.
    pub severity: i64,
    /// The stricter of its TLP and its TLP tags.
    pub tlp: Tlp,
    /// The stricter of its PAP and its PAP tags.
    pub pap: Option<Pap>,
    /// True once it is resolved.
    pub is_resolved: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// True if it is written as TheHive 5 writes cases, whose pages have other addresses.
    pub is_five: bool,
    /// True for an alert, which is exported as a case is.
    pub is_alert: bool,
}

impl Case {
    /// What it is in TheHive.
    pub fn holder(&self) -> Holder<'_> {
        match self.is_alert {
            true => Holder::Alert(&self.id),
            false => Holder::Case(&self.id),
        }
    }

    /// What people call it.
    pub fn name(&self) -> String {
        match self.is_alert {
            true => format!("Alert {}", truncate_text(&self.number, LONGEST_REFERENCE)),
            false => format!("Case #{}", self.number),
        }
    }
}

/// The longest reference of an alert that is shown, in characters.
const LONGEST_REFERENCE: usize = 100;

/// An observable, or what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseObservable {
    /// The observable as read.
    pub observable: Observable,
    /// The strictest of its own TLP, its own tags and the case's TLP.
    pub tlp: Tlp,
    /// The same of its PAP.
    pub pap: Option<Pap>,
}

/// What an export starts from.
#[derive(Clone, Debug)]
pub struct ExportInput {
    /// The case.
    pub case: Case,
    /// Its observables, in order; a bad one says what it is instead.
    pub observables: Vec<Result<CaseObservable, String>>,
    /// Why attributes that the case does not want may not be retracted; nothing if the case was
    /// read as a whole and is ours alone.
    pub whole: Result<(), SkipRule>,
    /// Why the case may have more IOCs than were read, if so.
    pub unread: Option<String>,
    /// False if only one observable is exported.
    pub is_case: bool,
    /// False if TheHive says that the case is another organisation's, which shares it.
    pub is_owner: bool,
    /// The event that the case's one alert was made of, and the connection that the alert names,
    /// once it is known.
    pub origin: OnceLock<Option<(String, Uuid)>>,
    /// The case's procedures, as far as they were asked for and read.
    pub procedures: Option<Vec<CaseProcedure>>,
    /// What TheHive says of the case's links, if it was asked.
    pub links: Option<Value>,
    /// What the reader should know.
    pub warnings: Vec<String>,
}

/// The observables that a job carries; none if it carries none.
///
/// # Errors
/// That there are more than can be exported.
pub fn parse_observables(data: &Value) -> Result<Option<Vec<Element<Observable>>>> {
    const MOST: usize = 100_000;

    let mut lists = ["observables", "artifacts"]
        .into_iter()
        .filter_map(|name| data.get(name)?.as_array());
    let Some(list) = lists.find(|list| !list.is_empty()) else {
        return Ok(None);
    };
    ensure!(
        list.len() <= MOST,
        "the job carries more than {MOST} observables: it is not exported"
    );
    let read = |observable: &Value| {
        serde_json::from_value(observable.clone())
            .unwrap_or_else(|error| Element::Bad(Flaw::unreadable(&error.to_string())))
    };

    Ok(Some(list.iter().map(read).collect()))
}

/// The case's id, by which TheHive is asked.
///
/// # Errors
/// That the job's data is no case.
pub fn read_id(data: &Value) -> Result<String> {
    ensure!(
        data.is_object(),
        "the job's data is {}, not a case",
        crate::json::describe_kind(data)
    );

    let id = member(data, &["_id", "id"])
        .and_then(Value::as_str)
        .filter(|id| !id.trim().is_empty());
    id.map(ToOwned::to_owned)
        .context("the job's data is no case: it has no \"_id\"")
}

fn is_alert(data: &Value) -> bool {
    let kind = data.get("_type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("alert"))
}

/// An alert in the words of a case: its number is its reference at its source, for TheHive numbers
/// no alerts, and it began at its date.
///
/// # Errors
/// That it is in MISP already, or in a case.
pub fn from_alert(mut alert: Value) -> Result<Value> {
    let text = |name: &str| alert.get(name).map(scalar_to_text).unwrap_or_default();
    let event = truncate_text(&text("sourceRef"), LONGEST_REFERENCE);
    ensure!(
        !text("type").trim().eq_ignore_ascii_case("misp"),
        "the alert was made from event {event} of MISP \"{}\", where it is already: nothing is \
         exported; what was found since goes out with the case that it becomes",
        truncate_text(&text("source"), LONGEST_REFERENCE)
    );
    let case = member(&alert, &["caseId", "case"]).map(scalar_to_text);
    if let Some(case) = case.filter(|case| !case.is_empty()) {
        bail!("the alert went into case {case}: run the responder on that case");
    }

    let number = alert.get("sourceRef").cloned();
    let start = alert.get("date").cloned();
    if let Some(fields) = alert.as_object_mut() {
        fields.insert("_type".to_owned(), json!("alert"));
        fields.insert("number".to_owned(), number.unwrap_or_default());
        fields.insert("startDate".to_owned(), start.unwrap_or_default());
    }

    Ok(alert)
}

/// When the case was created, in milliseconds; empty if its data do not say.
pub fn created_millis(data: &Value) -> String {
    read_integer(data, &["_createdAt", "createdAt"])
        .map(|milliseconds| milliseconds.to_string())
        .unwrap_or_default()
}

fn read_integer(data: &Value, names: &[&str]) -> Option<i64> {
    member(data, names).and_then(|value| scalar_to_text(value).parse().ok())
}

impl ExportInput {
    /// The observable at this position, if it can be read.
    pub fn ioc_at(&self, index: usize) -> Option<&CaseObservable> {
        self.observables.get(index)?.as_ref().ok()
    }

    /// True if TheHive shows parts of the case to other organisations only.
    pub fn is_shared(&self) -> bool {
        self.whole == Err(SkipRule::CaseIsShared)
    }

    /// The same input without what holds a long secret of ours: what goes out is never rewritten.
    ///
    /// # Errors
    /// That the case's title or number holds one.
    pub fn without_secrets(mut self, scrubber: &Scrubber) -> Result<Self> {
        const HOLDS: &str = "carries a key of this program's own configuration";

        ensure!(
            ![&self.case.title, &self.case.number]
                .into_iter()
                .any(|text| scrubber.has_secret_in(text)),
            "the case's title {HOLDS}: nothing is exported; take it out of the case, and change \
             that key"
        );

        let before = self.case.tags.len();
        self.case.tags.retain(|tag| !scrubber.has_secret_in(tag));
        if self.case.tags.len() < before {
            self.warnings.push(format!(
                "a tag of the case {HOLDS}: it is left out; change that key"
            ));
        }

        let description = &mut self.case.description;
        *description = description
            .take()
            .filter(|text| !scrubber.has_secret_in(text));
        if let Some(procedures) = &mut self.procedures {
            procedures.retain(|one| {
                ![&one.number, &one.name]
                    .into_iter()
                    .any(|text| scrubber.has_secret_in(text))
            });
        }

        for read in &mut self.observables {
            let is_secret = read
                .as_ref()
                .is_ok_and(|CaseObservable { observable, .. }| {
                    let name = observable
                        .attachment
                        .as_ref()
                        .map(|attachment| &attachment.name);
                    let mut texts = [&observable.data, &observable.message]
                        .into_iter()
                        .chain(&observable.tags)
                        .chain(name);
                    texts.any(|text| scrubber.has_secret_in(text))
                });

            if is_secret {
                *read = Err(HOLDS.to_owned());
            }
        }

        Ok(self)
    }

    /// Takes case and observables apart. `thehive` tells the TLP scale, if it may be asked.
    ///
    /// # Errors
    /// A case without a member that an event cannot do without.
    pub fn new(
        data: &Value,
        elements: Vec<Element<Observable>>,
        thehive: Option<&TheHive>,
    ) -> Result<Self> {
        let mut warnings = Vec::new();
        let scale = detect_tlp_scale(data, &elements, thehive, &mut warnings)?;
        let case = parse_case(data, scale, &mut warnings)?;
        let mut marked = Marked::default();
        let observables = elements.into_iter().map(|element| match element {
            Element::Bad(flaw) => Err(flaw
                .to_string()
                .replace("not an object", "not an observable")),
            Element::Good(observable) => Ok(marked.apply_markings(observable, &case, scale)),
        });

        let observables = observables.collect();
        warnings.extend(marked.to_warnings());
        let why = "the job brought the observables, so the case was not read as a whole";
        let whole = Err(SkipRule::CaseIsNotWhole(why.to_owned()));

        let is_owner = data.pointer("/extraData/isOwner").and_then(Value::as_bool) != Some(false);
        Ok(Self {
            observables,
            case,
            whole,
            unread: None,
            is_case: true,
            is_owner,
            origin: OnceLock::new(),
            procedures: None,
            links: None,
            warnings,
        })
    }
}

/// IOCs whose tags mark them otherwise than their fields do, by what a remark says of them.
#[derive(Default)]
struct Marked {
    stricter: Vec<String>,
    unreadable: Vec<String>,
}

impl Marked {
    /// An observable with its markings: the strictest of what is said in field and tags, of it and
    /// of its case.
    fn apply_markings(
        &mut self,
        observable: Observable,
        case: &Case,
        scale: Scale,
    ) -> CaseObservable {
        let names = || observable.tags.iter().map(String::as_str);
        let own = parse_tlp(observable.tlp, &observable.tlp_label, scale)
            .unwrap_or(case.tlp)
            .max(case.tlp);
        let own_pap = observable
            .pap
            .map(|number| Pap::from_number(number).unwrap_or(Pap::Red))
            .max(case.pap);
        let (of_tags, pap_of_tags) = (Tlp::from_tags(names()), Pap::from_tags(names()));
        if observable.ioc {
            let name = || match observable
                .attachment
                .as_ref()
                .map(|attachment| &attachment.name)
            {
                Some(name) if observable.data.is_empty() => truncate_text(name, SHOWN),
                _ => truncate_text(&observable.data, SHOWN),
            };
            let is_readable = |tag: &&str| markings::unreadable_tags([*tag]).next().is_none();
            let is_stricter =
                |tag: &&str| Tlp::from_tag(tag) > Some(own) || Pap::from_tag(tag) > own_pap;
            let stricter = join_tags(names().filter(is_readable).filter(is_stricter));
            let unreadable = join_tags(markings::unreadable_tags(names()));
            for (tags, of) in [
                (stricter, &mut self.stricter),
                (unreadable, &mut self.unreadable),
            ] {
                if !tags.is_empty() {
                    of.push(format!("{} ({tags})", name()));
                }
            }
        }

        CaseObservable {
            tlp: of_tags.map_or(own, |tlp| tlp.max(own)),
            pap: pap_of_tags.max(own_pap),
            observable,
        }
    }

    fn to_warnings(&self) -> Vec<String> {
        let all = [
            (
                &self.stricter,
                "IOCs with a tag that is stricter than their TLP or PAP field: the tag counts",
            ),
            (
                &self.unreadable,
                "IOCs with a tag that cannot be read as a TLP or PAP: RED is taken",
            ),
        ];

        let some = all.into_iter().filter(|(iocs, _)| !iocs.is_empty());
        some.map(|(iocs, what)| format!("{what}: {}", join_first(iocs, 5)))
            .collect()
    }
}

/// The longest value in a remark, in characters.
const SHOWN: usize = 100;

fn join_tags<'t>(tags: impl Iterator<Item = &'t str>) -> String {
    tags.take(3)
        .map(|tag| truncate_text(tag, SHOWN))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The stricter of number and label. A number outside the scale is read as RED, the strictest.
fn parse_tlp(number: Option<i64>, label: &str, scale: Scale) -> Option<Tlp> {
    let number = number.map(|number| Tlp::from_number(number, scale).unwrap_or(Tlp::Red));
    number.max(Tlp::from_word(label))
}

fn read_marking(data: &Value, name: &str) -> Option<i64> {
    data.get(name)
        .and_then(|value| crate::json::marking(value).ok().flatten())
}

/// TLP 3 is RED on a scale of four and AMBER+STRICT on one of five. An object tells which by a
/// label or by a 4; else TheHive's version tells; else the stricter reading holds.
fn detect_tlp_scale(
    data: &Value,
    elements: &[Element<Observable>],
    thehive: Option<&TheHive>,
    warnings: &mut Vec<String>,
) -> Result<Scale> {
    let of_case = (
        data.get("tlp").and_then(Value::as_i64),
        data.get("tlpLabel")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );

    let of_observables = elements.iter().filter_map(|element| match element {
        Element::Good(observable) => Some((observable.tlp, observable.tlp_label.as_str())),
        Element::Bad(_) => None,
    });
    let markings: Vec<_> = std::iter::once(of_case).chain(of_observables).collect();
    let is_strict = |(number, label): &(Option<i64>, &str)| {
        Tlp::from_word(label) == Some(Tlp::AmberStrict) || *number == Some(4)
    };
    if markings.iter().any(is_strict) {
        return Ok(Scale::Five);
    }
    if !markings
        .iter()
        .any(|(number, label)| *number == Some(3) && Tlp::from_word(label).is_none())
    {
        return Ok(Scale::Four);
    }
    if let Some(thehive) = thehive {
        return thehive.scale();
    }

    if is_from_thehive_5(data) {
        warnings.push(
            "TLP 3 is read as RED, the stricter reading: TheHive 5.2 and later mean AMBER+STRICT \
             by it, earlier ones RED. \
             Set \"thehive_url\" and \"thehive_key\", so that TheHive's version can be asked"
                .to_owned(),
        );
    }

    Ok(Scale::Four)
}

fn parse_case(data: &Value, scale: Scale, warnings: &mut Vec<String>) -> Result<Case> {
    let text = |names: &[&str]| member(data, names).map(scalar_to_text).unwrap_or_default();
    let number = |names: &[&str]| read_integer(data, names);
    let start = parse_start(data, warnings)?;
    let tags: Vec<_> = data
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(scalar_to_text)
        .collect();

    let (tlp, pap) = parse_markings(data, scale, &tags, warnings);
    let status = text(&["stage", "status"]);

    let case = Case {
        id: read_id(data)?,
        number: text(&["number", "caseId"]),
        title: text(&["title"]).trim().to_owned(),
        description: Some(text(&["description"])),
        created: created_millis(data),
        start,
        severity: number(&["severity"]).unwrap_or(2),
        tlp,
        pap,
        is_resolved: ["resolved", "duplicated", "closed"]
            .contains(&status.to_ascii_lowercase().as_str()),
        tags,
        is_five: is_from_thehive_5(data),
        is_alert: is_alert(data),
    };

    Ok(case)
}

/// When a case began, in seconds since 1970: else when it was created. TheHive writes milliseconds.
fn parse_start(data: &Value, warnings: &mut Vec<String>) -> Result<i64> {
    let text = |names: &[&str]| {
        member(data, names)
            .map(scalar_to_text)
            .filter(|text| !text.trim().is_empty())
    };

    let readable = |text: &String| {
        json::parse_number(text)
            .map(time::to_seconds)
            .filter(|at| *at > 0 && !time::format_date(*at).is_empty())
    };

    let (start, made) = (text(&["startDate"]), text(&["_createdAt", "createdAt"]));
    ensure!(
        start.is_some() || made.is_some(),
        "the case has neither \"startDate\" nor \"createdAt\""
    );
    let (started, created) = (
        start.as_ref().and_then(readable),
        made.as_ref().and_then(readable),
    );
    if started.is_none() && start.is_some() && created.is_some() {
        warnings.push(
            "the case's \"startDate\" is no moment since 1970: the day of its creation is taken"
                .to_owned(),
        );
    }

    started
        .or(created)
        .context("the case's \"startDate\" is no moment in milliseconds since 1970")
}

/// TLP and PAP of a case: the strictest of what its fields and its tags say.
fn parse_markings(
    data: &Value,
    scale: Scale,
    tags: &[String],
    warnings: &mut Vec<String>,
) -> (Tlp, Option<Pap>) {
    let names = || tags.iter().map(String::as_str);
    let label = data.get("tlpLabel").map(scalar_to_text).unwrap_or_default();
    let tlp = parse_tlp(read_marking(data, "tlp"), &label, scale);
    let pap = read_marking(data, "pap").map(|number| Pap::from_number(number).unwrap_or(Pap::Red));
    let (tlp_of_tags, pap_of_tags) = (Tlp::from_tags(names()), Pap::from_tags(names()));
    let mut stricter = |what: &str, is: &str, of_tags: Option<&str>| {
        let by = of_tags.map(|by| {
            format!("a tag of the case says {what}:{by}, and its {what} is {is}: the tag counts")
        });
        warnings.extend(by);
    };

    stricter(
        "TLP",
        tlp.map_or("not set", Tlp::word),
        tlp_of_tags.filter(|by| Some(*by) > tlp).map(Tlp::word),
    );

    stricter(
        "PAP",
        pap.map_or("not set", Pap::word),
        pap_of_tags.filter(|by| Some(*by) > pap).map(Pap::word),
    );

    let unreadable = join_tags(markings::unreadable_tags(names()));
    if !unreadable.is_empty() {
        warnings.push(format!(
            "tags of the case that cannot be read as a TLP or PAP are taken for RED: {unreadable}"
        ));
    }

    let tlp = tlp.max(tlp_of_tags);
    if tlp.is_none() {
        warnings.push("the case has no TLP: AMBER is taken".to_owned());
    }

    (tlp.unwrap_or(Tlp::Amber), pap.max(pap_of_tags))
}

/// True for a case with members that TheHive 4 does not have.
fn is_from_thehive_5(data: &Value) -> bool {
    ["stage", "extendedStatus", "customFieldValues"]
        .iter()
        .any(|name| data.get(name).is_some())
}

fn scalar_to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_input(case: Value, observables: Value) -> ExportInput {
        let elements = parse_observables(&json!({"observables": observables}))
            .unwrap()
            .unwrap_or_default();
        ExportInput::new(&case, elements, None).unwrap()
    }

    fn sample_case() -> Value {
        json!({"_id": "~1", "createdAt": 1_630_917_246_993_i64, "startDate": 1_630_917_180_000_i64, "caseId": 42, "title": "T", "tlp": 2})
    }

    fn with_members(mut case: Value, more: Value) -> Value {
        case.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        case
    }

    #[test]
    fn both_versions_of_thehive_give_the_same_case() {
        let four = parse_input(sample_case(), json!([])).case;
        let five = json!({"_id": "~1", "_createdAt": 1_630_917_246_993_i64, "startDate": 1_630_917_180_000_i64, "number": 42, "title": "T", "tlp": 2, "tlpLabel": "AMBER"});
        assert_eq!(parse_input(five, json!([])).case, four);
        assert_eq!(
            (four.created.as_str(), four.start),
            ("1630917246993", 1_630_917_180)
        );
    }

    #[test]
    fn an_item_is_as_strict_as_the_stricter_of_the_two() {
        let observables = json!([{"tlp": 0}, {"tlp": 3}, {}, {"tlp": 77}, {"tlp": 3.0}, {"tlp": "3"}, {"tlp": "x"}, {"tlp": true}, {"tlp": null}]);
        let tlps: Vec<_> = parse_input(sample_case(), observables)
            .observables
            .into_iter()
            .map(|ioc| ioc.unwrap().tlp)
            .collect();

        let [amber, red] = [Tlp::Amber, Tlp::Red];
        assert_eq!(tlps, [amber, red, amber, red, red, red, red, red, amber]);

        assert_eq!(
            parse_input(with_members(sample_case(), json!({"tlp": "x"})), json!([]))
                .case
                .tlp,
            red
        );

        assert_eq!(
            parse_input(
                with_members(sample_case(), json!({"tlp": 4, "tlpLabel": "GREEN"})),
                json!([])
            )
            .case
            .tlp,
            red
        );
    }

    #[test]
    fn a_tag_stricter_than_the_field_counts_and_is_told() {
        let observables = json!([
            {"ioc": true, "data": "a", "tlp": 0, "tags": ["TLP: red"]}, {"ioc": true, "data": "b", "tlp": 2, "tags": ["tlp:clear"]},
            {"ioc": true, "data": "c", "tags": ["tlp:rde", "PAP:AMBER"]}, {"data": "d", "tags": ["tlp:green"], "pap": 3},
        ]);
        let case = with_members(
            sample_case(),
            json!({"tags": ["tlp:\"amber+strict\"", "tlp:green", "pap:green"], "pap": 0}),
        );
        let input = parse_input(case, observables);
        assert_eq!(
            (input.case.tlp, input.case.pap),
            (Tlp::AmberStrict, Some(Pap::Green))
        );
        let marks: Vec<_> = input
            .observables
            .iter()
            .map(|one| one.as_ref().map(|ioc| (ioc.tlp, ioc.pap)).unwrap())
            .collect();

        let (strict, red) = (Tlp::AmberStrict, Tlp::Red);
        let [green, amber] = [Some(Pap::Green), Some(Pap::Amber)];

        assert_eq!(
            marks,
            [
                (red, green),
                (strict, green),
                (red, amber),
                (strict, Some(Pap::Red))
            ]
        );

        insta::assert_snapshot!(input.warnings.join("\n"), @r"
        a tag of the case says TLP:AMBER+STRICT, and its TLP is AMBER: the tag counts
        a tag of the case says PAP:GREEN, and its PAP is CLEAR: the tag counts
        IOCs with a tag that is stricter than their TLP or PAP field: the tag counts: a (TLP: red), c (PAP:AMBER)
        IOCs with a tag that cannot be read as a TLP or PAP: RED is taken: c (tlp:rde)
        ");
    }

    #[test]
    fn a_case_begins_when_it_says_in_whatever_unit() {
        let start = |start: Value| {
            let case = ExportInput::new(
                &with_members(sample_case(), json!({"startDate": start})),
                Vec::new(),
                None,
            )
            .unwrap();

            (case.case.start, case.warnings.len())
        };

        for written in [
            json!(1_630_917_180),
            json!(1_630_917_180_000_i64),
            json!("1630917180000.5"),
            json!(1.630_917_18e12),
        ] {
            assert_eq!(start(written.clone()), (1_630_917_180, 0), "{written}");
        }

        for written in [json!(-5), json!("soon"), json!(0)] {
            assert_eq!(start(written.clone()), (1_630_917_246, 1), "{written}");
        }
        assert_eq!(start(json!(null)), (1_630_917_246, 0));
    }

    #[test]
    fn a_label_or_a_four_shows_the_scale_of_five() {
        assert_eq!(
            parse_input(
                with_members(sample_case(), json!({"tlp": 3, "tlpLabel": "AMBER+STRICT"})),
                json!([])
            )
            .case
            .tlp,
            Tlp::AmberStrict
        );

        assert_eq!(
            parse_input(
                with_members(sample_case(), json!({"tlp": 3})),
                json!([{"tlp": 4}])
            )
            .case
            .tlp,
            Tlp::AmberStrict
        );

        assert_eq!(
            parse_input(with_members(sample_case(), json!({"tlp": 4})), json!([]))
                .case
                .tlp,
            Tlp::Red
        );
    }

    #[test]
    fn without_a_sign_three_is_red_and_thehive_five_is_told_why() {
        let four = parse_input(with_members(sample_case(), json!({"tlp": 3})), json!([]));
        assert_eq!((four.case.tlp, four.warnings.len()), (Tlp::Red, 0));
        let five = parse_input(
            with_members(sample_case(), json!({"tlp": 3, "stage": "InProgress"})),
            json!([]),
        );
        assert_eq!((five.case.tlp, five.warnings.len()), (Tlp::Red, 1));
    }

    #[test]
    fn what_is_no_observable_is_named() {
        let observables = parse_input(
            sample_case(),
            json!(["x", 3, {"dataType": "ip", "data": "192.0.2.1", "ioc": true}]),
        )
        .observables;

        assert_eq!(observables[0], Err("is a text, not an observable".into()));
        assert!(observables[2].as_ref().unwrap().observable.ioc);
    }
}
