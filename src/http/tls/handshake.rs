//! What happens in a handshake: the server's certificate is checked, by the authorities that we
//! trust or because it is itself one that the administrator gave; ours is shown if the server asks;
//! and what was seen is kept for whoever explains a failure.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ResolvesClientCert, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, Error, InconsistentKeys, SignatureScheme};

use super::super::context::HttpContext;
use super::certificate::{self, ServerCertificate};
use super::root_store::{self, TrustedRoots};

/// What the server has shown so far.
#[derive(Debug, Default)]
pub struct Handshake {
    last: Mutex<Option<PeerCertificate>>,
    is_asked: AtomicBool,
}

/// What it showed at the last handshake.
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    pub certificate: ServerCertificate,
    /// Who signed the last certificate of the chain: the authority that has to be trusted.
    pub authority: String,
    pub is_self_signed: bool,
}

impl Handshake {
    /// Notes what the server shows.
    pub fn record_chain(&self, own: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) {
        *self.lock() = summarise_chain(own, chain);
    }

    /// Notes that it asks for our certificate.
    pub fn record_client_cert_request(&self) {
        self.is_asked.store(true, Ordering::Relaxed);
    }

    /// True if it ever asked for our certificate.
    pub fn is_client_cert_requested(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    pub fn last(&self) -> Option<PeerCertificate> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<PeerCertificate>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn summarise_chain(
    own: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
) -> Option<PeerCertificate> {
    let read = certificate::parse(own)?;
    let is_self_signed = read.subject == read.issuer;
    let chain: Vec<_> = chain
        .iter()
        .filter_map(|certificate| certificate::parse(certificate))
        .collect();
    let mut last = &read;
    // No chain is longer than what was sent, whatever names are in it.
    for _ in 0..chain.len() {
        let next = chain
            .iter()
            .find(|next| next.subject == last.issuer && next.subject != last.subject);
        last = next.unwrap_or(last);
    }

    let authority = last.shown.issuer.clone();

    Some(PeerCertificate {
        authority,
        is_self_signed,
        certificate: read.shown,
    })
}

/// Checks the certificates of one server.
#[derive(Debug)]
pub struct Verifier {
    pub seen: Arc<Handshake>,
    pub algorithms: WebPkiSupportedAlgorithms,
    /// Has the authorities of the whole job, once they were needed.
    pub network: HttpContext,
    /// The certificates given for this server.
    pub own: Vec<CertificateDer<'static>>,
    /// The authorities and those certificates, if there are any.
    pub roots: OnceLock<TrustedRoots>,
    pub is_checking: bool,
}

impl Verifier {
    /// Loads the authorities if they are needed for the first time: for plain http they never are.
    fn trusted_roots(&self) -> &TrustedRoots {
        let of_job = self
            .network
            .roots
            .get_or_init(|| TrustedRoots::load(&self.network));
        if self.own.is_empty() {
            return of_job;
        }
        self.roots.get_or_init(|| {
            let mut roots = of_job.clone();
            roots.add(self.own.clone());
            roots
        })
    }

    /// What is left of a refusal of a handshake's signature: a certificate that is not checked may
    /// be one that cannot even be read.
    fn tolerate_if_unchecked(
        &self,
        checked: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match checked {
            // Even so the server must hold the key of the certificate that it shows.
            Err(Error::InvalidCertificate(problem))
                if !self.is_checking && problem != CertificateError::BadSignature =>
            {
                Ok(HandshakeSignatureValid::assertion())
            }
            checked => checked,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen.record_chain(own, chain);
        if !self.is_checking {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(own)?;
        let roots = self.trusted_roots();
        if roots
            .given
            .iter()
            .any(|given| given.as_ref() == own.as_ref())
        {
            // The administrator vouches for it, whoever signed it and whatever it was made for.
            check_validity_period(own, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &roots.store,
                chain,
                now,
                self.algorithms.all,
            )?;
        }

        // Also one that the administrator gave is good for its own host names only.
        verify_server_name(&parsed, name)?;

        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tolerate_if_unchecked(verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.algorithms,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tolerate_if_unchecked(verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.algorithms,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn check_validity_period(own: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let dates = certificate::parse(own).map(|read| (read.shown.not_before, read.shown.not_after));
    let (not_before, not_after) =
        dates.ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let seconds = certificate::to_i64(now.as_secs());
    let moment = |seconds: i64| {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().unwrap_or(0)))
    };

    let problem = if seconds < not_before {
        CertificateError::NotValidYetContext {
            time: now,
            not_before: moment(not_before),
        }
    } else if seconds > not_after {
        CertificateError::ExpiredContext {
            time: now,
            not_after: moment(not_after),
        }
    } else {
        return Ok(());
    };

    Err(Error::InvalidCertificate(problem))
}

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
pub fn load_identity(path: &Path, provider: &CryptoProvider) -> Result<CertifiedKey> {
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
    // The parser of keys passes over an encrypted one, and would say that there is none.
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
