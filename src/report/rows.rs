//! What a report says of single things: an event, an observable, a retraction, an alert.

use schemars::JsonSchema;
use serde::Serialize;

use super::Match;
use super::ledger::VerdictKind;

/// One MISP event in a report.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct EventRow {
    /// The event's uuid.
    pub uuid: String,
    /// Its number on the server; a feed has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its info line.
    pub title: String,
    /// Where to look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The organisation that created it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub organisation: String,
    /// Its date, `YYYY-MM-DD`.
    pub date: String,
    /// Its TLP, in words.
    pub tlp: String,
    /// Import only: its threat level: `high`, `medium`, `low` or `undefined`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub threat_level: String,
    /// Export only: who may see it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible_to: Option<String>,
    /// Attributes that were read from it, that it holds after an export, or that have the value
    /// that was looked up; of an event that was not read, those that the server counts. A feed does
    /// not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<u64>,
    /// Import only: those of them that were read and are meant for detection (`to_ids`).
    #[serde(skip_serializing_if = "super::is_zero")]
    pub ids_attributes: u64,
    /// `created`, `updated`, `unchanged`, `skipped` or `failed`; of one that was looked up `found`,
    /// `skipped` or `failed`.
    #[schemars(with = "String")]
    pub verdict: VerdictKind,
    /// The rule that skipped it, or the reason why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where a value was looked up: true if this installation exported the event itself, so that
    /// it is no answer.
    #[serde(skip_serializing_if = "super::is_false")]
    pub is_own: bool,
    /// Import only: its alert in TheHive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// Import only: observables taken out of its alert, since the event has them no more.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub removed: u64,
    /// Import only: observables that are on one of MISP's warninglists.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub warninglisted: u64,
    /// Import only: tags of the event and of its imported attributes that are words of this
    /// program: none was passed on.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub own_tags: u64,
    /// Import only: attributes that MISP counts and did not send.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub not_shown: u64,
    /// Its place in the list; several events are worked on at once.
    #[serde(skip)]
    #[schemars(skip)]
    pub place: u64,
    /// Export only: what changed on the event itself, or would; `reason` says it too.
    #[serde(skip)]
    #[schemars(skip)]
    pub changed_fields: String,
    /// Where a value was looked up: its attributes that do not have the value, and are related to
    /// it.
    #[serde(skip_serializing_if = "super::is_zero")]
    pub relations: u64,
    /// Where a value was looked up: the first of the attributes that have it, then of those that
    /// are related to it, of events that are not hidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
}

/// One observable of an export.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ObservableRow {
    /// The observable's type in TheHive.
    #[serde(rename = "dataType")]
    pub data_type: String,
    /// Its value, shortened.
    pub data: String,
    /// `created`, `updated`, `unchanged`, `skipped` or `failed`.
    pub verdict: String,
    /// The rule that skipped it, or the reason why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The attribute that it became: `category/type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// The attribute's uuid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The warninglists of this MISP that have the value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warninglists: Vec<String>,
}

/// One attribute of an earlier export that the case does not want any more.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RetractionRow {
    /// The attribute's uuid.
    pub uuid: String,
    /// Its category and type: `category/type`.
    pub attribute: String,
    /// Its value, shortened.
    pub value: String,
    /// `updated` (retracted), `unchanged` (it was before), `skipped` or `failed`.
    pub verdict: String,
    /// The rule that skipped it, or the reason why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A TheHive alert as it would be created: the names are those of TheHive's API.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Always `misp`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The connection's name.
    pub source: String,
    /// The event's uuid.
    pub source_ref: String,
    /// The event's page on its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_link: Option<String>,
    /// `#<id> <info>`.
    pub title: String,
    /// Markdown.
    pub description: String,
    /// 1 low to 4 critical.
    pub severity: u8,
    /// The event's date, in milliseconds since 1970.
    pub date: i64,
    /// TheHive's number on the scale of five: 0 CLEAR, 1 GREEN, 2 AMBER, 3 AMBER+STRICT, 4 RED.
    pub tlp: u8,
    /// 0 CLEAR to 3 RED.
    pub pap: u8,
    /// `src:<organisation>`, then the event's tags.
    pub tags: Vec<String>,
    /// How many observables the alert has.
    pub observable_count: u64,
    /// The first of them.
    pub observables: Vec<AlertObservable>,
}

/// An observable of an alert: the names are those of TheHive's API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertObservable {
    /// The observable's type.
    pub data_type: String,
    /// Its value.
    pub data: String,
    /// How its value is shown, if it has characters that nobody sees: `invoice_<U+202E>fdp.exe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The attribute's comment.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// TheHive's number on the scale of five.
    pub tlp: u8,
    /// True when MISP says `to_ids`.
    pub ioc: bool,
    /// Where it came from, and the attribute's tags.
    pub tags: Vec<String>,
}
