//! Who we are: our own certificate and its private key, shown to the server that asks for it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureScheme};

use super::handshake::Handshake;
use super::root_store;

/// Our certificate, if we have one; notes that the server asked for it.
#[derive(Debug)]
pub struct ClientIdentity {
    pub seen: Arc<Handshake>,
    pub own: Option<Arc<CertifiedKey>>,
}

impl ResolvesClientCert for ClientIdentity {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.seen.record_client_cert_request();
        self.own.clone()
    }

    fn has_certs(&self) -> bool {
        self.own.is_some()
    }
}

/// Reads a client certificate: one file in PEM form with the certificate, those of the authorities
/// between it and one that the server knows, and the private key (PKCS #8, PKCS #1 or SEC1).
///
/// # Errors
/// What is missing or does not fit; nothing of the content is shown.
pub fn load(path: &Path, provider: &CryptoProvider) -> Result<CertifiedKey> {
    read_certified_key(path, provider)
        .with_context(|| format!("reading {} (\"client_cert_path\")", path.display()))
}

fn read_certified_key(path: &Path, provider: &CryptoProvider) -> Result<CertifiedKey> {
    const KEY: &str =
        "the private key that belongs to it, in PEM form (-----BEGIN PRIVATE KEY-----)";

    let text = root_store::read_capped(path)?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| anyhow!("a certificate in it is broken"))?;
    ensure!(
        !chain.is_empty(),
        "there is no certificate in PEM form in it: put it before its private key"
    );
    let is_encrypted = text.windows(9).any(|window| window == b"ENCRYPTED");
    ensure!(
        !is_encrypted,
        "its private key is encrypted: nobody could give the passphrase, so store it without one"
    );
    let key = match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => key,
        Err(pem::Error::NoItemsFound) => bail!("there is no private key in it: add {KEY}"),
        Err(_) => bail!("the private key in it is broken: replace it by {KEY}"),
    };

    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            anyhow!(
                "the private key in it belongs to another certificate: the first certificate \
                must be our own"
            )
        }
        _ => anyhow!(
            "the private key in it is broken, or of no kind that can be used: RSA, ECDSA \
            or Ed25519"
        ),
    })
}
