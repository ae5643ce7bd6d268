//! What an export starts from, as TheHive gives it: a whole case, or one observable with its case;
//! and what may be concluded from it.

use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use uuid::Uuid;

use super::case::{self, ExportInput};
use super::event_tags;
use super::verdicts::SkipRule;
use crate::json::Element;
use crate::tags::{self, Link};
use crate::text::format_count;
use crate::thehive::wire::Observable;
use crate::thehive::{
    AlertOrigin, CaseObservables, CaseProcedure, CaseQuestions, CaseWithIocs, Holder,
    MOST_PROCEDURES, TheHive,
};

/// Reads a case and its IOC observables from TheHive, and what else is asked of it. The alerts that
/// it was made of decide about a new event only.
///
/// # Errors
/// That there is no such case for this user, or what stopped the reading: half a case would look
/// like a whole one.
pub fn fetch_case(id: &str, thehive: &TheHive, asked: CaseQuestions) -> Result<ExportInput> {
    let CaseWithIocs {
        case,
        observables,
        alerts,
        procedures,
    } = thehive.case_with_iocs(id, asked)?;
    let mut input = build_input(&case, observables, check_unshared(&case), thehive)?;
    if let Some(alerts) = alerts {
        input.set_origin(alerts);
    }
    if let Some(procedures) = procedures {
        input.set_procedures(procedures);
    }
    if asked.links {
        let links = case.pointer("/extraData/links");
        input.links = Some(links.cloned().unwrap_or_default());
    }

    Ok(input)
}

fn build_input(
    case: &Value,
    CaseObservables { all, incomplete }: CaseObservables,
    unshared: Result<(), SkipRule>,
    thehive: &TheHive,
) -> Result<ExportInput> {
    let is_bad = all.iter().any(|element| matches!(element, Element::Bad(_)));
    let mut input = ExportInput::new(case, all, Some(thehive))?;
    input.unread.clone_from(&incomplete);
    input.whole = match incomplete {
        Some(why) => Err(SkipRule::CaseIsNotWhole(why)),
        None if is_bad => Err(SkipRule::CaseIsNotWhole(
            "an observable of the case cannot be read".to_owned(),
        )),
        None => unshared,
    };

    Ok(input)
}

/// The data type of an alert.
pub const ALERT: &str = "thehive:alert";

/// An alert and its IOC observables, as TheHive has them; what TheHive 4 sends of an alert has none
/// (`fixtures/jobs/responder_alert_cortex41.json`). An alert is its organisation's alone.
///
/// # Errors
/// That it is one that is not exported, or cannot be read.
pub fn resolve_alert(data: &Value, thehive: Option<&TheHive>) -> Result<ExportInput> {
    let id = case::read_id(data)?;
    let mut input = match (thehive, case::parse_observables(data)?) {
        (Some(thehive), _) => {
            let (alert, observables) = thehive.alert_with_iocs(&id)?;
            build_input(&case::from_alert(alert)?, observables, Ok(()), thehive)?
        }
        (None, Some(observables)) => {
            ExportInput::new(&case::from_alert(data.clone())?, observables, None)?
        }
        (None, None) => bail!(NO_OBSERVABLES),
    };
    input.origin = OnceLock::from(None);

    Ok(input)
}

/// What is said of a job without observables, where they cannot be asked for.
pub const NO_OBSERVABLES: &str = "the job carries no observables, as is usual, and TheHive cannot \
    be asked for them: set \"thehive_url\" and \"thehive_key\" in the responder's configuration";

/// Reads the whole case of the observable that a job is about, whether that is an IOC or not: one
/// that no longer is has to leave the event.
///
/// # Errors
/// See [`fetch_case`]; that TheHive cannot be asked.
pub fn fetch_case_around(
    observable: &Value,
    thehive: Option<&TheHive>,
    asked: CaseQuestions,
) -> Result<ExportInput> {
    let thehive = thehive.context(
        "the parameter \"scope\" asks for the whole case, and TheHive cannot be asked for it: set \
         \"thehive_url\" and \"thehive_key\" in the responder's configuration",
    )?;
    let id = case::read_id(observable)?;
    let case = thehive.fetch_case_of_observable(&id)?;
    let alerts = !event_tags::names_an_event(&case);
    fetch_case(
        &case::read_id(&case)?,
        thehive,
        CaseQuestions { alerts, ..asked },
    )
}

/// The data type of a single observable.
pub const ONE: &str = "thehive:case_artifact";

/// One IOC observable, which joins the event of its case. If its tags link it to others (halves of
/// a composite, the attributes of one file), the case is read, so that it goes out as it would with
/// the whole case.
///
/// # Errors
/// That it is no IOC, or belongs to no case that can be read.
pub fn resolve_observable(data: &Value, thehive: Option<&TheHive>) -> Result<ExportInput> {
    ensure!(
        data.is_object(),
        "the job's data is {}, not an observable",
        crate::json::describe_kind(data)
    );

    let carried: Observable = serde_json::from_value(data.clone())
        .context("the job's data cannot be read as an observable")?;
    // The job's copy may be older than what TheHive has now, or somebody else's word.
    let (observable, around) = match thehive {
        Some(thehive) => thehive.fetch_observable(&carried.id)?,
        None => (carried, None),
    };
    ensure!(
        observable.ioc,
        "the observable is not flagged as IOC: only IOCs are exported; set its flag in TheHive \
         and run the responder again"
    );

    let case = find_case(data, around, &observable.id, thehive)?;
    let is_linked = [tags::COMPOSITE, tags::OBJECT].iter().any(|name| {
        observable
            .tags
            .iter()
            .any(|tag| tags::parse_value(tag, name).is_some())
    });

    let id = observable.id.clone();

    let mut input = match thehive.filter(|_| is_linked) {
        Some(thehive) => {
            let all = thehive
                .fetch_ioc_observables(Holder::Case(&case::read_id(&case)?))?
                .all;
            let of = link_filter(&observable);
            let kept = all
                .into_iter()
                .filter(|one| matches!(one, Element::Good(one) if one.id == id || of(one)));
            ExportInput::new(&case, kept.collect(), Some(thehive))?
        }
        None => ExportInput::new(&case, vec![Element::Good(observable)], thehive)?,
    };

    input.is_case = false;
    let why = "only one observable was exported".to_owned();
    input.whole = Err(SkipRule::CaseIsNotWhole(why));

    Ok(input)
}

/// The case of an observable: as it came with it, as TheHive has it, or as the job carries it.
fn find_case(
    data: &Value,
    around: Option<Value>,
    observable: &str,
    thehive: Option<&TheHive>,
) -> Result<Value> {
    let carried = data
        .get("case")
        .filter(|case| case.get("startDate").is_some() || case.get("createdAt").is_some());

    Ok(match (around, carried, thehive) {
        (Some(case), ..) => case,
        (None, _, Some(thehive)) => thehive.fetch_case_of_observable(observable)?,
        (None, Some(case), None) => case.clone(),
        (None, None, None) => bail!(
            "the job does not say which case the observable belongs to, and TheHive cannot be \
             asked: set \"thehive_url\" and \
             \"thehive_key\" in the responder's configuration"
        ),
    })
}

/// Tells the observables that share a composite or an object with one.
fn link_filter(observable: &Observable) -> impl Fn(&Observable) -> bool {
    let links = |one: &Observable| -> Vec<(Uuid, Uuid)> {
        let names = [tags::COMPOSITE, tags::OBJECT];
        let of = one
            .tags
            .iter()
            .flat_map(|tag| names.iter().filter_map(|name| tags::parse_value(tag, name)));
        of.filter_map(|value| Link::parse(value)?.whole).collect()
    };

    let mine = links(observable);
    move |other| links(other).iter().any(|link| mine.contains(link))
}

/// Why nothing is retracted of a case that others work on too.
pub const SHARED: &str = "the case is shared with other organisations";

/// Why a case may not be retracted from: TheHive says by `shareCount` and `isOwner` whether others
/// work on it too.
fn check_unshared(case: &Value) -> Result<(), SkipRule> {
    let extra = case.get("extraData");
    let shares = extra
        .and_then(|extra| extra.get("shareCount"))
        .and_then(Value::as_i64);

    let is_owner = extra
        .and_then(|extra| extra.get("isOwner"))
        .and_then(Value::as_bool);
    match (shares, is_owner) {
        (Some(0), Some(true)) => Ok(()),
        (Some(_), Some(_)) => Err(SkipRule::CaseIsShared),
        _ => Err(SkipRule::CaseIsNotWhole(
            "TheHive does not say whether the case is shared".to_owned(),
        )),
    }
}

/// The event of the one alert of an import that a case was made of, and the connection that the
/// alert names. Alerts of other kinds that were merged into the case are about something else.
pub fn select_origin(alerts: &[Element<AlertOrigin>]) -> Option<(String, Uuid)> {
    let of = |alert: &Element<AlertOrigin>| match alert {
        Element::Good(alert) if alert.kind != "misp" => None,
        // TheHive's own connector writes the event's number there.
        Element::Good(alert) => Uuid::parse_str(&alert.source_ref)
            .ok()
            .map(|uuid| Some((alert.source.clone(), uuid))),
        // One that cannot be read is one all the same: a case of two is not one of one.
        Element::Bad(_) => Some(None),
    };

    let mut alerts = alerts.iter().filter_map(of);
    alerts.next().filter(|_| alerts.next().is_none()).flatten()
}

impl ExportInput {
    /// Which event the case was made of, by its alerts. That it is not known stops nothing.
    fn set_origin(&mut self, alerts: Result<Vec<Element<AlertOrigin>>>) {
        let origin = resolve_origin(alerts, |warning| self.warnings.push(warning));
        self.origin = OnceLock::from(origin);
    }

    /// The procedures of the case. That they are not known stops nothing.
    fn set_procedures(&mut self, read: Result<Vec<Element<CaseProcedure>>>) {
        let procedures = match read {
            Ok(procedures) => procedures,
            Err(error) => {
                let warning = format!("the case's procedures were not read: {error:#}");
                return self.warnings.push(warning);
            }
        };
        if procedures.len() >= MOST_PROCEDURES {
            self.warnings.push(format!(
                "the case has {MOST_PROCEDURES} procedures or more: the first {MOST_PROCEDURES} go \
                 out"
            ));
        }
        let all = procedures.len();
        let read: Vec<_> = procedures
            .into_iter()
            .filter_map(Element::into_option)
            .collect();
        if read.len() < all {
            let left_out = format_count((all - read.len()) as u64, "procedure", "procedures");
            self.warnings
                .push(format!("{left_out} of the case cannot be read"));
        }
        self.procedures = Some(read);
    }

    /// The event that the case's one alert was made of, and the connection that the alert names.
    /// TheHive is asked, once, if it was not; `warn` is told that it does not say.
    pub fn origin(
        &self,
        thehive: Option<&TheHive>,
        warn: impl FnOnce(String),
    ) -> Option<&(String, Uuid)> {
        let fetch = || resolve_origin(thehive?.fetch_alerts_of_case(&self.case.id), warn);
        self.origin.get_or_init(fetch).as_ref()
    }
}

fn resolve_origin(
    alerts: Result<Vec<Element<AlertOrigin>>>,
    warn: impl FnOnce(String),
) -> Option<(String, Uuid)> {
    match alerts {
        Ok(alerts) => select_origin(&alerts),
        Err(error) => {
            warn(format!(
                "whether the case was made of a MISP alert is not known: {error:#}"
            ));
            None
        }
    }
}
