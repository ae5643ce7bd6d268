//! The options of an export that say what goes out and how.

use anyhow::{Result, anyhow, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{self, Warninglists};
use crate::markings::{Pap, Tlp};
use crate::tags;
use crate::thehive::Permission;
use crate::types::Overrides;
use crate::worker::requirements::MispRequirements;

/// What goes out, and how.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Who may see a new event: 0 your organisation, 1 this community, 2 connected communities, 3
    /// all communities, 4 a sharing group. A RED or AMBER+STRICT case is always 0. On an event that
    /// is there it is left as people set it.
    #[serde(default)]
    pub distribution: u64,
    /// The number of the sharing group on this MISP, with `distribution` 4.
    #[serde(default)]
    pub sharing_group: Option<u64>,
    /// The event's info line, such as `[SOC-{number}] {title}`; `{title}` and `{number}` are those
    /// of the case.
    #[serde(default = "default_event_info")]
    pub event_info: String,
    /// Send the case's tags with the event.
    #[serde(default)]
    pub export_case_tags: bool,
    /// Send the observables' tags with their attributes.
    #[serde(default)]
    pub export_observable_tags: bool,
    /// Tags that never go out, such as `internal:*`, in any case, however disguised; `*` stands for
    /// any text. Tags that begin with `misp:`, `src:`, `tlp:` or `pap:`, or say a TLP or PAP
    /// otherwise, never do.
    #[serde(default)]
    pub exclude_export_tags: Vec<String>,
    /// Add a link to the case (`thehive_url`), for your own organisation only.
    #[serde(default)]
    pub export_case_url: bool,
    /// What goes out of a file: `hashes` (name, hashes and size), `sample` (also the file itself,
    /// in a zip with the password `infected`), `plain` (as `sample`, but what is no executable goes
    /// as it is).
    #[serde(default)]
    pub export_attachments: Attachments,
    /// Files above this size in MiB stay here, their hashes go out; 0 for no limit.
    #[serde(default = "default_max_attachment_mb")]
    pub max_attachment_mb: u64,
    /// The strictest TLP that may go out: `CLEAR`, `GREEN`, `AMBER`, `AMBER+STRICT` or `RED`. A
    /// stricter case is refused, a stricter observable left out. Not set: no limit.
    #[serde(default)]
    pub max_export_tlp: Option<Tlp>,
    /// The strictest PAP that may go out: `CLEAR`, `GREEN`, `AMBER` or `RED`. A stricter case is
    /// refused, a stricter observable left out. Not set: no limit.
    #[serde(default)]
    pub max_export_pap: Option<Pap>,
    /// What becomes of an attribute whose observable is no IOC of the case any more: `unflag` (no
    /// longer for detection, with a comment), `delete` (soft-deleted), `keep`.
    #[serde(default)]
    pub removed_iocs: RemovedIocPolicy,
    /// Name the IOCs that are on one of MISP's warninglists (`annotate`), or not (`off`). They go
    /// out in either case.
    #[serde(default)]
    pub warninglists: Warninglists,
    /// Send the case's procedures (TTPs) as ATT&CK galaxy tags of the event, such as
    /// `misp-galaxy:mitre-attack-pattern="Phishing - T1566"`, by what this MISP's galaxy has; on a
    /// feed by their names in TheHive.
    #[serde(default)]
    pub export_procedures: bool,
    /// Send a report with the event: `description` (the case's description), `off`. What a person
    /// changes or deletes in MISP stays so.
    #[serde(default)]
    pub export_report: ReportSource,
    /// Add the event's address to the case as an external link, which TheHive has since 5.5; the
    /// user of `thehive_key` needs the permission `manageCase/update`. A tag names the event in any
    /// case.
    #[serde(default)]
    pub add_external_link: bool,
    /// Send one sighting for each sighted observable, one as false positive for each tagged
    /// `misp:sighting="false-positive"`, and one as expiration for each tagged
    /// `misp:sighting="expiration"` (today) or `misp:sighting="expiration:2027-01-31"`.
    #[serde(default)]
    pub export_sightings: bool,
    /// Lines that send an observable type as another attribute than usual,
    /// `observable type=MISP category/MISP type`, such as `ip=Network activity/ip-src`. A tag
    /// `misp:type="…"` on an observable still wins.
    #[serde(default)]
    pub type_mapping: Vec<String>,
}

fn default_event_info() -> String {
    "{title}".to_owned()
}

fn default_max_attachment_mb() -> u64 {
    30
}

/// What goes out of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Attachments {
    /// Name, hashes and size.
    #[default]
    Hashes,
    /// Also the file, as a malware sample.
    Sample,
    /// Also the file: an executable as a malware sample, anything else as it is.
    Plain,
}

/// What goes out as a report of the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportSource {
    /// Nothing.
    #[default]
    Off,
    /// The case's description.
    Description,
}

/// What becomes of an attribute whose IOC is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RemovedIocPolicy {
    /// `to_ids` 0 and a comment.
    #[default]
    Unflag,
    /// Soft-deleted, with the same comment.
    Delete,
    /// Left as it is.
    Keep,
}

/// The largest number that MISP's `distribution` of an event may be: a sharing group.
const SHARING_GROUP: u64 = 4;

impl Settings {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The item, what is wrong with it, and what is accepted.
    pub fn validate(&self) -> Result<Overrides> {
        ensure!(
            self.distribution <= SHARING_GROUP,
            "configuration item \"distribution\" is above 4: 0 (your organisation) to 3 (all \
             communities) or 4 (sharing \
             group) is accepted"
        );

        let is_group = self.distribution == SHARING_GROUP;
        ensure!(
            !is_group || self.sharing_group.is_some_and(|group| group > 0),
            "configuration item \"distribution\" is 4, which means a sharing group, and \
             \"sharing_group\" is not set: give \
             the number of the sharing group on this MISP"
        );

        ensure!(
            is_group || self.sharing_group.is_none_or(|group| group == 0),
            "configuration item \"sharing_group\" is set, and \"distribution\" is not 4: set \
             \"distribution\" to 4, or leave \
             \"sharing_group\" empty"
        );

        let rest = self
            .event_info
            .replace("{title}", "")
            .replace("{number}", "");
        ensure!(
            !rest.contains(['{', '}']),
            "configuration item \"event_info\" has a word in braces that is none of {{title}} and \
             {{number}}: write only these, such as \"[SOC-{{number}}] {{title}}\""
        );

        Overrides::parse(&self.type_mapping)
            .map_err(|problem| anyhow!("configuration item {problem}"))
    }

    /// What they want of a MISP.
    pub fn misp_requirements(&self) -> MispRequirements {
        let tlp = [
            Tlp::Clear,
            Tlp::Green,
            Tlp::Amber,
            Tlp::AmberStrict,
            Tlp::Red,
        ]
        .map(Tlp::tag);

        let pap = [Pap::Clear, Pap::Green, Pap::Amber, Pap::Red].map(Pap::tag);
        let free = [
            (self.export_case_tags, "export_case_tags"),
            (self.export_observable_tags, "export_observable_tags"),
            (self.export_procedures, "export_procedures"),
        ];

        MispRequirements {
            writes: true,
            tags: tlp.into_iter().chain(pap).collect(),
            free_tags: free
                .into_iter()
                .filter_map(|(is_on, option)| is_on.then_some(option))
                .collect(),
            sightings: self.export_sightings.then_some("export_sightings"),
            sharing_group: self
                .sharing_group
                .filter(|_| self.distribution == SHARING_GROUP),
            ..MispRequirements::default()
        }
    }

    /// The permissions that they want in TheHive, beside reading.
    pub fn thehive_rights(&self) -> Vec<Permission> {
        let linking = Permission {
            four: None,
            five: Some("manageCase/update"),
            to: "add external links to cases",
            is_vital: false,
        };

        Vec::from_iter(self.add_external_link.then_some(linking))
    }

    /// True if a tag of a case or an observable may go out. What says a TLP or PAP goes by its own
    /// rules, however it is written.
    pub fn allows_tag(&self, tag: &str) -> bool {
        let is_marking = Tlp::from_tag(tag).is_some() || Pap::from_tag(tag).is_some();
        let is_excluded = || {
            self.exclude_export_tags
                .iter()
                .any(|pattern| tags::excludes(pattern, tag))
        };

        tags::is_exportable(tag) && !is_marking && !is_excluded()
    }

    /// The largest file that goes out, in bytes.
    pub fn max_attachment_bytes(&self) -> u64 {
        config::mebibytes(self.max_attachment_mb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn problem(settings: Value) -> Option<String> {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        settings.validate().err().map(|error| error.to_string())
    }

    #[test]
    fn a_wrong_option_is_explained() {
        assert_eq!(problem(json!({})), None);
        assert_eq!(
            problem(json!({"distribution": 4, "sharing_group": 3})),
            None
        );
        assert_eq!(
            problem(json!({"event_info": "{number}: {title} (SOC)"})),
            None
        );

        let wrong = [
            json!({"distribution": 5}),
            json!({"distribution": 4}),
            json!({"sharing_group": 3}),
            json!({"event_info": "{name}"}),
            json!({"type_mapping": ["ip"]}),
        ];

        let problems: Vec<_> = wrong
            .into_iter()
            .map(|settings| problem(settings).unwrap())
            .collect();
        insta::assert_snapshot!(problems.join("\n"), @r#"
        configuration item "distribution" is above 4: 0 (your organisation) to 3 (all communities) or 4 (sharing group) is accepted
        configuration item "distribution" is 4, which means a sharing group, and "sharing_group" is not set: give the number of the sharing group on this MISP
        configuration item "sharing_group" is set, and "distribution" is not 4: set "distribution" to 4, or leave "sharing_group" empty
        configuration item "event_info" has a word in braces that is none of {title} and {number}: write only these, such as "[SOC-{number}] {title}"
        configuration item type_mapping `ip`: no `=`; accepted is `observable type=MISP category/MISP type`
        "#);
    }

    #[test]
    fn words_between_thehive_and_misp_and_excluded_tags_stay_here() {
        let settings: Settings =
            serde_json::from_value(json!({"exclude_export_tags": ["internal*"]})).unwrap();

        let out: Vec<_> = [
            "misp:to=\"x\"",
            "Internal-42",
            "type:OSINT",
            "tlp:green",
            "TLP RED ONLY",
            "і\u{ad}nternal",
        ]
        .into_iter()
        .filter(|tag| settings.allows_tag(tag))
        .collect();

        assert_eq!(out, ["type:OSINT"]);
    }
}
