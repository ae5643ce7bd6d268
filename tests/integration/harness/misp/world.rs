//! What the fake MISP holds: events with their attributes, objects and tags, organisations, users, and the switches of a test.

use std::collections::BTreeMap;

use serde_json::Value;

use super::users::{Organisation, User};

/// The clock starts a little after the recording ended, so that the corpus is in the past.
const START: i64 = 1_795_297_000;

/// Everything one fake server holds. Tests may read and change all of it.
#[derive(Clone)]
pub(crate) struct World {
    /// Seconds since 1970; every write uses it and advances it by one.
    pub(crate) now: i64,
    /// Answer integers as JSON numbers, as PHP without stringified database values does.
    pub(crate) numbers: bool,
    /// How every JSON answer is written otherwise than the recorded server does.
    pub(crate) style: Option<fn(&mut Value)>,
    /// `events/index` takes no notice of any filter but `eventid`, as MISP does of those that it does not know.
    pub(crate) ignores_filters: bool,
    /// `Security.hide_organisation_index_from_users`.
    pub(crate) hides_organisations: bool,
    /// The version it names.
    pub(crate) version: String,
    /// The header `Date`, if it is not to be that of the machine's clock.
    pub(crate) date: Option<String>,
    /// The path that it lives below, `/misp`; what is asked elsewhere is another website's.
    pub(crate) below: &'static str,
    /// `MISP.live`; when false only site admins get answers.
    pub(crate) live: bool,
    /// When set, `attributes/add` stores so many attributes of a list, breaks the connection, and goes on with so many at
    /// each later request (of anyone) until the list is stored.
    pub(crate) slow_add: Option<usize>,
    /// What a writer is told who adds an event that another one has just added: 404 with `Location` unless set, or 500, or 403
    /// with `errors.Event`. All three were seen when two added one uuid at the same time.
    pub(crate) duplicate_add: Option<u16>,
    /// `MISP.proposals_block_attributes`.
    pub(crate) proposals_block_attributes: bool,
    /// The import rules that a new MISP has rewrite values on their way in.
    pub(crate) import_rules: bool,
    /// Values that are neither stored nor complained about.
    pub(crate) dropped: Vec<String>,
    /// Values that are refused, and the reason: a rule of this server's own.
    pub(crate) refused: BTreeMap<String, String>,
    /// Values that are stored as others: import rules (recorded as `447-events-add-import-regexp`).
    pub(crate) rewritten: BTreeMap<String, String>,
    /// `MISP.proposals_block_attributes`: an attribute that somebody proposes not to detect is left out of
    /// `attributes/restSearch`, if its proposals are asked for along with it (`__blockAttributeViaProposal` in MISP's
    /// `MispAttribute.php` looks at no others).
    pub(crate) blocks_by_proposals: bool,
    /// Filters that every user has set for all searches (the setting `default_restsearch_parameters`), as an object; a
    /// filter that a search names counts in place of the default (recorded as `573-value-search-under-default-filters`
    /// and its neighbours).
    pub(crate) default_filters: Value,
    /// MISP's allowed list: values that have one of these texts in them are kept out of every search, but are counted in
    /// its header (recorded as `577-value-search-on-allowed-list` and its neighbours).
    pub(crate) allowed_list: Vec<String>,
    /// What somebody else does meanwhile.
    pub(crate) meanwhile: Option<Meanwhile>,
    /// Types of MISP 2.5.1 that this server does not know.
    pub(crate) without_types: Vec<String>,
    pub(crate) events: Vec<Event>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) organisations: Vec<Organisation>,
    pub(crate) users: Vec<User>,
    /// Uuids of deleted events.
    pub(crate) blocklist: Vec<String>,
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) sharing_groups: Vec<Value>,
    /// Value to the names of the warning lists it is on.
    pub(crate) warninglists: BTreeMap<String, Vec<String>>,
    /// Further clusters of the galaxy of attack patterns; false if there is no such galaxy.
    pub(crate) galaxy: Value,
    /// Reports are left out of what is written without a word.
    pub(crate) refuses_reports: bool,
    /// Searches so far per user name, for the rate limit.
    pub(crate) searches: BTreeMap<String, u32>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) url: String,
    pub(crate) last_id: u64,
}

/// Something that happens once, just before the next request whose path begins so is answered.
#[derive(Clone, Copy)]
pub(crate) struct Meanwhile {
    pub(crate) before: &'static str,
    pub(crate) change: fn(&mut World),
}

/// A list of attributes whose client is gone.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) event: u64,
    pub(crate) attributes: Vec<Value>,
}

/// One event; its attributes, those of objects included, are in `attributes`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) uuid: String,
    pub(crate) org: u64,
    pub(crate) orgc: u64,
    /// E-mail address of the user who added it.
    pub(crate) creator: String,
    pub(crate) info: String,
    pub(crate) date: String,
    pub(crate) threat_level: u64,
    pub(crate) analysis: u64,
    pub(crate) distribution: u64,
    pub(crate) sharing_group: u64,
    pub(crate) published: bool,
    pub(crate) locked: bool,
    pub(crate) timestamp: i64,
    pub(crate) publish_timestamp: i64,
    pub(crate) sighting_timestamp: i64,
    pub(crate) extends_uuid: String,
    /// Kept beside the attributes because MISP's own count drifts.
    pub(crate) attribute_count: i64,
    pub(crate) tags: Vec<Attached>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) objects: Vec<Object>,
    pub(crate) galaxies: Value,
    pub(crate) clusters: Value,
    pub(crate) related: Value,
    pub(crate) reports: Value,
    pub(crate) proposals: Value,
}

/// One attribute, loose (`object` 0) or of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attribute {
    pub(crate) id: u64,
    pub(crate) uuid: String,
    pub(crate) object: u64,
    pub(crate) object_relation: Option<String>,
    pub(crate) kind: String,
    pub(crate) category: String,
    pub(crate) value: String,
    pub(crate) to_ids: bool,
    pub(crate) comment: String,
    pub(crate) distribution: u64,
    pub(crate) sharing_group: u64,
    pub(crate) timestamp: i64,
    pub(crate) deleted: bool,
    pub(crate) disable_correlation: bool,
    pub(crate) first_seen: Option<String>,
    pub(crate) last_seen: Option<String>,
    /// Base64 content of attachments and samples.
    pub(crate) data: Option<String>,
    pub(crate) tags: Vec<Attached>,
    pub(crate) galaxies: Value,
}

/// One object without its attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) id: u64,
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) meta_category: String,
    pub(crate) description: String,
    pub(crate) template_uuid: String,
    pub(crate) template_version: String,
    pub(crate) timestamp: i64,
    pub(crate) distribution: u64,
    pub(crate) sharing_group: u64,
    pub(crate) comment: String,
    pub(crate) deleted: bool,
    pub(crate) first_seen: Option<String>,
    pub(crate) last_seen: Option<String>,
    pub(crate) references: Value,
}

/// A tag of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tag {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) colour: String,
    pub(crate) numerical_value: Option<String>,
    pub(crate) is_galaxy: bool,
    /// Left out of the choices of the web pages.
    pub(crate) hide_tag: bool,
    /// May only be attached as a local tag.
    pub(crate) local_only: bool,
    /// `exportable` is false: attached like any other, and left out of the rows of `events/index`.
    pub(crate) is_mute: bool,
    /// The only organisation that may attach it, or 0.
    pub(crate) org_id: u64,
    /// The only user who may attach it, or 0.
    pub(crate) user_id: u64,
}

/// A tag on an event or attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attached {
    pub(crate) id: u64,
    pub(crate) tag: u64,
    pub(crate) local: bool,
}

/// One sighting of one attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sighting {
    pub(crate) id: u64,
    pub(crate) uuid: String,
    pub(crate) event: u64,
    pub(crate) attribute: u64,
    pub(crate) org: u64,
    pub(crate) date: i64,
    pub(crate) source: String,
    pub(crate) kind: String,
}

impl World {
    /// Users, organisations and the usual tags; no events.
    pub(crate) fn new() -> Self {
        Self {
            now: START,
            numbers: false,
            style: None,
            ignores_filters: false,
            hides_organisations: false,
            version: "2.5.1".to_owned(),
            date: None,
            below: "",
            live: true,
            slow_add: None,
            duplicate_add: None,
            proposals_block_attributes: false,
            import_rules: false,
            dropped: Vec::new(),
            refused: BTreeMap::new(),
            rewritten: BTreeMap::new(),
            blocks_by_proposals: false,
            default_filters: Value::Null,
            galaxy: Value::Null,
            refuses_reports: false,
            allowed_list: Vec::new(),
            meanwhile: None,
            without_types: Vec::new(),
            events: Vec::new(),
            tags: super::tags::usual(),
            organisations: super::users::organisations(),
            users: super::users::users(),
            blocklist: Vec::new(),
            sightings: Vec::new(),
            sharing_groups: Vec::new(),
            warninglists: super::sightings::warninglists(),
            searches: BTreeMap::new(),
            pending: Vec::new(),
            url: String::new(),
            last_id: 60_000,
        }
    }

    /// The same with the 34 events of the corpus.
    pub(crate) fn with_corpus() -> Self {
        super::corpus::world()
    }

    /// The second a write happens in; the next write happens in the next one.
    pub(crate) fn tick(&mut self) -> i64 {
        self.now += 1;
        self.now - 1
    }

    /// An id that nothing has yet.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The id of the next event: one more than the highest.
    pub(crate) fn next_event_id(&self) -> u64 {
        self.events
            .iter()
            .map(|event| event.id)
            .max()
            .unwrap_or_default()
            + 1
    }

    /// The event with this id or uuid. MISP knows uuids in lower case only.
    pub(crate) fn event(&self, id_or_uuid: &str) -> Option<&Event> {
        self.events.iter().find(|event| event.is(id_or_uuid))
    }

    /// The event with this id or uuid, to change it.
    pub(crate) fn event_mut(&mut self, id_or_uuid: &str) -> Option<&mut Event> {
        self.events.iter_mut().find(|event| event.is(id_or_uuid))
    }

    /// The attribute with this id or uuid, deleted or not, and its event.
    pub(crate) fn attribute(&self, id_or_uuid: &str) -> Option<(&Event, &Attribute)> {
        let found = |event: &&Event| {
            event
                .attributes
                .iter()
                .any(|attribute| attribute.is(id_or_uuid))
        };
        let event = self.events.iter().find(found)?;
        Some((
            event,
            event
                .attributes
                .iter()
                .find(|attribute| attribute.is(id_or_uuid))?,
        ))
    }

    /// The tag with this id.
    pub(crate) fn tag(&self, id: u64) -> &Tag {
        self.tags
            .iter()
            .find(|tag| tag.id == id)
            .expect("tags are never removed")
    }

    /// The tag with this name in any case, as MISP looks it up when writing.
    pub(crate) fn tag_named(&self, name: &str) -> Option<&Tag> {
        let wanted = name.to_lowercase();
        self.tags
            .iter()
            .find(|tag| tag.name.to_lowercase() == wanted)
    }

    /// A tag to be attached, made if there is none of this name.
    pub(crate) fn attached(&mut self, name: &str) -> Attached {
        let id = self.next_id();
        let known = self.tag_named(name).map(|tag| tag.id);
        let tag = known.unwrap_or_else(|| {
            self.tags.push(Tag {
                id,
                name: name.to_owned(),
                ..Tag::default()
            });
            id
        });
        Attached {
            id,
            tag,
            local: false,
        }
    }

    /// The names of these tags.
    pub(crate) fn names(&self, attached: &[Attached]) -> Vec<String> {
        attached
            .iter()
            .map(|attached| self.tag(attached.tag).name.clone())
            .collect()
    }

    /// The organisation with this id.
    pub(crate) fn organisation(&self, id: u64) -> &Organisation {
        self.organisations
            .iter()
            .find(|organisation| organisation.id == id)
            .expect("organisations are never removed")
    }

    /// The filters of a search: those that it names, and of the others the user's defaults; `false` is none (recorded as
    /// `576-value-search-false-is-no-filter`).
    pub(crate) fn with_default_filters(&self, named: &Value) -> Value {
        let mut filters = self
            .default_filters
            .as_object()
            .cloned()
            .unwrap_or_default();
        filters.extend(named.as_object().cloned().unwrap_or_default());
        filters.retain(|name, value| *value != false || name == "published");
        Value::Object(filters)
    }

    /// Whether the allowed list keeps a value out of searches.
    pub(crate) fn is_allowed(&self, value: &str) -> bool {
        self.allowed_list
            .iter()
            .any(|text| value.contains(text.as_str()))
    }

    /// Whether `user` may see `event`. Sharing groups list the organisations they share with.
    pub(crate) fn sees(&self, user: &User, event: &Event) -> bool {
        if user.role.site_admin || event.org == user.org || event.orgc == user.org {
            return true;
        }
        match event.distribution {
            0 => false,
            4 => self.in_sharing_group(user.org, event.sharing_group),
            _ => true,
        }
    }

    /// Whether an organisation is a member of a sharing group; its owner need not be one.
    pub(crate) fn in_sharing_group(&self, org: u64, group: u64) -> bool {
        let group = group.to_string();
        let org = org.to_string();
        self.sharing_groups
            .iter()
            .filter(|known| known["id"] == group.as_str())
            .any(|known| {
                known["SharingGroupOrg"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|row| row["org_id"] == org.as_str())
            })
    }

    /// Whether `user` may see this attribute of an event that the user sees: by its own distribution, and by that of the
    /// object that it is in.
    pub(crate) fn sees_attribute(&self, user: &User, event: &Event, attribute: &Attribute) -> bool {
        let object = event
            .objects
            .iter()
            .find(|object| object.id == attribute.object);
        self.sees_part(
            user,
            event,
            (attribute.distribution, attribute.sharing_group),
        ) && object.is_none_or(|object| self.sees_object(user, event, object))
    }

    /// Whether `user` may see this object of an event that the user sees. One that came without a distribution is its own
    /// organisation's (the default in MISP's `MYSQL.sql`).
    pub(crate) fn sees_object(&self, user: &User, event: &Event, object: &Object) -> bool {
        self.sees_part(user, event, (object.distribution, object.sharing_group))
    }

    fn sees_part(&self, user: &User, event: &Event, (distribution, group): (u64, u64)) -> bool {
        let own = user.role.site_admin || event.org == user.org || event.orgc == user.org;
        match distribution {
            0 => own,
            4 => own || self.in_sharing_group(user.org, group),
            _ => true,
        }
    }
}

impl Event {
    /// Whether this is the event's id or uuid.
    pub(crate) fn is(&self, id_or_uuid: &str) -> bool {
        self.uuid == id_or_uuid || self.id.to_string() == id_or_uuid
    }

    /// The attributes that are not deleted.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes
            .iter()
            .filter(|attribute| !attribute.deleted)
    }

    /// Marks the event as changed: newer, and no longer published.
    pub(crate) fn touch(&mut self, now: i64) {
        self.timestamp = now;
        self.published = false;
    }
}

impl Attribute {
    /// Whether this is the attribute's id or uuid.
    pub(crate) fn is(&self, id_or_uuid: &str) -> bool {
        self.uuid == id_or_uuid || self.id.to_string() == id_or_uuid
    }

    /// The value's two halves; the second is empty unless the type is composite.
    pub(crate) fn halves(&self) -> (&str, &str) {
        match self.value.split_once('|') {
            Some(halves) if super::types::is_composite(&self.kind) => halves,
            _ => (&self.value, ""),
        }
    }
}
