//! What an export makes of a case, on a server and in a feed, and what its options change.

pub(crate) mod add_external_link;
pub(crate) mod allowed_list;
pub(crate) mod answers;
pub(crate) mod cut_connections;
pub(crate) mod equal_values;
pub(crate) mod events;
pub(crate) mod export_procedures;
pub(crate) mod export_report;
pub(crate) mod files;
pub(crate) mod hostile_cases;
pub(crate) mod large_files;
pub(crate) mod lifecycle;
pub(crate) mod objects;
pub(crate) mod options;
pub(crate) mod red_cases;
pub(crate) mod rows;
pub(crate) mod sightings_and_dry_runs;
pub(crate) mod tags;
pub(crate) mod to_feeds;
pub(crate) mod verdicts;
