//! A value is looked up: which events know it, and what is said where not all was searched.

pub(crate) mod clicks;
pub(crate) mod files;
pub(crate) mod jobs_of_cortex;
pub(crate) mod look_up_seconds;
pub(crate) mod lookup_artifacts;
pub(crate) mod lookup_related;
