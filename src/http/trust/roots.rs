//! Whose word is taken: the web's authorities, the system's, and the certificates that the administrator gives.

use std::io::Read;
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::network::Network;
use super::certificate;

/// The largest file of certificates that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// A job's authorities, the same for all its servers.
#[derive(Clone, Debug)]
pub(in crate::http) struct Roots {
    pub(super) store: RootCertStore,
    /// All of them but the built-in ones, as they were given.
    pub(super) given: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Loads them: the built-in ones, the system's (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), and those of
    /// Cortex, which puts them into the job folder as `input/cacerts` and names that file by `REQUESTS_CA_BUNDLE` (its
    /// `JobRunnerSrv.scala`). What cannot be read is a warning in the report.
    pub(super) fn load(network: &Network) -> Self {
        let system = rustls_native_certs::load_native_certs().certs;
        let mut roots = Self { store: RootCertStore::empty(), given: Vec::new() };
        roots.store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        roots.add(system);
        let file = network.folder.as_deref().map(|folder| folder.join("input/cacerts")).filter(|file| file.exists());
        let bundle = std::env::var_os("REQUESTS_CA_BUNDLE").filter(|path| !path.is_empty()).map(Into::into);
        for (path, by) in [(file, "Cortex's \"cacerts\""), (bundle, "the environment variable REQUESTS_CA_BUNDLE")] {
            let Some(path) = path else { continue };
            match of_path(&path) {
                Ok(certificates) => roots.add(certificates),
                Err(error) => network.run.warn(format!(
                    "{by}: reading the certificates in {}: {error:#}: mend that, or give none there",
                    path.display()
                )),
            }
        }
        roots
    }

    /// Adds certificates, each once.
    pub(super) fn add(&mut self, certificates: Vec<CertificateDer<'static>>) {
        for certificate in certificates {
            if !self.given.contains(&certificate) {
                // One that is no authority's can still be that of the server itself.
                drop(self.store.add(certificate.clone()));
                self.given.push(certificate);
            }
        }
    }
}

fn of_path(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    if !path.is_dir() {
        return of_file(path);
    }
    let loaded = rustls_native_certs::load_certs_from_paths(None, Some(path));
    ensure!(!loaded.certs.is_empty(), "no file in this folder holds a certificate in PEM form");
    Ok(loaded.certs)
}

/// The certificates in a file.
///
/// # Errors
/// What the system says; that it holds none.
pub(super) fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    of_text(&bytes(path)?)
}

/// A file of certificates or keys.
///
/// # Errors
/// What the system says; that it is no regular file, or too large.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    crate::files::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LARGEST, "it is larger than {LARGEST} bytes");
    Ok(bytes)
}

/// The certificates in a text.
///
/// # Errors
/// That there is none; that one is broken.
pub(super) fn of_text(text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    const BROKEN: &str = "a certificate in it is broken or cut off";
    let certificates = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| anyhow!(BROKEN))?;
    ensure!(certificates.iter().all(|one| certificate::read(one).is_some()), BROKEN);
    ensure!(!certificates.is_empty(), "there is no certificate in PEM form in it");
    Ok(certificates)
}
