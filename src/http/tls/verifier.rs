//! How a server's certificate is checked: by the authorities we trust, or because it is itself one
//! that the administrator gave.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::super::context::HttpContext;
use super::certificate;
use super::handshake::Handshake;
use super::root_store::TrustedRoots;

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
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
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
