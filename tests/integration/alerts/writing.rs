//! MISP's events as alerts in TheHive 4 and 5: created once, updated when the event changes, never written without need.

mod analysts;
mod attachments;
mod calls;
mod corpus;
mod creating;
pub(crate) mod desk;
mod dry_runs;
mod feeds;
mod large;
mod life;
mod limits;
mod organisations;
mod refusals;
mod removing;
