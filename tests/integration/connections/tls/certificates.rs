//! Certificates made by the tests: authorities, servers for `localhost` and `127.0.0.1`, clients.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
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

    /// An authority below it, with its certificate as servers send it along.
    pub(crate) fn below(&self, name: &str) -> (Self, CertificateDer<'static>) {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let below = Self(
            CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap(),
        );
        let certificate = below.0.der().clone();
        (below, certificate)
    }

    /// A certificate for `localhost` and `127.0.0.1`, valid now.
    pub(crate) fn server(&self) -> Identity {
        self.signs(named("localhost", &["localhost", "127.0.0.1"]))
    }

    /// A certificate as it is asked for.
    pub(crate) fn signs(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            pem: certificate.pem(),
            key,
        }
    }

    /// Those that trust this authority alone.
    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
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
    Identity {
        chain: vec![certificate.der().clone()],
        pem: certificate.pem(),
        key,
    }
}

/// A certificate and its private key.
pub(crate) struct Identity {
    /// The certificate and those that are sent along.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The certificate.
    pub(crate) pem: String,
    key: KeyPair,
}

impl Identity {
    /// The private key, PKCS #8 in PEM form.
    pub(crate) fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// A file with the certificate and its key, as a client has it.
    pub(crate) fn file(&self) -> String {
        self.pem.clone() + &self.key()
    }

    /// A server that shows this certificate and asks its clients for none.
    pub(crate) fn serves(&self) -> Arc<ServerConfig> {
        self.serves_with(rustls::ALL_VERSIONS, None)
    }

    /// A server of these versions of TLS that asks its clients for a certificate of these authorities, if any are
    /// given, and demands it or does not.
    pub(crate) fn serves_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<(Arc<RootCertStore>, bool)>,
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions);
        let builder = match clients {
            Some((roots, is_demanding)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = if is_demanding {
                    verifier
                } else {
                    verifier.allow_unauthenticated()
                };
                builder
                    .unwrap()
                    .with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.unwrap().with_no_client_auth(),
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        Arc::new(builder.with_single_cert(self.chain.clone(), key).unwrap())
    }
}

/// Servers of these versions with the certificate and the key in a file.
pub(crate) fn of_file(
    path: &'static str,
) -> impl Fn(&[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    move |versions| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions);
        let chain = CertificateDer::pem_file_iter(path)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let key = provider
            .key_provider
            .load_private_key(PrivateKeyDer::from_pem_file(path).unwrap())
            .unwrap();
        // Not every certificate that servers have can be read by the library that checks keys against them.
        let resolver = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        Arc::new(
            builder
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(resolver)),
        )
    }
}

/// Those that trust the authorities in a file.
pub(crate) fn roots_of_file(path: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(
        CertificateDer::pem_file_iter(path)
            .unwrap()
            .map(Result::unwrap),
    );
    Arc::new(roots)
}
