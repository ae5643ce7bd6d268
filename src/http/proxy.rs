//! Through which proxy a server is reached.

use anyhow::Result;
use reqwest::Proxy;
use reqwest::blocking::ClientBuilder;
use serde_json::{Map, Value};
use url::Url;

use super::Origin;
use super::network::text;
use crate::secret::Secret;

/// The proxies that hold for every connection without a choice of its own.
#[derive(Clone, Debug)]
pub(super) struct Proxies {
    of_cortex: Vec<(&'static str, Secret)>,
}

impl Proxies {
    /// Those of Cortex, `config.proxy.http` and `config.proxy.https` (its `JobRunnerSrv.scala`); without them those of the
    /// environment hold.
    pub(super) fn new(config: &Map<String, Value>) -> Self {
        let proxy = |scheme| {
            let url = text(config.get("proxy").and_then(|proxy| proxy.get(scheme)))?;
            Some((scheme, Secret::new(&url)))
        };
        Self { of_cortex: ["http", "https"].into_iter().filter_map(proxy).collect() }
    }
}

impl Proxies {
    /// The proxy of Cortex for a server, without user and password.
    pub(super) fn of(&self, server: &Url) -> Option<String> {
        let (_, proxy) = self.of_cortex.iter().find(|(scheme, _)| *scheme == server.scheme())?;
        let proxy = Url::parse(proxy.expose()).ok()?;
        let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{}{port} (proxy of Cortex)", proxy.scheme(), proxy.host_str().unwrap_or_default()))
    }
}

/// Has the client go the way that holds for its server.
///
/// # Errors
/// A proxy that is no URL.
pub(super) fn routed(mut builder: ClientBuilder, _origin: &Origin<'_>, proxies: &Proxies) -> Result<ClientBuilder> {
    for (scheme, url) in &proxies.of_cortex {
        let url = url.expose();
        let proxy = if *scheme == "http" { Proxy::http(url) } else { Proxy::https(url) };
        builder = builder.proxy(
            proxy.map_err(|_| anyhow::anyhow!("the proxy for {scheme} is no URL: write it as http://host:port"))?,
        );
    }
    Ok(builder)
}
