//! Event to alert, attribute to observables, each within what TheHive takes. Pure: what TheHive has
//! already, and what is written there, is decided elsewhere; [`super::chunk_mapping`] merges the
//! observables of many attributes.

mod alert;
mod description;
mod limits;
mod observable;
mod reports;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::markings::{Pap, Tlp};
use crate::misp::wire::{Attribute, Event};
use crate::secret::Scrubber;

pub use alert::{AlertDraft, OwnTags, draft_alert, source};
pub use description::MOMENTS;
pub use limits::{LONGEST_TAG, is_long_tag};
pub use observable::{
    ObservableDraft, add_tag, artifact, draft_file, draft_observables, is_stand_in, merge,
    put_tag_first,
};

/// What alerts and observables get beside what MISP says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AlertOptions {
    /// What an event without a TLP tag is taken for: `CLEAR`, `GREEN`, `AMBER`, `AMBER+STRICT` or
    /// `RED`.
    pub default_tlp: Tlp,
    /// Tags added to every alert, such as `misp`.
    pub alert_tags: Vec<String>,
    /// Tags added to every observable, such as `misp`.
    pub observable_tags: Vec<String>,
    /// The case template that TheHive proposes when a case is made of an alert, such as
    /// `threat-intelligence`.
    pub case_template: Option<String>,
}

impl Default for AlertOptions {
    fn default() -> Self {
        Self {
            default_tlp: Tlp::Amber,
            alert_tags: Vec::new(),
            observable_tags: Vec::new(),
            case_template: None,
        }
    }
}

/// How far something may be passed on, and acted upon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Markings {
    /// TLP.
    pub tlp: Tlp,
    /// PAP.
    pub pap: Pap,
    /// True if a tag of the event says the TLP; else it is the configured one.
    is_tlp_said: bool,
    is_pap_said: bool,
}

/// What an event without PAP is taken for.
const DEFAULT_PAP: Pap = Pap::Amber;

impl Markings {
    /// Levels that an event says itself.
    pub fn explicit(tlp: Tlp, pap: Pap) -> Self {
        Self {
            tlp,
            pap,
            is_tlp_said: true,
            is_pap_said: true,
        }
    }

    /// Those of an event: the strictest of its tags, else the configured ones. A local tag, which
    /// the event's creator did not set, makes stricter and never laxer.
    pub fn from_event(event: &Event, marks: &AlertOptions) -> Self {
        let all = || event.tags_with_local_flag();
        let (tlp, is_tlp_said) = combine(all(), Tlp::from_tag, marks.default_tlp, None);
        let (pap, is_pap_said) = combine(all(), Pap::from_tag, DEFAULT_PAP, None);
        Self {
            tlp,
            pap,
            is_tlp_said,
            is_pap_said,
        }
    }

    /// Those of an attribute: the strictest of its own tags and its event's, else the configured
    /// ones. Local tags count as for events.
    fn from_attribute(attribute: &Attribute, event: Self) -> Self {
        if attribute.tags.is_empty() {
            return event;
        }
        let all = || attribute.tags_with_local_flag();
        let said = (
            event.is_tlp_said.then_some(event.tlp),
            event.is_pap_said.then_some(event.pap),
        );
        Self {
            tlp: combine(all(), Tlp::from_tag, event.tlp, said.0).0,
            pap: combine(all(), Pap::from_tag, event.pap, said.1).0,
            ..event
        }
    }
}

/// True for a local tag that says less than what holds: whoever reads it here would take it for the
/// event's own word.
fn is_laxer(tag: &str, is_local: bool, holds: Markings) -> bool {
    is_local
        && (Tlp::from_tag(tag).is_some_and(|tlp| tlp < holds.tlp)
            || Pap::from_tag(tag).is_some_and(|pap| pap < holds.pap))
}

/// The strictest marking of the tags that are shared, and, if there is one, of what is said
/// elsewhere; else the usual one. Local tags only make it stricter. Beside it whether a tag says
/// one.
fn combine<'t, L: Ord + Copy>(
    tags: impl Iterator<Item = (&'t str, bool)>,
    read: impl Fn(&str) -> Option<L>,
    usual: L,
    said: Option<L>,
) -> (L, bool) {
    let (mut shared, mut local) = (None, None);
    for (name, is_local) in tags {
        let strictest = if is_local { &mut local } else { &mut shared };
        *strictest = read(name).max(*strictest);
    }
    let own = shared.map_or(usual, |own| said.map_or(own, |said| own.max(said)));
    (
        local.map_or(own, |local| own.max(local)),
        shared.max(local).is_some(),
    )
}

/// Where an event was read: the connection's name, and the event's page if it has one.
pub struct EventSource<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// The event's page.
    pub link: Option<String>,
    /// Knows the run's secrets: a text is cleaned before it is cut.
    pub scrubber: &'a Scrubber,
}
