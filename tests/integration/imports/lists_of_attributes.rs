//! Events read in chunks: the same rows by one answer, by pages and from a feed, whatever goes wrong on the way.

mod asking;
mod faults;
mod lists;
mod paging;

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::Result;
use cortex_misp::config::TimeLimits;
use cortex_misp::config::connections::{Connection, Purpose, Target};
use cortex_misp::http::HttpContext;
use cortex_misp::http::ServerAccess;
use cortex_misp::json::Element;
use cortex_misp::misp::wire::{Attribute, Event};
use cortex_misp::misp::{AttributeRow, Chunk, Misp, Report};
use cortex_misp::report::{ConnectionReport, RunReport};
use cortex_misp::secret::Secret;
use cortex_misp::time::Clock;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use crate::misp::{self as fake, Fake, World, key};

/// Opens a MISP with a clock whose pauses take no time.
fn open(target: Target) -> Misp {
    let limits = TimeLimits {
        deadline_minutes: 1,
        connect_timeout: 5,
        read_timeout: 5,
    };
    let run = RunReport::default();
    let network = HttpContext::new(
        limits.timeouts(),
        &Map::new(),
        None,
        Clock::start(1).without_waiting(),
        run.http_context(),
    );
    let connection = Connection {
        name: "corp".to_owned(),
        target,
        purpose: Purpose::ImportOnly,
        access: ServerAccess::default(),
        own: Map::new(),
    };
    Misp::open(
        &connection,
        &network,
        &run.open(ConnectionReport::default()),
    )
    .unwrap()
}

fn server(fake: &Fake) -> Misp {
    let url = Url::parse(&format!("{}/", fake.url())).unwrap();
    open(Target::Server {
        url,
        key: Secret::new(&key("admin")),
    })
}

fn feed(folder: &Path) -> Misp {
    let url = Url::from_directory_path(folder).unwrap();
    open(Target::Feed {
        url,
        folder: folder.to_owned(),
    })
}

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

/// An event's row in the list.
fn row(misp: &Misp, event: &Uuid) -> Event {
    let (found, event) = misp.fetch_index_entries(&[*event]).unwrap().pop().unwrap();
    assert_eq!(found.to_string(), event.uuid);
    event
}

/// An event's row in the list, with a count above which it is read in pages.
fn big(misp: &Misp, event: &Uuid) -> Event {
    counting(misp, event, Some(5_001))
}

/// An event's row in the list, with this count of attributes.
fn counting(misp: &Misp, event: &Uuid, count: Option<i64>) -> Event {
    let mut row = row(misp, event);
    row.attribute_count = count;
    row
}

/// What came of an event.
#[derive(Debug, Default)]
struct Came {
    /// Rows in each chunk.
    sizes: Vec<usize>,
    rows: Vec<AttributeRow>,
    reports: Vec<Report>,
    is_whole: bool,
}

impl Came {
    /// Takes a chunk, as every caller may expect it.
    fn take(&mut self, chunk: Chunk) {
        assert!(!self.is_whole, "a chunk after the last");
        assert!(
            chunk.rows.len() <= 5_000
                && (chunk.is_last || (chunk.reports.is_empty() && !chunk.rows.is_empty()))
        );
        self.sizes.push(chunk.rows.len());
        self.rows.extend(chunk.rows);
        self.reports.extend(chunk.reports);
        self.is_whole = chunk.is_last;
    }

    /// Attributes with the name and the uuid of their objects, sorted by uuid.
    fn sorted(self) -> Vec<(Attribute, Option<(String, String)>)> {
        let one = |row: AttributeRow| {
            let within = row
                .within
                .map(|within| (within.name.to_string(), within.uuid.to_string()));
            match row.attribute {
                Element::Good(attribute) => (attribute, within),
                Element::Bad(flaw) => panic!("an attribute {flaw}"),
            }
        };
        let mut rows: Vec<_> = self.rows.into_iter().map(one).collect();
        rows.sort_by(|one, other| one.0.uuid.cmp(&other.0.uuid));
        rows
    }

    /// The numbers of its attributes, in the order in which they came.
    fn ids(&self) -> Vec<u64> {
        let id = |row: &AttributeRow| match &row.attribute {
            Element::Good(attribute) => attribute.id.parse().unwrap(),
            Element::Bad(flaw) => panic!("an attribute {flaw}"),
        };
        self.rows.iter().map(id).collect()
    }
}

/// Reads an event; with what came before an error.
fn tried(misp: &Misp, uuid: &Uuid, event: &Event) -> (Came, Result<()>) {
    let mut came = Came::default();
    let read = misp.read_chunks(uuid, event, &mut |chunk| {
        came.take(chunk);
        Ok(())
    });
    assert_eq!(read.is_ok(), came.is_whole);
    (came, read)
}

fn read(misp: &Misp, uuid: &Uuid, event: &Event) -> Came {
    let (came, read) = tried(misp, uuid, event);
    read.unwrap();
    came
}

/// Why an event cannot be read.
fn refusal(misp: &Misp, uuid: &Uuid, event: &Event) -> String {
    format!("{:#}", tried(misp, uuid, event).1.unwrap_err())
}

/// The event of the corpus with this number, as a feed has it.
fn of_corpus(id: u64) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus/events");
    let mut bytes = Vec::new();
    match fs::read(folder.join(format!("{id:02}.json"))) {
        Ok(plain) => bytes = plain,
        Err(_) => {
            let zipped = fs::File::open(folder.join(format!("{id:02}.json.gz"))).ok()?;
            flate2::read::GzDecoder::new(zipped)
                .read_to_end(&mut bytes)
                .unwrap();
        }
    }
    Some(bytes)
}

/// A MISP with one event of so many attributes, numbered from 1,001, whose values have so many bytes.
fn crowd(number: u64, length: usize) -> (Fake, Uuid) {
    let event = uuid("5f0e5b5c-0000-4000-8000-000000000001");
    let attribute = |n: u64| fake::Attribute {
        id: 1_000 + n,
        uuid: Uuid::from_u64_pair(7, n).to_string(),
        kind: "text".to_owned(),
        category: "Other".to_owned(),
        value: format!("{n}-{}", "x".repeat(length)),
        distribution: 5,
        ..fake::Attribute::default()
    };
    let mut world = World::new();
    let attributes = (1..=number).map(attribute).collect();
    world.events.push(fake::Event {
        id: 7,
        uuid: event.to_string(),
        org: 1,
        orgc: 1,
        info: "crowd".to_owned(),
        date: "2026-01-01".to_owned(),
        published: true,
        attribute_count: number as i64,
        attributes,
        reports: json!([{"uuid": "9", "event_id": "7", "name": "Report", "content": "Text", "deleted": false}]),
        ..fake::Event::default()
    });
    (Fake::start(world), event)
}

/// The paths asked for, without host and named parameters, and how often in a row.
fn asked(fake: &Fake) -> Vec<(String, usize)> {
    let mut asked: Vec<(String, usize)> = Vec::new();
    for request in fake.requests() {
        let path = request
            .path
            .split('/')
            .take(3)
            .collect::<Vec<_>>()
            .join("/");
        match asked.last_mut() {
            Some((last, number)) if *last == path => *number += 1,
            _ => asked.push((path, 1)),
        }
    }
    asked
}

/// A feed with one event file.
fn feed_of(event: &Uuid, body: &Value) -> (tempfile::TempDir, Misp) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join(format!("{event}.json")),
        body.to_string(),
    )
    .unwrap();
    let misp = feed(folder.path());
    (folder, misp)
}
