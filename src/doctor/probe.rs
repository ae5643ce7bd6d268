//! A visit to one connection: what it is made with, and the server that it finds.

use anyhow::Result;
use url::Url;

use crate::config::connections::Connection;
use crate::http::HttpContext;
use crate::misp::Misp;
use crate::misp::wire::Organisation;
use crate::report::ConnectionReporter;
use crate::worker::requirements::MispRequirements;

/// Looks up the names that the filters of a configuration name: true if there are any.
pub(super) type NameCheck<'a> = &'a dyn Fn(&Misp, &ConnectionReporter) -> Result<bool>;

/// A MISP server that takes our key.
pub(super) struct ProbedServer {
    pub(super) name: String,
    pub(super) url: Url,
    pub(super) misp: Misp,
    pub(super) organisation: Organisation,
    /// True if events are written there.
    pub(super) is_target: bool,
}

/// A visit to one connection.
pub(super) struct Probe<'a> {
    pub(super) connection: &'a Connection,
    pub(super) wants: &'a MispRequirements,
    pub(super) network: &'a HttpContext,
    pub(super) part: &'a ConnectionReporter,
    pub(super) names: NameCheck<'a>,
}
