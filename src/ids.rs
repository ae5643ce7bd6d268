//! Our own recognisable uuids. An event, attribute or object that we make has a uuid computed from
//! what it stands for, so that a second export, a retry and a parallel run meet at the same place.
//! Its last six bytes are a signature: three say "made by cortex-misp", three more "made by this
//! installation". MISP stores client-made version 5 uuids with altered last bytes as sent
//! (`fixtures/wire/misp/402-add-v5-uuids.json`).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::{Builder, Uuid};

use crate::secret::Secret;
use crate::text::to_hex;

const PRODUCT: &str = "cortex-misp";
const SIGNED: usize = 10;
const MARK: usize = 3;
/// Bytes of a check value.
const CHECK: usize = 8;
/// How many other uuids an event, object or attribute can have, if its first one is held elsewhere.
const FALLBACKS: u8 = 4;

/// The names of one installation: makes uuids and recognises its own. With a secret, nobody else
/// can compute them; without one they follow from what everybody may know.
#[derive(Clone, Debug)]
pub struct Ids {
    instance: String,
    secret: Option<Secret>,
    /// Who adds to an event, if that is not the owner of the event's own case; else empty.
    guest: String,
    /// The `guest` of the other side of a case that TheHive shares ([`Self::other_side`]).
    beside: Option<String>,
    /// True inside an event that a tag `misp:into` names.
    is_into: bool,
}

/// Whose an event is that IOCs of a case are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventRole {
    /// The case's own.
    #[default]
    Own,
    /// Another case's; somebody confirmed that this one's IOCs go there too.
    Guest,
    /// One that people made: a tag `misp:into` of the case names it, or did.
    Into,
}

impl EventRole {
    /// True for an event that is not the case's own: its title, levels and tags are somebody
    /// else's.
    pub fn is_guest(self) -> bool {
        self != Self::Own
    }
}

/// What a uuid is for. With a secret, events are marked in another way than what stands in them: so
/// nobody can make an event whose uuid is that of an attribute of ours and counts as our event.
#[derive(Clone, Copy)]
enum Kind {
    Event,
    Part,
}

impl Ids {
    /// Takes the installation's name and secret, the options `instance` and `instance_secret`.
    pub fn new(instance: &str, secret: Option<&Secret>) -> Self {
        Self {
            instance: instance.to_owned(),
            secret: secret.cloned(),
            guest: String::new(),
            beside: None,
            is_into: false,
        }
    }

    /// The installation's name.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The organisation that this installation is in its own feeds.
    pub fn organisation_uuid(&self) -> Uuid {
        unsigned_uuid(&["organisation", &self.instance])
    }

    /// True if uuids follow from a secret, so that nobody else can have made one.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// The same installation without its secret: how it made uuids before it had one.
    pub fn without_secret(&self) -> Self {
        Self {
            secret: None,
            ..self.clone()
        }
    }

    /// How the uuids inside an event are made: as that of the event, which may be older than the
    /// secret.
    pub fn for_event(&self, event: &Uuid) -> Self {
        if self.has_mark(event) || !self.guest.is_empty() {
            self.clone()
        } else {
            self.without_secret()
        }
    }

    /// How the uuids of a case's attributes and objects are made inside events. In an event that is
    /// not its own they depend on this case too; and those of organisations that TheHive shares the
    /// case with (not `is_owner`) differ from its owner's: so each takes back only what it put there
    /// itself. The organisations that share a case have one name in common, since they take back
    /// nothing.
    pub fn for_case(&self, (id, created): (&str, &str), role: EventRole, is_owner: bool) -> Self {
        let case = [id, created].join("\0");
        let shared = [case.as_str(), "shared"].join("\0");
        let own = if role.is_guest() { case } else { String::new() };
        let (guest, beside) = if is_owner {
            (own, shared)
        } else {
            (shared, own)
        };

        Self {
            guest,
            beside: Some(beside),
            is_into: role == EventRole::Into,
            ..self.clone()
        }
    }

    /// How the other side of a shared case makes its uuids: the organisations that it is shared
    /// with for its owner, the owner for those.
    pub fn other_side(&self) -> Option<Self> {
        Some(Self {
            guest: self.beside.clone()?,
            beside: None,
            ..self.clone()
        })
    }

    /// The uuid of the event of a case. `created` is the case's creation time in milliseconds, or
    /// empty.
    pub fn event_uuid(&self, case_id: &str, created: &str) -> Uuid {
        self.make_uuid(
            Kind::Event,
            &namespace(),
            &[&self.instance, case_id, created],
        )
    }

    /// All uuids that the event of a case can have, in the order in which one gives way to the
    /// next. `connection` names one of several connections to the same MISP, whose events there are
    /// its own.
    pub fn event_uuids(&self, case_id: &str, created: &str, connection: Option<&str>) -> Vec<Uuid> {
        let event = self.event_uuid(case_id, created);
        let event = connection.map_or(event, |name| {
            self.make_uuid(Kind::Event, &event, &["connection", name])
        });
        let extension = self.make_uuid(Kind::Event, &event, &["extends", &event.to_string()]);
        [event, extension]
            .into_iter()
            .chain(self.make_fallbacks(Kind::Event, event))
            .collect()
    }

    /// The uuid of what `parts` name inside `parent`.
    pub fn part_uuid(&self, parent: &Uuid, parts: &[&str]) -> Uuid {
        self.make_uuid(Kind::Part, parent, parts)
    }

    fn make_uuid(&self, kind: Kind, parent: &Uuid, parts: &[&str]) -> Uuid {
        let guest = Some(self.guest_for(kind)).filter(|guest| !guest.is_empty());
        let parts: Vec<_> = parts.iter().copied().chain(guest).collect();
        let named = parts.join("\0");

        let plain = match &self.secret {
            None => Uuid::new_v5(parent, named.as_bytes()),
            Some(secret) => {
                let bytes = hmac_sha256(
                    secret,
                    &[PRODUCT.as_bytes(), parent.as_bytes(), named.as_bytes()],
                );
                // Marked as version 5, though it is another hash: MISP stores such a uuid as it is
                // sent.
                Builder::from_sha1_bytes(first_bytes(&bytes)).into_uuid()
            }
        };

        let (head, _) = plain.as_bytes().split_at(SIGNED);
        let bytes = [head, &self.signature(kind, head)].concat();

        // Ten bytes and six are always a uuid.
        Uuid::from_slice(&bytes).unwrap_or(plain)
    }

    /// The uuids that stand for that of an attribute or object, in turn, where it is held
    /// elsewhere.
    pub fn fallback_uuids(&self, uuid: &Uuid) -> impl Iterator<Item = Uuid> {
        self.make_fallbacks(Kind::Part, *uuid)
    }

    fn make_fallbacks(&self, kind: Kind, uuid: Uuid) -> impl Iterator<Item = Uuid> {
        (1..=FALLBACKS)
            .map(move |number| self.make_uuid(kind, &uuid, &["instead", &number.to_string()]))
    }

    /// True for a uuid with the mark of this installation, with its secret or from before it had
    /// one. Without a secret the mark is no proof: anybody can compute it.
    pub fn is_made_here(&self, uuid: &Uuid) -> bool {
        self.has_mark(uuid) || (self.has_secret() && self.without_secret().has_mark(uuid))
    }

    /// True for an attribute or object that this installation put into an event for this case,
    /// whichever organisation of TheHive it did so for.
    pub fn is_case_part(&self, event: &Uuid, uuid: &Uuid) -> bool {
        self.is_this_side_part(event, uuid) || self.is_other_side_part(event, uuid)
    }

    /// The same for this side of the case alone: with the mark that it makes there. An event that
    /// was made with the secret holds none from before, so that nobody can bring one in by
    /// computing it.
    pub fn is_this_side_part(&self, event: &Uuid, uuid: &Uuid) -> bool {
        self.for_event(event).is_marked(Kind::Part, uuid)
    }

    /// The same for the other side alone.
    pub fn is_other_side_part(&self, event: &Uuid, uuid: &Uuid) -> bool {
        self.other_side()
            .is_some_and(|beside| beside.is_this_side_part(event, uuid))
    }

    /// True for the uuid of an event that nobody else can have computed. Whoever saw it can still
    /// use it on another MISP.
    pub fn is_proven_event(&self, uuid: &Uuid) -> bool {
        self.has_secret() && self.is_marked(Kind::Event, uuid)
    }

    fn has_mark(&self, uuid: &Uuid) -> bool {
        [Kind::Event, Kind::Part]
            .into_iter()
            .any(|kind| self.is_marked(kind, uuid))
    }

    fn is_marked(&self, kind: Kind, uuid: &Uuid) -> bool {
        let (head, signature) = uuid.as_bytes().split_at(SIGNED);
        signature == self.signature(kind, head)
    }

    fn signature(&self, kind: Kind, head: &[u8]) -> Vec<u8> {
        let maker = match kind {
            Kind::Part if self.is_into => self.mark_of_named_events(head),
            Kind::Event | Kind::Part => product_mark(head),
        };
        [maker, self.instance_mark(kind, head)].concat()
    }

    /// What stands in place of the product's mark in an event that a tag `misp:into` names: an
    /// import knows by it what an export of this installation added, for whichever case.
    fn mark_of_named_events(&self, head: &[u8]) -> [u8; MARK] {
        let parts: [&[u8]; 3] = [b"into", self.instance.as_bytes(), head];
        match &self.secret {
            None => hash_mark(&[PRODUCT.as_bytes(), &parts.join(&0u8)]),
            Some(secret) => first_bytes(&hmac_sha256(secret, &parts)),
        }
    }

    /// True for an attribute that an export of this installation added, for whichever case, to an
    /// event that a tag `misp:into` named. Three bytes say so, one uuid of 16 million by chance;
    /// without a secret anybody can compute them.
    pub fn is_put_into_event(&self, uuid: &Uuid) -> bool {
        let (head, signature) = uuid.as_bytes().split_at(SIGNED);
        let has_mark = |ids: &Self| signature.starts_with(&ids.mark_of_named_events(head));
        uuid.get_version_num() == 5
            && (has_mark(self) || (self.has_secret() && has_mark(&self.without_secret())))
    }

    fn instance_mark(&self, kind: Kind, head: &[u8]) -> [u8; MARK] {
        let instance = match self.guest_for(kind) {
            "" => self.instance.clone(),
            guest => [&self.instance, guest].join("\0"),
        };
        match (&self.secret, kind) {
            (None, _) => hash_mark(&[PRODUCT.as_bytes(), instance.as_bytes(), head]),
            (Some(secret), Kind::Event) => {
                first_bytes(&hmac_sha256(secret, &[b"event", instance.as_bytes(), head]))
            }
            (Some(secret), Kind::Part) => {
                first_bytes(&hmac_sha256(secret, &[instance.as_bytes(), head]))
            }
        }
    }

    /// Whoever adds to it, an event is that of its case.
    fn guest_for(&self, kind: Kind) -> &str {
        match kind {
            Kind::Event => "",
            Kind::Part => &self.guest,
        }
    }

    /// What shows that a case was exported to an event on a connection: 16 hexadecimal digits,
    /// keyed by the installation's secret, else by the connection's key. None where there is
    /// neither. `case` names the case in full: what tells it from every other, on another TheHive
    /// too. The installation's name is not part of it, so that cases keep their events when TheHive
    /// gets another address.
    pub fn check_value(
        &self,
        connection: (&str, Option<&Secret>),
        event: &Uuid,
        case: &[&str],
    ) -> Option<String> {
        let (name, key) = connection;
        let parts: Vec<&[u8]> = ["misp:event", name]
            .iter()
            .chain(case)
            .map(|part| part.as_bytes())
            .collect();

        let bytes = hmac_sha256(
            self.secret.as_ref().or(key)?,
            &[&parts.join(&0u8), event.as_bytes()],
        );
        Some(to_hex(&first_bytes::<CHECK>(&bytes)))
    }
}

/// True for a uuid that some installation of cortex-misp made.
pub fn is_ours(uuid: &Uuid) -> bool {
    let (head, signature) = uuid.as_bytes().split_at(SIGNED);
    signature.starts_with(&product_mark(head))
}

/// A plain version 5 uuid in our namespace, for things that need no signature (an organisation in a
/// feed).
pub fn unsigned_uuid(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&namespace(), parts.join("\0").as_bytes())
}

fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, PRODUCT.as_bytes())
}

fn product_mark(head: &[u8]) -> [u8; MARK] {
    hash_mark(&[PRODUCT.as_bytes(), head])
}

fn hash_mark(parts: &[&[u8]]) -> [u8; MARK] {
    first_bytes(&sha1_smol::Sha1::from(parts.join(&0u8)).digest().bytes())
}

/// HMAC-SHA256 of the parts, joined by NUL.
fn hmac_sha256(secret: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length, so there is always one.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(&parts.join(&0u8));
    mac.finalize().into_bytes().into()
}

/// The first bytes of a longer value.
fn first_bytes<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_case_has_the_same_uuid_on_every_machine() {
        let ids = Ids::new("thehive.example.org", None);
        let event = ids.event_uuid("~25313328", "1630917246993");
        assert_eq!(event, ids.event_uuid("~25313328", "1630917246993"));
        assert_ne!(event, ids.event_uuid("~25313328", "1630917246994"));
        assert_eq!(event.get_version_num(), 5);
        insta::assert_snapshot!(event, @"4feb23ac-c3ab-50d2-8da1-fd0531ba29b2");
    }

    #[test]
    fn installations_tell_their_own_from_others() {
        let (here, there) = (Ids::new("here", None), Ids::new("there", None));
        let event = here.event_uuid("~1", "");
        let attribute = here.part_uuid(&event, &["ip", "203.0.113.7"]);
        for uuid in [event, attribute] {
            assert!(here.is_made_here(&uuid) && is_ours(&uuid));
            assert!(!there.is_made_here(&uuid));
        }
    }

    fn secret() -> Secret {
        Secret::new("0123456789abcdef0123456789abcdef")
    }

    #[test]
    fn with_a_secret_no_uuid_follows_from_what_others_know() {
        let (known, secret) = (Ids::new("here", None), Ids::new("here", Some(&secret())));
        let event = secret.event_uuid("~1", "1");
        assert_ne!(event, known.event_uuid("~1", "1"));
        assert_ne!(
            secret.part_uuid(&event, &["ip", "203.0.113.7"]),
            known.part_uuid(&event, &["ip", "203.0.113.7"])
        );
        assert_eq!((event.get_version_num(), is_ours(&event)), (5, true));
        assert!(
            secret.is_made_here(&event)
                && secret.is_proven_event(&event)
                && !known.is_made_here(&event)
        );

        let attribute = secret.part_uuid(&event, &["ip", "203.0.113.7"]);
        assert!(
            secret.is_made_here(&attribute) && !secret.is_proven_event(&attribute),
            "no event has an attribute's uuid"
        );
        let all = secret.event_uuids("~1", "1", None);
        assert!(all.iter().all(|uuid| secret.is_proven_event(uuid)) && all.first() == Some(&event));
        insta::assert_snapshot!(event, @"5ff22eed-b46c-5632-a598-17d58c208f63");
    }

    #[test]
    fn what_was_made_before_there_was_a_secret_is_still_known() {
        let (known, secret) = (Ids::new("here", None), Ids::new("here", Some(&secret())));
        let old = known.event_uuid("~1", "1");
        assert!(
            secret.is_made_here(&old)
                && !secret.is_proven_event(&old)
                && !known.is_proven_event(&old)
        );

        assert_eq!(
            secret.for_event(&old).part_uuid(&old, &["ip", "x"]),
            known.part_uuid(&old, &["ip", "x"])
        );
        let new = secret.event_uuid("~1", "1");
        assert_eq!(
            secret.for_event(&new).part_uuid(&new, &["ip", "x"]),
            secret.part_uuid(&new, &["ip", "x"])
        );
    }

    #[test]
    fn a_case_that_is_a_guest_and_a_connection_have_uuids_of_their_own() {
        for ids in [Ids::new("here", None), Ids::new("here", Some(&secret()))] {
            let event = ids.event_uuid("~1", "1");
            let guest = |id: &str| ids.for_case((id, "2"), EventRole::Guest, true);
            let (one, other) = (guest("~2"), guest("~3"));
            let attribute = one
                .for_event(&event)
                .part_uuid(&event, &["ip", "203.0.113.7"]);
            assert_ne!(attribute, ids.part_uuid(&event, &["ip", "203.0.113.7"]));
            let own = ids.for_case(("~1", "1"), EventRole::Own, true);
            assert!(one.is_case_part(&event, &attribute));
            assert!(
                !own.is_case_part(&event, &attribute) && !other.is_case_part(&event, &attribute)
            );
            assert_eq!(
                one.event_uuids("~2", "2", None),
                ids.event_uuids("~2", "2", None),
                "an event is that of its case"
            );

            let named = ids.event_uuids("~1", "1", Some("partner"));
            assert!(
                ids.event_uuids("~1", "1", None)
                    .iter()
                    .all(|uuid| ids.is_made_here(uuid) && !named.contains(uuid))
            );
        }
    }

    #[test]
    fn the_owner_of_a_shared_case_and_the_others_have_uuids_of_their_own_in_whatever_event() {
        for ids in [Ids::new("here", None), Ids::new("here", Some(&secret()))] {
            let old = ids.without_secret().event_uuid("~1", "1");
            for (event, role) in [
                (ids.event_uuid("~1", "1"), EventRole::Own),
                (old, EventRole::Own),
                (ids.event_uuid("~2", "2"), EventRole::Guest),
                (Uuid::new_v4(), EventRole::Into),
            ] {
                let [owner, shared] =
                    [true, false].map(|is_owner| ids.for_case(("~1", "1"), role, is_owner));
                let id = |ids: &Ids| {
                    ids.for_event(&event)
                        .part_uuid(&event, &["ip", "203.0.113.7"])
                };

                for (this, that) in [(&owner, &shared), (&shared, &owner)] {
                    assert!(
                        this.is_this_side_part(&event, &id(this))
                            && !this.is_other_side_part(&event, &id(this))
                    );
                    assert!(
                        this.is_other_side_part(&event, &id(that))
                            && !this.is_this_side_part(&event, &id(that))
                    );
                    assert!(
                        this.is_case_part(&event, &id(this))
                            && this.is_case_part(&event, &id(that))
                    );
                    assert_eq!(id(&this.other_side().unwrap()), id(that));
                }

                let other = ids.for_case(("~3", "3"), EventRole::Guest, true);
                assert!(
                    ![owner, shared]
                        .iter()
                        .any(|one| other.is_case_part(&event, &id(one)))
                );
            }
        }
    }

    #[test]
    fn fallbacks_are_marked_and_all_different() {
        let ids = Ids::new("here", None);
        let first = ids.event_uuid("~1", "");
        let mut all: Vec<_> = ids.fallback_uuids(&first).chain([first]).collect();
        assert!(all.iter().all(|uuid| ids.is_made_here(uuid)));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn a_check_value_holds_for_one_case_event_connection_and_key_only() {
        let ids = Ids::new("here", None);
        let event = ids.event_uuid("~1", "");
        let (key, other) = (
            Secret::new("key of the connection"),
            Secret::new("another key"),
        );
        let value = ids.check_value(("misp", Some(&key)), &event, &["~1"]);
        assert_eq!(value.as_ref().map(String::len), Some(16));

        let others = [
            ids.check_value(("misp", Some(&other)), &event, &["~1"]),
            ids.check_value(("partner", Some(&key)), &event, &["~1"]),
            ids.check_value(("misp", Some(&key)), &event, &["~2"]),
            ids.check_value(("misp", Some(&key)), &ids.event_uuid("~2", ""), &["~1"]),
            Ids::new("here", Some(&secret())).check_value(("misp", Some(&key)), &event, &["~1"]),
        ];

        assert!(
            others
                .iter()
                .all(|other| other.is_some() && *other != value)
        );

        assert_eq!(
            Ids::new("there", None).check_value(("misp", Some(&key)), &event, &["~1"]),
            value
        );
        assert_eq!(ids.check_value(("feed", None), &event, &["~1"]), None);
        let secret = Ids::new("here", Some(&secret()));
        assert_eq!(
            secret.check_value(("misp", Some(&key)), &event, &["~1"]),
            secret.check_value(("misp", Some(&other)), &event, &["~1"]),
            "with a secret of the installation, a new key changes nothing"
        );
    }

    #[test]
    fn what_was_put_into_somebodys_event_is_known_without_its_case_and_by_no_other_installation() {
        let event = Uuid::new_v4();
        for ids in [Ids::new("here", None), Ids::new("here", Some(&secret()))] {
            let part = |role| {
                let of_case = ids.for_case(("~1", "1"), role, true);
                of_case.part_uuid(&event, &["ip", "203.0.113.7"])
            };
            assert!(ids.is_put_into_event(&part(EventRole::Into)));
            assert!(!ids.is_put_into_event(&part(EventRole::Guest)));
            assert!(!Ids::new("there", None).is_put_into_event(&part(EventRole::Into)));
        }
    }

    #[test]
    fn other_uuids_are_not_taken_for_ours() {
        for number in 0..2_000u32 {
            let uuid = Uuid::new_v5(&Uuid::NAMESPACE_URL, &number.to_be_bytes());
            let ids = Ids::new("here", None);
            assert!(!is_ours(&uuid) && !ids.is_made_here(&uuid) && !ids.is_put_into_event(&uuid));
        }
    }
}
