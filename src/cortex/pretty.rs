//! A report as text, for people at a terminal.

use serde_json::Value;

use crate::text::format_count;
use crate::text::reveal_hidden;

/// Rows shown of each list.
const ROWS: usize = 30;

/// Lays a report out. `program` stands in the first line.
#[must_use]
pub fn render(program: &str, report: &Value) -> String {
    let Some(full) = report.get("full") else {
        return format!(
            "{program}: FAILURE\n  {}\n",
            get_text(report, "errorMessage")
        );
    };

    let mut lines = vec![format!("{program}: {}", get_text(full, "message"))];
    lines.extend(
        get_list(full, "warnings")
            .iter()
            .map(|warning| format!("  note  {}", value_text(warning))),
    );

    lines.push(String::new());
    lines.extend(render_ledger(full, "  "));
    for part in get_list(full, "connections") {
        lines.push(String::new());
        lines.extend(render_connection(part));
    }
    lines.extend(get_list(full, "alerts").iter().flat_map(render_alert));
    lines.extend(render_left_out(full));
    let artifacts = get_list(report, "artifacts").len();
    if artifacts > 0 {
        let iocs = format_count(artifacts as u64, "IOC", "IOCs");
        lines.push(format!(
            "\n  {iocs} can be imported as observables from the report"
        ));
    }

    for operation in get_list(report, "operations") {
        lines.push(format!(
            "\n  TheHive is asked: {} {}",
            get_text(operation, "type"),
            get_text(operation, "tag")
        ));
    }

    lines.join("\n") + "\n"
}

fn render_connection(part: &Value) -> Vec<String> {
    let seconds = part
        .get("seconds")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let requests = part
        .get("requests")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let version = part
        .get("version")
        .map(|version| format!(", MISP {}", value_text(version)))
        .unwrap_or_default();

    let mut lines = vec![
        format!(
            "  ── {} ── {} ({}{version})",
            get_text(part, "name"),
            get_text(part, "url"),
            get_text(part, "kind")
        ),
        format!(
            "     {}{}, {seconds:.2} s",
            format_count(requests, "request", "requests"),
            render_retries(part)
        ),
    ];

    if part.get("error").is_some() {
        lines.push(format!("     ERROR  {}", get_text(part, "error")));
    }
    lines.extend(render_ledger(part, "     "));
    lines.extend(
        get_list(part, "warnings")
            .iter()
            .map(|warning| format!("     note  {}", value_text(warning))),
    );

    lines.extend(
        get_list(part, "failures")
            .iter()
            .map(|failure| format!("     FAILED  {}", value_text(failure))),
    );

    let is_look_up = part.get("look_up").is_some();
    lines.extend(render_rows(get_list(part, "events"), |line| {
        render_event(line, is_look_up)
    }));
    let matches: Vec<_> = get_list(part, "events")
        .iter()
        .flat_map(|event| get_list(event, "matches"))
        .cloned()
        .collect();

    lines.extend(render_rows(&matches, render_match));
    lines.extend(render_rows(
        get_list(part, "observables"),
        render_observable,
    ));

    lines
}

/// ", 3 of them put again (429: 2, broken answer: 1)".
fn render_retries(part: &Value) -> String {
    let retries: Vec<_> = part
        .get("retries")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .collect();

    let number: u64 = retries
        .iter()
        .filter_map(|(_, number)| number.as_u64())
        .sum();
    let reasons: Vec<_> = retries
        .iter()
        .map(|(why, number)| format!("{}: {number}", sanitise(why)))
        .collect();
    if number == 0 {
        String::new()
    } else {
        format!(", {number} of them put again ({})", reasons.join(", "))
    }
}

fn render_rows(list: &[Value], row: impl Fn(&Value) -> String) -> Vec<String> {
    let more = list.len().saturating_sub(ROWS);
    let mut rows: Vec<_> = list
        .iter()
        .take(ROWS)
        .map(|value| format!("     {}", row(value)))
        .collect();

    if more > 0 {
        rows.push(format!("     … and {more} more"));
    }
    rows
}

fn render_event(event: &Value, is_look_up: bool) -> String {
    let reason = event
        .get("reason")
        .map(|reason| format!(" ({})", value_text(reason)))
        .unwrap_or_default();
    let attributes = event.get("attributes").and_then(Value::as_u64);
    let (one, several) = if is_look_up {
        ("match", "matches")
    } else {
        ("attribute", "attributes")
    };

    let attributes = attributes
        .map(|number| format_count(number, one, several) + "  ")
        .unwrap_or_default();
    let verdict = match get_text(event, "verdict").as_str() {
        "unchanged" if is_look_up => "found".to_owned(),
        "skipped" if is_look_up => "hidden".to_owned(),
        verdict => verdict.to_owned(),
    };

    format!(
        "{verdict:<9} event {}  {}  TLP:{}  {attributes}{}{reason}",
        get_text(event, "uuid"),
        get_text(event, "date"),
        get_text(event, "tlp"),
        get_text(event, "title"),
    )
}

fn render_match(line: &Value) -> String {
    let mark = if line.get("to_ids") == Some(&Value::Bool(true)) {
        "IDS"
    } else {
        "   "
    };

    let tags: Vec<_> = get_list(line, "tags").iter().map(value_text).collect();
    let sightings = line
        .get("sightings")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let sightings = format_count(sightings, "sighting", "sightings");
    let (attribute, value, differs) = (
        get_text(line, "attribute"),
        get_text(line, "value"),
        get_text(line, "differs"),
    );

    let differs = if differs.is_empty() {
        String::new()
    } else {
        format!(" [{differs}]")
    };

    format!(
        "  {mark} {attribute}  {value}{differs}  {sightings}  {}",
        tags.join(" ")
    )
}

fn render_alert(alert: &Value) -> Vec<String> {
    const OBSERVABLES: usize = 8;

    let observables = get_list(alert, "observables");
    let total = alert
        .get("observableCount")
        .and_then(Value::as_u64)
        .unwrap_or(0);

    let shown = observables.iter().take(OBSERVABLES).map(|observable| {
        let mark = if observable.get("ioc") == Some(&Value::Bool(true)) {
            "IOC"
        } else {
            "   "
        };

        let tags: Vec<_> = get_list(observable, "tags")
            .iter()
            .map(value_text)
            .collect();
        format!(
            "       {mark} {:<18} {}  {}",
            get_text(observable, "dataType"),
            get_text(observable, "data"),
            tags.join(" ")
        )
    });

    let mut lines = vec![format!(
        "\n  Alert from {}: {}",
        get_text(alert, "source"),
        get_text(alert, "title")
    )];

    let tags: Vec<_> = get_list(alert, "tags").iter().map(value_text).collect();
    lines.push(format!("     {}", tags.join(" ")));
    lines.extend(shown);
    let more = total.saturating_sub(observables.len().min(OBSERVABLES) as u64);
    lines.extend((more > 0).then(|| format!("       … and {more} more observables")));

    lines
}

fn render_observable(line: &Value) -> String {
    let attribute = line
        .get("attribute")
        .map(|attribute| format!(" → {}", value_text(attribute)))
        .unwrap_or_default();
    let reason = line
        .get("reason")
        .map(|reason| format!(" ({})", value_text(reason)))
        .unwrap_or_default();
    format!(
        "{:<9} {:<18} {}{attribute}{reason}",
        get_text(line, "verdict"),
        get_text(line, "dataType"),
        get_text(line, "data")
    )
}

fn render_ledger(of: &Value, indent: &str) -> Vec<String> {
    let Some(ledger) = of.get("ledger").and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (item, count) in ledger {
        let numbers: Vec<_> = [
            "fetched",
            "created",
            "updated",
            "unchanged",
            "skipped",
            "failed",
        ]
        .map(|verdict| {
            format!(
                "{verdict} {}",
                count.get(verdict).map(value_text).unwrap_or_default()
            )
        })
        .into();

        lines.push(format!("{indent}{item:<12} {}", numbers.join("   ")));

        for (group, mark) in [("skipped_by", "skipped"), ("failed_by", "FAILED")] {
            let reasons = count
                .get(group)
                .and_then(Value::as_object)
                .into_iter()
                .flatten();

            lines.extend(reasons.map(|(reason, number)| {
                format!("{indent}   {mark} {number}: {}", sanitise(reason))
            }));
        }
    }

    lines
}

fn render_left_out(full: &Value) -> Vec<String> {
    let lists = full
        .get("left_out")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();

    lists
        .map(|(list, number)| format!("\n  {number} more {} are not shown", sanitise(list)))
        .collect()
}

fn get_list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn get_text(of: &Value, name: &str) -> String {
    of.get(name).map(value_text).unwrap_or_default()
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => sanitise(text),
        other => sanitise(&other.to_string()),
    }
}

/// A text from outside can neither steer a terminal nor disguise what it says.
fn sanitise(text: &str) -> String {
    reveal_hidden(text).into_owned()
}
