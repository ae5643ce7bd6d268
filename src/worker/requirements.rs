//! What a configuration wants of the servers that it names, as plain data: each worker says it in
//! its own way.

use uuid::Uuid;

use crate::config::access::Organisations;
use crate::config::connections::{Connection, Purpose};
use crate::secret::Secret;
use crate::thehive::Permission;

/// What a configuration wants.
#[derive(Debug)]
pub struct Requirements {
    /// `export` or `import`.
    pub work: &'static str,
    /// All connections of the configuration.
    pub connections: Vec<Connection>,
    /// Which purposes allow the work.
    pub may: fn(Purpose) -> bool,
    /// The option `instance`, if it is set.
    pub instance: Option<String>,
    /// The installation's name, whether set or by default.
    pub installation: String,
    /// True if the option `instance_secret` is set.
    pub has_secret: bool,
    /// What it wants of TheHive.
    pub thehive: TheHiveRequirements,
    /// What it wants of each MISP.
    pub misp: MispRequirements,
    /// The event that a job stands for, where that is known beforehand.
    pub event: Option<Uuid>,
    /// True if the organisation that counts is the job's, whatever TheHive says.
    pub is_for_jobs_organisation: bool,
}

/// What a run of a job would do, as far as that is known before a MISP is asked.
#[derive(Debug)]
pub struct Outlook {
    /// What would be done.
    pub does: String,
    /// What would be told or left out.
    pub remarks: Vec<String>,
}

/// What a configuration wants of one MISP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MispRequirements {
    /// Events are added and changed there.
    pub writes: bool,
    /// The tags that are set by this program itself.
    pub tags: Vec<&'static str>,
    /// The options by which tags of people's making go out.
    pub free_tags: Vec<&'static str>,
    /// The option by which sightings go out.
    pub sightings: Option<&'static str>,
    /// The sharing group that new events go to.
    pub sharing_group: Option<u64>,
    /// Which organisations of TheHive may use it.
    pub organisations: Organisations,
}

/// What a configuration wants of TheHive.
#[derive(Debug)]
pub struct TheHiveRequirements {
    /// Its address, as configured.
    pub url: Option<String>,
    /// The key.
    pub key: Option<Secret>,
    /// The organisations that the user acts for; none for the user's own.
    pub organisations: Vec<String>,
    /// The permissions that are needed in each of them.
    pub rights: Vec<Permission>,
    /// The name of the case template that its alerts get.
    pub case_template: Option<String>,
    /// True if observables are made there, so that its types matter.
    pub has_types: bool,
    /// What it means that it is not configured.
    pub without: &'static str,
}
