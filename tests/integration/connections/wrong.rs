//! Sixty configurations and forty servers that are wrong: what a run and the doctor say of each names the item, what is
//! wrong and what to do, and repeats no secret.

mod configurations;
mod servers;

use serde_json::{Value, json};

use crate::doctor::printed;
use crate::misp::{self, key};
use crate::program::Program;
use crate::thehive;

/// Parts of every secret that is configured wrongly here.
const CANARY: &str = "canary";

/// A MISP and a TheHive where all is well, with a case of one IOC.
struct House {
    misp: misp::Fake,
    hive: thehive::Fake,
    case: String,
}

impl House {
    fn new() -> Self {
        let misp = misp::Fake::start(misp::World::new());
        let hive = thehive::Fake::start(thehive::World::five());
        let case = hive.world().add_case(42, "Phishing wave", &json!({}));
        hive.world().add_observable(
            &case,
            &json!({"dataType": "domain", "data": "evil.example", "ioc": true}),
        );
        Self { misp, hive, case }
    }

    /// A good configuration with other items laid over it, of which null takes one away.
    fn config(&self, more: &Value) -> Value {
        let mut config = json!({
            "name": ["corp"], "url": [self.misp.url()], "key": [key("orgadmin")], "instance": "soc.example.org",
            "thehive_url": self.hive.url(), "thehive_key": thehive::KEY,
            "instance_secret": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        });
        let items = config.as_object_mut().unwrap();
        for (item, value) in more.as_object().unwrap() {
            let text = value.to_string().replace("$MISP", &self.misp.url());
            let text = text.replace("$HIVE", &self.hive.url());
            items.insert(item.clone(), serde_json::from_str(&text).unwrap());
        }
        items.retain(|_, value| !value.is_null());
        config
    }

    fn job(&self, program: Program, more: &Value) -> Value {
        let config = self.config(more);
        match program {
            Program::Import => json!({
                "dataType": "other", "data": "x", "parameters": {"command": "misp:sync"}, "config": config
            }),
            Program::Export => {
                json!({"dataType": "thehive:case", "data": {"_id": self.case}, "config": config})
            }
        }
    }

    /// What a run says against this configuration, then what the doctor says.
    fn said(&self, program: Program, more: &Value) -> [String; 2] {
        let job = self.job(program, more);
        let report = program.report(&job);
        let told = printed(program, &job, &[]);
        let told = String::from_utf8(told.stdout).unwrap();
        let lines = told.lines().filter(|line| {
            let line = line.trim_start();
            line.starts_with("FAILED") || line.starts_with("WARNING")
        });
        let words = lines.map(str::trim).collect::<Vec<_>>().join("\n");
        [complaints(&report).join("\n"), words]
    }
}

/// Everything that a report says against something.
fn complaints(report: &Value) -> Vec<String> {
    let mut all: Vec<_> = report["errorMessage"]
        .as_str()
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    let texts = |list: &Value| {
        let texts = list.as_array().into_iter().flatten();
        texts
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    all.extend(texts(&report["full"]["warnings"]));
    for part in report["full"]["connections"]
        .as_array()
        .into_iter()
        .flatten()
    {
        all.extend(texts(&part["warnings"]));
        all.extend(part["error"].as_str().map(ToOwned::to_owned));
    }
    all
}

/// The words that a text lacks; and whether it shows a secret.
fn faults(what: &str, text: &str, words: &[&str]) -> Vec<String> {
    let mut lacking: Vec<_> = words
        .iter()
        .filter(|word| !text.contains(**word))
        .map(|word| format!("{what}: lacks {word:?}: {text}"))
        .collect();
    if text.contains(CANARY) {
        lacking.push(format!("{what}: shows a secret: {text}"));
    }
    lacking
}
