//! What was there before a recorded exchange.

use serde_json::{Value, json};

use super::stage::Stage;
use crate::replay::wire::Exchange;

pub(super) fn nothing(_: &mut Stage, _: &Exchange) {}

/// The ids in the recorded request, in order.
fn ids(exchange: &Exchange) -> Vec<String> {
    let text = format!(
        "{} {}",
        exchange.request["path"].as_str().unwrap_or_default(),
        exchange.request["body"]
    );
    let of = |part: &str| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        format!("~{digits}")
    };
    text.split('~').skip(1).map(of).collect()
}

fn first(exchange: &Exchange) -> String {
    ids(exchange).into_iter().next().expect("an id")
}

/// The records of a recorded answer.
fn answered(exchange: &Exchange) -> Vec<Value> {
    exchange.response["body"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn id(record: &Value) -> &str {
    record["_id"].as_str().expect("an id")
}

/// The alert in the request.
pub(super) fn of_path(stage: &mut Stage, exchange: &Exchange) {
    stage.alert(&first(exchange), &Value::Null);
}

pub(super) fn patched(stage: &mut Stage, exchange: &Exchange) {
    stage.alert(&first(exchange), &json!({"title": "t2"}));
}

/// The alert in the request has an observable, `192.0.2.1`.
pub(super) fn with_an_address(stage: &mut Stage, exchange: &Exchange) {
    of_path(stage, exchange);
    stage.observable(("alert", &first(exchange)), "~1", &Value::Null);
}

/// The alerts of the answer.
pub(super) fn alerts(stage: &mut Stage, exchange: &Exchange) {
    for record in answered(exchange) {
        stage.alert(id(&record), &record);
        for _ in 0..record["observableCount"].as_u64().unwrap_or_default() {
            let data = json!({"data": uuid::Uuid::new_v4().to_string(), "dataType": "other"});
            stage.observable(("alert", id(&record)), "~1", &data);
        }
        if let Some(case) = record["caseId"].as_str() {
            if !stage.has(case) {
                stage.case(case, &Value::Null);
            }
            stage.act(
                "POST",
                "orgadmin",
                &format!("/api/alert/{}/merge/{case}", id(&record)),
                &json!({}),
            );
        }
        let fields = json!({"read": record["read"], "follow": record["follow"]});
        stage.act(
            "PATCH",
            "analyst",
            &format!("/api/v1/alert/{}", id(&record)),
            &fields,
        );
    }
}

/// The alerts of the answer, and those of the events that the request leaves out.
pub(super) fn alerts_and_those_left_out(stage: &mut Stage, exchange: &Exchange) {
    alerts(stage, exchange);
    let listed = &answered(exchange)[0];
    let conditions = &exchange.request["body"]["query"][1]["_and"];
    let left_out = conditions[3]["_not"]["_in"]["_values"].as_array();
    for (number, event) in left_out.expect("events").iter().enumerate() {
        let mut other = listed.clone();
        other["sourceRef"] = event.clone();
        stage.alert(&format!("~{number}"), &other);
    }
}

/// An alert like the one that is to be made.
pub(super) fn the_same(stage: &mut Stage, exchange: &Exchange) {
    stage.alert("~1", &exchange.request["body"]);
}

/// The observables of the answer, in an alert.
pub(super) fn observables(stage: &mut Stage, exchange: &Exchange) {
    let alert = first(exchange);
    stage.alert(&alert, &Value::Null);
    for record in answered(exchange) {
        stage.observable(("alert", &alert), id(&record), &record);
    }
}

/// The observable in the request, in an alert.
pub(super) fn observable(stage: &mut Stage, exchange: &Exchange) {
    stage.alert("~1", &Value::Null);
    stage.observable(("alert", "~1"), &first(exchange), &Value::Null);
}

pub(super) fn two_observables(stage: &mut Stage, exchange: &Exchange) {
    stage.alert("~1", &Value::Null);
    for (number, id) in ids(exchange).iter().enumerate() {
        stage.observable(
            ("alert", "~1"),
            id,
            &json!({"data": format!("192.0.2.{number}")}),
        );
    }
}

/// The first two observables of three in the request.
pub(super) fn two_of_three(stage: &mut Stage, exchange: &Exchange) {
    stage.alert("~1", &Value::Null);
    for (number, id) in ids(exchange).iter().take(2).enumerate() {
        let data = json!({"data": format!("192.0.2.{number}")});
        stage.observable(("alert", "~1"), id, &data);
    }
}

/// The observables of the answer, after a change of them and of one that is not there.
pub(super) fn after_a_bulk_of_one_unknown(stage: &mut Stage, exchange: &Exchange) {
    observables(stage, exchange);
    let records = answered(exchange);
    let mut all: Vec<String> = records.iter().map(|one| stage.here(id(one))).collect();
    all.push("~123456789".to_owned());
    let change = json!({"ids": all, "ioc": false});
    let (status, _) = stage.ask("PATCH", "analyst", "/api/v1/observable/_bulk", &change);
    assert_eq!(status, 404);
}

pub(super) fn two_cases(stage: &mut Stage, exchange: &Exchange) {
    for (id, title) in ids(exchange).iter().zip(["rec3 a", "rec3 b"]) {
        stage.case(id, &json!({"title": title}));
    }
}

/// An alert and the case that another alert became, which it is merged into.
pub(super) fn alert_and_case(stage: &mut Stage, exchange: &Exchange) {
    let ids = ids(exchange);
    stage.alert(&ids[0], &json!({"sourceRef": "two"}));
    stage.case(
        &ids[1],
        &json!({"title": "t2", "description": "d", "tags": ["a"]}),
    );
}

pub(super) fn alert_in_case(stage: &mut Stage, exchange: &Exchange) {
    let record = &answered(exchange)[0];
    stage.alert(id(record), record);
    stage.observable(("alert", id(record)), "~1", &Value::Null);
    stage.case("~50487448", &Value::Null);
    stage.act(
        "POST",
        "orgadmin",
        &format!("/api/alert/{}/merge/~50487448", id(record)),
        &json!({}),
    );
}

/// The case in the request.
pub(super) fn a_case(stage: &mut Stage, exchange: &Exchange) {
    let id = ids(exchange)
        .into_iter()
        .next()
        .unwrap_or_else(|| "~1".to_owned());
    stage.case(&id, &Value::Null);
}

/// The case in the answer.
pub(super) fn the_case(stage: &mut Stage, exchange: &Exchange) {
    stage.case(&first(exchange), &answered(exchange)[0]);
}

/// A case with these procedures, of which a real TheHive knows those whose patterns were imported.
pub(super) fn procedures(stage: &mut Stage, exchange: &Exchange) {
    let case = first(exchange);
    stage.case(&case, &Value::Null);
    for record in answered(exchange) {
        let mut procedure = record.clone();
        procedure["caseId"] = stage.here(&case).into();
        stage.ask("POST", "analyst", "/api/v1/procedure", &procedure);
    }
}

pub(super) fn foreign_case(stage: &mut Stage, exchange: &Exchange) {
    let of_answer = answered(exchange).into_iter().next().unwrap_or_default();
    stage.case_of("other", &first(exchange), &of_answer);
}

fn flagged(stage: &mut Stage, exchange: &Exchange, many: usize) {
    let case = first(exchange);
    stage.case(&case, &Value::Null);
    let all: Vec<String> = (0..many)
        .map(|n| format!("198.18.{}.{}", n / 250, n % 250))
        .collect();
    stage.observable(
        ("case", &case),
        "~1",
        &json!({"data": all, "ioc": true, "message": "bulk"}),
    );
}

/// Ten that are flagged, and one that is not.
pub(super) fn ten_iocs(stage: &mut Stage, exchange: &Exchange) {
    flagged(stage, exchange, 10);
    stage.observable(
        ("case", &first(exchange)),
        "~2",
        &json!({"data": "192.0.2.200"}),
    );
}

pub(super) fn ten_recorded(stage: &mut Stage, exchange: &Exchange) {
    let case = first(exchange);
    stage.case(&case, &Value::Null);
    for record in answered(exchange) {
        let file = &record["attachment"];
        match (
            file["name"].as_str(),
            file["size"]
                .as_u64()
                .and_then(|size| usize::try_from(size).ok()),
        ) {
            (Some(name), Some(size)) => stage.file(&case, name, &"x".repeat(size), &record),
            _ => stage.observable(("case", &case), id(&record), &record),
        }
    }
}

/// Page two begins behind 500 others.
pub(super) fn many(stage: &mut Stage, exchange: &Exchange) {
    flagged(stage, exchange, 500);
    for record in answered(exchange) {
        stage.observable(("case", &first(exchange)), id(&record), &record);
    }
}

pub(super) fn thousand(stage: &mut Stage, exchange: &Exchange) {
    let case = first(exchange);
    stage.case(&case, &Value::Null);
    for record in answered(exchange) {
        stage.observable(("case", &case), id(&record), &record);
    }
    let all: Vec<String> = (0..1000)
        .map(|n| format!("198.18.{}.{}", n / 250, n % 250))
        .collect();
    stage.observable(
        ("case", &case),
        "~1",
        &json!({"data": all, "ioc": true, "message": "bulk"}),
    );
}

/// The observables of the answer, which are no IOCs; beside them an IOC with such a tag, and one without a tag.
pub(super) fn tagged_others(stage: &mut Stage, exchange: &Exchange) {
    let case = first(exchange);
    stage.case(&case, &Value::Null);
    for record in answered(exchange) {
        stage.observable(("case", &case), id(&record), &record);
    }
    let ioc = json!({"dataType": "domain", "data": "ioc.example", "ioc": true, "tags": ["misp:sighting=\"expiration\""]});
    let plain = json!({"dataType": "domain", "data": "plain.example", "ioc": false});
    stage.observable(("case", &case), "~1", &ioc);
    stage.observable(("case", &case), "~2", &plain);
}

/// A case with the recorded file.
pub(super) fn a_file(stage: &mut Stage, exchange: &Exchange) {
    let case = ids(exchange)
        .into_iter()
        .next()
        .unwrap_or_else(|| "~1".to_owned());
    stage.case(&case, &Value::Null);
    stage.file(
        &case,
        "évil recorded.bin",
        "MZ recorded content",
        &Value::Null,
    );
}

/// The observable of the answer, in the case or the alert that the answer names.
pub(super) fn an_observable_in_its_place(stage: &mut Stage, exchange: &Exchange) {
    let record = &answered(exchange)[0];
    let (kind, parent) = record["extraData"]["links"]
        .as_object()
        .and_then(|links| links.iter().next())
        .expect("a place");
    match kind.as_str() {
        "case" => stage.case(id(parent), parent),
        _ => stage.alert(id(parent), parent),
    }
    stage.observable((kind, id(parent)), id(record), record);
}

/// Two IOCs, of which one has a message, and gets three others; the last by a call for both.
pub(super) fn two_with_former_messages(stage: &mut Stage, exchange: &Exchange) {
    let ids = ids(exchange);
    stage.case("~1", &Value::Null);
    let one = json!({"dataType": "domain", "data": "one.example", "ioc": true, "message": "C2"});
    stage.observable(("case", "~1"), &ids[0], &one);
    stage.observable(
        ("case", "~1"),
        &ids[1],
        &json!({"dataType": "domain", "data": "two.example", "ioc": true}),
    );
    for change in [json!({"message": "C2 of the wave"}), json!({"tlp": 1})] {
        stage.act(
            "PATCH",
            "analyst",
            &format!("/api/v1/observable/{}", ids[0]),
            &change,
        );
    }
    let both = json!({"ids": [stage.here(&ids[0]), stage.here(&ids[1])], "message": "both"});
    stage.act("PATCH", "analyst", "/api/v1/observable/_bulk", &both);
}
