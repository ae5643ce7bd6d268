//! Servers that send back what they were told, the key with it, however they spell it.

use cortex_misp::import::Import;
use cortex_misp::runtime::report_without_waiting;
use serde_json::{Value, json};

use crate::canaries::{forms, search};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{Program, judged};
use crate::{misp, thehive};

/// A key as servers may spell it, its letters' case turned round among them.
fn spelt(key: &str) -> Vec<String> {
    let turned = |one: char| {
        if one.is_lowercase() {
            one.to_ascii_uppercase()
        } else {
            one.to_ascii_lowercase()
        }
    };
    forms(key)
        .into_iter()
        .chain([key.chars().map(turned).collect(), format!("Bearer {key}")])
        .collect()
}

/// The ways in which an answer may carry a text.
fn answers(text: &str) -> Vec<What> {
    let said =
        json!({"type": text, "name": text, "message": text, "errors": {text: [text]}}).to_string();
    vec![
        What::Status(403, said.clone(), "application/json"),
        What::Status(400, format!("you sent {text}"), "text/plain"),
        What::Status(500, format!("<html>{text}</html>"), "text/html"),
        What::StatusWith(403, said, ("Location", format!("/{text}"))),
        What::Redirect(format!("https://elsewhere.example/?key={text}")),
        What::Body(
            json!({"version": text, "versions": {"TheHive": text}, "login": text}).to_string(),
        ),
        What::Body(format!("{{\"{text}")),
    ]
}

fn report(job: &Value) -> String {
    let report = report_without_waiting::<Import>(job.clone()).to_string();
    search(job, &report);
    judged(Program::Import, report.as_bytes());
    report
}

#[test]
fn a_misp_that_sends_back_its_key_does_not_defeat_the_scrubber() {
    let fake = misp::Fake::start(misp::World::with_corpus());
    fake.world().events.truncate(1);
    let key = misp::key("admin");
    let job = json!({"dataType": "other", "data": "misp:sync", "config": {"name": ["a"], "url": [fake.url()], "key": [key]}});
    let mut removed = 0;
    for text in spelt(&key) {
        for (on, what) in answers(&text)
            .into_iter()
            .flat_map(|what| [("getVersion", what.clone()), ("/events/", what)])
        {
            fake.fault(Fault {
                on,
                nth: Nth::Always,
                what,
            });
            removed += usize::from(report(&job).contains("[removed]"));
            fake.heal();
        }
        fake.world().events[0].info = format!("title {text}");
        removed += usize::from(report(&job).contains("[removed]"));
    }
    assert!(removed > spelt(&key).len() * 5, "{removed}");
}

#[test]
fn a_thehive_that_sends_back_its_key_does_not_defeat_the_scrubber() {
    let (misp, fake) = (
        misp::Fake::start(misp::World::new()),
        thehive::Fake::start(thehive::World::five()),
    );
    let config = json!({"name": ["a"], "url": [misp.url()], "key": [misp::key("admin")],
        "thehive_url": fake.url(), "thehive_key": thehive::KEY});
    let job = json!({"dataType": "other", "data": "misp:sync", "config": config});
    let mut removed = 0;
    for text in spelt(thehive::KEY) {
        for (on, what) in answers(&text)
            .into_iter()
            .flat_map(|what| [("status", what.clone()), ("/api/", what)])
        {
            fake.fault(Fault {
                on,
                nth: Nth::Always,
                what,
            });
            removed += usize::from(report(&job).contains("[removed]"));
            fake.heal();
        }
    }
    assert!(removed > spelt(thehive::KEY).len() * 5, "{removed}");
}
