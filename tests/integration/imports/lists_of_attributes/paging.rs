//! What comes of an event, by one answer, by pages and from a feed.

use std::fs;

use cortex_misp::json::Element;
use cortex_misp::misp::wire::{self, Sightings};
use serde_json::json;

use super::{
    asked, big, counting, crowd, feed, feed_of, of_corpus, read, refusal, row, server, tried, uuid,
};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{Attribute, Event, Fake, Meanwhile, World};

#[test]
fn the_whole_corpus_comes_the_same_in_three_ways() {
    let fake = Fake::start(World::with_corpus());
    let (misp, folder) = (server(&fake), tempfile::tempdir().unwrap());
    let of = |event: &Event| (event.id, uuid(&event.uuid), event.live().count());
    let events: Vec<_> = fake.world().events.iter().map(of).collect();
    assert_eq!(events.len(), 34);
    let mut reports = 0;
    for (id, uuid, live) in events {
        fs::write(
            folder.path().join(format!("{uuid}.json")),
            of_corpus(id).unwrap(),
        )
        .unwrap();
        let whole = read(&misp, &uuid, &row(&misp, &uuid));
        let paged = read(&misp, &uuid, &big(&misp, &uuid));
        let file = read(&feed(folder.path()), &uuid, &wire::Event::default());
        assert_eq!(
            (&whole.reports, &whole.reports),
            (&paged.reports, &file.reports),
            "event {id}"
        );
        assert!(paged.ids().is_sorted());
        reports += whole.reports.len();
        let whole = whole.sorted();
        assert_eq!(whole.len(), live, "event {id}");
        assert_eq!(whole, paged.sorted(), "event {id}");
        // A feed carries no sightings.
        let quiet = whole.into_iter().map(|(mut attribute, within)| {
            attribute.sightings = Sightings::default();
            (attribute, within)
        });
        assert_eq!(quiet.collect::<Vec<_>>(), file.sorted(), "event {id}");
    }
    assert_eq!(reports, 2);
}

#[test]
fn a_big_event_comes_in_pages_of_5000_and_its_reports_at_the_end() {
    let (fake, event) = crowd(5_003, 5);
    let misp = server(&fake);
    let listed = row(&misp, &event);
    fake.forget_requests();
    let came = read(&misp, &event, &listed);
    assert_eq!(came.sizes, [5_000, 3, 0]);
    assert_eq!(came.ids(), (1_001..=6_003).collect::<Vec<_>>());
    assert_eq!(came.reports[0].content, "Text");
    let paths = [
        ("/objects/restSearch", 1),
        ("/sightings/restSearch", 1),
        ("/attributes/restSearch", 2),
        ("/eventReports/index", 1),
    ];
    assert_eq!(
        asked(&fake),
        paths.map(|(path, number)| (path.to_owned(), number))
    );
    for (request, number) in [(2, 1), (3, 2)] {
        let body = &fake.requests()[request].body;
        let page = json!([event, 5_000, number, "Attribute.id asc"]);
        let asked = ["eventid", "limit", "page", "order"].map(|name| body[name].clone());
        assert_eq!(json!(asked), page);
    }
}

/// The pages of attributes that were asked for, by size and number: one may be asked for while another is read.
fn pages(fake: &Fake) -> Vec<(u64, u64)> {
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let mut pages = Vec::new();
    for asked in fake.requests() {
        if asked.path == "/attributes/restSearch" {
            pages.push((number(&asked.body["limit"]), number(&asked.body["page"])));
        }
    }
    pages.sort_unstable();
    pages
}

#[test]
fn an_event_that_is_only_looked_at_comes_in_larger_pages_asked_for_ahead() {
    let (fake, event) = crowd(6_000, 5);
    let mut misp = server(&fake);
    misp.read_ahead();
    let all = vec![(20_480, 1)];
    // Where some are not shown, the end is looked for in the usual pages.
    let hidden = vec![(5_000, 2), (5_000, 3), (20_480, 1)];
    let halved = [(2_560, 1), (2_560, 2), (2_560, 3), (5_120, 1), (10_240, 1)];
    let halved = [halved.as_slice(), &all].concat();
    for (counted, broken, expected) in [(6_000, 0, all), (6_500, 0, hidden), (6_000, 3, halved)] {
        fake.heal();
        fake.fault(Fault {
            on: "/attributes/restSearch",
            nth: Nth::First(broken),
            what: What::Status(500, "{}".to_owned(), "application/json"),
        });
        let listed = counting(&misp, &event, Some(counted));
        fake.forget_requests();
        let came = read(&misp, &event, &listed);
        assert_eq!(came.ids(), (1_001..=7_000).collect::<Vec<_>>());
        assert_eq!(came.reports.len(), 1);
        assert_eq!(pages(&fake), expected);
    }
}

/// Where proposals block attributes, MISP 2.5.1 ends such a page with the first of its own parts that is not full.
#[test]
fn a_large_page_that_ends_too_early_is_gone_on_with_in_smaller_ones() {
    let (fake, event) = crowd(6_000, 5);
    let mut misp = server(&fake);
    misp.read_ahead();
    let listed = row(&misp, &event);
    let body =
        json!({"response": {"Attribute": [{"id": "1001", "type": "text", "value": "1-xxxxx"}]}});
    fake.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::Only(1),
        what: What::Body(body.to_string()),
    });
    fake.forget_requests();
    assert_eq!(
        read(&misp, &event, &listed).ids(),
        (1_001..=7_000).collect::<Vec<_>>()
    );
    assert_eq!(pages(&fake), [(5_000, 1), (5_000, 2), (20_480, 1)]);
}

#[test]
fn what_misps_allowed_list_keeps_out_of_a_big_event_is_no_silent_loss() {
    let (fake, event) = crowd(5_003, 5);
    fake.world().events[0].attributes[7].value = "kept-out.example".to_owned();
    fake.world().allowed_list = vec!["kept-out".to_owned()];
    let misp = server(&fake);
    let listed = row(&misp, &event);
    let came = read(&misp, &event, &listed);
    let flaws: Vec<_> = came
        .rows
        .iter()
        .filter_map(|row| match &row.attribute {
            Element::Bad(flaw) => Some(flaw.to_string()),
            Element::Good(_) => None,
        })
        .collect();
    assert_eq!((came.rows.len(), flaws.len()), (5_003, 1));
    assert!(flaws[0].contains("allowed list"), "{flaws:?}");

    fake.world().default_filters = json!({"to_ids": 1, "tags": "nosuch"});
    assert_eq!(
        read(&misp, &event, &listed).sizes.iter().sum::<usize>(),
        5_003
    );
}

#[test]
fn up_to_5000_attributes_and_an_unknown_number_are_one_request() {
    let (fake, event) = crowd(3, 5);
    let misp = server(&fake);
    for attribute_count in [Some(5_000), Some(0), None] {
        fake.forget_requests();
        let listed = counting(&misp, &event, attribute_count);
        assert_eq!(read(&misp, &event, &listed).sizes, [3]);
        assert_eq!(
            asked(&fake).last().unwrap(),
            &("/events/view".to_owned(), 1)
        );
    }
}

#[test]
fn an_attribute_that_slips_onto_the_next_page_comes_once() {
    let (fake, event) = crowd(1_500, 5);
    let misp = server(&fake);
    let listed = big(&misp, &event);
    smaller_pages(&fake);
    // Just before the second page of 625 somebody restores an older attribute.
    const SECOND: Meanwhile = Meanwhile {
        before: "/attributes/restSearch",
        change: |world| {
            let older = Attribute {
                id: 1,
                uuid: "older".to_owned(),
                kind: "text".to_owned(),
                ..Attribute::default()
            };
            world.events[0].attributes.insert(0, older);
        },
    };
    fake.world().meanwhile = Some(Meanwhile {
        before: "/attributes/restSearch",
        change: |world| world.meanwhile = Some(SECOND),
    });
    let came = read(&misp, &event, &listed);
    assert_eq!(fake.world().events[0].attributes.len(), 1_501);
    assert_eq!(came.sizes, [625, 624, 251, 0]);
    assert_eq!(came.ids(), (1_001..=2_500).collect::<Vec<_>>());
}

/// Lets the server break down over larger pages than 625.
pub(super) fn smaller_pages(fake: &Fake) {
    let what = What::Status(500, "{}".to_owned(), "application/json");
    fake.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::First(3),
        what,
    });
}

#[test]
fn a_page_that_repeats_is_an_error_and_so_is_one_that_is_not_sorted() {
    let (fake, event) = crowd(3, 5);
    let misp = server(&fake);
    let listed = big(&misp, &event);
    let said = |on: &'static str, body: serde_json::Value| {
        fake.heal();
        fake.fault(Fault {
            on,
            nth: Nth::Always,
            what: What::Body(body.to_string()),
        });
        refusal(&misp, &event, &listed)
    };
    let attributes = |rows: serde_json::Value| json!({"response": {"Attribute": rows}});
    let same = said(
        "/attributes/restSearch",
        attributes(json!([{"id": "5"}, {"id": 6}])),
    );
    assert!(
        same.contains("the server sends the same page of attributes again and again"),
        "{same}"
    );
    let same = said("/attributes/restSearch", attributes(json!(["x"])));
    assert!(
        same.contains("the server sends the same page of attributes again and again"),
        "{same}"
    );
    let unsorted = said(
        "/attributes/restSearch",
        attributes(json!([{"id": "6"}, {"id": "5"}])),
    );
    assert!(
        unsorted.contains("the server does not sort attributes by number"),
        "{unsorted}"
    );
    let object = json!({"response": [{"Object": {"id": "1", "name": "file", "uuid": event}}]});
    let same = said("/objects/restSearch", object);
    assert!(
        same.contains("the server sends the same page of objects again and again"),
        "{same}"
    );
}

#[test]
fn what_is_no_attribute_and_no_object_is_a_bad_row() {
    let (fake, event) = crowd(3, 5);
    let misp = server(&fake);
    let (small, large) = (row(&misp, &event), big(&misp, &event));
    let kinds = |event: &uuid::Uuid, listed: &wire::Event| {
        let came = read(&misp, event, listed);
        let kind = |row: &super::AttributeRow| match &row.attribute {
            Element::Good(attribute) => attribute.value.clone(),
            Element::Bad(flaw) => flaw
                .to_string()
                .replace("is ", "")
                .replace(", not an object", ""),
        };
        came.rows.iter().map(kind).collect::<Vec<_>>()
    };
    let whole = json!({"Event": {"uuid": event, "Attribute": [1, {"value": "a"}, null], "Object": ["x", {"Attribute": [[]]}], "EventReport": [7]}});
    fake.fault(Fault {
        on: "/events/view",
        nth: Nth::Always,
        what: What::Body(whole.to_string()),
    });
    assert_eq!(
        kinds(&event, &small),
        ["a number", "a", "null", "a text", "a list"]
    );
    let page = json!({"response": {"Attribute": [1, {"id": "4", "value": "a"}, null]}});
    fake.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::Only(1),
        what: What::Body(page.to_string()),
    });
    // The second page is the fake's own, and empty.
    fake.world().events[0].attributes.clear();
    assert_eq!(kinds(&event, &large), ["a number", "a", "null"]);
}

#[test]
fn what_is_in_a_deleted_object_counts_as_deleted() {
    let fake = Fake::start(World::with_corpus());
    let misp = server(&fake);
    let event = {
        let mut world = fake.world();
        let event = world.event_mut("25").unwrap();
        let file = event
            .objects
            .iter_mut()
            .find(|object| object.name == "file")
            .unwrap();
        file.deleted = true;
        event.objects.retain(|object| object.name != "email");
        uuid(&event.uuid)
    };
    let (listed, large) = (row(&misp, &event), big(&misp, &event));
    // One answer does not show the object.
    let whole = read(&misp, &event, &listed).sorted();
    assert!(
        whole
            .iter()
            .all(|(attribute, _)| attribute.deleted == Some(false))
    );
    let paged = read(&misp, &event, &large).sorted();
    assert_eq!(paged.len(), 29);
    for (attribute, within) in &paged {
        let name = within.as_ref().map(|(name, _)| name.as_str());
        assert_eq!(attribute.deleted == Some(true), name == Some("file"));
        // Of an object that is not shown only the number is known.
        let is_lost = attribute.object_id != "0" && name.is_none();
        assert_eq!(is_lost, attribute.object_id == "3");
    }
    let body = json!({"Event": {"Object": [
        {"name": "file", "uuid": "o", "deleted": true, "Attribute": [{"value": "a", "deleted": false}, {"value": "b"}]},
        {"name": "url", "uuid": "p", "deleted": "0", "Attribute": [{"value": "c", "deleted": false}]},
    ]}});
    let (_folder, misp) = feed_of(&event, &body);
    let rows = read(&misp, &event, &wire::Event::default()).sorted();
    assert_eq!(
        rows.iter().map(|row| row.0.deleted).collect::<Vec<_>>(),
        [Some(true), Some(true), Some(false)]
    );
    assert_eq!(rows[2].1, Some(("url".to_owned(), "p".to_owned())));
}

#[test]
fn another_event_than_the_one_asked_for_is_an_error() {
    let (fake, event) = crowd(3, 5);
    let misp = server(&fake);
    let listed = row(&misp, &event);
    let other = json!({"Event": {"uuid": "5f0e5b5c-0000-4000-8000-000000000002", "Attribute": [{"value": "a"}]}});
    fake.fault(Fault {
        on: "/events/view",
        nth: Nth::Always,
        what: What::Body(other.to_string()),
    });
    let (came, error) = tried(&misp, &event, &listed);
    assert!(
        format!("{:#}", error.unwrap_err())
            .ends_with(&format!("what came is not event {event} but another"))
    );
    assert!(came.sizes.is_empty());
    let (_folder, misp) = feed_of(&event, &other);
    assert!(refusal(&misp, &event, &listed).ends_with("but another"));
    let upper =
        json!({"Event": {"uuid": event.to_string().to_uppercase(), "Attribute": [{"value": "a"}]}});
    let (_folder, misp) = feed_of(&event, &upper);
    assert_eq!(read(&misp, &event, &listed).sizes, [1]);
}
