//! How an attribute of a request becomes a stored one, or is refused with a reason. All write calls go through here.

use cortex_misp::types::equal::are_equal;
use md5::{Digest, Md5};
use serde_json::Value;

use super::ask::{number, text, truthy};
use super::tags;
use super::types;
use super::users::User;
use super::validate::{self, Refused};
use super::world::{Attached, Attribute, World};

/// Where an attribute goes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Position of the event in the world.
    pub(super) event: usize,
    /// Id of the object, or 0.
    pub(super) object: u64,
    /// Whether the event may not have the same type, category and value already.
    pub(super) unique: bool,
    /// The second of the write.
    pub(super) now: i64,
}

/// Stores one attribute and answers its id.
pub(super) fn attribute(
    world: &mut World,
    user: &User,
    from: &Value,
    place: Place,
) -> Result<u64, Refused> {
    if unknown_type(world, from) {
        return Err(Refused::Field("type", "Invalid type.".into()));
    }
    let mut attribute = draft(from, place, world.import_rules)?;
    if let Some(value) = world.rewritten.get(&attribute.value) {
        attribute.value.clone_from(value);
    }
    if world
        .dropped
        .iter()
        .any(|value| *value == attribute.value || from["value"] == value.as_str())
    {
        return Err(Refused::Silent);
    }
    if let Some(reason) = world.refused.get(&attribute.value) {
        return Err(Refused::Field("value", reason.clone()));
    }
    if from.get("uuid").is_some_and(|uuid| !uuid.is_null()) {
        attribute.uuid = checked_uuid(world, &from["uuid"])?;
    } else {
        attribute.uuid = fresh_uuid(world);
    }
    let event = &world.events[place.event];
    let same = |known: &Attribute| {
        known.object == 0
            && known.kind == attribute.kind
            && known.category == attribute.category
            && are_equal(&known.value, &attribute.value)
    };
    if place.unique && event.live().any(same) {
        return Err(Refused::Field(
            "value",
            "A similar attribute already exists for this event.".into(),
        ));
    }
    attribute.tags = tags::captured(world, user, &from["Tag"]).ok_or(Refused::Crash)?;
    attribute.id = world.next_id();
    let id = attribute.id;
    let event = &mut world.events[place.event];
    event.attribute_count += i64::from(!attribute.deleted);
    event.attributes.push(attribute);
    Ok(id)
}

/// Whether the type is one that a test took away from this server.
pub(super) fn unknown_type(world: &World, from: &Value) -> bool {
    world
        .without_types
        .iter()
        .any(|kind| from["type"] == kind.as_str())
}

fn draft(from: &Value, place: Place, ruled: bool) -> Result<Attribute, Refused> {
    let kind = text(&from["type"]).unwrap_or_default();
    let Some(known) = types::known(&kind) else {
        return Err(Refused::Field("type", "Invalid type.".into()));
    };
    let category = text(&from["category"])
        .filter(|category| !category.is_empty())
        .unwrap_or_else(|| known.default_category.clone());
    let raw =
        text(&from["value"]).ok_or_else(|| Refused::Field("value", "Value not set.".into()))?;
    let raw = if kind == "malware-sample" && from.get("encrypt").is_some() {
        sample(&raw, &from["data"])
    } else {
        raw
    };
    let value = validate::value(&kind, &category, &raw, ruled)?;
    let comment = text(&from["comment"]).unwrap_or_default();
    if four_bytes(&comment) {
        return Err(Refused::Crash);
    }
    let (first_seen, last_seen) = seen(from)?;
    Ok(Attribute {
        object: place.object,
        object_relation: text(&from["object_relation"]),
        to_ids: from
            .get("to_ids")
            .filter(|given| !given.is_null())
            .map_or(known.to_ids, truthy),
        comment,
        distribution: distribution(&from["distribution"])?,
        timestamp: number(&from["timestamp"]).unwrap_or(place.now),
        deleted: truthy(&from["deleted"]),
        disable_correlation: truthy(&from["disable_correlation"]),
        first_seen,
        last_seen,
        data: text(&from["data"]),
        kind,
        category,
        value,
        ..Attribute::default()
    })
}

/// Takes over the fields of a request that names a known attribute; what the request does not have stays.
pub(super) fn update(
    attribute: &mut Attribute,
    from: &Value,
    now: i64,
    ruled: bool,
) -> Result<(), Refused> {
    if let Some(category) = text(&from["category"]) {
        attribute.category = category;
    }
    if let Some(kind) = text(&from["type"]) {
        attribute.kind = kind;
    }
    let value = text(&from["value"]).unwrap_or_else(|| attribute.value.clone());
    attribute.value = validate::value(&attribute.kind, &attribute.category, &value, ruled)?;
    if let Some(comment) = text(&from["comment"]) {
        if four_bytes(&comment) {
            return Err(Refused::Crash);
        }
        attribute.comment = comment;
    }
    if !from["to_ids"].is_null() {
        attribute.to_ids = truthy(&from["to_ids"]);
    }
    if !from["disable_correlation"].is_null() {
        attribute.disable_correlation = truthy(&from["disable_correlation"]);
    }
    if !from["distribution"].is_null() {
        attribute.distribution = distribution(&from["distribution"])?;
    }
    let (first_seen, last_seen) = seen(from)?;
    attribute.first_seen = first_seen.or(attribute.first_seen.take());
    attribute.last_seen = last_seen.or(attribute.last_seen.take());
    attribute.timestamp = number(&from["timestamp"]).unwrap_or(now);
    Ok(())
}

fn distribution(given: &Value) -> Result<u64, Refused> {
    match number(given) {
        None if given.is_null() => Ok(5),
        Some(level @ 0..=5) => Ok(level.unsigned_abs()),
        _ => {
            let levels = "Your organisation only, This community only, Connected communities, All communities, Sharing group, Inherit event";
            Err(Refused::Field("distribution", format!("Options: {levels}")))
        }
    }
}

/// A well-formed uuid that nothing on the server has.
fn checked_uuid(world: &World, given: &Value) -> Result<String, Refused> {
    let uuid = text(given).unwrap_or_default();
    if uuid::Uuid::try_parse(&uuid).is_err() || uuid.len() != 36 {
        return Err(Refused::Field(
            "uuid",
            "Please provide a valid RFC 4122 UUID".into(),
        ));
    }
    let uuid = uuid.to_lowercase();
    if world.attribute(&uuid).is_some() {
        return Err(Refused::Field(
            "uuid",
            "The UUID provided is not unique".into(),
        ));
    }
    Ok(uuid)
}

/// A uuid for something that came without; counted, so that runs are alike.
pub(super) fn fresh_uuid(world: &mut World) -> String {
    let number = world.next_id();
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, number.to_string().as_bytes()).to_string()
}

/// Whether a text has characters that MISP's three-byte columns cannot hold.
pub(super) fn four_bytes(text: &str) -> bool {
    text.chars().any(|c| u32::from(c) > 0xFFFF)
}

/// With `encrypt` (whatever its value) the server packs the file and appends its hash to the name.
fn sample(name: &str, data: &Value) -> String {
    let bytes = base64(&text(data).unwrap_or_default());
    let hash: String = Md5::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}|{hash}")
}

/// Anything that is no base64 is skipped: MISP takes it (recorded as `097-add-attr-bad-base64`).
pub(crate) fn base64(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|c| alphabet.find(c))
        .filter_map(|at| u32::try_from(at).ok())
        .collect();
    let mut out = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len().max(1)]);
    }
    out
}

fn seen(from: &Value) -> Result<(Option<String>, Option<String>), Refused> {
    let (first, last) = (
        text(&from["first_seen"]).map(|t| moment(&t)),
        text(&from["last_seen"]).map(|t| moment(&t)),
    );
    if let (Some(first), Some(last)) = (&first, &last)
        && last < first
    {
        return Err(Refused::Field(
            "last_seen",
            "Last seen should be more recent than first seen.".into(),
        ));
    }
    Ok((first, last))
}

/// MISP's form of a time in UTC. Words such as `yesterday` are understood by PHP, and become some day here.
fn moment(given: &str) -> String {
    let plain = given.trim_end_matches('Z').trim_end_matches("+00:00");
    let (seconds, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    match seconds.len() {
        19 => format!("{seconds}.{fraction:0<6}+00:00"),
        10 => format!("{seconds}T00:00:00.000000+00:00"),
        _ => "2026-11-20T00:00:00.000000+00:00".to_owned(),
    }
}

/// The attachments of tags to an event or attribute, for the callers outside of attributes.
pub(super) fn event_tags(world: &mut World, user: &User, from: &Value) -> Option<Vec<Attached>> {
    let mut all = tags::captured(world, user, &from["Tag"])?;
    let wrapped: Value = from["EventTag"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row["Tag"].clone())
        .collect();
    all.extend(tags::captured(world, user, &wrapped)?);
    Some(all)
}
