//! A file put into an alert: only if it is not there it is read from MISP, checked, and sent. One
//! file is held at a time, in memory alone.

use std::cell::OnceCell;

use anyhow::{Result, bail};

use super::AlertWriter;
use crate::http::{FormFile, HttpError, HttpErrorKind};
use crate::import::attachments::AlertFileDraft;
use crate::import::options::Settings;
use crate::misp::Misp;
use crate::report::ledger::Verdict;
use crate::sample;
use crate::thehive::{AddResult, FileUpload, Holder, ObservableBatch, WriteError};
use crate::worker;

/// What a zip adds to its file at most, in bytes, beside a thousandth: its directory, and names.
const ZIP: u64 = 64 << 10;

/// A file on its way from MISP to the alerts of one event: read when the first of them lacks it,
/// and once.
pub struct AttachmentTransfer<'c> {
    misp: &'c Misp,
    pub file: &'c AlertFileDraft,
    settings: &'c Settings,
    /// The event is read in several chunks, which may have the same file.
    pub is_part: bool,
    came: OnceCell<Result<DownloadedFile, DownloadFailure>>,
}

/// A file as it came.
pub struct DownloadedFile {
    bytes: Vec<u8>,
    sha256: String,
    md5: String,
}

/// Why there is no file.
pub struct DownloadFailure {
    pub verdict: Verdict,
    /// It would be the same next time.
    pub is_final: bool,
}

impl<'c> AttachmentTransfer<'c> {
    pub fn new(
        misp: &'c Misp,
        file: &'c AlertFileDraft,
        settings: &'c Settings,
        is_part: bool,
    ) -> Self {
        Self {
            misp,
            file,
            settings,
            is_part,
            came: OnceCell::new(),
        }
    }

    /// True once MISP was asked for it.
    pub fn is_read(&self) -> bool {
        self.came.get().is_some()
    }

    /// The file, read when it is first wanted.
    pub fn content(&self) -> Result<&DownloadedFile, &DownloadFailure> {
        self.came.get_or_init(|| self.download()).as_ref()
    }

    /// What it is known by, if it was read.
    pub fn sha256(&self) -> Option<String> {
        let came = self.came.get()?.as_ref().ok()?;
        Some(came.sha256.clone())
    }

    fn download(&self) -> Result<DownloadedFile, DownloadFailure> {
        let most = self.settings.max_attachment_bytes();
        let is_sample = self.file.is_sample();
        let slack = if is_sample {
            (most / 1_000).saturating_add(ZIP)
        } else {
            0
        };

        let bytes = self
            .misp
            .download_attachment(&self.file.attribute, most.saturating_add(slack));
        let mut bytes = bytes.map_err(|error| self.to_download_failure(&error))?;
        if is_sample {
            bytes = self.unpack_sample(&bytes, most)?;
        }

        Ok(DownloadedFile {
            sha256: sample::sha256(&bytes),
            md5: sample::md5(&bytes),
            bytes,
        })
    }

    /// What is in the zip of a sample, if it is what the attribute's value says.
    fn unpack_sample(&self, zip: &[u8], most: u64) -> Result<Vec<u8>, DownloadFailure> {
        // A login page or a proxy's block page may be gone next time.
        let is_final = !zip.trim_ascii_start().starts_with(b"<");
        let wrong = |reason: String| DownloadFailure {
            verdict: Verdict::Failed(reason),
            is_final,
        };
        let Some(md5) = &self.file.md5 else {
            return Err(wrong("the attribute's value names no md5".to_owned()));
        };

        let bytes =
            sample::unpack(zip, sample::PASSWORD, most).map_err(|error| match error
                .is::<sample::TooLarge>()
            {
                true => self.too_large_failure(),
                false => wrong(format!(
                    "the sample that MISP sends cannot be opened: {}",
                    worker::error_line(&error)
                )),
            })?;

        let came = sample::md5(&bytes);
        if came != *md5 {
            return Err(wrong(format!(
                "the sample that MISP sends is another file: its md5 is {came}, the attribute \
                 says {md5}"
            )));
        }

        Ok(bytes)
    }

    fn to_download_failure(&self, error: &anyhow::Error) -> DownloadFailure {
        let failure = HttpError::of(error);
        if let Some(HttpErrorKind::TooLarge(_)) = failure.map(|failure| &failure.cause) {
            return self.too_large_failure();
        }
        DownloadFailure {
            verdict: Verdict::Failed(worker::error_line(error)),
            is_final: failure.is_none_or(HttpError::is_permanent),
        }
    }

    fn too_large_failure(&self) -> DownloadFailure {
        let rule = format!(
            "larger than max_attachment_mb ({} MiB)",
            self.settings.max_attachment_mb
        );
        DownloadFailure {
            verdict: Verdict::Skipped(rule),
            is_final: true,
        }
    }
}

/// A file of so many bytes takes TheHive as long as a value.
const BYTES_OF_A_VALUE: usize = 256 << 10;

impl AlertWriter<'_> {
    /// Sends a file, with what `named` says of it. Gives as how many values it counts.
    pub fn upload(
        &mut self,
        id: &str,
        transfer: &AttachmentTransfer<'_>,
        named: &ObservableBatch,
    ) -> Result<(usize, Result<AddResult, WriteError>)> {
        let Ok(came) = transfer.content() else {
            bail!("the file is not at hand")
        };
        let (form, password) = build_upload_form(transfer.file, came)?;
        let values = 1 + came.bytes.len() / BYTES_OF_A_VALUE;
        let group = ObservableBatch {
            data: Vec::new(),
            ..named.clone()
        };
        let upload = Some(FileUpload {
            file: &form,
            zip_password: password,
        });
        self.put_into_case(values, &|client, case| {
            client.add_observables(Holder::Case(case), &group, upload)
        })?;

        // Until it is answered nobody knows which files the alert has.
        let files = self.files.take();
        let done = self.write(|client| client.add_observables(Holder::Alert(id), &group, upload));
        let done = done.map(|added| {
            // TheHive may name it otherwise, and whatever is in a zip.
            let data = &named.data;
            let refused = added.refused.into_iter().map(|(_, refusal)| refusal);
            // A zip may bring a refusal for each file in it: what is no duplicate counts.
            let refusal = refused.max_by_key(|refusal| !refusal.is_duplicate());
            AddResult {
                there: data
                    .iter()
                    .filter(|_| !added.there.is_empty())
                    .cloned()
                    .collect(),
                refused: data.iter().cloned().zip(refusal).collect(),
            }
        });
        if done.as_ref().is_ok_and(|added| !added.there.is_empty()) {
            // Only this one is to be asked for again.
            self.files = files;
            let names = [transfer.file.file_key(), &came.sha256, &came.md5];
            self.written_files.extend(names.map(ToOwned::to_owned));
        }

        Ok((values, done))
    }
}

/// The file as it is sent: what is malware, or could be run, in a zip with a password, so that it
/// crosses no network in the clear.
fn build_upload_form(
    file: &AlertFileDraft,
    came: &DownloadedFile,
) -> Result<(FormFile, Option<&'static str>)> {
    let name = &file.observable.data;
    let part = "attachment".to_owned();

    if file.is_sample() || sample::is_executable(name, &came.bytes) {
        let (name, content_type) = ("file.zip".to_owned(), "application/zip".to_owned());
        let content = sample::pack_alone(&file.observable.data, &came.bytes)?;

        return Ok((
            FormFile {
                part,
                name,
                content_type,
                content,
            },
            Some(sample::PASSWORD),
        ));
    }

    let content_type = "application/octet-stream".to_owned();

    Ok((
        FormFile {
            part,
            name: name.clone(),
            content_type,
            content: came.bytes.clone(),
        },
        None,
    ))
}
