//! Our own recognisable uuids. An event, attribute or object that we make has a uuid computed from what it stands for,
//! so that a second export, a retry and a parallel run meet at the same place. Its last six bytes are a signature:
//! three say "made by cortex-misp", three more "made by this installation". MISP stores client-made version 5 uuids
//! with altered last bytes as sent (`fixtures/wire/misp/402-add-v5-uuids.json`).

use uuid::Uuid;

const PRODUCT: &str = "cortex-misp";
const SIGNED: usize = 10;
const MARK: usize = 3;

/// The names of one installation: makes uuids and recognises its own.
#[derive(Clone, Debug)]
pub struct Ids {
    instance: String,
}

impl Ids {
    /// Takes the installation's name, the option `instance`.
    #[must_use]
    pub fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned() }
    }

    /// The installation's name.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The uuid of the event of a case. `created` is the case's creation time in milliseconds, or empty.
    #[must_use]
    pub fn event(&self, case_id: &str, created: &str) -> Uuid {
        self.id(&namespace(), &[&self.instance, case_id, created])
    }

    /// The uuid of what `parts` name inside `parent`.
    #[must_use]
    pub fn id(&self, parent: &Uuid, parts: &[&str]) -> Uuid {
        let plain = Uuid::new_v5(parent, parts.join("\0").as_bytes());
        let (head, _) = plain.as_bytes().split_at(SIGNED);
        let signature = [product_mark(head), self.instance_mark(head)].concat();
        let bytes: Vec<u8> = head.iter().copied().chain(signature).collect();
        Uuid::from_slice(&bytes).unwrap_or(plain)
    }

    /// True for a uuid that this installation made.
    #[must_use]
    pub fn is_mine(&self, uuid: &Uuid) -> bool {
        let (head, signature) = uuid.as_bytes().split_at(SIGNED);
        signature == [product_mark(head), self.instance_mark(head)].concat()
    }

    fn instance_mark(&self, head: &[u8]) -> [u8; MARK] {
        mark(&[PRODUCT.as_bytes(), self.instance.as_bytes(), head])
    }
}

/// True for a uuid that some installation of cortex-misp made.
#[must_use]
pub fn is_ours(uuid: &Uuid) -> bool {
    let (head, signature) = uuid.as_bytes().split_at(SIGNED);
    signature.starts_with(&product_mark(head))
}

/// A plain version 5 uuid in our namespace, for things that need no signature (an organisation in a feed).
#[must_use]
pub fn plain(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&namespace(), parts.join("\0").as_bytes())
}

fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, PRODUCT.as_bytes())
}

fn product_mark(head: &[u8]) -> [u8; MARK] {
    mark(&[PRODUCT.as_bytes(), head])
}

fn mark(parts: &[&[u8]]) -> [u8; MARK] {
    let [a, b, c, ..] = sha1_smol::Sha1::from(parts.join(&0u8)).digest().bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_case_has_the_same_uuid_on_every_machine() {
        let ids = Ids::new("thehive.example.org");
        let event = ids.event("~25313328", "1630917246993");
        assert_eq!(event, ids.event("~25313328", "1630917246993"));
        assert_ne!(event, ids.event("~25313328", "1630917246994"));
        assert_eq!(event.get_version_num(), 5);
        insta::assert_snapshot!(event, @"4feb23ac-c3ab-50d2-8da1-fd0531ba29b2");
    }

    #[test]
    fn installations_tell_their_own_from_others() {
        let (here, there) = (Ids::new("here"), Ids::new("there"));
        let event = here.event("~1", "");
        let attribute = here.id(&event, &["ip", "203.0.113.7"]);
        for uuid in [event, attribute] {
            assert!(here.is_mine(&uuid) && is_ours(&uuid));
            assert!(!there.is_mine(&uuid));
        }
    }

    #[test]
    fn other_uuids_are_not_taken_for_ours() {
        for number in 0..2_000u32 {
            let uuid = Uuid::new_v5(&Uuid::NAMESPACE_URL, &number.to_be_bytes());
            assert!(!is_ours(&uuid) && !Ids::new("here").is_mine(&uuid));
        }
    }
}
