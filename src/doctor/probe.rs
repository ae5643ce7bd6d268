//! A visit to one connection: what it is made with, and the server that it finds.

use anyhow::Result;
use url::Url;

use crate::config::connections::Connection;
use crate::http::Network;
use crate::misp::Misp;
use crate::misp::wire::Organisation;
use crate::report::PartOf;
use crate::worker::requirements::OfMisp;

/// Looks up the names that the filters of a configuration name: true if there are any.
pub(super) type NameCheck<'a> = &'a dyn Fn(&Misp, &PartOf) -> Result<bool>;

/// A MISP server that takes our key.
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) url: Url,
    pub(super) misp: Misp,
    pub(super) organisation: Organisation,
    /// True if events are written there.
    pub(super) is_target: bool,
}

/// A visit to one connection.
pub(super) struct Visit<'a> {
    pub(super) connection: &'a Connection,
    pub(super) wants: &'a OfMisp,
    pub(super) network: &'a Network,
    pub(super) part: &'a PartOf,
    pub(super) names: NameCheck<'a>,
}
