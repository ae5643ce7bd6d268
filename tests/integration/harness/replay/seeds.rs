//! What the world holds besides the corpus before an exchange: what earlier steps of the recorded series had left.

use serde_json::json;

use crate::misp::{Attached, Attribute, Event, Object, Sighting, Tag, World};

pub(super) fn nothing(_: &mut World) {}

fn used(world: &mut World, searches: u32) {
    world.searches.insert("ratelimited".into(), searches);
}

/// The second group was made by ORGNAME for ThirdOrg alone.
pub(super) fn sharing_groups(world: &mut World) {
    let group = |id: &str, members: &[&str]| {
        let rows: Vec<_> = members
            .iter()
            .map(|org| json!({"sharing_group_id": id, "org_id": org}))
            .collect();
        json!({"id": id, "name": "a group", "org_id": "1", "SharingGroupOrg": rows})
    };
    world.sharing_groups = vec![group("1", &["1", "2"]), group("2", &["3"])];
}

pub(super) fn not_live(world: &mut World) {
    world.live = false;
}

/// An event of ORGNAME (organisation 1) or PartnerOrg (2).
fn event(world: &mut World, id: u64, org: u64, uuid: &str) -> usize {
    let stamp = 1_795_294_937;
    let info = format!("seed {id}");
    let event = Event {
        id,
        uuid: uuid.into(),
        org,
        orgc: org,
        info,
        date: "2024-10-10".into(),
        timestamp: stamp,
        ..Event::default()
    };
    let creator = if org == 1 {
        "admin@admin.test"
    } else {
        "partner@partner.test"
    };
    world.events.push(Event {
        threat_level: 2,
        distribution: 1,
        creator: creator.into(),
        ..event
    });
    world.events.len() - 1
}

fn domain(world: &mut World, at: usize, id: u64, uuid: &str, value: &str) {
    let (kind, category) = ("domain".to_owned(), "Network activity".to_owned());
    let attribute = Attribute {
        id,
        uuid: uuid.into(),
        kind,
        category,
        value: value.into(),
        to_ids: true,
        ..Attribute::default()
    };
    let attribute = Attribute {
        distribution: 5,
        timestamp: 1_795_294_930,
        ..attribute
    };
    world.events[at].attributes.push(attribute);
    world.events[at].attribute_count += 1;
}

fn tag(world: &mut World, at: usize, tag: u64) {
    world.events[at].tags.push(Attached {
        id: 900 + tag,
        tag,
        local: false,
    });
}

pub(super) fn event_61(world: &mut World) {
    let at = event(world, 61, 1, "42e7205f-5c4d-59cf-9584-90af844077dc");
    world.events[at].info = "Big event 50000 attributes".into();
    tag(world, at, 73);
}

pub(super) fn event_62(world: &mut World) {
    let at = event(world, 62, 2, "c653fbb4-a67f-477b-af4a-d5857b49c5cc");
    domain(
        world,
        at,
        56_540,
        "5a44d9f0-15ae-4b53-8b1c-f8f63ff7f1b1",
        "p.rec.example",
    );
}

pub(super) fn event_63(world: &mut World) {
    let at = event(world, 63, 1, "5397666d-2222-4975-aa89-8b2733f70acf");
    tag(world, at, 70);
    domain(
        world,
        at,
        56_541,
        "5a44d9f0-15ae-4b53-8b1c-f8f63ff7f1b2",
        "ok.rec.example",
    );
}

pub(super) fn event_79(world: &mut World) {
    let at = event(world, 79, 1, "0b3c0d5e-9d0c-4a55-8f6c-0a61f4d5f9aa");
    domain(
        world,
        at,
        56_544,
        "775a242e-2f32-4f07-87a6-81e80b43b77f",
        "taken.rec.example",
    );
}

pub(super) fn event_92(world: &mut World) {
    let at = event(world, 92, 1, "c350804d-fec6-4d24-953a-0c9ed08e86e2");
    domain(
        world,
        at,
        56_547,
        "58a83911-3617-4c06-9f60-210c9036eb58",
        "base.rec.example",
    );
}

pub(super) fn event_92_with_attribute(world: &mut World) {
    event_92(world);
    let at = world.events.len() - 1;
    domain(
        world,
        at,
        56_548,
        "ebcc5bc6-874d-46f6-960c-0822fe0612f8",
        "attr1.rec.example",
    );
}

pub(super) fn event_92_with_deleted(world: &mut World) {
    event_92_with_attribute(world);
    let event = world.events.last_mut().expect("just seeded");
    event.attributes[1].deleted = true;
    event.attribute_count -= 1;
}

pub(super) fn event_92_with_tag(world: &mut World) {
    event_92(world);
    let at = world.events.len() - 1;
    tag(world, at, 1);
}

pub(super) fn event_92_with_object(world: &mut World) {
    event_92(world);
    let object = Object {
        id: 157,
        uuid: "1eef3234-47b5-46bf-a780-ceed08ab7619".into(),
        name: "file".into(),
        ..Object::default()
    };
    world
        .events
        .last_mut()
        .expect("just seeded")
        .objects
        .push(object);
}

pub(super) fn event_92_with_deleted_object(world: &mut World) {
    event_92_with_object(world);
    world.events.last_mut().expect("just seeded").objects[0].deleted = true;
}

pub(super) fn event_93(world: &mut World) {
    let at = event(world, 93, 2, "be3b4872-270f-44fe-b9a5-4c6d3e9f5e0e");
    domain(
        world,
        at,
        56_555,
        "2f6e6c64-8a3c-4f56-8a43-8a1d1f64f6a1",
        "ut.rec.example",
    );
    (world.events[at].analysis, world.events[at].info) = (1, "recorded unknown tag".into());
    tag(world, at, 70);
    world.events[at].attributes[0].tags = world.events[at].tags.clone();
}

pub(super) fn event_95(world: &mut World) {
    let at = event(world, 95, 1, "d4fc889b-7a11-4e55-8c99-44780dfe0bd1");
    world.events[at].info = "put".into();
    domain(
        world,
        at,
        56_560,
        "768305d6-f977-4b25-b73b-3b05dd83cac7",
        "0c13d4c6.rec.example",
    );
    world.events[at].attributes[0].to_ids = false;
}

/// The same later in the series, when only the attribute that an edit added was left.
pub(super) fn event_95_later(world: &mut World) {
    event_95(world);
    let at = world.events.len() - 1;
    domain(
        world,
        at,
        56_561,
        "9ea1ddf1-60a7-46fb-819f-4185b4c1b1c8",
        "added-by-edit.rec.example",
    );
}

pub(super) fn event_95_last(world: &mut World) {
    event_95_later(world);
    let event = world.events.last_mut().expect("just seeded");
    event.attributes.remove(0);
    event.attribute_count -= 1;
}

/// A renamed attribute is all that differs from `event_95_later`.
pub(super) fn event_95_renamed(world: &mut World) {
    event_95_later(world);
    world.events.last_mut().expect("just seeded").attributes[0].value =
        "newer-attr.rec.example".into();
}

pub(super) fn event_94(world: &mut World) {
    let at = event(world, 94, 1, "08852daf-2927-4e1b-8a60-27dafdd8a5d3");
    world.tags.push(Tag {
        id: 177,
        name: "unknown:tag-b62e6d83".into(),
        ..Tag::default()
    });
    (world.events[at].analysis, world.events[at].info) = (1, "recorded unknown tag admin".into());
    tag(world, at, 177);
}

pub(super) fn event_95_tagged(world: &mut World) {
    event_95(world);
    let at = world.events.len() - 1;
    tag(world, at, 72);
    world.events[at].timestamp = 1_895_294_937;
}

pub(super) fn event_96(world: &mut World) {
    event(world, 96, 1, "2d98c6f7-7e34-4f64-a4fc-57d1d6193d42");
}

pub(super) fn event_96_deleted(world: &mut World) {
    world
        .blocklist
        .push("2d98c6f7-7e34-4f64-a4fc-57d1d6193d42".into());
}

pub(super) fn event_97(world: &mut World) {
    event(world, 97, 1, "4ffb4d79-a070-4ccc-b0bb-925e2d8b20c9");
}

pub(super) fn event_106(world: &mut World) {
    let at = event(world, 106, 1, "d2a6e167-7eeb-4e7a-aca6-32e85163fdfc");
    world.events[at].info = "tag and publish tests".into();
    domain(
        world,
        at,
        56_570,
        "1f0fd1c5-7a7e-4c0b-9a2b-6f8f2c9c1d10",
        "tag.rec.example",
    );
}

pub(super) fn event_106_tagged(world: &mut World) {
    event_106(world);
    let at = world.events.len() - 1;
    tag(world, at, 70);
}

/// With what `301-events-addtag-body` and `302-attributes-addtag-body` left.
pub(super) fn event_106_green(world: &mut World) {
    event_106(world);
    let at = world.events.len() - 1;
    tag(world, at, 3);
    let event = &mut world.events[at];
    let attribute = &mut event.attributes[0];
    (attribute.value, attribute.to_ids) = ("74aea917.rec.example".into(), false);
    attribute.tags = event.tags.clone();
}

/// With what `316-attr-add-to-published` and `319-tag-published` left, and a sighting.
pub(super) fn event_106_later(world: &mut World) {
    event_106_green(world);
    let at = world.events.len() - 1;
    domain(
        world,
        at,
        56_573,
        "1bffc6bb-48a1-4257-9e15-ab640a4e4505",
        "added-after-publish.rec.example",
    );
    tag(world, at, 72);
    world.sightings.push(Sighting {
        event: 106,
        attribute: 56_570,
        org: 1,
        ..Sighting::default()
    });
}

pub(super) fn event_104_with_a_proposal(world: &mut World) {
    let at = event(world, 104, 2, "31c0e1ef-7af3-4a26-aab8-c071f5d3441b");
    domain(
        world,
        at,
        220,
        "b85c2249-08a1-4698-af1d-4c4af46cc233",
        "f1-a.example",
    );
    world.events[at].proposals =
        json!([{"uuid": "b85c2249-08a1-4698-af1d-4c4af46cc233", "org_id": "3"}]);
}

pub(super) fn partner_event(world: &mut World) {
    event(world, 62, 2, "52fb1998-a1e5-5400-89b2-c97bd826a3f7");
    let event = world.events.last_mut().expect("just seeded");
    (event.info, event.threat_level, event.distribution) = ("objects".into(), 4, 0);
}

pub(super) fn event_378_with_deleted_object(world: &mut World) {
    event(world, 378, 2, "01f027fa-2980-5c70-8206-e77e4542fd2e");
    let event = world.events.last_mut().expect("just seeded");
    event.objects = [
        "b80762d8-8128-5ee4-9a80-9bface014288",
        "b80762d8-8128-5ee4-9a80-9bface014289",
    ]
    .iter()
    .zip(7_954..)
    .map(|(uuid, id)| Object {
        id,
        uuid: (*uuid).to_owned(),
        name: "file".into(),
        deleted: id == 7_955,
        ..Object::default()
    })
    .collect();
}

pub(super) fn equal_values(world: &mut World) {
    let at = event(world, 179, 1, "628a1fd4-4fdf-482a-acaa-32449d078272");
    for (n, kind, category, value) in [
        (1, "filename", "Payload delivery", "%APPDATA%\\Evil463.exe"),
        (2, "url", "Network activity", "http://Evil463.example/A"),
        (3, "email-subject", "Payload delivery", "Straße Réc463"),
        (
            4,
            "filename|md5",
            "Payload delivery",
            "Evil463.EXE|d41d8cd98f00b204e9800998ecf80463",
        ),
        (
            5,
            "mac-eui-64",
            "Network activity",
            "00:11:22:aa:bb:cc:04:66",
        ),
    ] {
        let uuid = format!("5f0e5b5c-0463-4000-8000-{n:012}");
        domain(world, at, 63_462 + n, &uuid, value);
        let attribute = world.events[at].attributes.last_mut().expect("just seeded");
        (attribute.kind, attribute.category) = (kind.into(), category.into());
    }
    (world.events[at].distribution, world.events[at].info) = (3, "Values that are equal".into());
}

pub(super) fn networks(world: &mut World) {
    let at = event(world, 1951, 1, "5f0e5b5c-0584-4000-8000-000000000000");
    for (n, kind, value) in [
        (1, "ip-src", "198.19.84.77/24"),
        (2, "ip-dst", "198.19.84.0/23"),
        (3, "ip-dst", "198.19.86.1/24"),
        (4, "ip-src", "2001:db8:584::5/48"),
    ] {
        let uuid = format!("5f0e5b5c-0584-4000-8000-{n:012}");
        domain(world, at, 1_183_106 + n, &uuid, value);
        let attribute = world.events[at].attributes.last_mut().expect("just seeded");
        (attribute.kind, attribute.to_ids) = (kind.into(), false);
    }
    (world.events[at].distribution, world.events[at].info) = (1, "Networks".into());
}

pub(super) fn one_search(world: &mut World) {
    used(world, 1);
}

pub(super) fn two_searches(world: &mut World) {
    used(world, 2);
}

pub(super) fn four_searches(world: &mut World) {
    used(world, 4);
}
