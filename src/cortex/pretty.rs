//! A report as text, for people at a terminal.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::text::{format_count, reveal_hidden};

/// Rows shown of each list.
const ROWS: usize = 30;
/// Observables shown of each alert.
const OBSERVABLES: usize = 8;

/// What is shown of a report, as it was given: without secrets, and cut if it was too large.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Report {
    full: Option<Full>,
    error_message: String,
    artifacts: Vec<IgnoredAny>,
    operations: Vec<Operation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Full {
    message: String,
    warnings: Vec<String>,
    ledger: Map<String, Value>,
    connections: Vec<Connection>,
    alerts: Vec<Alert>,
    left_out: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Operation {
    #[serde(rename = "type")]
    kind: String,
    tag: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Connection {
    name: String,
    url: String,
    kind: String,
    version: Option<String>,
    seconds: f64,
    requests: u64,
    retries: Map<String, Value>,
    error: Option<String>,
    ledger: Map<String, Value>,
    warnings: Vec<String>,
    failures: Vec<String>,
    look_up: Option<IgnoredAny>,
    events: Vec<Event>,
    observables: Vec<Observable>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    verdict: String,
    uuid: String,
    date: String,
    tlp: String,
    title: String,
    attributes: Option<u64>,
    relations: u64,
    reason: Option<String>,
    is_own: bool,
    matches: Vec<Match>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Match {
    to_ids: bool,
    attribute: String,
    value: String,
    differs: String,
    related: String,
    tags: Vec<String>,
    sightings: u64,
    false_positives: u64,
    expiration: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Alert {
    source: String,
    title: String,
    tags: Vec<String>,
    observable_count: u64,
    observables: Vec<Observable>,
}

/// An observable of an export, or of an alert.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Observable {
    data_type: String,
    data: String,
    verdict: String,
    attribute: Option<String>,
    reason: Option<String>,
    ioc: bool,
    tags: Vec<String>,
}

/// Lays a report out. `program` stands in the first line.
pub fn render(program: &str, report: &Value) -> String {
    let report: Report = serde_json::from_value(sanitise(report.clone())).unwrap_or_default();
    let Some(full) = report.full else {
        return format!("{program}: FAILURE\n  {}\n", report.error_message);
    };

    let mut lines = vec![format!("{program}: {}", full.message)];
    lines.extend(
        full.warnings
            .iter()
            .map(|warning| format!("  note  {warning}")),
    );
    lines.push(String::new());
    let is_look_up = full.connections.iter().any(|part| part.look_up.is_some());
    lines.extend(render_ledger(&full.ledger, is_look_up, "  "));
    for connection in &full.connections {
        lines.push(String::new());
        lines.extend(render_connection(connection));
    }
    lines.extend(full.alerts.iter().flat_map(render_alert));
    for (list, number) in &full.left_out {
        lines.push(format!("\n  {number} more {list} are not shown"));
    }
    if !report.artifacts.is_empty() {
        let (one, several) = match is_look_up {
            true => ("value beside it", "values beside it"),
            false => ("IOC", "IOCs"),
        };
        let number = format_count(report.artifacts.len() as u64, one, several);
        lines.push(format!(
            "\n  {number} can be imported as observables from the report"
        ));
    }
    for Operation { kind, tag } in &report.operations {
        lines.push(format!("\n  TheHive is asked: {kind} {tag}"));
    }

    lines.join("\n") + "\n"
}

fn render_connection(part: &Connection) -> Vec<String> {
    let version = part.version.as_ref();
    let version = version.map_or(String::new(), |version| format!(", MISP {version}"));
    let mut lines = vec![
        format!(
            "  ── {} ── {} ({}{version})",
            part.name, part.url, part.kind
        ),
        format!(
            "     {}{}, {:.2} s",
            format_count(part.requests, "request", "requests"),
            describe_retries(&part.retries),
            part.seconds
        ),
    ];

    lines.extend(labelled("ERROR", part.error.as_slice()));
    let is_look_up = part.look_up.is_some();
    lines.extend(render_ledger(&part.ledger, is_look_up, "     "));
    lines.extend(labelled("note", &part.warnings));
    lines.extend(labelled("FAILED", &part.failures));

    let events = part.events.iter().flat_map(|event| {
        let matches = event.matches.iter().map(render_match);
        std::iter::once(render_event(event, is_look_up)).chain(matches)
    });
    let events: Vec<_> = events.collect();
    let observables: Vec<_> = part.observables.iter().map(render_observable).collect();
    for rows in [events, observables] {
        lines.extend(rows.iter().take(ROWS).map(|row| format!("     {row}")));
        if rows.len() > ROWS {
            lines.push(format!("     … and {} more", rows.len() - ROWS));
        }
    }

    lines
}

fn labelled(label: &str, texts: &[String]) -> impl Iterator<Item = String> {
    texts
        .iter()
        .map(move |text| format!("     {label}  {text}"))
}

/// ", 3 of them put again (429: 2, broken answer: 1)".
fn describe_retries(retries: &Map<String, Value>) -> String {
    let number: u64 = retries.values().filter_map(Value::as_u64).sum();
    let reasons: Vec<_> = retries
        .iter()
        .map(|(why, number)| format!("{why}: {number}"))
        .collect();

    match number {
        0 => String::new(),
        number => format!(", {number} of them put again ({})", reasons.join(", ")),
    }
}

/// A reason in brackets, if there is one.
fn describe_reason(reason: Option<&String>) -> String {
    reason.map_or(String::new(), |reason| format!(" ({reason})"))
}

fn render_event(event: &Event, is_look_up: bool) -> String {
    let (one, several) = match is_look_up {
        true => ("match", "matches"),
        false => ("attribute", "attributes"),
    };
    let attributes = event.attributes.map_or(String::new(), |number| {
        format_count(number, one, several) + "  "
    });
    let is_related = event.attributes == Some(0) && event.relations > 0;
    let attributes = match event.relations {
        0 => attributes,
        number => format!("{attributes}{number} related  "),
    };
    // What a filter hides of a look-up counts as skipped.
    let verdict = match event.verdict.as_str() {
        "found" if is_related => "related",
        "skipped" if event.is_own => "own",
        "skipped" if is_look_up => "hidden",
        verdict => verdict,
    };

    format!(
        "{verdict:<9} event {}  {}  TLP:{}  {attributes}{}{}",
        event.uuid,
        event.date,
        event.tlp,
        event.title,
        describe_reason(event.reason.as_ref())
    )
}

fn render_match(found: &Match) -> String {
    let mark = if found.to_ids { "IDS" } else { "   " };
    let remarks = [&found.differs, &found.related].into_iter();
    let remarks = remarks.filter(|remark| !remark.is_empty());
    let differs: String = remarks.map(|remark| format!(" [{remark}]")).collect();

    let harmless = match found.false_positives {
        0 => String::new(),
        number => format!(", {number} as false positive"),
    };
    let expiration = match found.expiration.as_str() {
        "" => String::new(),
        day => format!(", expires {day}"),
    };

    format!(
        "  {mark} {}  {}{differs}  {}{harmless}{expiration}  {}",
        found.attribute,
        found.value,
        format_count(found.sightings, "sighting", "sightings"),
        found.tags.join(" ")
    )
}

fn render_alert(alert: &Alert) -> Vec<String> {
    let mut lines = vec![
        format!("\n  Alert from {}: {}", alert.source, alert.title),
        format!("     {}", alert.tags.join(" ")),
    ];
    for observable in alert.observables.iter().take(OBSERVABLES) {
        lines.push(format!(
            "       {} {:<18} {}  {}",
            if observable.ioc { "IOC" } else { "   " },
            observable.data_type,
            observable.data,
            observable.tags.join(" ")
        ));
    }
    let shown = alert.observables.len().min(OBSERVABLES) as u64;
    if alert.observable_count > shown {
        let more = alert.observable_count - shown;
        lines.push(format!("       … and {more} more observables"));
    }

    lines
}

fn render_observable(observable: &Observable) -> String {
    let attribute = observable.attribute.as_ref();
    let attribute = attribute.map_or(String::new(), |attribute| format!(" → {attribute}"));

    format!(
        "{:<9} {:<18} {}{attribute}{}",
        observable.verdict,
        observable.data_type,
        observable.data,
        describe_reason(observable.reason.as_ref())
    )
}

/// The numbers of a ledger's item, in the order in which they are shown: the first is the sum of
/// the others.
pub const LEDGER_NUMBERS: [&str; 7] = [
    "fetched",
    "created",
    "updated",
    "unchanged",
    "found",
    "skipped",
    "failed",
];
/// Those of them that a look-up has.
const OF_LOOK_UP: [&str; 4] = ["fetched", "found", "skipped", "failed"];

fn render_ledger(ledger: &Map<String, Value>, is_look_up: bool, indent: &str) -> Vec<String> {
    let word = |name| match name {
        "skipped" if is_look_up => "hidden",
        name => name,
    };
    let mut lines = Vec::new();
    for (item, count) in ledger {
        let number = |name: &str| count.get(name).and_then(Value::as_u64).unwrap_or(0);
        let is_shown = |name: &&str| match is_look_up {
            true => OF_LOOK_UP.contains(name) || number(name) > 0,
            false => *name != "found" || number(name) > 0,
        };
        let numbers = LEDGER_NUMBERS.into_iter().filter(is_shown);
        let numbers: Vec<_> = numbers
            .map(|name| format!("{} {}", word(name), number(name)))
            .collect();
        lines.push(format!("{indent}{item:<12} {}", numbers.join("   ")));

        for (group, mark) in [("skipped_by", word("skipped")), ("failed_by", "FAILED")] {
            let reasons = count.get(group).and_then(Value::as_object);
            for (reason, number) in reasons.into_iter().flatten() {
                lines.push(format!("{indent}   {mark} {number}: {reason}"));
            }
        }
    }

    lines
}

/// A report whose texts, from outside, can neither steer a terminal nor disguise what they say.
fn sanitise(value: Value) -> Value {
    match value {
        Value::String(text) => reveal_hidden(&text).into(),
        Value::Array(list) => list.into_iter().map(sanitise).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (reveal_hidden(&name).into_owned(), sanitise(value)))
            .collect(),
        other => other,
    }
}
