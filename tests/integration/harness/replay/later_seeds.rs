//! What the world held before the exchanges of the second recording.

use serde_json::json;

use super::seeds::partner_event;
use crate::misp::{Attached, Attribute, Event, Object, World};

const STAMP: i64 = 1_796_005_680;

/// An event of PartnerOrg, for that organisation alone.
fn event(world: &mut World, id: u64, uuid: &str, info: &str) {
    world.now = STAMP;
    world.events.push(Event {
        id,
        uuid: uuid.into(),
        org: 2,
        orgc: 2,
        info: info.into(),
        date: "2026-11-30".into(),
        timestamp: STAMP,
        threat_level: 4,
        creator: "partner@partner.test".into(),
        ..Event::default()
    });
}

fn attribute(world: &mut World, id: u64, uuid: &str, kind: &str, value: &str) {
    let category = match kind {
        "filename" => "Payload delivery",
        "text" => "Other",
        _ => "Network activity",
    };
    let event = world.events.last_mut().expect("just seeded");
    event.attributes.push(Attribute {
        id,
        uuid: uuid.into(),
        kind: kind.into(),
        category: category.into(),
        value: value.into(),
        to_ids: true,
        distribution: 5,
        timestamp: STAMP,
        ..Attribute::default()
    });
    event.attribute_count += 1;
}

pub(super) fn three_events(world: &mut World) {
    event(
        world,
        379,
        "f6497655-6231-5094-b18b-83fbcbe97c2c",
        "rec2 batch 0",
    );
    attribute(
        world,
        369_273,
        "b8428ee8-09b3-50f6-921f-edb756fe419e",
        "domain",
        "rec2-0.example",
    );
    event(
        world,
        380,
        "9c43adf3-2181-59a1-b535-72c7a2ba3312",
        "rec2 batch 1",
    );
    attribute(
        world,
        369_274,
        "f9d8152a-1fe8-5ba3-a0d8-a22c799cb683",
        "ip-dst",
        "198.51.100.101",
    );
    attribute(
        world,
        369_275,
        "0a9e4ad7-250d-58c3-b506-acc270d2e725",
        "domain",
        "rec2-1.example",
    );
    event(
        world,
        381,
        "9206323c-8fee-59a1-b0e4-b1ad481748b9",
        "rec2 batch 2",
    );
    attribute(
        world,
        369_276,
        "604016d3-7e30-5ce9-a640-c0d826d152fc",
        "ip-dst",
        "198.51.100.102",
    );
    attribute(
        world,
        369_277,
        "d2af62cd-d731-5452-a75f-19a540cbf8ec",
        "domain",
        "rec2-2.example",
    );
}

pub(super) fn event_2903(world: &mut World) {
    event(
        world,
        2903,
        "3f7d0a51-6b1c-5e02-8c44-9a1e5d2b7f01",
        "verdicts",
    );
    attribute(
        world,
        1_533_097,
        "3f7d0a51-6b1c-5e02-8c44-9a1e5d2b7f02",
        "domain",
        "verdict-592.example",
    );
}

pub(super) fn event_382(world: &mut World) {
    event(
        world,
        382,
        "c42c1c85-35e0-573d-b41b-17b07af80625",
        "rec2 collation",
    );
    attribute(
        world,
        369_278,
        "a9d3ed36-e634-5745-84e5-c27b3306aa79",
        "url",
        "http://rec2.example/A",
    );
    attribute(
        world,
        369_279,
        "c42a14fe-bc1d-545f-815d-bd4ca13e1e56",
        "filename",
        "Rec2.exe",
    );
    attribute(
        world,
        369_280,
        "cc34469e-50d8-5ba9-b6c6-9cd53e8b3aeb",
        "text",
        "straße",
    );
}

pub(super) fn event_383(world: &mut World) {
    event(
        world,
        383,
        "1250c851-a512-56e8-a87e-b5693e8fb555",
        "rec2 many objects",
    );
    attribute(
        world,
        369_282,
        "cc0f7f17-f55b-50de-892f-d12a5d081cc7",
        "ip-dst",
        "198.51.100.202",
    );
}

pub(super) fn import_rules(world: &mut World) {
    world.import_rules = true;
}

pub(super) fn partner_event_with_rules(world: &mut World) {
    partner_event(world);
    import_rules(world);
}

pub(super) fn open_proposal(world: &mut World) {
    event(
        world,
        385,
        "0ef39913-4fb1-58d0-aacd-d04c6c47aa46",
        "rec2 proposals",
    );
    attribute(
        world,
        369_291,
        "431b9fb8-51e3-59bb-9ee3-0449c23ca2da",
        "ip-dst",
        "198.51.100.210",
    );
    attribute(
        world,
        369_292,
        "72b5e4ee-2d39-5268-82da-4637f54e0139",
        "ip-dst",
        "198.51.100.211",
    );
    world.warninglists.insert(
        "198.51.100.210".into(),
        vec!["List of RFC 5735 CIDR blocks".into()],
    );
    let event = world.events.last_mut().expect("just seeded");
    event.distribution = 1;
    event.proposals = serde_json::json!([{
        "id": "12", "old_id": "369291", "event_id": "385", "type": "ip-dst", "category": "Network activity",
        "value1": "198.51.100.210", "to_ids": false, "uuid": "431b9fb8-51e3-59bb-9ee3-0449c23ca2da", "value2": "",
        "org_id": "3", "event_org_id": "2", "comment": "", "event_uuid": "0ef39913-4fb1-58d0-aacd-d04c6c47aa46",
        "deleted": false, "timestamp": "1796005695", "proposal_to_delete": false, "disable_correlation": false,
        "value": "198.51.100.210",
    }]);
}

pub(super) fn open_proposal_that_blocks(world: &mut World) {
    open_proposal(world);
    world.proposals_block_attributes = true;
}

/// An event of the host organisation, one of whose values a test puts on the allowed list.
fn event_1213(world: &mut World) {
    world.now = 1_796_066_266;
    event(
        world,
        1213,
        "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5e11",
        "allowed list and default filters",
    );
    attribute(
        world,
        837_833,
        "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5e12",
        "domain",
        "allowed-572.example",
    );
    attribute(
        world,
        837_834,
        "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5e13",
        "domain",
        "other-572.example",
    );
    let event = world.events.last_mut().expect("just seeded");
    (event.org, event.orgc, event.distribution) = (1, 1, 1);
    event.creator = "admin@admin.test".into();
    event.attributes[0].to_ids = false;
}

pub(super) fn default_filter(world: &mut World) {
    event_1213(world);
    world.default_filters = serde_json::json!({"to_ids": 1});
}

pub(super) fn default_tags(world: &mut World) {
    event_1213(world);
    world.default_filters = serde_json::json!({"tags": "nosuch"});
}

pub(super) fn no_defaults(world: &mut World) {
    event_1213(world);
}

pub(super) fn allowed_list(world: &mut World) {
    event_1213(world);
    world.allowed_list = vec!["allowed-572".into()];
}

pub(super) fn published_event(world: &mut World) {
    event_1213(world);
    world.events.last_mut().expect("just seeded").published = true;
}

/// An event with an attribute that somebody deleted.
pub(super) fn event_1972(world: &mut World) {
    world.now = 1_796_080_699;
    let uuid = "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5e90";
    event(world, 1972, uuid, "a soft-deleted attribute");
    for (id, uuid, value) in [
        (
            1_195_151,
            "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5e91",
            "deleted-590.example",
        ),
        (
            1_195_152,
            "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5e92",
            "live-590.example",
        ),
    ] {
        attribute(world, id, uuid, "domain", value);
    }
    let event = world.events.last_mut().expect("just seeded");
    (event.org, event.orgc, event.distribution) = (1, 1, 1);
    event.creator = "admin@admin.test".into();
    (event.attributes[0].to_ids, event.attributes[0].deleted) = (false, true);
    event.attribute_count = 1;
}

/// An event with a loose attribute, an object of which one attribute is deleted, and one that only its own organisation sees.
pub(super) fn event_2910(world: &mut World) {
    let uuid = |number: u64| format!("6c1e5b5c-5970-5000-8000-{number:012}");
    event(world, 2910, &uuid(0), "what stands beside a hit");
    let green = Attached {
        id: 1108,
        ..world.attached("tlp:green")
    };
    let rows = [
        (1, 0, "domain", "", "loose-597.example"),
        (11, 4_324, "filename", "filename", "beside-597.exe"),
        (12, 4_324, "md5", "md5", "0cc175b9c0f1b6a831c399e269772661"),
        (13, 4_324, "text", "state", "gone-597"),
        (21, 4_325, "filename", "filename", "hidden-597.exe"),
        (22, 4_325, "md5", "md5", "92eb5ffee6ae2fec3ad71c777531578f"),
    ];
    let ids = [1, 11, 13, 12, 21, 22].into_iter().zip(1_550_571..);
    for (number, object, kind, relation, value) in rows {
        let id = ids.clone().find(|(known, _)| *known == number);
        let id = id.expect("one of the rows").1;
        attribute(world, id, &uuid(number), kind, value);
        let event = world.events.last_mut().expect("just seeded");
        let added = event.attributes.last_mut().expect("just seeded");
        added.timestamp = 1_796_093_698;
        added.category = "Payload delivery".into();
        added.object = object;
        added.object_relation = Some(relation.to_owned()).filter(|one| !one.is_empty());
        added.deleted = number == 13;
        added.tags.extend((number == 12).then(|| green.clone()));
    }
    let event = world.events.last_mut().expect("just seeded");
    (event.org, event.orgc, event.distribution) = (1, 1, 1);
    event.objects = [(4_324, 10, 5), (4_325, 20, 0)]
        .map(|(id, number, distribution)| Object {
            id,
            uuid: uuid(number),
            name: "file".into(),
            meta_category: "file".into(),
            description: "File object describing a file with meta-information".into(),
            template_uuid: "688c46fb-5edb-40a3-8273-1af7923e2215".into(),
            template_version: "24".into(),
            timestamp: 1_796_093_698,
            distribution,
            ..Object::default()
        })
        .into();
}

pub(super) fn event_2910_with_allowed_list(world: &mut World) {
    event_2910(world);
    world.allowed_list.push("beside-597".into());
}

/// An event with one attribute.
pub(super) fn event_2933(world: &mut World) {
    world.now = 1_796_094_946;
    let uuid = "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5ea0";
    event(world, 2933, uuid, "a case with a description");
    attribute(
        world,
        1_695_261,
        "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5ea1",
        "domain",
        "report-608.example",
    );
    let event = world.events.last_mut().expect("just seeded");
    (event.org, event.orgc, event.distribution) = (1, 1, 1);
    event.creator = "admin@admin.test".into();
}

/// The same with a report that somebody deleted.
pub(super) fn event_2933_reported(world: &mut World) {
    event_2933(world);
    world.events.last_mut().expect("just seeded").reports = json!([{
        "id": "9", "uuid": "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c5ea2", "event_id": "2933", "name": "Case description",
        "content": "by phone\n", "distribution": "5", "sharing_group_id": "0", "timestamp": "1796094946", "deleted": true,
    }]);
}

/// An event without attributes, of the organisation of who asks.
pub(super) fn empty_event(world: &mut World) {
    let uuid = "0b8f6c52-3c0e-5d41-9a77-6f2b1f0c6031";
    event(world, 2947, uuid, "an empty event");
    let event = world.events.last_mut().expect("just seeded");
    (event.org, event.orgc) = (2, 2);
}
