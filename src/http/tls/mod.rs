//! Whom we trust, and who we are: the certificates that a server's is checked against, and our own.

mod certificate;
mod errors;
mod handshake;
mod root_store;

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use reqwest::blocking::ClientBuilder;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use super::Endpoint;
use super::context::{HttpContext, ServerAccess};
use super::proxy::ProxyRoute;
pub use certificate::ServerCertificate;
pub use errors::recognise_page;
use handshake::{ClientIdentity, Handshake, Verifier};
pub use root_store::TrustedRoots;

/// What is known of a client's server, and how the administrator can mend what is wrong with it.
#[derive(Clone, Debug)]
pub struct TlsState {
    seen: Arc<Handshake>,
    takes_certificates: bool,
    has_own: bool,
}

/// Has the client trust the built-in authorities of the web, the system's, Cortex's and those of
/// the connection, and show the connection's own certificate. Authorities are loaded with the first
/// handshake, so a program that speaks plain http runs where there is no certificate file at all.
///
/// # Errors
/// A file of the connection that cannot be read, or lacks what it is for; a client certificate that
/// a proxy would see.
pub fn configure_tls(
    builder: ClientBuilder,
    origin: &Endpoint<'_>,
    way: Option<&ProxyRoute>,
    network: &HttpContext,
) -> Result<(ClientBuilder, TlsState)> {
    let (access, is_https) = (origin.access, origin.url.scheme() == "https");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // A second call finds the provider in place already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut own = None;
    let is_encrypted = is_https || way.is_some_and(ProxyRoute::is_https);
    let given = read_given_certificates(access, network, is_encrypted)?;

    if let Some(path) = access.client_cert_path.as_ref().filter(|_| is_https) {
        // The HTTP client has one TLS configuration, for the proxy as for the server.
        ensure!(
            !way.is_some_and(ProxyRoute::is_https),
            "\"client_cert_path\" does not go with a proxy that is itself spoken to over TLS, \
             which would be shown the \
             certificate: write the proxy as http://"
        );

        own = Some(handshake::load_identity(path, &provider)?);
    }

    let trust = TlsState {
        seen: Arc::default(),
        takes_certificates: access.takes_certificates,
        has_own: own.is_some(),
    };
    let verifier = Verifier {
        seen: Arc::clone(&trust.seen),
        algorithms: provider.signature_verification_algorithms,
        network: network.clone(),
        own: given,
        roots: OnceLock::new(),
        is_checking: access.cert_check,
    };

    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // rustls calls every verifier of one's own dangerous; ours checks (`handshake.rs`).
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(ClientIdentity {
            seen: Arc::clone(&trust.seen),
            own: own.map(Arc::new),
        }));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];

    Ok((builder.tls_backend_preconfigured(config), trust))
}

/// The certificates that the configuration names beside the usual ones. What is wrong with Cortex's
/// is only told where nothing is encrypted.
fn read_given_certificates(
    access: &ServerAccess,
    network: &HttpContext,
    is_encrypted: bool,
) -> Result<Vec<CertificateDer<'static>>> {
    let mut given = Vec::new();

    if let Some(path) = access.cert_path.as_ref().filter(|_| is_encrypted) {
        let certificates = root_store::load_path(path);
        given.extend(certificates.with_context(|| {
            let path = path.display();
            format!("reading the certificates in {path} (\"cert_path\")")
        })?);
    }

    if let Some(text) = &network.cacerts {
        let certificates = root_store::parse_pem(text.as_bytes());
        match certificates.context("reading the certificates in \"cacerts\"") {
            Ok(certificates) => given.extend(certificates),
            Err(error) if is_encrypted => return Err(error),
            // Nothing is encrypted here, and it would go wrong with the first address that is
            // https.
            Err(error) => network.run.observer.on_warning(format!("{error:#}")),
        }
    }

    Ok(given)
}

impl TlsState {
    /// What the server showed at the last handshake.
    pub fn server_certificate(&self) -> Option<ServerCertificate> {
        self.seen.last().map(|shown| shown.certificate)
    }

    /// What went wrong, and what to do, if it was about TLS.
    pub fn explain_error(&self, error: &(dyn Error + 'static)) -> Option<String> {
        find_tls_error(error).map(|error| errors::describe_tls_error(error, self))
    }

    /// What may lie behind a connection that broke off without a word.
    pub fn disconnect_hint(&self) -> Option<&'static str> {
        (self.seen.is_client_cert_requested() && !self.has_own)
            .then(|| errors::describe_missing_certificate(self.takes_certificates))
    }
}

/// The error of TLS that lies behind another. An [`io::Error`] does not name the one in it as its
/// source.
fn find_tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut causes = std::iter::successors(Some(error), |&error| {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        inner.map_or_else(|| error.source(), |inner| Some(inner))
    });

    causes.find_map(|error| error.downcast_ref())
}
