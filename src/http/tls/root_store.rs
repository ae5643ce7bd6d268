//! Whose word is taken: the web's authorities, the system's, and the certificates that the
//! administrator gives.

use std::env::split_paths;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::context::HttpContext;
use super::certificate;
use crate::environment::Environment;

/// The largest file of certificates that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// As much is read of all the files in a folder, in bytes.
const LARGEST_FOLDER: usize = 32 << 20;
/// So many entries of a folder are looked at.
const MOST_FILES: usize = 10_000;

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
        let environment = &network.run.environment;
        let mut all = paths_from_environment(environment);
        if all.is_empty() {
            roots.add(rustls_native_certs::load_native_certs().certs);
        }
        let file = network
            .folder
            .as_deref()
            .map(|folder| folder.join("input/cacerts"))
            .filter(|file| file.exists());

        let bundle = environment
            .var_os("REQUESTS_CA_BUNDLE")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        all.extend(file.map(|file| (file, "Cortex's \"cacerts\"")));
        all.extend(bundle.map(|path| (path, "the environment variable REQUESTS_CA_BUNDLE")));

        for (path, by) in all {
            match load_path(&path) {
                Ok(certificates) => roots.add(certificates),
                Err(error) => network.run.observer.on_warning(format!(
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

/// What the environment names instead of the system's own authorities. It is read here and not by
/// the library, which would wait for a pipe, read a device without end, and say nothing of a file
/// that is not there.
fn paths_from_environment(environment: &Environment) -> Vec<(PathBuf, &'static str)> {
    let file = environment
        .var_os("SSL_CERT_FILE")
        .map(|path| (path.into(), "the environment variable SSL_CERT_FILE"));
    let folders = environment.var_os("SSL_CERT_DIR").unwrap_or_default();
    let folders = split_paths(&folders).filter(|path| !path.as_os_str().is_empty());
    file.into_iter()
        .chain(folders.map(|path| (path, "the environment variable SSL_CERT_DIR")))
        .collect()
}

/// The certificates in a file, or in the files of a folder.
///
/// # Errors
/// What the system says; that there is none.
pub fn load_path(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    if !path.is_dir() {
        return load_file(path);
    }
    let (mut certificates, mut read) = (Vec::new(), 0);

    for entry in std::fs::read_dir(path)?.take(MOST_FILES).flatten() {
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

fn load_file(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    parse_pem(&read_capped(path)?)
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
    const BROKEN: &str = "a certificate in it is broken or cut off";

    let certificates = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| anyhow!(BROKEN))?;
    ensure!(
        certificates
            .iter()
            .all(|one| certificate::parse(one).is_some()),
        BROKEN
    );

    ensure!(
        !certificates.is_empty(),
        "there is no certificate in PEM form in it"
    );

    Ok(certificates)
}
