//! The programs on a real MISP, side by side with PyMISP and curl on the same events, in turns, and beside MISP's own time:
//! `MISP_URL=http://127.0.0.1:8080 MISP_KEY=… cargo bench --bench programs -- real`. A MISP of another machine is refused, since
//! this writes: it makes events of its own and removes them at the end. Without `MISP_URL` it says so and is done.
//!
//! The key is that of a user who may add events and tags; only a site admin's removes the tags and the entries of the list of
//! deleted events as well. `PYMISP_PYTHON` names a Python with PyMISP, such as one made by `python3 -m venv target/pymisp &&
//! target/pymisp/bin/pip install pymisp`; without it that column stays empty. `BENCH_ROUNDS` is how often each is measured (7),
//! `BENCH_ATTRIBUTES` how many attributes the large events have (`5000,50000`; MISP needs a minute or two to store 50,000).

mod stage;

use serde_json::{Value, json};

use self::stage::{Events, Stage};
use crate::page::{Table, grouped, made_on, publish, publish_picture};
use crate::plot::{Curve, Panel, svg};
use crate::process::{EXPORT, IMPORT, Run, highest_peak, median_time, report, run, run_job};
use crate::thehive;

/// Fetches and parses the events with some tags.
const PYMISP: &str = "import sys
from pymisp import PyMISP
misp = PyMISP(sys.argv[1], sys.stdin.read().strip(), False)
events = misp.search('events', tags=sys.argv[2:], pythonify=True)
print(len(events), sum(len(event.attributes) for event in events))";

pub(crate) fn measure() -> Result<(), String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (url, key) = match (set("MISP_URL"), set("MISP_KEY")) {
        (Some(url), Some(key)) => (url, key),
        (None, _) => {
            println!(
                "\nreal: no MISP was named: MISP_URL and MISP_KEY, as docs/performance.md says"
            );
            return Ok(());
        }
        (_, None) => return Err("MISP_KEY is missing".to_owned()),
    };
    let rounds = set("BENCH_ROUNDS").map_or(Ok(7), |rounds| rounds.parse());
    let rounds = rounds.map_err(|_| "BENCH_ROUNDS is a number")?;
    let sizes = set("BENCH_ATTRIBUTES").unwrap_or("5000,50000".to_owned());
    let sizes: Result<Vec<usize>, _> = sizes.split(',').map(str::parse).collect();
    let sizes = sizes.map_err(|_| "BENCH_ATTRIBUTES are numbers between commas")?;
    let stage = Stage::new(&url, key, &sizes)?;
    let bench = Bench {
        rounds,
        python: set("PYMISP_PYTHON"),
        stage,
    };
    let (imports, of_imports) = bench.imports();
    let otherwise = bench.otherwise();
    let (exports, of_exports) = bench.exports();
    let panels = [
        Panel {
            title: "Import",
            x: "attributes",
            y: "s",
            curves: of_imports,
        },
        Panel {
            title: "Export",
            x: "IOCs",
            y: "s",
            curves: of_exports,
        },
    ];
    publish_picture("performance-real.svg", &svg(&panels));
    let made_on = format!(
        "{} MISP {} on the same machine. Medians of {rounds} rounds, and the highest peak of memory.",
        made_on(),
        bench.stage.version
    );
    publish("real", &made_on, &[imports, otherwise, exports]);
    Ok(())
}

struct Bench {
    rounds: usize,
    python: Option<String>,
    stage: Stage,
}

impl Bench {
    /// Reading events, which are only reported.
    fn imports(&self) -> (Table, Vec<Curve>) {
        let mut table = Table::new(&[
            "import, reported",
            "requests",
            "time",
            "PyMISP",
            "curl",
            "÷ PyMISP",
            "÷ curl",
            "memory",
            "of PyMISP",
        ]);
        let mut curves =
            ["misp-import", "PyMISP", "curl"].map(|name| (name.to_owned(), Vec::new()));
        for events in self.stage.sets() {
            let (mut ours, mut pymisp, mut curl) = (Vec::new(), Vec::new(), Vec::new());
            let job = json!({
                "dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": self.import_config(&events),
            });
            for _ in 0..self.rounds {
                ours.push(run_job(IMPORT, &job));
                pymisp.extend(
                    self.python
                        .iter()
                        .map(|python| self.pymisp(python, &events)),
                );
                curl.push(self.curl(&events));
            }
            let full = report(&ours[0]);
            assert_eq!(
                [
                    &full["ledger"]["events"]["created"],
                    &full["ledger"]["attributes"]["created"]
                ],
                [events.number, events.attributes],
                "{}",
                full["message"]
            );
            let seconds =
                [&ours, &pymisp, &curl].map(|runs| (!runs.is_empty()).then(|| median_time(runs)));
            let ratio = |of: Option<f64>| divided(seconds[0], of);
            table.row(&[
                events.name,
                full["requests"].to_string(),
                in_seconds(seconds[0]),
                in_seconds(seconds[1]),
                in_seconds(seconds[2]),
                ratio(seconds[1]),
                ratio(seconds[2]),
                format!("{:.0} MiB", highest_peak(&ours)),
                if pymisp.is_empty() {
                    "–".to_owned()
                } else {
                    format!("{:.0} MiB", highest_peak(&pymisp))
                },
            ]);
            for ((_, points), seconds) in curves.iter_mut().zip(seconds) {
                points.extend(seconds.map(|seconds| (events.attributes as f64, seconds)));
            }
        }
        let curves = curves.into_iter().filter(|(_, points)| !points.is_empty());
        (table, curves.collect())
    }

    fn import_config(&self, events: &Events) -> Value {
        json!({
            "name": ["bench"], "url": [self.stage.url], "key": [self.stage.key], "instance": "bench.example",
            "published_only": false, "max_age_days": 0, "max_attributes": 0, "max_new_alerts": 0, "include_tags": events.tags,
            // The others do not ask for these, and MISP takes longer over them than over all else.
            "warninglists": "off",
        })
    }

    fn pymisp(&self, python: &str, events: &Events) -> Run {
        let mut arguments = vec!["-c", PYMISP, self.stage.url.as_str()];
        arguments.extend(events.tags.iter().map(String::as_str));
        let run = run(python, &arguments, self.stage.key.as_bytes());
        let printed = String::from_utf8_lossy(&run.printed);
        let expected = format!("{} {}", events.number, events.attributes);
        assert_eq!(printed.trim(), expected, "PyMISP");
        run
    }

    /// The list of events and one search for them, as two processes of curl.
    fn curl(&self, events: &Events) -> Run {
        let index = json!({"tags": events.tags, "minimal": 1}).to_string();
        let search = json!({ "tags": events.tags }).to_string();
        let first = self.stage.post("/events/index", index.as_bytes());
        let mut run = self.stage.post("/events/restSearch", search.as_bytes());
        run.time += first.time;
        run
    }

    /// The second run over events that have their alerts, in a fake TheHive; and what the warninglists cost, which nobody else
    /// asks for.
    fn otherwise(&self) -> Table {
        let mut table = Table::new(&["import otherwise", "to MISP", "time", "memory"]);
        let mut measure = |name: String, config: &Value, verdict: &str, events: &Events| {
            let job = json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config});
            if verdict == "unchanged" {
                report(&run_job(IMPORT, &job));
            }
            let runs: Vec<_> = (0..self.rounds).map(|_| run_job(IMPORT, &job)).collect();
            let full = report(&runs[0]);
            assert_eq!(
                full["ledger"]["events"][verdict], events.number,
                "{}",
                full["message"]
            );
            table.row(&[
                name,
                full["connections"][0]["requests"].to_string(),
                in_seconds(Some(median_time(&runs))),
                format!("{:.0} MiB", highest_peak(&runs)),
            ]);
        };
        let [few, events] = self.stage.ordinary();
        let thehive = thehive::Fake::start(thehive::World::four());
        let mut config = self.import_config(&events);
        config["thehive_url"] = json!(thehive.url());
        config["thehive_key"] = json!(thehive::KEY);
        let name = format!("{} events that have alerts, unchanged", events.number);
        measure(name, &config, "unchanged", &events);
        let mut config = self.import_config(&few);
        config["warninglists"] = json!("annotate");
        let name = format!("{} events, on warninglists or not", few.number);
        measure(name, &config, "created", &few);
        table
    }

    /// Cases that carry their observables go out; beside it one `events/add` by curl of what MISP then holds.
    fn exports(&self) -> (Table, Vec<Curve>) {
        let mut table = Table::new(&[
            "export",
            "requests",
            "time",
            "events/add",
            "÷ events/add",
            "memory",
            "again, requests",
            "again, time",
        ]);
        let mut curves = ["misp-export", "one events/add", "again, unchanged"]
            .map(|name| (name.to_owned(), Vec::new()));
        for (what, size) in [("IOCs", 10), ("IOCs", 300), ("IOCs", 5_000), ("files", 500)] {
            let mut runs = [Vec::new(), Vec::new(), Vec::new()];
            for round in 0..self.rounds {
                let title = format!("{} {what} {round}", grouped(size));
                let job = self.stage.case(&title, what == "files", size);
                let [first, add, again] = &mut runs;
                first.push(run_job(EXPORT, &job));
                let full = report(&first[round]);
                let event = full["connections"][0]["events"][0]["uuid"].as_str();
                let (body, taken) = self.stage.add_copy(event.unwrap());
                add.push(body);
                again.push(run_job(EXPORT, &job));
                self.stage.delete(&[event.unwrap(), &taken]);
            }
            let seconds = [&runs[0], &runs[1], &runs[2]].map(|runs| median_time(runs));
            let requests = |runs: &[Run]| report(&runs[0])["requests"].to_string();
            table.row(&[
                format!("{} {what}", grouped(size)),
                requests(&runs[0]),
                in_seconds(Some(seconds[0])),
                in_seconds(Some(seconds[1])),
                divided(Some(seconds[0]), Some(seconds[1])),
                format!("{:.0} MiB", highest_peak(&runs[0])),
                requests(&runs[2]),
                in_seconds(Some(seconds[2])),
            ]);
            if what == "IOCs" {
                for ((_, points), seconds) in curves.iter_mut().zip(seconds) {
                    points.push((size as f64, seconds));
                }
            }
        }
        (table, curves.into())
    }
}

fn in_seconds(seconds: Option<f64>) -> String {
    seconds.map_or("–".to_owned(), |seconds| format!("{seconds:.2} s"))
}

fn divided(one: Option<f64>, other: Option<f64>) -> String {
    one.zip(other).map_or("–".to_owned(), |(one, other)| {
        format!("{:.2}", one / other)
    })
}
