//! A report as text, for people at a terminal.

use serde_json::Value;

use crate::text::counted;
use crate::text::visible;

/// Rows shown of each list.
const ROWS: usize = 30;

/// Lays a report out. `program` stands in the first line.
#[must_use]
pub fn text(program: &str, report: &Value) -> String {
    let Some(full) = report.get("full") else {
        return format!("{program}: FAILURE\n  {}\n", word(report, "errorMessage"));
    };
    let mut lines = vec![format!("{program}: {}", word(full, "message"))];
    lines.extend(list(full, "warnings").iter().map(|warning| format!("  note  {}", plain(warning))));
    lines.push(String::new());
    lines.extend(ledger(full, "  "));
    for part in list(full, "connections") {
        lines.push(String::new());
        lines.extend(connection(part));
    }
    lines.extend(list(full, "alerts").iter().flat_map(alert));
    lines.extend(left_out(full));
    let artifacts = list(report, "artifacts").len();
    if artifacts > 0 {
        let iocs = counted(artifacts as u64, "IOC", "IOCs");
        lines.push(format!("\n  {iocs} can be imported as observables from the report"));
    }
    for operation in list(report, "operations") {
        lines.push(format!("\n  TheHive is asked: {} {}", word(operation, "type"), word(operation, "tag")));
    }
    lines.join("\n") + "\n"
}

fn connection(part: &Value) -> Vec<String> {
    let seconds = part.get("seconds").and_then(Value::as_f64).unwrap_or_default();
    let requests = part.get("requests").and_then(Value::as_u64).unwrap_or_default();
    let version = part.get("version").map(|version| format!(", MISP {}", plain(version))).unwrap_or_default();
    let mut lines = vec![
        format!("  ── {} ── {} ({}{version})", word(part, "name"), word(part, "url"), word(part, "kind")),
        format!("     {}{}, {seconds:.2} s", counted(requests, "request", "requests"), retries(part)),
    ];
    if part.get("error").is_some() {
        lines.push(format!("     ERROR  {}", word(part, "error")));
    }
    lines.extend(ledger(part, "     "));
    lines.extend(list(part, "warnings").iter().map(|warning| format!("     note  {}", plain(warning))));
    lines.extend(list(part, "failures").iter().map(|failure| format!("     FAILED  {}", plain(failure))));
    let is_look_up = part.get("look_up").is_some();
    lines.extend(rows(list(part, "events"), |line| event(line, is_look_up)));
    let matches: Vec<_> = list(part, "events").iter().flat_map(|event| list(event, "matches")).cloned().collect();
    lines.extend(rows(&matches, matched));
    lines.extend(rows(list(part, "observables"), observable));
    lines
}

/// ", 3 of them put again (429: 2, broken answer: 1)".
fn retries(part: &Value) -> String {
    let retries: Vec<_> = part.get("retries").and_then(Value::as_object).into_iter().flatten().collect();
    let number: u64 = retries.iter().filter_map(|(_, number)| number.as_u64()).sum();
    let told: Vec<_> = retries.iter().map(|(why, number)| format!("{}: {number}", shown(why))).collect();
    if number == 0 { String::new() } else { format!(", {number} of them put again ({})", told.join(", ")) }
}

fn rows(list: &[Value], row: impl Fn(&Value) -> String) -> Vec<String> {
    let more = list.len().saturating_sub(ROWS);
    let mut rows: Vec<_> = list.iter().take(ROWS).map(|value| format!("     {}", row(value))).collect();
    if more > 0 {
        rows.push(format!("     … and {more} more"));
    }
    rows
}

fn event(event: &Value, is_look_up: bool) -> String {
    let reason = event.get("reason").map(|reason| format!(" ({})", plain(reason))).unwrap_or_default();
    let attributes = event.get("attributes").and_then(Value::as_u64);
    let (one, several) = if is_look_up { ("match", "matches") } else { ("attribute", "attributes") };
    let attributes = attributes.map(|number| counted(number, one, several) + "  ").unwrap_or_default();
    let verdict = match word(event, "verdict").as_str() {
        "unchanged" if is_look_up => "found".to_owned(),
        "skipped" if is_look_up => "hidden".to_owned(),
        verdict => verdict.to_owned(),
    };
    format!(
        "{verdict:<9} event {}  {}  TLP:{}  {attributes}{}{reason}",
        word(event, "uuid"),
        word(event, "date"),
        word(event, "tlp"),
        word(event, "title"),
    )
}

fn matched(line: &Value) -> String {
    let mark = if line.get("to_ids") == Some(&Value::Bool(true)) { "IDS" } else { "   " };
    let tags: Vec<_> = list(line, "tags").iter().map(plain).collect();
    let sightings = line.get("sightings").and_then(Value::as_u64).unwrap_or_default();
    let sightings = counted(sightings, "sighting", "sightings");
    let (attribute, value, differs) = (word(line, "attribute"), word(line, "value"), word(line, "differs"));
    let differs = if differs.is_empty() { String::new() } else { format!(" [{differs}]") };
    format!("  {mark} {attribute}  {value}{differs}  {sightings}  {}", tags.join(" "))
}

fn alert(alert: &Value) -> Vec<String> {
    const OBSERVABLES: usize = 8;
    let observables = list(alert, "observables");
    let total = alert.get("observableCount").and_then(Value::as_u64).unwrap_or(0);
    let shown = observables.iter().take(OBSERVABLES).map(|observable| {
        let mark = if observable.get("ioc") == Some(&Value::Bool(true)) { "IOC" } else { "   " };
        let tags: Vec<_> = list(observable, "tags").iter().map(plain).collect();
        format!("       {mark} {:<18} {}  {}", word(observable, "dataType"), word(observable, "data"), tags.join(" "))
    });
    let mut lines = vec![format!("\n  Alert from {}: {}", word(alert, "source"), word(alert, "title"))];
    let tags: Vec<_> = list(alert, "tags").iter().map(plain).collect();
    lines.push(format!("     {}", tags.join(" ")));
    lines.extend(shown);
    let more = total.saturating_sub(observables.len().min(OBSERVABLES) as u64);
    lines.extend((more > 0).then(|| format!("       … and {more} more observables")));
    lines
}

fn observable(line: &Value) -> String {
    let attribute = line.get("attribute").map(|attribute| format!(" → {}", plain(attribute))).unwrap_or_default();
    let reason = line.get("reason").map(|reason| format!(" ({})", plain(reason))).unwrap_or_default();
    format!("{:<9} {:<18} {}{attribute}{reason}", word(line, "verdict"), word(line, "dataType"), word(line, "data"))
}

fn ledger(of: &Value, indent: &str) -> Vec<String> {
    let Some(ledger) = of.get("ledger").and_then(Value::as_object) else { return Vec::new() };
    let mut lines = Vec::new();
    for (item, count) in ledger {
        let numbers: Vec<_> = ["fetched", "created", "updated", "unchanged", "skipped", "failed"]
            .map(|verdict| format!("{verdict} {}", count.get(verdict).map(plain).unwrap_or_default()))
            .into();
        lines.push(format!("{indent}{item:<12} {}", numbers.join("   ")));
        for (group, mark) in [("skipped_by", "skipped"), ("failed_by", "FAILED")] {
            let reasons = count.get(group).and_then(Value::as_object).into_iter().flatten();
            lines.extend(reasons.map(|(reason, number)| format!("{indent}   {mark} {number}: {}", shown(reason))));
        }
    }
    lines
}

fn left_out(full: &Value) -> Vec<String> {
    let lists = full.get("left_out").and_then(Value::as_object).into_iter().flatten();
    lists.map(|(list, number)| format!("\n  {number} more {} are not shown", shown(list))).collect()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn word(of: &Value, name: &str) -> String {
    of.get(name).map(plain).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        other => shown(&other.to_string()),
    }
}

/// A text from outside can neither steer a terminal nor disguise what it says.
fn shown(text: &str) -> String {
    visible(text).into_owned()
}
