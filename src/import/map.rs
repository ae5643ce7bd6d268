//! Event to alert, attribute to observables. Pure.

use crate::cortex::report::Artifact;
use crate::full::{Alert, AlertObservable};
use crate::markings::{Pap, Tlp};
use crate::misp::wire::{Attribute, Event};
use crate::secret::Scrubber;
use crate::time;
use crate::types::{self, DataTypes, Found};

/// What an event without TLP is taken for.
const DEFAULT_TLP: Tlp = Tlp::Amber;
const DEFAULT_PAP: Pap = Pap::Amber;

/// Where an event was read: the connection's name, and the event's page if it has one.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// The event's page.
    pub link: Option<String>,
    /// Knows the run's secrets: a text is cleaned before it is cut.
    pub scrubber: &'a Scrubber,
}

/// The beginning of a text that is too long, cleaned first; any other text as it is.
fn cut(text: &str, most: usize, scrubber: &Scrubber) -> String {
    if text.chars().nth(most).is_none() { text.to_owned() } else { scrubber.beginning(text, most) }
}

/// The TLP of an event: the strictest of its tags.
#[must_use]
pub fn tlp(event: &Event) -> Tlp {
    Tlp::from_tags(event.tags()).unwrap_or(DEFAULT_TLP)
}

/// The alert of an event, without observables yet.
#[must_use]
pub fn alert(event: &Event, uuid: &uuid::Uuid, origin: &Origin<'_>) -> Alert {
    let mut tags: Vec<String> = event.tags().map(ToOwned::to_owned).collect();
    bound(&mut tags, origin.scrubber);
    let source_tag = Some(cut(event.organisation(), LONGEST_TAG, origin.scrubber))
        .filter(|name| !name.is_empty())
        .map(|name| format!("src:{name}"));
    Alert {
        kind: "misp",
        source: origin.connection.to_owned(),
        source_ref: uuid.to_string(),
        external_link: origin.link.clone(),
        title: title(event, origin.scrubber),
        description: description(event, origin.scrubber),
        severity: match event.threat_level_id {
            Some(1) => 3,
            Some(3) => 1,
            _ => 2,
        },
        date: time::day(&event.date).unwrap_or(0).saturating_mul(1_000),
        tlp: tlp(event).number(),
        pap: Pap::from_tags(event.tags()).unwrap_or(DEFAULT_PAP).number(),
        tags: source_tag.into_iter().chain(tags).collect(),
        observable_count: 0,
        observables: Vec::new(),
    }
}

/// `#<id> <info>`; a feed has no id.
#[must_use]
pub fn title(event: &Event, scrubber: &Scrubber) -> String {
    let info = cut(event.info.trim(), LONGEST_MESSAGE, scrubber);
    if event.id.is_empty() { info } else { format!("#{} {info}", cut(&event.id, 20, scrubber)) }
}

fn description(event: &Event, scrubber: &Scrubber) -> String {
    let analysis = match event.analysis {
        Some(0) => "initial",
        Some(1) => "ongoing",
        Some(2) => "completed",
        _ => "unknown",
    };
    let threat_level = match event.threat_level_id {
        Some(1) => "high",
        Some(2) => "medium",
        Some(3) => "low",
        _ => "undefined",
    };
    let distribution = match event.distribution {
        Some(0) => "your organisation only",
        Some(1) => "this community only",
        Some(2) => "connected communities",
        Some(3) => "all communities",
        Some(4) => "sharing group",
        _ => "unknown",
    };
    let moment = |label: &str, seconds: Option<i64>| {
        let seconds = seconds.filter(|seconds| *seconds > 0);
        seconds.map(|seconds| format!("- {label}: {}\n", time::moment(seconds))).unwrap_or_default()
    };
    format!(
        "MISP event `{}` of **{}**\n\n- Date: {}\n{}{}- Analysis: {analysis}\n- Threat level: {threat_level}\n- Distribution: {distribution}\n",
        event.uuid,
        if event.organisation().is_empty() {
            "an unknown organisation".to_owned()
        } else {
            cut(event.organisation(), LONGEST_TAG, scrubber)
        },
        cut(&event.date, 20, scrubber),
        moment("Changed", event.timestamp),
        moment("Published", event.publish_timestamp),
    )
}

/// The object that an attribute stands in.
#[derive(Clone, Copy, Debug)]
pub struct Within<'a> {
    /// The object's template.
    pub name: &'a str,
    /// The object's uuid.
    pub uuid: &'a str,
}

/// The observables of an attribute: several for a composite.
///
/// # Errors
/// Why it becomes none.
pub fn observables(
    attribute: &Attribute,
    within: Option<Within<'_>>,
    event_tlp: Tlp,
    data_types: &DataTypes,
) -> Result<Vec<AlertObservable>, String> {
    let found =
        Found { kind: &attribute.kind, category: &attribute.category, value: &attribute.value, uuid: &attribute.uuid };
    let observables = types::observables(&found, data_types).map_err(|reason| reason.to_string())?;
    let names = || attribute.tags.iter().map(|tag| tag.name.as_str());
    let tlp = Tlp::from_tags(names()).unwrap_or(event_tlp);
    let mut common: Vec<String> = Vec::new();
    if let Some(within) = within {
        common.push(format!("misp:object=\"{}:{}\"", within.name, within.uuid.get(..8).unwrap_or(within.uuid)));
    }
    let facts = [
        ("object-relation", &attribute.object_relation),
        ("first-seen", &attribute.first_seen),
        ("last-seen", &attribute.last_seen),
    ];
    common.extend(
        facts.iter().filter(|(_, fact)| !fact.is_empty()).map(|(name, fact)| format!("misp:{name}=\"{fact}\"")),
    );
    common.extend(names().map(ToOwned::to_owned));
    let observable = |one: types::Observable| AlertObservable {
        data_type: one.data_type.into_owned(),
        data: one.data,
        message: attribute.comment.clone(),
        tlp: tlp.number(),
        ioc: attribute.to_ids == Some(true),
        tags: one.tags.into_iter().chain(common.iter().cloned()).collect(),
    };
    Ok(observables.into_iter().map(observable).collect())
}

/// Takes a second observable of the same type and data into the first: tags and flags of both, the stricter TLP, and
/// the first message that says something.
pub fn merge(first: &mut AlertObservable, mut second: AlertObservable) {
    if first.tags.len() >= MOST_TAGS {
        second.tags.clear();
    }
    let told = |tags| types::Observable { data_type: first.data_type.clone().into(), data: first.data.clone(), tags };
    let mut merged = told(first.tags.clone());
    merged.merge(told(second.tags));
    first.tags = merged.tags;
    first.ioc |= second.ioc;
    first.tlp = first.tlp.max(second.tlp);
    if first.message.is_empty() {
        first.message = second.message;
    }
}

/// The longest value of an observable that TheHive takes, in characters.
const LONGEST_DATA: usize = 4_096;
/// The longest comment, title and tag that a report shows, in characters, and the most tags.
const LONGEST_MESSAGE: usize = 2_000;
const LONGEST_TAG: usize = 300;
const MOST_TAGS: usize = 100;

/// An observable within what TheHive takes and a report can show. A value beyond that becomes an `other` observable that
/// names its attribute: a shortened IOC would be a wrong one.
#[must_use]
pub fn bounded(mut observable: AlertObservable, uuid: &str, scrubber: &Scrubber) -> AlertObservable {
    if observable.data.chars().nth(LONGEST_DATA).is_some() {
        observable.message = observable.data;
        observable.data = format!("misp-attribute:{}", cut(uuid, 36, scrubber));
        observable.data_type = "other".to_owned();
        observable.ioc = false;
    }
    observable.message = cut(&observable.message, LONGEST_MESSAGE, scrubber);
    bound(&mut observable.tags, scrubber);
    observable
}

fn bound(tags: &mut Vec<String>, scrubber: &Scrubber) {
    tags.truncate(MOST_TAGS);
    for tag in tags {
        if tag.len() > LONGEST_TAG {
            *tag = cut(tag, LONGEST_TAG, scrubber);
        }
    }
}

/// An IOC as an artifact of the report.
#[must_use]
pub fn artifact(observable: &AlertObservable) -> Artifact {
    Artifact {
        data_type: observable.data_type.clone(),
        data: observable.data.clone(),
        tlp: observable.tlp.min(3),
        tags: observable.tags.clone(),
        message: observable.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    fn attribute(value: Value) -> Attribute {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_event_becomes_an_alert() {
        let event = event(json!({
            "id": 1337, "uuid": "5f0e5b5c-0000-4000-8000-000000000001", "info": " Phishing ", "date": "2024-02-29", "threat_level_id": "1",
            "analysis": 2, "distribution": "3", "timestamp": "1709200000", "publish_timestamp": "0", "Orgc": {"name": "CIRCL"},
            "Tag": [{"name": "TLP:GREEN"}, {"name": "PAP:RED"}, {"name": "tlp:amber+strict"}]
        }));
        let alert = alert(
            &event,
            &uuid::Uuid::nil(),
            &Origin { connection: "partner", link: None, scrubber: &Scrubber::default() },
        );
        insta::assert_json_snapshot!(alert, @r##"
        {
          "type": "misp",
          "source": "partner",
          "sourceRef": "00000000-0000-0000-0000-000000000000",
          "title": "#1337 Phishing",
          "description": "MISP event `5f0e5b5c-0000-4000-8000-000000000001` of **CIRCL**\n\n- Date: 2024-02-29\n- Changed: 2024-02-29 09:46 UTC\n- Analysis: completed\n- Threat level: high\n- Distribution: all communities\n",
          "severity": 3,
          "date": 1709164800000,
          "tlp": 3,
          "pap": 3,
          "tags": [
            "src:CIRCL",
            "TLP:GREEN",
            "PAP:RED",
            "tlp:amber+strict"
          ],
          "observableCount": 0,
          "observables": []
        }
        "##);
    }

    #[test]
    fn an_attribute_keeps_what_it_says_as_tags() {
        let attribute = attribute(json!({
            "type": "ip-dst|port", "category": "Network activity", "value": "203.0.113.7|443", "uuid": "1a2b3c4d-0000-4000-8000-000000000002",
            "to_ids": "1", "comment": "C2", "object_relation": "ip", "first_seen": "2024-01-01T00:00:00.000000+00:00", "Tag": [{"name": "tlp:red"}]
        }));
        let within = Within { name: "network-connection", uuid: "99887766-0000-4000-8000-000000000003" };
        let observables = observables(&attribute, Some(within), Tlp::Green, &DataTypes::thehive4()).unwrap();
        insta::assert_json_snapshot!(observables, @r#"
        [
          {
            "dataType": "ip",
            "data": "203.0.113.7",
            "message": "C2",
            "tlp": 4,
            "ioc": true,
            "tags": [
              "misp:composite=\"ip-dst|port:1a2b3c4d:443\"",
              "misp:object=\"network-connection:99887766\"",
              "misp:object-relation=\"ip\"",
              "misp:first-seen=\"2024-01-01T00:00:00.000000+00:00\"",
              "tlp:red"
            ]
          }
        ]
        "#);
    }

    #[test]
    fn two_of_the_same_value_become_one() {
        let one = |tlp, ioc, message: &str, tag: &str| AlertObservable {
            data_type: "ip".into(),
            data: "192.0.2.1".into(),
            message: message.into(),
            tlp,
            ioc,
            tags: vec!["a".into(), tag.into()],
        };
        let mut first = one(1, false, "", "b");
        merge(&mut first, one(3, true, "said", "c"));
        assert_eq!(
            first,
            AlertObservable { tags: vec!["a".into(), "b".into(), "c".into()], ..one(3, true, "said", "c") }
        );
    }
}
