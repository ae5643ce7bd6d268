//! What a server has shown of itself, kept for whoever explains a failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;

use super::certificate::{self, ServerCertificate};

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
        .filter_map(|one| certificate::parse(one))
        .collect();
    let mut last = &read;
    // No chain is longer than what was sent, whatever names are in it.
    for _ in 0..chain.len() {
        let next = chain
            .iter()
            .find(|one| one.subject == last.issuer && one.subject != last.subject);
        last = next.unwrap_or(last);
    }

    let authority = last.shown.issuer.clone();

    Some(PeerCertificate {
        authority,
        is_self_signed,
        certificate: read.shown,
    })
}
