//! Imports over a network that breaks: one exchange after the other, with MISP and with TheHive, goes wrong in every way
//! there is. Whatever goes wrong, the report says what is true, the next run completes the alerts, and the one after it
//! writes nothing.

mod killed;
mod racing;
mod slow;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use cortex_misp::import::Import;
use cortex_misp::worker;
use serde_json::{Value, json};

use crate::http_fake::Logged;
use crate::misp::{self, key};
use crate::program::{Program, judged, search};
use crate::proxy::{Answer, How, Proxy};
use crate::thehive::{self, Version};

const fn said(status: u16, kind: &'static str, body: &'static str, is_done: bool) -> Answer {
    Answer { status, kind, body, is_done }
}

const JSON: &str = "application/json";
static BUSY: Answer = said(429, JSON, r#"{"message":"Rate limit exceeded"}"#, false);
static BROKEN: Answer =
    said(500, JSON, r#"{"type":"InternalError","message":"An internal error has occurred"}"#, false);
static DOWN: Answer = said(503, "text/html", "<html>Maintenance</html>", false);
static LATE: Answer = said(504, "text/html", "<html>Gateway timeout</html>", true);
static PAGE: Answer = said(200, "text/html", "<html>Sign in</html>", true);
static PAGE_AS_JSON: Answer = said(200, JSON, "<html>Sign in</html>", true);
static OBJECT: Answer = said(200, JSON, "{}", true);
static LIST: Answer = said(200, JSON, "[]", true);
static NOTHING: Answer = said(204, "", "", true);

/// What goes wrong once, in one exchange.
const ONCE: [How; 12] = [
    How::BeforeRequest,
    How::AfterRequest,
    How::InBody,
    How::Instead(&BUSY),
    How::Instead(&BROKEN),
    How::Instead(&DOWN),
    How::Instead(&LATE),
    How::Instead(&PAGE),
    How::Instead(&PAGE_AS_JSON),
    How::Instead(&OBJECT),
    How::Instead(&LIST),
    How::Instead(&NOTHING),
];

/// What goes wrong from one exchange on until the end of the run.
const FOR_EVER: [How; 5] =
    [How::BeforeRequest, How::AfterRequest, How::Instead(&BUSY), How::Instead(&BROKEN), How::Instead(&DOWN)];

/// So many of the things that are wrong are told.
const WRONG: usize = 40;

/// What a failed connection or a server that lies may make a run believe, without any error to be seen.
fn is_believable(how: How) -> bool {
    [How::Instead(&OBJECT), How::Instead(&LIST)].contains(&how)
}

/// Both servers, and proxies in front of them.
struct Stage {
    misp: misp::Fake,
    thehive: thehive::Fake,
    to_misp: Proxy,
    to_thehive: Proxy,
    options: Value,
}

/// What both servers hold at the beginning.
#[derive(Clone)]
struct Start {
    misp: misp::World,
    thehive: thehive::World,
}

fn hive(version: Version) -> thehive::World {
    match version {
        Version::Four => thehive::World::four(),
        Version::Five => thehive::World::five(),
    }
}

impl Stage {
    fn new(start: &Start) -> Self {
        let (misp, thehive) = (misp::Fake::start(start.misp.clone()), thehive::Fake::start(start.thehive.clone()));
        let (to_misp, to_thehive) = (Proxy::start(&misp.url()), Proxy::start(&thehive.url()));
        Self { misp, thehive, to_misp, to_thehive, options: json!({"max_parallel": 1}) }
    }

    /// No alerts yet.
    fn first(version: Version) -> (Self, Start) {
        let start = Start { misp: world::misp(), thehive: hive(version) };
        (Self::new(&start), start)
    }

    /// No alerts yet, and a TheHive that refuses one of the values: the alert is created without observables at first.
    fn refusing(version: Version) -> (Self, Start) {
        let (_, mut start) = Self::first(version);
        start.thehive.refuses.push("https://evil.example/a".to_owned());
        // Techniques that were not set with the alert are told of and not set later.
        start.misp.event_mut("101").unwrap().tags.truncate(1);
        (Self::new(&start), start)
    }

    /// All alerts are there, and three of the events have changed since.
    fn changed(version: Version) -> (Self, Start) {
        let (stage, _) = Self::first(version);
        assert!(is_complete(&stage.run()));
        world::change(&mut stage.misp.world());
        let start = Start { misp: stage.misp.world().clone(), thehive: stage.thehive.world().clone() };
        (stage, start)
    }

    fn job(&self) -> Value {
        let mut job = json!({
            "dataType": "other", "data": "misp:sync", "tlp": 0, "pap": 0, "parameters": {"since": "all"},
            "config": {
                "name": ["partner"], "url": [self.to_misp.url()], "key": [key("admin")], "instance": "test.example",
                "thehive_url": self.to_thehive.url(), "thehive_key": thehive::KEY, "max_age_days": 0, "max_attributes": 0,
            },
        });
        job["config"].as_object_mut().unwrap().extend(self.options.as_object().unwrap().clone());
        job
    }

    /// One run in this process.
    fn run(&self) -> Value {
        report(&self.job())
    }

    fn reset(&self, start: &Start) {
        let url = self.misp.url();
        *self.misp.world() = misp::World { url, ..start.misp.clone() };
        let mut thehive = start.thehive.clone();
        thehive.url = self.thehive.url();
        *self.thehive.world() = thehive;
        self.forget();
    }

    fn forget(&self) {
        self.misp.forget_requests();
        self.thehive.forget_requests();
    }

    fn state(&self) -> State {
        state(&self.thehive.world())
    }

    /// The requests that could have changed something.
    fn writes(&self) -> Vec<String> {
        assert_eq!(misp::writes(&self.misp), [""; 0]);
        let requests = self.thehive.requests().into_iter();
        let writes = requests.filter(|one| one.method != "GET" && !one.path.starts_with("/api/v1/query"));
        writes.map(|one| format!("{} {}", one.method, one.path)).collect()
    }

    /// The state after an undisturbed run from this start, and what is asked of MISP and of TheHive.
    fn undisturbed(&self, start: &Start) -> (State, [Vec<String>; 2]) {
        self.reset(start);
        let report = self.run();
        let path = |one: Logged| format!("{} {}", one.method, one.path.split(['?', ':']).next().unwrap_or_default());
        let asked = [self.misp.requests(), self.thehive.requests()].map(|all| all.into_iter().map(path).collect());
        assert!(report["success"] == true, "{report:#}");
        let done = self.state();
        assert!(done.0.values().all(Alert::is_complete), "{done:#?}");
        self.forget();
        self.run();
        assert_eq!(self.writes(), [""; 0]);
        (done, asked)
    }

    fn sides(&self) -> [&Proxy; 2] {
        [&self.to_misp, &self.to_thehive]
    }

    /// The next run completes the alerts, and the one after it has nothing to write; else what is wrong.
    fn completes(&self, done: &State) -> Result<(), String> {
        self.forget();
        let report = self.run();
        let difference = difference(&self.state(), done);
        if report["success"] != true || !difference.is_empty() {
            return Err(format!("is not completed: {difference:?} {:?} {:#}", self.writes(), told(&report)));
        }
        if self.writes().is_empty() {
            return Ok(());
        }
        self.forget();
        self.run();
        let writes = self.writes();
        if writes.is_empty() { Ok(()) } else { Err(format!("writes again: {writes:?}")) }
    }
}

/// What a report says in a few lines.
fn told(report: &Value) -> Value {
    let part = &report["full"]["connections"][0];
    json!([report["errorMessage"], report["full"]["message"], part["error"], part["warnings"]])
}

/// How what is there differs from what should be.
fn difference(now: &State, done: &State) -> Vec<String> {
    let mut all = Vec::new();
    let empty = Alert { fields: json!({}), observables: BTreeMap::new() };
    let events: BTreeSet<_> = now.0.keys().chain(done.0.keys()).collect();
    for event in events {
        let [one, other] = [now, done].map(|state| state.0.get(event).unwrap_or(&empty));
        let fields: BTreeSet<_> =
            [one, other].iter().flat_map(|alert| alert.fields.as_object().unwrap().keys()).collect();
        let fields = fields.into_iter().map(|name| (name, &one.fields[name], &other.fields[name]));
        let names: BTreeSet<_> = one.observables.keys().chain(other.observables.keys()).collect();
        let parts = names.into_iter().map(|name| {
            (
                name,
                one.observables.get(name).unwrap_or(&Value::Null),
                other.observables.get(name).unwrap_or(&Value::Null),
            )
        });
        let differs = fields.chain(parts).filter(|(_, now, done)| now != done);
        all.extend(
            differs.map(|(name, now, done)| format!("{} {name}: {now} and not {done}", &event[event.len() - 2..])),
        );
    }
    all
}

/// A report of one run in this process, judged like one of the program.
fn report(job: &Value) -> Value {
    let report = worker::report_at_once::<Import>(job.clone());
    let text = report.to_string();
    search(job, &text);
    judged(Program::Import, text.as_bytes())
}

fn is_complete(report: &Value) -> bool {
    report["success"] == true && !report["full"]["message"].as_str().unwrap().starts_with("INCOMPLETE")
}

/// An alert and what it has, without numbers and times.
#[derive(Clone, Debug, PartialEq)]
struct Alert {
    fields: Value,
    observables: BTreeMap<String, Value>,
}

impl Alert {
    fn is_complete(&self) -> bool {
        self.fields["description"].as_str().unwrap().contains(" complete=yes ")
    }
}

/// The alerts by the uuids of their events.
#[derive(Clone, Debug, PartialEq)]
struct State(BTreeMap<String, Alert>);

/// What a TheHive holds. Breaks if anything is there twice.
fn state(world: &thehive::World) -> State {
    let mut alerts = BTreeMap::new();
    for alert in &world.alerts {
        let id = alert["_id"].as_str().unwrap();
        let names =
            ["title", "description", "severity", "date", "tlp", "pap", "externalLink", "read", "status", "follow"];
        let mut fields: Value = names.iter().map(|name| ((*name).to_owned(), alert[*name].clone())).collect();
        fields["tags"] = sorted(&alert["tags"]);
        let procedures = world.procedures.iter().filter(|(of, _)| of == id);
        fields["procedures"] = procedures.map(|(_, one)| one["patternId"].clone()).collect();
        let mut observables = BTreeMap::new();
        for one in world.observables_of(id) {
            let name = format!("{} {}", one["dataType"].as_str().unwrap(), one["data"].as_str().unwrap());
            let is = json!({
                "tlp": one["tlp"], "ioc": one["ioc"], "sighted": one["sighted"], "message": one["message"], "tags": sorted(&one["tags"]),
            });
            assert_eq!(observables.insert(name.clone(), is), None, "twice: {name}");
        }
        let event = alert["sourceRef"].as_str().unwrap().to_owned();
        assert!(alerts.insert(event.clone(), Alert { fields, observables }).is_none(), "twice: {event}");
    }
    State(alerts)
}

fn sorted(tags: &Value) -> Value {
    let mut tags: Vec<&str> = tags.as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    let number = tags.len();
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), number, "a tag is there twice: {tags:?}");
    json!(tags)
}

/// What a report says that is not true. A failure has changed nothing; an alert that is said to be there is as it should
/// be; one that failed is not, unless nobody could look; and a run that does not say it is incomplete is complete.
fn lies(report: &Value, before: &State, now: &State, done: &State) -> Vec<String> {
    if report["success"] == false {
        return difference(now, before).into_iter().map(|one| format!("a failure changed {one}")).collect();
    }
    let part = &report["full"]["connections"][0];
    let warnings = part["warnings"].as_array().into_iter().flatten();
    // Without their tags nobody claims that the alerts are complete.
    let is_warned = warnings.into_iter().any(|one| one.to_string().contains("MISP's warninglists"));
    let is_wrong = |line: &&Value| {
        let uuid = line["uuid"].as_str().unwrap();
        let [before, now, done] = [before, now, done].map(|state| state.0.get(uuid));
        let is_done = is_warned || now == done;
        match line["verdict"].as_str().unwrap() {
            "created" => !is_done || before.is_some() || now.is_none(),
            "updated" => !is_done || now == before,
            "unchanged" => !is_done,
            "failed" => !line["reason"].as_str().unwrap().contains("not verified") && now == done,
            "skipped" => now != before,
            other => panic!("{other}: {line}"),
        }
    };
    let lines = part["events"].as_array().into_iter().flatten().filter(is_wrong);
    let mut lies: Vec<_> = lines.map(ToString::to_string).collect();
    if is_complete(report) && !is_warned && now != done {
        lies.push("it says that it is complete".to_owned());
    }
    if !lies.is_empty() {
        lies.push(format!("{:?} {:#}", difference(now, done), told(report)));
    }
    lies
}

/// How a fault goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    Once,
    ForEver,
}

/// Breaks one exchange after the other in one way; gives how many runs were complete all the same, and what is wrong.
fn break_each(stage: &Stage, start: &Start, how: How, lasts: Lasts, wrong: &mut Vec<String>) -> usize {
    let (done, asked) = stage.undisturbed(start);
    let mut completed = 0;
    for (side, asked) in asked.into_iter().enumerate() {
        for (number, path) in asked.iter().enumerate() {
            let at = number + 1;
            if path.contains("checkValue") && is_believable(how) {
                continue;
            }
            stage.reset(start);
            let proxy = stage.sides()[side];
            let (before, first) = (stage.state(), proxy.exchanges());
            match lasts {
                Lasts::Once => proxy.cut(first + at, how),
                Lasts::ForEver => proxy.cut_from(first + at, how),
            }
            let report = stage.run();
            proxy.heal();
            let place = format!("{} {at} of {} {path} {how:?} {lasts:?}", ["MISP", "TheHive"][side], asked.len());
            assert!(proxy.exchanges() >= first + at, "{place}");
            let now = stage.state();
            if !is_believable(how) {
                wrong.extend(lies(&report, &before, &now, &done).into_iter().map(|one| format!("{place}: {one}")));
            }
            completed += usize::from(is_complete(&report) && now == done);
            wrong.extend(stage.completes(&done).err().map(|one| format!("{place}: {one}")));
        }
    }
    completed
}

/// All that may go wrong once.
fn break_once((stage, start): (Stage, Start), least: usize) {
    let mut wrong = Vec::new();
    let completed: usize = ONCE.into_iter().map(|how| break_each(&stage, &start, how, Lasts::Once, &mut wrong)).sum();
    assert!(wrong.is_empty(), "{} are wrong: {}", wrong.len(), wrong[..wrong.len().min(WRONG)].join("\n"));
    // Questions are asked again, and cut writes are looked after, in the same run.
    assert!(completed >= least, "{completed}");
}

fn break_for_ever((stage, start): (Stage, Start)) {
    let mut wrong = Vec::new();
    for how in FOR_EVER {
        break_each(&stage, &start, how, Lasts::ForEver, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} are wrong: {}", wrong.len(), wrong[..wrong.len().min(WRONG)].join("\n"));
}

#[test]
fn a_first_import_into_thehive_4_survives_every_fault() {
    break_once(Stage::first(Version::Four), 60);
}

#[test]
fn a_first_import_into_thehive_5_survives_every_fault() {
    break_once(Stage::first(Version::Five), 60);
}

#[test]
fn an_update_in_thehive_4_survives_every_fault() {
    break_once(Stage::changed(Version::Four), 60);
}

#[test]
fn an_update_in_thehive_5_survives_every_fault() {
    break_once(Stage::changed(Version::Five), 60);
}

#[test]
fn an_import_that_is_refused_survives_every_fault() {
    // Each says that a value was refused, and so does the undisturbed one.
    break_once(Stage::refusing(Version::Five), 0);
}

#[test]
fn a_first_import_into_servers_that_stay_down_is_completed_later() {
    break_for_ever(Stage::first(Version::Five));
}

#[test]
fn an_update_by_servers_that_stay_down_is_completed_later() {
    break_for_ever(Stage::changed(Version::Four));
}
