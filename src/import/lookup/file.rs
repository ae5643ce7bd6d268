//! A file that is looked up: by its hashes, as it is read once from one end to the other.

use std::io::{ErrorKind, Read};

use anyhow::{Context, Result};
use md5::{Digest, Md5};
use sha2::{Sha256, Sha512};

use crate::cortex::job::Job;
use crate::text::to_hex;
use crate::types::SearchValue;

/// As much of a file is held at once, in bytes.
const BUFFER: usize = 64 << 10;

/// What a file is known by.
pub struct SoughtFile {
    /// How the report calls it: its sha256 and its name.
    pub label: String,
    /// Its md5, sha1, sha256 and sha512.
    hashes: [String; 4],
}

impl SoughtFile {
    /// Reads the file that a job carries.
    ///
    /// # Errors
    /// That there is none, or that it cannot be read.
    pub fn read(job: &Job) -> Result<Self> {
        let hashes = hash(job.open_file()?).context("reading the file that the job carries")?;
        let [_, _, sha256, _] = &hashes;
        let name = job.data.as_str().unwrap_or_default();

        Ok(Self {
            label: format!("{sha256} ({name})"),
            hashes,
        })
    }

    /// Any of its hashes.
    pub fn to_search_value(&self) -> SearchValue {
        SearchValue::any_of(
            self.hashes
                .iter()
                .map(|hash| SearchValue::new("hash", hash)),
        )
    }
}

fn hash(mut file: impl Read) -> Result<[String; 4]> {
    let (mut md5, mut sha1) = (Md5::new(), sha1_smol::Sha1::new());
    let (mut sha256, mut sha512) = (Sha256::new(), Sha512::new());
    let mut buffer = vec![0; BUFFER];

    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        md5.update(bytes);
        sha1.update(bytes);
        sha256.update(bytes);
        sha512.update(bytes);
    }

    Ok([
        to_hex(&md5.finalize()),
        to_hex(&sha1.digest().bytes()),
        to_hex(&sha256.finalize()),
        to_hex(&sha512.finalize()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_four_hashes() {
        let [md5, sha1, sha256, sha512] = hash(&b"abc"[..]).unwrap();
        assert_eq!(md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(sha256.starts_with("ba7816bf8f01cfea414140de5dae2223"));
        assert!(sha512.starts_with("ddaf35a193617abacc417349ae204131"));
    }
}
