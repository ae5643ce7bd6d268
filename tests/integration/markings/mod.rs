//! TLP and PAP: the strictest of what is said counts, in and out.

pub(crate) mod of_exports;
pub(crate) mod strictest;
