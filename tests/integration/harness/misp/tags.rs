//! Tags: looking up, creating, attaching and removing.

use serde_json::{Value, json};

use super::ask::{Ask, int, text, truthy};
use super::capture::four_bytes;
use super::users::User;
use super::world::{Attached, Event, Tag, World};
use crate::http_fake::Reply;

/// The tags that taxonomies bring; ids as recorded.
pub(super) fn usual() -> Vec<Tag> {
    let rows = [
        (1, "PAP:RED", "#ff2b2b"),
        (2, "PAP:AMBER", "#ffc000"),
        (3, "PAP:GREEN", "#33ff00"),
        (4, "PAP:WHITE", "#ffffff"),
        (69, "tlp:red", "#FF2B2B"),
        (70, "tlp:amber", "#FFC000"),
        (71, "tlp:amber+strict", "#FFC000"),
        (72, "tlp:green", "#33FF00"),
        (73, "tlp:white", "#ffffff"),
        (74, "tlp:clear", "#ffffff"),
        (119, "Type:OSINT", "#1eed40"),
    ];
    let tag = |(id, name, colour): (u64, &str, &str)| Tag {
        id,
        name: name.into(),
        colour: colour.into(),
        ..Tag::default()
    };
    rows.into_iter().map(tag).collect()
}

/// The tags of an event or attribute that is written. A tag that the server does not have is created for a tag editor and
/// left out for others (recorded as `125-event-add-unknown-tag-partner`), and so is another's; one that is hidden or for local use
/// is set all the same (MISP's `Tag.php`, `captureTag`). Nothing at all for a name that crashes the server.
pub(super) fn captured(world: &mut World, user: &User, from: &Value) -> Option<Vec<Attached>> {
    let mut all = Vec::new();
    for row in from.as_array().into_iter().flatten() {
        let Some(name) = text(&row["name"]) else {
            continue;
        };
        if four_bytes(&name) {
            return None;
        }
        let Some(tag) = found_or_made(world, user, &name) else {
            continue;
        };
        if !may_use(user, world.tag(tag)) {
            continue;
        }
        if !truthy(&row["deleted"]) && !all.iter().any(|known: &Attached| known.tag == tag) {
            all.push(Attached {
                id: world.next_id(),
                tag,
                local: truthy(&row["local"]),
            });
        }
    }
    Some(all)
}

fn found_or_made(world: &mut World, user: &User, name: &str) -> Option<u64> {
    let name = &cut(name);
    if let Some(known) = world.tag_named(name) {
        return Some(known.id);
    }
    // PHP takes the text for none.
    (user.role.tag_editor && name != "0").then(|| make(world, name, "#32bd1b"))
}

/// What the column for names holds: 255 bytes, and nothing of a sign that is cut in two (recorded as
/// `448-tags-add-256-characters`).
fn cut(name: &str) -> String {
    name[..name.floor_char_boundary(255)].to_owned()
}

/// A tag may be kept for one organisation or one user.
fn may_use(user: &User, tag: &Tag) -> bool {
    let others =
        (tag.org_id != 0 && tag.org_id != user.org) || (tag.user_id != 0 && tag.user_id != user.id);
    user.role.site_admin || !others
}

/// And for local use, which is looked at only where tags are attached one by one.
fn may_attach(user: &User, tag: &Tag, local: bool) -> bool {
    may_use(user, tag) && (local || !tag.local_only)
}

fn make(world: &mut World, name: &str, colour: &str) -> u64 {
    let id = world.tags.iter().map(|tag| tag.id).max().unwrap_or(0) + 1;
    world.tags.push(Tag {
        id,
        name: name.into(),
        colour: colour.into(),
        ..Tag::default()
    });
    id
}

fn row(tag: &Tag) -> Value {
    json!({
        "id": int(tag.id),
        "name": tag.name,
        "colour": tag.colour,
        "exportable": !tag.is_mute,
        "org_id": int(tag.org_id),
        "user_id": int(tag.user_id),
        "hide_tag": tag.hide_tag,
        "numerical_value": tag.numerical_value,
        "is_galaxy": tag.is_galaxy,
        "is_custom_galaxy": false,
        "local_only": tag.local_only,
    })
}

/// A tag of an attribute the way `objects/restSearch` shows it.
pub(super) fn attribute_tag(
    world: &World,
    event: &Event,
    attribute: u64,
    attached: &Attached,
) -> Value {
    let tag = world.tag(attached.tag);
    json!({
        "id": int(attached.id),
        "attribute_id": int(attribute),
        "event_id": int(event.id),
        "tag_id": int(tag.id),
        "local": attached.local,
        "relationship_type": "",
        "Tag": row(tag),
    })
}

/// `tags/search`: a name with `%`, or a list of names of which the known ones come back (recorded as `401-tags-search-list`).
/// In the path a colon makes a named parameter, so that such a name finds nothing (`353-tags-search-colon`).
pub(super) fn search(world: &World, ask: &Ask) -> Reply {
    let given = ask
        .body
        .get("tag")
        .or_else(|| ask.body.get("name"))
        .cloned();
    let given = given.unwrap_or_else(|| {
        ask.args
            .first()
            .map_or(Value::Null, |name| name.as_str().into())
    });
    let names: Vec<String> = match &given {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    };
    let matches = |tag: &&Tag| {
        names
            .iter()
            .any(|name| like(&name.to_lowercase(), &tag.name.to_lowercase()))
    };
    let found: Vec<Value> = world
        .tags
        .iter()
        .filter(matches)
        .map(with_taxonomy)
        .collect();
    Reply::json(200, &found.into())
}

/// SQL's `LIKE`: `%` is any text, `_` any one sign, and a backslash takes the meaning from the sign after it.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let Some(sign) = pattern.chars().next() else {
        return text.is_empty();
    };
    let rest = &pattern[sign.len_utf8()..];
    let one = |sign: Option<char>, rest: &str| {
        let first = text
            .chars()
            .next()
            .filter(|first| sign.is_none_or(|sign| sign == *first));
        first.is_some_and(|first| like(rest, &text[first.len_utf8()..]))
    };
    match sign {
        '%' => (0..=text.len()).any(|at| text.is_char_boundary(at) && like(rest, &text[at..])),
        '_' => one(None, rest),
        '\\' if !rest.is_empty() => {
            let meant = rest.chars().next();
            one(meant, &rest[meant.map_or(0, char::len_utf8)..])
        }
        sign => one(Some(sign), rest),
    }
}

/// `tags/index`: those that contain `searchall`, in any case, all at once (MISP's `TagsController.php`, `index`).
pub(super) fn index(world: &World, ask: &Ask) -> Reply {
    let part = text(&ask.body["searchall"])
        .unwrap_or_default()
        .to_lowercase();
    let fits = |tag: &&Tag| like(&format!("%{part}%"), &tag.name.to_lowercase());
    let mut found: Vec<&Tag> = world.tags.iter().filter(fits).collect();
    found.sort_by_key(|tag| tag.name.to_lowercase());
    let rows: Vec<Value> = found.into_iter().map(row).collect();
    Reply::json(200, &json!({"Tag": rows}))
}

fn with_taxonomy(tag: &Tag) -> Value {
    let mut out = json!({ "Tag": row(tag) });
    let Some((namespace, value)) = tag
        .name
        .split_once(':')
        .filter(|(_, value)| !value.contains('='))
    else {
        return out;
    };
    out["Taxonomy"] = json!({
        "id": "141",
        "namespace": namespace.to_lowercase(),
        "description": "",
        "version": "10",
        "enabled": true,
        "exclusive": true,
        "required": false,
        "highlighted": false,
    });
    out["TaxonomyPredicate"] = json!({
        "id": "1020",
        "taxonomy_id": "141",
        "value": value,
        "expanded": "",
        "colour": tag.colour,
        "description": "",
        "exclusive": false,
        "numerical_value": null,
    });
    out
}

/// `tags/view`.
pub(super) fn view(world: &World, ask: &Ask) -> Reply {
    let Some(tag) = world
        .tags
        .iter()
        .find(|tag| tag.id.to_string() == ask.first())
    else {
        return ask.refuse(404, "Invalid tag");
    };
    let mut out = row(tag);
    let on = |tags: &[Attached]| tags.iter().any(|attached| attached.tag == tag.id);
    out["count"] = world
        .events
        .iter()
        .filter(|event| on(&event.tags))
        .count()
        .into();
    let attributes = world
        .events
        .iter()
        .flat_map(|event| event.attributes.iter());
    out["attribute_count"] = attributes
        .filter(|attribute| on(&attribute.tags))
        .count()
        .into();
    Reply::json(200, &out)
}

/// `taxonomies/view`: one taxonomy is known, as recorded.
pub(super) fn taxonomy(ask: &Ask) -> Reply {
    let recorded = include_str!("../../../../fixtures/wire/misp/506-taxonomies-view-workflow.json");
    let recorded: Value = serde_json::from_str(recorded).expect("a recorded exchange");
    match ask.first() {
        "workflow" => Reply::json(200, &recorded["response"]["body"]),
        _ => ask.refuse(404, "Taxonomy not found."),
    }
}

/// `tags/add`, which shows the existing tag as it is if there is one (recorded as `123-tag-add-dup`).
pub(super) fn add(world: &mut World, ask: &Ask) -> Reply {
    let from = ask.unwrapped("Tag");
    let Some(name) = text(&from["name"]).filter(|name| !name.is_empty()) else {
        return ask.not_saved(
            "add Tag",
            "/tags/add",
            &json!({"name": ["Please fill this field"]}),
        );
    };
    if four_bytes(&name) {
        return super::add::crash(ask);
    }
    let name = cut(&name);
    let known = world.tag_named(&name).map(|tag| tag.id);
    let id = known.unwrap_or_else(|| {
        make(
            world,
            &name,
            &text(&from["colour"]).unwrap_or_else(|| "#32bd1b".into()),
        )
    });
    Reply::json(200, &json!({ "Tag": row(world.tag(id)) }))
}

/// What a tag is put on.
struct Target {
    event: usize,
    attribute: Option<usize>,
}

impl Target {
    fn find(world: &World, user: &User, uuid: &str) -> Option<Self> {
        let (event, found) = world.events.iter().enumerate().find(|(_, event)| {
            world.sees(user, event)
                && (event.uuid == uuid
                    || event
                        .attributes
                        .iter()
                        .any(|attribute| attribute.uuid == uuid))
        })?;
        Some(Self {
            event,
            attribute: found
                .attributes
                .iter()
                .position(|attribute| attribute.uuid == uuid),
        })
    }

    fn tags<'a>(&self, world: &'a mut World) -> &'a mut Vec<Attached> {
        let event = &mut world.events[self.event];
        match self.attribute {
            Some(at) => &mut event.attributes[at].tags,
            None => &mut event.tags,
        }
    }

    /// `Event(92)`, as the messages say it.
    fn name(&self, world: &World) -> String {
        let event = &world.events[self.event];
        self.attribute.map_or(format!("Event({})", event.id), |at| {
            format!("Attribute({})", event.attributes[at].id)
        })
    }
}

fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

/// `tags/attachTagToObject`.
pub(super) fn attach(world: &mut World, ask: &Ask) -> Reply {
    let Some(target) = Target::find(
        world,
        &ask.user,
        &text(&ask.body["uuid"]).unwrap_or_default(),
    ) else {
        return ask.refuse(404, "Invalid Target.");
    };
    let local = truthy(&ask.body["local"]);
    if let Some(refused) = foreign(world, ask, &target, local) {
        return refused;
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for name in names(&ask.body["tag"]) {
        match attach_one(world, ask, &target, &name, local) {
            Ok(message) => done.push(message),
            Err(reason) => failed.push(reason),
        }
    }
    if failed.is_empty() {
        return Reply::json(200, &ask.saved(&done.join(" "), "/tags/attachTagToObject"));
    }
    let reasons: serde_json::Map<String, Value> = failed
        .iter()
        .enumerate()
        .map(|(at, reason)| (at.to_string(), (*reason).into()))
        .collect();
    let errors = format!(
        "Failed to attach {} tags. Reasons: {}",
        failed.len(),
        Value::from(reasons)
    );
    ask.not_saved(
        "attachTagToObject Tag",
        "/tags/attachTagToObject",
        &errors.into(),
    )
}

fn foreign(world: &World, ask: &Ask, target: &Target, local: bool) -> Option<Reply> {
    let own = super::objects::may_change(&ask.user, &world.events[target.event]);
    (!local && !own).then(|| {
        let message = "Cannot alter the tags of this data, only the organisation that has created the data (orgc) can modify global tags.";
        ask.refuse(403, message)
    })
}

fn attach_one(
    world: &mut World,
    ask: &Ask,
    target: &Target,
    name: &str,
    local: bool,
) -> Result<String, &'static str> {
    if local && ask.user.org != 1 && !ask.user.role.site_admin {
        return Err("Local tags can only be added by users of the host organisation.");
    }
    let Some(tag) = found_or_made(world, &ask.user, name) else {
        return Err("Tag not found and insufficient privileges to create it.");
    };
    let name = world.tag(tag).name.clone();
    if target
        .tags(world)
        .iter()
        .any(|attached| attached.tag == tag)
    {
        let kind = if target.attribute.is_some() {
            "Attribute"
        } else {
            "Event"
        };
        return Ok(format!(
            "{kind} already has the requested tag attached, no changes had to be made for tag {name}."
        ));
    }
    let id = world.next_id();
    target.tags(world).push(Attached { id, tag, local });
    if !local {
        let now = world.tick();
        world.events[target.event].touch(now);
    }
    let reach = if local { "Local" } else { "Global" };
    Ok(format!(
        "{reach} tag {name}({tag}) successfully attached to {}.",
        target.name(world)
    ))
}

/// `tags/removeTagFromObject`.
pub(super) fn remove(world: &mut World, ask: &Ask) -> Reply {
    let Some(target) = Target::find(
        world,
        &ask.user,
        &text(&ask.body["uuid"]).unwrap_or_default(),
    ) else {
        return ask.refuse(404, "Invalid Target.");
    };
    if let Some(refused) = foreign(world, ask, &target, false) {
        return refused;
    }
    let name = text(&ask.body["tag"]).unwrap_or_default();
    let Some((tag, name)) = world.tag_named(&name).map(|tag| (tag.id, tag.name.clone())) else {
        return ask.refuse(404, "Invalid Tag.");
    };
    let tags = target.tags(world);
    let before = tags.len();
    tags.retain(|attached| attached.tag != tag);
    if tags.len() == before {
        return ask.refuse(
            404,
            "Could not remove tag as it is not attached to the target Event",
        );
    }
    let now = world.tick();
    world.events[target.event].touch(now);
    let message = format!(
        "Global tag {name} ({tag}) successfully removed from {}.",
        target.name(world)
    );
    Reply::json(200, &ask.saved(&message, "/tags/removeTagFromObject"))
}

/// `events/addTag`, `events/removeTag` and the same for attributes: 200 whatever happens (recorded as
/// `301-events-addtag-body`, `140-events-removetag-missing`). A colon in the path makes a named parameter, so that such a tag
/// is never found (`139-events-addtag`).
pub(super) fn add_or_remove(world: &mut World, ask: &Ask) -> Reply {
    let kind = if ask.controller == "events" {
        "event"
    } else {
        "attribute"
    };
    let part = |at: usize, name: &str| {
        text(&ask.body[name])
            .or_else(|| ask.args.get(at).cloned())
            .unwrap_or_default()
    };
    let (wanted, tag) = (part(0, kind), part(1, "tag"));
    let failed = |errors: &str| Reply::json(200, &json!({"saved": false, "errors": errors}));
    let uuid = match kind {
        "event" => world.event(&wanted).map(|event| event.uuid.clone()),
        _ => world
            .attribute(&wanted)
            .map(|(_, attribute)| attribute.uuid.clone()),
    };
    let Some(target) = uuid.and_then(|uuid| Target::find(world, &ask.user, &uuid)) else {
        return failed(&format!("Invalid {kind}."));
    };
    if !super::objects::may_change(&ask.user, &world.events[target.event]) {
        return failed("You do not have permission to do that.");
    }
    let known = world
        .tags
        .iter()
        .find(|known| known.id.to_string() == tag)
        .or_else(|| world.tag_named(&tag))
        .map(|known| known.id);
    let adding = ask.action == "addtag";
    let Some(tag) = known else {
        return failed(&if adding {
            "Invalid Tag.".to_owned()
        } else {
            format!("Invalid {kind} - tag combination.")
        });
    };
    let attached = target
        .tags(world)
        .iter()
        .any(|attached| attached.tag == tag);
    match (adding, attached) {
        (true, true) => return failed(&format!("Tag is already attached to this {kind}.")),
        (false, false) => return failed(&format!("Invalid {kind} - tag combination.")),
        (true, false) => {
            let id = world.next_id();
            target.tags(world).push(Attached {
                id,
                tag,
                local: false,
            });
        }
        (false, true) => target.tags(world).retain(|attached| attached.tag != tag),
    }
    let now = world.tick();
    world.events[target.event].touch(now);
    let success = if adding { "Tag added." } else { "Tag removed." };
    Reply::json(
        200,
        &json!({"saved": true, "success": success, "check_publish": true}),
    )
}
