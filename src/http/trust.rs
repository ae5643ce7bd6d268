//! Whom we trust, and who we are: the certificates that a server's is checked against, and our own.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use reqwest::Certificate;
use reqwest::blocking::ClientBuilder;

use super::Origin;
use super::answer::LARGEST_VALUE;
use super::failure::chain;
use super::network::Network;

/// Trust: the built-in web roots, the system's, and the configured file. For plain http none is loaded, which is also
/// what lets the program run where there is no certificate file at all.
pub(super) fn trusting(builder: ClientBuilder, origin: &Origin<'_>, network: &Network) -> Result<ClientBuilder> {
    // A second call finds the provider in place already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    if origin.url.scheme() == "http" {
        return Ok(builder.tls_certs_only([]));
    }
    let web = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|root| Certificate::from_der(root).ok());
    let own = origin.access.cert_path.as_deref().map_or(Ok(Vec::new()), certificates)?;
    let given = network
        .cacerts
        .as_deref()
        .map_or(Ok(Vec::new()), |text| parsed(text.as_bytes()).context("reading the certificates in \"cacerts\""))?;
    let builder = builder.tls_certs_merge(web.chain(own).chain(given));
    Ok(builder.tls_danger_accept_invalid_certs(!origin.access.cert_check))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>> {
    let reading = || format!("reading the certificates in {} (\"cert_path\")", path.display());
    let mut text = Vec::new();
    crate::files::open(path).with_context(reading)?.take(LARGEST_VALUE).read_to_end(&mut text).with_context(reading)?;
    parsed(&text).with_context(reading)
}

fn parsed(text: &[u8]) -> Result<Vec<Certificate>> {
    let certificates = Certificate::from_pem_bundle(text).map_err(|error| anyhow::anyhow!(chain(&error)))?;
    ensure!(!certificates.is_empty(), "there is no certificate in PEM form in it");
    Ok(certificates)
}
