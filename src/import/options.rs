//! The options of an import that say where alerts go, and how they are written to TheHive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{self, Warninglists};
use crate::secret::Secret;
use crate::thehive::Permission;
use crate::worker::requirements::TheHiveRequirements;

/// Where alerts go.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Destination {
    /// The URL of TheHive, where the alerts are written, such as `https://thehive.example.org`.
    /// Without it and `thehive_key` they are only reported. Its host is the default of `instance`.
    pub thehive_url: Option<String>,
    /// The API key of a TheHive user of the import's own, who may create and change alerts and
    /// their observables.
    pub thehive_key: Option<Secret>,
    /// The TheHive organisations that get the alerts, such as `cert`. Default: the one of the user
    /// of `thehive_key`.
    pub thehive_organisations: Vec<String>,
    /// Logins of users that the import had in TheHive before the user of `thehive_key`, such as
    /// `old-import@example.org`: the alerts and observables that they created count as its own.
    pub thehive_former_users: Vec<String>,
    /// A name of this installation, such as `soc.example.org`, the same for both workers and for
    /// ever: by it the loop guard knows its own exports. Default: the host of `thehive_url`, else
    /// `thehive`.
    pub instance: Option<String>,
    /// The secret of this installation, the same as that of the export: by it the loop guard knows
    /// its own exports for certain. `check` proposes one.
    pub instance_secret: Option<Secret>,
}

/// What becomes of alerts, and what may be done with those that are there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// How many new alerts a run creates for each connection, in turn by the organisation that
    /// created the event, and of each those of its newest events. The others come with the next
    /// runs. 0 for no limit.
    pub max_new_alerts: u64,
    /// Tag the observables that are on one of MISP's warninglists with `misp:warninglist="…"`
    /// (`annotate`), or not (`off`). They are imported in either case.
    pub warninglists: Warninglists,
    /// What comes of an attachment or malware sample: `hashes` (its name and hash only), or
    /// `download` (also the file itself, as a `file` observable).
    pub import_attachments: Attachments,
    /// Files above this size in MiB are not imported, their hashes are; 0 for no limit.
    pub max_attachment_mb: u64,
    /// Add new observables also to the case that an alert was imported into.
    pub update_cases: bool,
    /// Open an ignored or closed alert again when its event brings a new IOC.
    pub reopen: bool,
    /// Tag the alert of an event that is gone from MISP with `misp:withdrawn`.
    pub mark_withdrawn: bool,
    /// Import the events that a click finds, if they pass every filter.
    pub click_imports: bool,
    /// How many events are read at once from each connection, at most 16.
    #[schemars(range(min = 1))]
    pub max_parallel: u64,
    /// Report what would be written, and write nothing.
    pub dry_run: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_new_alerts: 100,
            warninglists: Warninglists::default(),
            import_attachments: Attachments::default(),
            max_attachment_mb: 30,
            update_cases: false,
            reopen: false,
            mark_withdrawn: false,
            click_imports: false,
            max_parallel: 2,
            dry_run: false,
        }
    }
}

/// What comes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Attachments {
    /// Its name and hashes.
    #[default]
    Hashes,
    /// Also the file.
    Download,
}

impl Settings {
    /// What they want of TheHive.
    pub fn thehive_requirements(&self, destination: &Destination) -> TheHiveRequirements {
        const ALERT: Option<&str> = Some("manageAlert");
        const OBSERVABLE: Option<&str> = Some("manageObservable");

        let right = |four, five, to| Permission {
            four,
            five: Some(five),
            to,
            is_vital: true,
        };

        let procedures = Permission {
            is_vital: false,
            ..right(None, "manageProcedure", "set ATT&CK techniques")
        };
        let always = [
            right(ALERT, "manageAlert/create", "create alerts"),
            right(ALERT, "manageAlert/update", "change alerts"),
            right(None, "manageObservable", "add observables"),
            procedures,
        ];

        let of_cases = Permission {
            five: None,
            ..right(OBSERVABLE, "", "add observables to cases")
        };
        let reopening = right(ALERT, "manageAlert/reopen", "open alerts again");
        let wanted = [
            self.update_cases.then_some(of_cases),
            self.reopen.then_some(reopening),
        ];

        TheHiveRequirements {
            url: destination.thehive_url.clone(),
            key: destination.thehive_key.clone(),
            organisations: destination.thehive_organisations.clone(),
            case_template: None,
            rights: always
                .into_iter()
                .chain(wanted.into_iter().flatten())
                .collect(),
            has_types: true,
            without: "alerts are not written, only reported",
        }
    }

    /// The largest file that is imported, in bytes.
    pub fn max_attachment_bytes(&self) -> u64 {
        config::mebibytes(self.max_attachment_mb)
    }
}
