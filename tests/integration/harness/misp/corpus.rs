//! Loads the corpus: what a real server answered for 34 events, taken back apart into a [`World`].

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

use super::ask::{number, text};
use super::world::{Attached, Attribute, Event, Object, Sighting, Tag, World};

/// A new world with every event of the corpus. The files are read once for all tests of a process.
pub(super) fn world() -> World {
    static LOADED: LazyLock<World> = LazyLock::new(|| {
        let mut world = World::new();
        load(&mut world);
        world
    });
    LOADED.clone()
}

fn load(world: &mut World) {
    let index = read(&folder().join("index.json"));
    for row in index.as_array().expect("a list of rows") {
        let id = number(&row["id"]).expect("an id");
        let Some(found) = both(id) else { continue };
        load_event(world, row, &found.0, &found.1);
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpus")
}

/// The event and its attributes, deleted ones included. Not every row of the index has its files.
fn both(id: i64) -> Option<(Value, Value)> {
    let file = |kind: &str| {
        let plain = folder().join(kind).join(format!("{id:02}.json"));
        let zipped = folder().join(kind).join(format!("{id:02}.json.gz"));
        [plain, zipped].into_iter().find(|path| path.exists())
    };
    Some((read(&file("events")?), read(&file("attributes")?)))
}

fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut plain)
            .expect("gzip");
        return serde_json::from_slice(&plain).expect("JSON");
    }
    serde_json::from_slice(&bytes).expect("JSON")
}

fn load_event(world: &mut World, row: &Value, found: &Value, attributes: &Value) {
    let source = &found["response"][0]["Event"];
    let mut event = header(source);
    event.sighting_timestamp = integer(&row["sighting_timestamp"]);
    event.clusters = row["GalaxyCluster"].clone();
    event.tags = tags(world, &source["Tag"]);
    event.objects = list(&source["Object"]).iter().map(object).collect();
    let in_objects = list(&source["Object"])
        .iter()
        .flat_map(|object| list(&object["Attribute"]));
    let seen: Vec<&Value> = list(&source["Attribute"])
        .iter()
        .chain(in_objects)
        .collect();
    let by_id: HashMap<&str, &Value> = seen
        .iter()
        .filter_map(|one| Some((one["id"].as_str()?, *one)))
        .collect();
    for from in list(&attributes["response"]["Attribute"]) {
        let rich = from["id"].as_str().and_then(|id| by_id.get(id));
        event
            .attributes
            .push(attribute(world, from, rich.copied().unwrap_or(from)));
    }
    for attribute in seen {
        world
            .sightings
            .extend(list(&attribute["Sighting"]).iter().map(sighting));
    }
    if source["SharingGroup"].is_object() && !world.sharing_groups.contains(&source["SharingGroup"])
    {
        world.sharing_groups.push(source["SharingGroup"].clone());
    }
    world.events.push(event);
}

fn header(source: &Value) -> Event {
    Event {
        id: id(&source["id"]),
        uuid: string(&source["uuid"]),
        org: id(&source["org_id"]),
        orgc: id(&source["orgc_id"]),
        creator: string(&source["event_creator_email"]),
        info: string(&source["info"]),
        date: string(&source["date"]),
        threat_level: id(&source["threat_level_id"]),
        analysis: id(&source["analysis"]),
        distribution: id(&source["distribution"]),
        sharing_group: id(&source["sharing_group_id"]),
        published: source["published"] == true,
        locked: source["locked"] == true,
        timestamp: integer(&source["timestamp"]),
        publish_timestamp: integer(&source["publish_timestamp"]),
        extends_uuid: string(&source["extends_uuid"]),
        attribute_count: integer(&source["attribute_count"]),
        galaxies: source["Galaxy"].clone(),
        related: source["RelatedEvent"].clone(),
        reports: source["EventReport"].clone(),
        proposals: source["ShadowAttribute"].clone(),
        ..Event::default()
    }
}

/// `from` is the row of the attribute search, `rich` the same attribute inside its event, if it is shown there.
fn attribute(world: &mut World, from: &Value, rich: &Value) -> Attribute {
    Attribute {
        id: id(&from["id"]),
        uuid: string(&from["uuid"]),
        object: id(&from["object_id"]),
        object_relation: text(&from["object_relation"]),
        kind: string(&from["type"]),
        category: string(&from["category"]),
        value: string(&from["value"]),
        to_ids: from["to_ids"] == true,
        comment: string(&from["comment"]),
        distribution: id(&from["distribution"]),
        sharing_group: id(&from["sharing_group_id"]),
        timestamp: integer(&from["timestamp"]),
        deleted: from["deleted"] == true,
        disable_correlation: from["disable_correlation"] == true,
        first_seen: text(&from["first_seen"]),
        last_seen: text(&from["last_seen"]),
        data: None,
        tags: tags(world, &from["Tag"]),
        galaxies: rich
            .get("Galaxy")
            .cloned()
            .unwrap_or(Value::Array(Vec::new())),
    }
}

fn object(from: &Value) -> Object {
    Object {
        id: id(&from["id"]),
        uuid: string(&from["uuid"]),
        name: string(&from["name"]),
        meta_category: string(&from["meta-category"]),
        description: string(&from["description"]),
        template_uuid: string(&from["template_uuid"]),
        template_version: string(&from["template_version"]),
        timestamp: integer(&from["timestamp"]),
        distribution: id(&from["distribution"]),
        sharing_group: id(&from["sharing_group_id"]),
        comment: string(&from["comment"]),
        deleted: from["deleted"] == true,
        first_seen: text(&from["first_seen"]),
        last_seen: text(&from["last_seen"]),
        references: from["ObjectReference"].clone(),
    }
}

fn sighting(from: &Value) -> Sighting {
    Sighting {
        id: id(&from["id"]),
        uuid: string(&from["uuid"]),
        event: id(&from["event_id"]),
        attribute: id(&from["attribute_id"]),
        org: id(&from["org_id"]),
        date: integer(&from["date_sighting"]),
        source: string(&from["source"]),
        kind: string(&from["type"]),
    }
}

fn tags(world: &mut World, from: &Value) -> Vec<Attached> {
    let mut attached = Vec::new();
    for row in list(from) {
        let tag = id(&row["id"]);
        if !world.tags.iter().any(|known| known.id == tag) {
            let numerical_value = text(&row["numerical_value"]);
            let (name, colour) = (string(&row["name"]), string(&row["colour"]));
            let is_galaxy = row["is_galaxy"] == true;
            world.tags.push(Tag {
                id: tag,
                name,
                colour,
                numerical_value,
                is_galaxy,
                ..Tag::default()
            });
        }
        let link = world.next_id();
        attached.push(Attached {
            id: link,
            tag,
            local: row["local"] == true,
        });
    }
    attached
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> String {
    text(value).unwrap_or_default()
}

fn integer(value: &Value) -> i64 {
    number(value).unwrap_or_default()
}

fn id(value: &Value) -> u64 {
    u64::try_from(integer(value)).unwrap_or_default()
}
