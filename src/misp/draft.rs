//! An attribute that is to be in an event: what an export wants, and what is sent to a MISP.

use uuid::Uuid;

use crate::markings::Tlp;

/// An attribute that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeDraft {
    /// Computed from the event or object and what the attribute stands for.
    pub uuid: Uuid,
    /// The object it is in, and its role there; none for an attribute of the event itself.
    pub place: Option<ObjectSlot>,
    /// MISP's type.
    pub kind: String,
    /// MISP's category.
    pub category: String,
    /// The value, as MISP will store it.
    pub value: String,
    /// True for an IOC; false for what stands beside one, such as a file's size.
    pub to_ids: bool,
    /// The observable's message.
    pub comment: String,
    /// Comments that an earlier export may have written in its place, as far as they were asked
    /// for.
    pub former: Vec<String>,
    /// The stricter of the observable's TLP and the case's.
    pub tlp: Tlp,
    /// True if that is stricter than the case's.
    pub is_stricter: bool,
    /// True if it stays in its organisation, whatever the event does.
    pub is_closed: bool,
    /// True if MISP is to look for no other attributes with its value.
    pub is_uncorrelated: bool,
    /// Further tags of the observable.
    pub tags: Vec<String>,
    /// The observables that it stands for, by their position; none for what stands beside them.
    pub from: Vec<usize>,
    /// The file that it carries.
    pub file: Option<FileDraft>,
}

/// The role of an attribute in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSlot {
    /// The object's uuid.
    pub object: Uuid,
    /// The role, such as `sha256`.
    pub relation: String,
}

/// A file to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDraft {
    /// The observable that has it, by its position.
    pub of: usize,
    /// The name it goes by.
    pub name: String,
    /// True if it goes as it is, unless it turns out to be an executable.
    pub is_plain: bool,
    /// The same file sent in the other way: an executable, which never goes as it is.
    pub other: Uuid,
}

impl AttributeDraft {
    /// 0 (own organisation only) for RED and AMBER+STRICT, so that a later rise of the event's
    /// distribution releases nothing; 5 (as the event) for the rest.
    pub fn distribution(&self) -> u8 {
        if self.is_closed { 0 } else { 5 }
    }

    /// Its value, or the two halves of a composite one.
    pub fn value_parts(&self) -> impl Iterator<Item = &str> {
        let halves = self
            .value
            .split_once('|')
            .filter(|_| self.kind.contains('|'));
        let (first, second) = halves.map_or((self.value.as_str(), None), |(first, second)| {
            (first, Some(second))
        });
        [Some(first), second]
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
    }

    /// Its tags: the TLP, where it is stricter than the case's, and those of the observable.
    pub fn all_tags(&self) -> impl Iterator<Item = &str> {
        self.is_stricter
            .then(|| self.tlp.tag())
            .into_iter()
            .chain(self.tags.iter().map(String::as_str))
    }
}
