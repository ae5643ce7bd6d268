//! Cortex's own words live here and nowhere else: the job it hands over, the report it reads, the
//! manifest it lists.

pub mod envelope;
pub mod job;
pub mod manifest;
pub mod markdown;
pub mod pretty;
pub mod report_text;
pub mod server;
