//! What goes wrong with a list of events loses nothing: what does not come whole is read by itself.

use serde_json::{Value, json};

use crate::http_fake::{Fault, Nth, What, gzip};
use crate::misp::{Attribute, Event, Fake, Meanwhile, World, key};
use crate::program::{Program, counts, full, of};

const LIST: &str = "/events/restSearch";
const EVENTS: u64 = 40;
/// Attributes of each event.
const EACH: u64 = 5;

fn small_events() -> World {
    let mut world = World::new();
    for number in 1..=EVENTS {
        let attribute = |n: u64| Attribute {
            id: number * 100 + n,
            uuid: format!("5f0e5b5c-0000-4000-8000-{:012}", number * 100 + n),
            kind: "domain".to_owned(),
            category: "Network activity".to_owned(),
            value: format!("host-{number}-{n}.example"),
            to_ids: true,
            distribution: 5,
            ..Attribute::default()
        };
        world.events.push(Event {
            id: number,
            uuid: format!("5f0e5b5c-0000-4000-8000-{number:012}"),
            org: 2,
            orgc: 2,
            info: format!("Event {number}"),
            date: "2026-11-01".to_owned(),
            timestamp: 1_795_294_129,
            publish_timestamp: 1_795_294_130,
            published: true,
            distribution: 3,
            attribute_count: EACH as i64,
            attributes: (0..EACH).map(attribute).collect(),
            ..Event::default()
        });
    }
    world
}

fn import(misp: &Fake) -> Value {
    let config = json!({
        "name": ["corp"], "url": [misp.url()], "key": [key("admin")], "max_age_days": 0, "warninglists": "off",
    });
    let parameters = json!({"since": "all"});
    let job = json!({"dataType": "other", "data": "misp:sync", "parameters": parameters, "config": config});
    Program::Import.report(&job)
}

/// A list, with its events changed.
fn change_events(body: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(body).unwrap();
    change(body["response"].as_array_mut().unwrap());
    body.to_string().into_bytes()
}

/// The beginning of a list, up to the middle of its 30th event.
fn up_to_the_30th(body: Vec<u8>) -> Vec<u8> {
    let event = format!("host-30-{}.example", EACH / 2);
    let text = String::from_utf8(body).unwrap();
    let at = text.find(&event).unwrap();
    text.into_bytes()[..at].to_vec()
}

fn halved(body: Vec<u8>) -> Vec<u8> {
    body[..body.len() / 2].to_vec()
}

fn status(status: u16) -> What {
    What::Status(status, "{}".to_owned(), "application/json")
}

/// What goes wrong, with which of the lists, how many lists are asked for, and how many events are then read by
/// themselves.
#[test]
fn whatever_is_wrong_with_a_list_every_event_arrives() {
    use Nth::{Always, Only};
    let later = ("X-Rate-Limit-Reset", "0".to_owned());
    let all = EVENTS as usize;
    let table = [
        ("nothing", Only(9), status(500), 1, 0),
        ("cut", Only(1), What::CutAfter(30_000), 2, 0),
        (
            "ends in the 30th event",
            Only(1),
            What::Changed(up_to_the_30th),
            3,
            0,
        ),
        ("500 once", Only(1), status(500), 3, 0),
        ("500 always", Always, status(500), 4, all),
        ("no", Always, status(403), 1, all),
        (
            "429 once",
            Only(1),
            What::StatusWith(429, "{}".to_owned(), later),
            2,
            0,
        ),
        ("garbage", Always, What::Body("<html>".to_owned()), 1, all),
        (
            "not UTF-8",
            Always,
            What::Changed(|_| vec![0xff; 9_000]),
            1,
            all,
        ),
        (
            "none of them",
            Always,
            What::Body(r#"{"response": []}"#.to_owned()),
            1,
            all,
        ),
        (
            "one short",
            Always,
            What::Changed(|body| change_events(&body, |events| drop(events.remove(9)))),
            1,
            1,
        ),
        (
            "one twice",
            Always,
            What::Changed(|body| change_events(&body, |events| events.push(events[9].clone()))),
            1,
            0,
        ),
        (
            "one that nobody asked for",
            Always,
            What::Changed(|body| {
                change_events(&body, |events| {
                    let mut other = events[9].clone();
                    other["Event"]["uuid"] = json!("11111111-1111-4111-8111-111111111111");
                    events.insert(3, other);
                })
            }),
            1,
            0,
        ),
        (
            "an attribute less than counted",
            Always,
            What::Changed(|body| {
                change_events(&body, |events| {
                    events[9]["Event"]["Attribute"]
                        .as_array_mut()
                        .unwrap()
                        .pop();
                })
            }),
            1,
            1,
        ),
        ("compressed", Always, What::Gzip(|packed| packed), 1, 0),
        ("compressed and cut", Only(1), What::Gzip(halved), 2, 0),
        (
            "compressed and without its last byte",
            Only(1),
            What::Gzip(|mut packed| {
                packed.pop();
                packed
            }),
            2,
            0,
        ),
        (
            "compressed and broken",
            Always,
            What::Gzip(|mut packed| {
                let middle = packed.len() / 2;
                packed[middle..middle + 40].fill(0x5a);
                packed
            }),
            1,
            all,
        ),
        (
            "compressed, with another checksum",
            Only(1),
            What::Gzip(|mut packed| {
                let checksum = packed.len() - 8;
                packed[checksum] ^= 1;
                packed
            }),
            2,
            0,
        ),
        (
            "only said to be compressed",
            Only(1),
            What::Gzip(|_| b"{\"response\": []}".to_vec()),
            2,
            0,
        ),
        (
            "an event of 64 MiB in 64 KiB",
            Always,
            What::Gzip(|_| {
                let start = r#"{"response": [{"Event": {"uuid": "x", "info": ""#.as_bytes();
                let text = vec![b'x'; 64 << 20];
                gzip(&[start, &text, b"\"}}]}"].concat())
            }),
            1,
            all,
        ),
    ];
    for (wrong, nth, what, lists, singly) in table {
        let misp = Fake::start(small_events());
        misp.fault(Fault {
            on: LIST,
            nth,
            what,
        });
        let report = import(&misp);
        let (events, attributes) = (EVENTS, EVENTS * EACH);
        let report = full(&report);
        let all = |number| of([("fetched", number), ("created", number)]);
        assert_eq!(counts(report, "events"), all(events), "{wrong}: {report:#}");
        assert_eq!(counts(report, "attributes"), all(attributes), "{wrong}");
        let asked = |path: &str| {
            let asked = misp.requests();
            asked
                .iter()
                .filter(|asked| asked.path.starts_with(path))
                .count()
        };
        assert_eq!(
            (asked(LIST), asked("/events/view")),
            (lists, singly),
            "{wrong}"
        );
    }
}

#[test]
fn an_event_that_changes_between_the_index_and_the_list_is_read_as_it_is() {
    let misp = Fake::start(small_events());
    misp.world().meanwhile = Some(Meanwhile {
        before: LIST,
        change: |world| {
            let event = &mut world.events[9];
            event.timestamp += 60;
            event.attribute_count -= 1;
            event.attributes.pop();
        },
    });
    let report = import(&misp);
    let report = full(&report);
    let all = |number| of([("fetched", number), ("created", number)]);
    assert_eq!(counts(report, "events"), all(EVENTS));
    assert_eq!(counts(report, "attributes"), all(EVENTS * EACH - 1));
}

#[test]
fn few_questions_bring_many_events() {
    let misp = Fake::start(small_events());
    import(&misp);
    let asked: Vec<_> = misp
        .requests()
        .into_iter()
        .map(|asked| asked.path)
        .collect();
    assert_eq!(asked, ["/servers/getVersion", "/events/index", LIST]);
}
