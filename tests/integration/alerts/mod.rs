//! MISP events as alerts in TheHive: written, changed, cut off, and the line by which one is known again.

pub(crate) mod cut_connections;
pub(crate) mod growth;
pub(crate) mod max_new_alerts;
pub(crate) mod state_line;
pub(crate) mod thehive_calls;
pub(crate) mod verdicts;
pub(crate) mod writing;
