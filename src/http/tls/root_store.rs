//! Whose word is taken: the web's authorities, the system's, and the certificates that the
//! administrator gives.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::context::HttpContext;
use super::certificate;

/// The largest file of certificates that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// As much is read of all the files in a folder, in bytes.
const LARGEST_FOLDER: usize = 32 << 20;

/// A job's authorities, the same for all its servers.
#[derive(Clone, Debug)]
pub struct TrustedRoots {
    pub store: RootCertStore,
    /// All of them but the built-in ones, as they were given.
    pub given: Vec<CertificateDer<'static>>,
}

impl TrustedRoots {
    /// Loads them: the built-in ones, the system's (`SSL_CERT_FILE` and `SSL_CERT_DIR` name
    /// others), and those of Cortex, which puts them into the job folder as `input/cacerts` and
    /// names that file by `REQUESTS_CA_BUNDLE` (its `JobRunnerSrv.scala`). What cannot be read is a
    /// warning in the report.
    pub fn load(network: &HttpContext) -> Self {
        let mut roots = Self {
            store: RootCertStore::empty(),
            given: Vec::new(),
        };
        roots
            .store
            .add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        let warn = |warning| network.run.observer.on_warning(warning);
        let native = rustls_native_certs::load_native_certs();
        roots.add(native.certs);
        for error in native.errors {
            warn(format!(
                "the system's certificates, or those of SSL_CERT_FILE and SSL_CERT_DIR: {error}: \
                 mend that"
            ));
        }

        let folder = network.folder.iter();
        // Cortex writes this file only where certificates are configured.
        let of_folder = folder.map(|folder| (folder.join("input/cacerts"), "Cortex's \"cacerts\""));
        let bundle = network.run.environment.var_os("REQUESTS_CA_BUNDLE");
        let bundle = bundle.filter(|path| !path.is_empty()).map(PathBuf::from);
        let of_variable = bundle.map(|path| (path, "the environment variable REQUESTS_CA_BUNDLE"));
        for (path, by) in of_folder
            .filter(|(path, _)| path.exists())
            .chain(of_variable)
        {
            match load_path(&path) {
                Ok(certificates) => roots.add(certificates),
                Err(error) => warn(format!(
                    "{by}: reading the certificates in {}: {error:#}: mend that, or give none \
                     there",
                    path.display()
                )),
            }
        }

        roots
    }

    /// Adds certificates, each once.
    pub fn add(&mut self, certificates: Vec<CertificateDer<'static>>) {
        for certificate in certificates {
            if !self.given.contains(&certificate) {
                // One that is no authority's can still be that of the server itself.
                drop(self.store.add(certificate.clone()));
                self.given.push(certificate);
            }
        }
    }
}

/// The certificates in a file, or in the files of a folder.
///
/// # Errors
/// What the system says; that there is none.
pub fn load_path(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    if !path.is_dir() {
        return parse_pem(&read_capped(path)?);
    }
    let (mut certificates, mut read) = (Vec::new(), 0);

    for entry in std::fs::read_dir(path)?.flatten() {
        // A folder may hold other things as well.
        let Ok(text) = read_capped(&entry.path()) else {
            continue;
        };
        read += text.len();
        ensure!(
            read <= LARGEST_FOLDER,
            "the files in this folder have more than {LARGEST_FOLDER} bytes"
        );
        certificates.extend(CertificateDer::pem_slice_iter(&text).flatten());
    }

    ensure!(
        !certificates.is_empty(),
        "no file in this folder holds a certificate in PEM form"
    );

    Ok(certificates)
}

/// A file of certificates or keys.
///
/// # Errors
/// What the system says; that it is no regular file, or too large.
pub fn read_capped(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    crate::files::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= LARGEST,
        "it is larger than {LARGEST} bytes"
    );
    Ok(bytes)
}

/// The certificates in a text.
///
/// # Errors
/// That there is none; that one is broken.
pub fn parse_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    // The reader of PEM takes any base64: that it is a certificate shows only when it is parsed.
    let certificates = certificates.ok().filter(|all| {
        let mut all = all.iter();
        all.all(|certificate| certificate::parse(certificate).is_some())
    });
    let certificates = certificates.context("a certificate in it is broken or cut off")?;
    ensure!(
        !certificates.is_empty(),
        "there is no certificate in PEM form in it"
    );

    Ok(certificates)
}
