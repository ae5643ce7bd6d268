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
pub struct AlertOptions {
    /// What an event without a TLP tag is taken for: `CLEAR`, `GREEN`, `AMBER`, `AMBER+STRICT` or
    /// `RED`.
    #[serde(default = "amber")]
    pub default_tlp: Tlp,
    /// Tags added to every alert, such as `misp`.
    #[serde(default)]
    pub alert_tags: Vec<String>,
    /// Tags added to every observable, such as `misp`.
    #[serde(default)]
    pub observable_tags: Vec<String>,
    /// The case template that TheHive proposes when a case is made of an alert, such as
    /// `threat-intelligence`.
    #[serde(default)]
    pub case_template: Option<String>,
}

fn amber() -> Tlp {
    Tlp::Amber
}

impl Default for AlertOptions {
    fn default() -> Self {
        Self {
            default_tlp: amber(),
            alert_tags: Vec::new(),
            observable_tags: Vec::new(),
            case_template: None,
        }
    }
}

/// How far something may be passed on, and acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let (tlp, pap) = (
            strictest(all(), Tlp::from_tag),
            strictest(all(), Pap::from_tag),
        );
        Self {
            tlp: tlp
                .0
                .unwrap_or(marks.default_tlp)
                .max(tlp.1.unwrap_or(Tlp::Clear)),
            pap: pap
                .0
                .unwrap_or(DEFAULT_PAP)
                .max(pap.1.unwrap_or(Pap::Clear)),
            is_tlp_said: tlp.0.max(tlp.1).is_some(),
            is_pap_said: pap.0.max(pap.1).is_some(),
        }
    }

    /// Those of an attribute: the strictest of its own tags and its event's, else the configured
    /// ones. Local tags count as for events.
    fn from_attribute(attribute: &Attribute, event: Self) -> Self {
        if attribute.tags.is_empty() {
            return event;
        }
        let (tlp, pap) = (
            strictest(attribute.tags_with_local_flag(), Tlp::from_tag),
            strictest(attribute.tags_with_local_flag(), Pap::from_tag),
        );
        let of_event = (
            event.is_tlp_said.then_some(event.tlp),
            event.is_pap_said.then_some(event.pap),
        );
        Self {
            tlp: tlp
                .0
                .max(of_event.0.filter(|_| tlp.0.is_some()))
                .unwrap_or(event.tlp)
                .max(tlp.1.unwrap_or(Tlp::Clear)),
            pap: pap
                .0
                .max(of_event.1.filter(|_| pap.0.is_some()))
                .unwrap_or(event.pap)
                .max(pap.1.unwrap_or(Pap::Clear)),
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

/// The strictest marking of the tags that are shared, and of those that are local.
fn strictest<'t, L: Ord>(
    tags: impl Iterator<Item = (&'t str, bool)>,
    read: impl Fn(&str) -> Option<L>,
) -> (Option<L>, Option<L>) {
    let (mut shared, mut local) = (None, None);
    for (name, is_local) in tags {
        let of = if is_local { &mut local } else { &mut shared };
        *of = read(name).max(of.take());
    }
    (shared, local)
}

/// Where an event was read: the connection's name, and the event's page if it has one.
#[derive(Clone, Debug)]
pub struct EventSource<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// The event's page.
    pub link: Option<String>,
    /// Knows the run's secrets: a text is cleaned before it is cut.
    pub scrubber: &'a Scrubber,
}
