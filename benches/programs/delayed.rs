//! What the programs wait for: the fakes of the tests, each of whose answers comes 55 ms later than it could, as much as any
//! request costs a real MISP before it begins to work. Requests that are asked at once wait at once, as they do there.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http_fake::{Call, Fault, Nth, Reply, Server, Site, What};
use crate::page::{Table, grouped, made_on, publish, publish_picture};
use crate::plot::{Curve, Panel, svg};
use crate::process::{EXPORT, IMPORT, Run, report, run_job};
use crate::{misp, thehive};

const DELAY: Duration = Duration::from_millis(55);

/// A fake that remembers when it worked.
struct Timed<S> {
    site: S,
    spans: Vec<Span>,
}

/// When a request came, and when its answer was made.
type Span = (Instant, Instant);

impl<S: Site> Site for Timed<S> {
    fn reachable_at(&mut self, url: &str) {
        self.site.reachable_at(url);
    }

    fn answer(&mut self, call: &Call) -> Reply {
        let came = Instant::now();
        let reply = self.site.answer(call);
        self.spans.push((came, Instant::now()));
        reply
    }

    fn later(&mut self) -> Option<tokio::sync::watch::Receiver<Option<Reply>>> {
        self.site.later()
    }
}

fn start<S: Site>(site: S) -> Server<Timed<S>> {
    let spans = Vec::new();
    Server::start(Timed { site, spans })
}

/// Both servers, of which the programs may know one or two.
struct Servers {
    misp: Server<Timed<misp::World>>,
    thehive: Server<Timed<thehive::World>>,
}

/// A run between the two.
struct Measured {
    run: Run,
    misp: Vec<Span>,
    thehive: Vec<Span>,
}

impl Servers {
    fn new() -> Self {
        Self {
            misp: start(misp::World::new()),
            thehive: start(thehive::World::four()),
        }
    }

    fn config(&self) -> Value {
        json!({
            "name": ["misp"], "url": [self.misp.url()], "key": [misp::key("admin")], "instance": "bench.example",
            "thehive_url": self.thehive.url(), "thehive_key": thehive::KEY,
        })
    }

    fn run(&self, program: &str, job: &Value, delay: Duration) -> Measured {
        let late = Fault {
            on: "",
            nth: Nth::Always,
            what: What::Delay(delay),
        };
        self.misp.heal();
        self.misp.fault(late.clone());
        self.thehive.heal();
        self.thehive.fault(late);
        self.misp.forget_requests();
        self.thehive.forget_requests();
        self.misp.world().spans.clear();
        self.thehive.world().spans.clear();
        let run = run_job(program, job);
        report(&run);
        Measured {
            run,
            misp: std::mem::take(&mut self.misp.world().spans),
            thehive: std::mem::take(&mut self.thehive.world().spans),
        }
    }
}

impl Measured {
    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.misp.iter().chain(&self.thehive)
    }

    /// The most requests of which each began after the one before had been answered.
    fn longest_chain(&self) -> usize {
        let mut spans: Vec<_> = self.spans().collect();
        spans.sort_by_key(|(_, made)| *made);
        let (mut length, mut free_at) = (0, None);
        for (came, made) in spans {
            if free_at.is_none_or(|free_at| *came >= free_at) {
                length += 1;
                free_at = Some(*made + DELAY);
            }
        }
        length
    }

    /// Adds a row and answers what a curve is made of.
    fn show(&self, table: &mut Table, name: &str) -> (f64, f64) {
        let seconds = self.run.seconds();
        let bare = self.spans().map(|(came, made)| *made - *came + DELAY);
        let bare = bare.sum::<Duration>().as_secs_f64();
        table.row(&[
            name,
            &self.misp.len().to_string(),
            &self.thehive.len().to_string(),
            &self.longest_chain().to_string(),
            &format!("{bare:.2} s"),
            &format!("{seconds:.2} s"),
            &format!("{:.2}", seconds / bare),
            &format!("{:.1} MiB", self.run.peak),
        ]);
        (self.spans().count() as f64, seconds)
    }
}

pub(crate) fn measure() {
    let mut table = Table::new(&[
        "job",
        "to MISP",
        "to TheHive",
        "in a row",
        "bare requests",
        "time",
        "÷ bare",
        "memory",
    ]);
    let mut curves = Curves::default();
    imports(&mut table, &mut curves);
    exports(&mut table, &mut curves);
    let x = "events, attributes, IOCs or files";
    let panels = [
        ("How long it takes", "s", curves.seconds),
        ("How much is asked", "requests", curves.requests),
    ]
    .map(|(title, y, curves)| Panel {
        title,
        x,
        y,
        curves,
    });
    publish_picture("performance-delayed.svg", &svg(&panels));
    let made_on = format!("{} One run each.", made_on());
    publish("delayed", &made_on, &[table]);
}

#[derive(Default)]
struct Curves {
    seconds: Vec<Curve>,
    requests: Vec<Curve>,
}

impl Curves {
    /// Points are a size, the requests and the seconds.
    fn add(&mut self, name: &str, points: &[(usize, (f64, f64))]) {
        let curve = |of: fn(&(f64, f64)) -> f64| {
            let points = points.iter().map(|(size, point)| (*size as f64, of(point)));
            (name.to_owned(), points.collect())
        };
        self.requests.push(curve(|point| point.0));
        self.seconds.push(curve(|point| point.1));
    }
}

fn imports(table: &mut Table, curves: &mut Curves) {
    let job = |servers: &Servers, is_written: bool| {
        let mut config = servers.config();
        for name in ["max_age_days", "max_attributes", "max_new_alerts"] {
            config[name] = json!(0);
        }
        if !is_written {
            config["thehive_url"] = Value::Null;
            config["thehive_key"] = Value::Null;
        }
        json!({"dataType": "other", "data": "misp:sync", "parameters": {"since": "all"}, "config": config})
    };
    let reported = |table: &mut Table, name: &str, sizes: &mut dyn Iterator<Item = usize>| {
        let servers = Servers::new();
        fill(&mut servers.misp.world().site, sizes);
        let run = servers.run(IMPORT, &job(&servers, false), DELAY);
        run.show(table, name)
    };
    let mut points = Vec::new();
    for events in [60, 182, 467] {
        let name = format!("import of {events} events, reported");
        points.push((events, reported(table, &name, &mut ordinary(events))));
    }
    curves.add("import of n events", &points);
    let mut points = Vec::new();
    for attributes in [500, 5_000, 50_000] {
        let name = format!(
            "import of an event of {} attributes, reported",
            grouped(attributes)
        );
        points.push((
            attributes,
            reported(table, &name, &mut std::iter::once(attributes)),
        ));
    }
    curves.add("import of an event of n attributes", &points);
    let servers = Servers::new();
    fill(&mut servers.misp.world().site, &mut ordinary(60));
    for name in [
        "import of 60 events, as new alerts",
        "the same again, unchanged",
    ] {
        servers
            .run(IMPORT, &job(&servers, true), DELAY)
            .show(table, name);
    }
    let servers = Servers::new();
    fill(&mut servers.misp.world().site, &mut ordinary(467));
    servers.run(IMPORT, &job(&servers, true), Duration::ZERO);
    let run = servers.run(IMPORT, &job(&servers, true), DELAY);
    run.show(table, "import of 467 events that have alerts, unchanged");
}

/// How many attributes so many events have that are neither small nor large.
pub(crate) fn ordinary(events: usize) -> impl Iterator<Item = usize> {
    [5, 20, 40, 60, 90, 120, 150, 200]
        .into_iter()
        .cycle()
        .take(events)
}

/// The type, category and value of an attribute; no two are the same.
pub(crate) fn attribute(mark: &str, number: usize) -> (&'static str, &'static str, String) {
    let network = "Network activity";
    match number % 4 {
        0 => ("domain", network, format!("host-{number}.{mark}.example")),
        1 => (
            "url",
            network,
            format!("http://www.{mark}.example/{number}"),
        ),
        2 => ("hostname", network, format!("mail-{number}.{mark}.example")),
        _ => (
            "sha256",
            "Payload delivery",
            cortex_misp::sample::sha256(format!("{mark} {number}").as_bytes()),
        ),
    }
}

/// Puts published events of these sizes into a MISP.
fn fill(world: &mut misp::World, sizes: &mut dyn Iterator<Item = usize>) {
    let tag = world.attached("tlp:green");
    for (number, size) in sizes.enumerate() {
        let now = world.tick();
        let mark = format!("event-{number}");
        let attributes = (0..size).map(|at| {
            let (kind, category, value) = attribute(&mark, at);
            misp::Attribute {
                id: world.next_id(),
                uuid: uuid::Uuid::new_v4().to_string(),
                kind: kind.to_owned(),
                category: category.to_owned(),
                value,
                to_ids: true,
                distribution: 5,
                timestamp: now,
                ..misp::Attribute::default()
            }
        });
        let attributes: Vec<_> = attributes.collect();
        world.events.push(misp::Event {
            id: world.next_event_id(),
            uuid: uuid::Uuid::new_v4().to_string(),
            org: 1,
            orgc: 2,
            creator: "somebody@example.org".to_owned(),
            info: mark,
            date: "2026-11-01".to_owned(),
            threat_level: 2,
            analysis: 2,
            distribution: 3,
            published: true,
            timestamp: now,
            publish_timestamp: now,
            attribute_count: size as i64,
            tags: vec![tag.clone()],
            attributes,
            ..misp::Event::default()
        });
    }
}

fn exports(table: &mut Table, curves: &mut Curves) {
    for (what, sizes) in [
        ("IOCs", [10, 300, 1_000, 5_000].as_slice()),
        ("files", &[10, 100, 500]),
    ] {
        let mut points = Vec::new();
        for &size in sizes {
            let servers = Servers::new();
            let job = case(&servers, size, what == "files");
            let name = format!("export of {} {what}", grouped(size));
            let first = servers.run(EXPORT, &job, DELAY);
            points.push((size, first.show(table, &name)));
            let again = servers.run(EXPORT, &job, DELAY);
            again.show(table, "the same again, unchanged");
        }
        curves.add(&format!("export of n {what}"), &points);
    }
}

/// The job for a case of so many IOCs, as TheHive 4 sends it: it carries no observables.
fn case(servers: &Servers, size: usize, is_of_files: bool) -> Value {
    let mut server = servers.thehive.world();
    let world = &mut server.site;
    let id = world.add_case(42, "Phishing wave", &json!({"tlp": 1}));
    for number in 0..size {
        if is_of_files {
            let content = format!("content {number}");
            let sha256 = cortex_misp::sample::sha256(content.as_bytes());
            let name = format!("file-{number}.exe");
            world.add_file(
                &id,
                &name,
                &sha256,
                content.as_bytes(),
                &json!({"ioc": true}),
            );
        } else {
            let (kind, _, data) = attribute("case", number);
            let data_type = if kind == "sha256" { "hash" } else { kind };
            world.add_observable(
                &id,
                &json!({"dataType": data_type, "data": data, "ioc": true}),
            );
        }
    }
    let data = world.case(&id).unwrap().clone();
    let mut config = servers.config();
    config["check_tlp"] = json!(false);
    config["check_pap"] = json!(false);
    json!({"dataType": "thehive:case", "data": data, "parameters": {"organisation": "cert"}, "config": config})
}
