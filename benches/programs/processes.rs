//! The programs by themselves: their size, how soon an empty job has its report, and what an export into a feed and an import
//! cost where nothing is waited for.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::misp;
use crate::page::{Table, grouped, made_on, publish};
use crate::process::{EXPORT, IMPORT, highest_peak, median_time, run_job};

const ROUNDS: usize = 20;

pub(crate) fn measure() {
    let mut sizes = Table::new(&["program", "size"]);
    for (name, program) in [("misp-export", EXPORT), ("misp-import", IMPORT)] {
        let bytes = fs::metadata(program).unwrap().len();
        sizes.row(&[name, &format!("{:.1} MiB", bytes as f64 / 1_048_576.0)]);
    }
    let mut table = Table::new(&["job", "time", "memory"]);
    line(&mut table, "empty job, import", IMPORT, &json!({}));
    line(&mut table, "empty job, export", EXPORT, &json!({}));
    let fake = misp::Fake::start(misp::World::with_corpus());
    let config = json!({
        "name": ["fake"], "url": [fake.url()], "key": [misp::key("admin")],
        "published_only": false, "max_age_days": 0, "max_attributes": 0,
    });
    let sync = json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config});
    let name = "import of 34 events, of a fake that answers at once";
    line(&mut table, name, IMPORT, &sync);
    for number in [10, 1_000, 5_000] {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("export of {} IOCs into a feed, unchanged", grouped(number));
        line(&mut table, &name, EXPORT, &case(number, folder.path()));
    }
    let made_on = format!(
        "{} Medians of {ROUNDS} runs, and the highest peak of memory.",
        made_on()
    );
    publish("processes", &made_on, &[sizes, table]);
}

fn case(number: usize, folder: &Path) -> Value {
    let observable = |n: usize| json!({"dataType": "domain", "data": format!("host-{n}.example"), "ioc": true, "tlp": 1});
    let observables: Vec<_> = (0..number).map(observable).collect();
    let data = json!({"_id": "~1", "startDate": 1_795_000_000_000_i64, "title": "T", "tlp": 1, "observables": observables});
    let config =
        json!({"name": ["feed"], "url": [format!("file://{}", folder.display())], "key": ["-"]});
    json!({"dataType": "thehive:case", "data": data, "config": config})
}

/// The first run, which makes the event, is not counted.
fn line(table: &mut Table, name: &str, program: &str, job: &Value) {
    let runs: Vec<_> = (0..=ROUNDS)
        .map(|_| run_job(program, job))
        .skip(1)
        .collect();
    table.row(&[
        name,
        &format!("{:.1} ms", median_time(&runs) * 1_000.0),
        &format!("{:.1} MiB", highest_peak(&runs)),
    ]);
}
