//! Event to alert, attribute to observables, each within what TheHive takes. Pure: what TheHive has already, and what is
//! written there, is decided elsewhere; [`super::batch`] merges the observables of many attributes.

mod alert;
mod describe;
mod limits;
mod observable;
#[cfg(test)]
mod properties;
mod reports;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::markings::{Pap, Tlp};
use crate::misp::wire::Attribute;
use crate::secret::Scrubber;

pub use alert::{AlertWanted, OwnTags, alert, source, tlp};
pub use describe::MOMENTS;
pub use observable::{Wanted, add_tag, artifact, file, is_stand_in, merge, observables};

/// What alerts and observables get beside what MISP says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Marks {
    /// What an event without a TLP tag is taken for: `CLEAR`, `GREEN`, `AMBER`, `AMBER+STRICT` or `RED`.
    #[serde(default = "amber")]
    pub default_tlp: Tlp,
    /// Tags added to every alert, such as `misp`.
    #[serde(default)]
    pub alert_tags: Vec<String>,
    /// Tags added to every observable, such as `misp`.
    #[serde(default)]
    pub observable_tags: Vec<String>,
    /// The case template that TheHive proposes when a case is made of an alert, such as `threat-intelligence`.
    #[serde(default)]
    pub case_template: Option<String>,
}

fn amber() -> Tlp {
    Tlp::Amber
}

impl Default for Marks {
    fn default() -> Self {
        Self { default_tlp: amber(), alert_tags: Vec::new(), observable_tags: Vec::new(), case_template: None }
    }
}

/// How far something may be passed on, and acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// TLP.
    pub tlp: Tlp,
    /// PAP.
    pub pap: Pap,
}

impl Levels {
    /// Those of an attribute: by its own tags, else its event's.
    fn of(attribute: &Attribute, event: Self) -> Self {
        let names = || attribute.tags.iter().map(|tag| tag.name.as_str());
        Self { tlp: Tlp::from_tags(names()).unwrap_or(event.tlp), pap: Pap::from_tags(names()).unwrap_or(event.pap) }
    }
}

/// Where an event was read: the connection's name, and the event's page if it has one.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// The event's page.
    pub link: Option<String>,
    /// Knows the run's secrets: a text is cleaned before it is cut.
    pub scrubber: &'a Scrubber,
}
