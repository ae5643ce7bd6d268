//! Certificates made by the tests: authorities, servers for `localhost` and `127.0.0.1`, clients.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// An authority of the test's making.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one of this common name.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost` and `127.0.0.1`, valid now.
    pub(crate) fn server(&self) -> Identity {
        self.signs(named("localhost", &["localhost", "127.0.0.1"]))
    }

    /// A certificate as it is asked for.
    pub(crate) fn signs(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    /// A verifier of clients that must have a certificate of this authority.
    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }
}

/// What is asked of a certificate: its common name and the names it is for. Valid from 1975 to 4096.
pub(crate) fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A certificate that signed itself.
pub(crate) fn self_signed(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
}

/// A certificate and its private key.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    /// The certificate.
    pub(crate) pem: String,
    key: KeyPair,
}

impl Identity {
    /// The private key, PKCS #8 in PEM form.
    pub(crate) fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// A server that shows this certificate and asks its clients for none.
    pub(crate) fn serves(&self) -> Arc<ServerConfig> {
        self.serves_with(rustls::ALL_VERSIONS, None)
    }

    /// A server of these versions of TLS that asks its clients for a certificate of an authority, if one is given.
    pub(crate) fn serves_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Authority>,
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
        let builder = match clients {
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots(), provider);
                builder.unwrap().with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.unwrap().with_no_client_auth(),
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        Arc::new(builder.with_single_cert(self.chain.clone(), key).unwrap())
    }
}
