//! cortex-misp: two Cortex workers, `misp-export` (a responder) and `misp-import` (an analyzer).
//!
//! Both walk one way, with a plain value between each step:
//! job → configuration → read (streamed) → filter, map → plan (a value) → apply → verify → report.
//!
//! - [`worker`]: what a worker is, what it wants of the servers, and work on several connections at
//!   once
//! - [`runtime`]: the life of a run, from the command line to the exit status
//! - [`cortex`]: Cortex's own words: the job, the report, the manifest
//! - [`config`]: configuration: loose JSON in, checked types out; the connections
//! - [`report`]: the body of every report, which is also what a run keeps while it works
//! - [`environment`]: the variables that a program was started with
//! - [`secret`]: secrets that cannot be printed, and the scrubber for every text that leaves
//! - [`markings`]: TLP and PAP: numbers, words, tags, order, and the gate
//! - [`tags`]: tag names: wildcards, and which of them are words of this program
//! - [`text`]: characters that nobody sees: taken out of names, named in what is shown
//! - [`types`]: the one table: observable type ↔ MISP type and category
//! - [`ids`]: our own recognisable uuids
//! - [`http`]: the only module that knows the HTTP client
//! - [`files`]: files of folders that others may write too
//! - [`sample`]: files as MISP takes them: the zip of a sample, plain names, what is a program
//! - [`json`]: streaming and lenient JSON, within bounds
//! - [`time`]: the clock, the deadline, and dates as MISP and TheHive write them
//! - [`misp`]: what we ask of a MISP, be it a server or a feed
//! - [`thehive`]: what we ask of TheHive
//! - [`export`], [`import`]: the two flows
//! - [`doctor`]: `check`, which looks at all that a configuration names and changes nothing

pub mod config;
pub mod cortex;
pub mod doctor;
pub mod environment;
pub mod export;
pub mod files;
pub mod http;
pub mod ids;
pub mod import;
pub mod json;
pub mod markings;
pub mod misp;
pub mod report;
pub mod runtime;
pub mod sample;
pub mod secret;
pub mod share;
pub mod tags;
pub mod text;
pub mod thehive;
pub mod time;
pub mod types;
pub mod worker;
