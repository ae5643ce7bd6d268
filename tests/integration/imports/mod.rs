//! Which events and attributes an import reads, and what it leaves out.

pub(crate) mod bounds;
pub(crate) mod filters;
pub(crate) mod list_faults;
pub(crate) mod lists_of_attributes;
pub(crate) mod loop_guard;
pub(crate) mod loose_answers;
pub(crate) mod max_artifacts;
pub(crate) mod odd_fields;
pub(crate) mod report_only;
pub(crate) mod short_of_memory;
pub(crate) mod times_and_numbers;
