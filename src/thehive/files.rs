//! The content of a file observable, in a zip with a password where TheHive gives one: malware
//! passes through proxies and virus scanners so. Whatever came on the way, it is what TheHive's
//! sha256 says, or nothing.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::wire::Attachment;
use super::{Greeting, TheHive, explain_failure, is_id};
use crate::http::{HttpError, HttpErrorKind};
use crate::sample;

/// The password of downloads unless TheHive is configured otherwise
/// (`datastore.attachment.password` in TheHive 4's `reference.conf`).
const PASSWORD: &str = "malware";

/// What a zip adds to its file at most, in bytes, beside a thousandth: its directory, and names.
const ZIP: u64 = 64 << 10;

impl TheHive {
    /// The content of an observable's file, of at most `most` bytes.
    ///
    /// # Errors
    /// That it is too large, cannot be had, or is not the file whose sha256 TheHive names: a login
    /// page, for instance.
    pub fn download(
        &self,
        observable: &str,
        attachment: &Attachment,
        most: u64,
    ) -> Result<Vec<u8>> {
        let sha256 = attachment
            .sha256()
            .context("TheHive names no sha256 of the file: it cannot be checked")?;
        let size = attachment.size.and_then(|size| u64::try_from(size).ok());
        ensure!(
            size.is_none_or(|size| size <= most),
            "the file is larger than {most} bytes"
        );
        let (zipped, plain) = self.attachment_paths(observable, attachment)?;
        let password = self.password();
        let file = |bytes: Vec<u8>| verify_or_unpack(bytes, password, &sha256, most);

        match self.client.download(
            &zipped,
            most.saturating_add(most / 1_000).saturating_add(ZIP),
        ) {
            Ok(bytes) => {
                if let Ok(file) = file(bytes) {
                    return Ok(file);
                }
            }

            Err(failure) if is_final(&failure) => return Err(explain_download_failure(failure)),
            // The zip alone may be at fault: the file is tried as it is.
            Err(_) => {}
        }

        let bytes = self
            .client
            .download(&plain, most)
            .map_err(explain_download_failure)?;
        let is_page = bytes.trim_ascii_start().starts_with(b"<");
        let what = if is_page {
            "a web page"
        } else {
            "something else"
        };

        file(bytes).map_err(|came| {
            anyhow!(
                "GET {}{plain}: the answer is not the file but {what}: TheHive names the sha256 \
                 {sha256}, what came has \
                 {came} (is there a login page or a proxy's block page before TheHive?)",
                self.url
            )
        })
    }

    /// Where the file is in a zip, and where as it is.
    fn attachment_paths(
        &self,
        observable: &str,
        attachment: &Attachment,
    ) -> Result<(String, String)> {
        if !self.is_five()? {
            let id = &attachment.id;
            ensure!(is_id(id), "the id of the file is none");
            return Ok((
                format!("api/datastorezip/{id}?name=file"),
                format!("api/datastore/{id}?name=file"),
            ));
        }

        let id = [&attachment.internal_id, &attachment.id]
            .into_iter()
            .find(|id| !id.is_empty());
        let Some(id) = id.filter(|id| is_id(id) && is_id(observable)) else {
            bail!("the id of the file is none")
        };
        let plain = format!("api/v1/observable/{observable}/attachment/{id}/download");

        Ok((format!("{plain}?asZip=true"), plain))
    }

    /// The password of TheHive's zips, which its status tells: that of TheHive 4 with its version.
    /// Asked once.
    fn password(&self) -> &str {
        self.password.get_or_init(|| {
            let greeting = self.cached_greeting().ok();

            let named = greeting
                .and_then(|greeting| greeting.password.clone())
                .or_else(|| {
                    let is_asked = greeting.is_none_or(Greeting::is_five);
                    let status: Value = self
                        .client
                        .get("api/v1/status")
                        .ok()
                        .filter(|_| is_asked)?
                        .read_value()
                        .ok()?;

                    find_zip_password(&status)
                });

            // If TheHive does not say it, the password that it has by default is tried.
            named.unwrap_or_else(|| PASSWORD.to_owned())
        })
    }
}

/// The password that a status names.
pub fn find_zip_password(status: &Value) -> Option<String> {
    let password = status
        .pointer("/config/protectDownloadsWith")
        .and_then(Value::as_str);
    password
        .filter(|password| !password.is_empty())
        .map(ToOwned::to_owned)
}

/// The file with this sha256: what came, or what is in it if it is a zip. Else the sha256 of what
/// came.
fn verify_or_unpack(
    bytes: Vec<u8>,
    password: &str,
    sha256: &str,
    most: u64,
) -> Result<Vec<u8>, String> {
    let came = sample::sha256(&bytes);
    if came == sha256 {
        return Ok(bytes);
    }
    let inside = sample::unpack(&bytes, password, most).ok();
    inside
        .filter(|inside| sample::sha256(inside) == sha256)
        .ok_or(came)
}

/// True if the plain file would be refused for the same reason as the zip.
fn is_final(failure: &HttpError) -> bool {
    matches!(
        failure.cause,
        HttpErrorKind::Refused {
            status: 401 | 403,
            ..
        } | HttpErrorKind::Deadline
    )
}

fn explain_download_failure(failure: HttpError) -> anyhow::Error {
    match failure.status() {
        Some(404) => failure.with_help("TheHive does not hold the file").into(),
        _ => explain_failure(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_by_its_hash_alone() {
        let zip = sample::pack("a.exe", "d41d8cd98f00b204e9800998ecf8427e", b"content").unwrap();
        let of = |bytes: &[u8], password: &str, sha256: &str| {
            verify_or_unpack(bytes.to_vec(), password, sha256, 100)
        };
        let (inside, outside) = (sample::sha256(b"content"), sample::sha256(&zip));
        assert_eq!(of(b"content", "", &inside).unwrap(), b"content");
        assert_eq!(of(&zip, sample::PASSWORD, &inside).unwrap(), b"content");
        // A file that is a zip itself is not opened.
        assert_eq!(of(&zip, sample::PASSWORD, &outside).unwrap(), zip);
        assert_eq!(of(&zip, "wrong", &inside).unwrap_err(), outside);
        assert_eq!(
            of(b"<html>", "", &inside).unwrap_err(),
            sample::sha256(b"<html>")
        );
    }
}
