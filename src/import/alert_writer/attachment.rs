//! A file put into an alert: looked for, and only if it is not there read from MISP, checked, and
//! sent. One file is held at a time, in memory alone.

use std::collections::HashSet;

use anyhow::{Result, bail};

use super::reconcile::Doubt;
use super::{ATTEMPTS, AlertWriter, FULL};
use crate::http::{FormFile, HttpError, HttpErrorKind};
use crate::import::alert_diff::tlp_number;
use crate::import::attachments::AlertFileDraft;
use crate::import::mapping::ObservableDraft;
use crate::import::observable_diff::{self, ObservableAction};
use crate::import::options::Settings;
use crate::misp::Misp;
use crate::report::ledger::Verdict;
use crate::sample;
use crate::thehive::wire::Observable;
use crate::thehive::{AddResult, FILE, FileUpload, Holder, ObservableBatch, TheHive, WriteError};
use crate::worker;

/// What a zip adds to its file at most, in bytes, beside a thousandth: its directory, and names.
const ZIP: u64 = 64 << 10;

/// A file on its way from MISP to the alerts of one event: read when the first of them lacks it,
/// and once.
pub(in crate::import) struct AttachmentTransfer<'c> {
    pub(in crate::import) misp: &'c Misp,
    pub(in crate::import) file: &'c AlertFileDraft,
    pub(in crate::import) settings: &'c Settings,
    /// The event is read in several chunks, which may have the same file.
    pub(in crate::import) is_part: bool,
    pub(in crate::import) came: Option<Result<DownloadedFile, DownloadFailure>>,
}

/// A file as it came.
pub(in crate::import) struct DownloadedFile {
    bytes: Vec<u8>,
    sha256: String,
    md5: String,
}

/// Why there is no file.
#[derive(Clone, Debug)]
pub(in crate::import) struct DownloadFailure {
    verdict: Verdict,
    /// It would be the same next time.
    is_final: bool,
}

impl AttachmentTransfer<'_> {
    fn get_or_download(&mut self) -> Result<&DownloadedFile, &DownloadFailure> {
        let came = match self.came.take() {
            Some(came) => came,
            None => self.download(),
        };
        self.came.insert(came).as_ref()
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

/// What an alert has of files.
#[derive(Default)]
pub(super) struct Files {
    /// As TheHive last answered; none if it has to be asked.
    there: Option<Vec<Observable>>,
    is_looked_at: bool,
    /// By what those are known that were written since.
    written: HashSet<String>,
}

/// How far an attempt came.
enum Attempt {
    Over(Verdict),
    /// What became of it is to be looked at.
    Unclear(Doubt),
}

/// A file of so many bytes takes TheHive as long as a value.
const BYTES_OF_A_VALUE: usize = 256 << 10;

impl AlertWriter<'_> {
    /// Puts a file in.
    pub(in crate::import) fn write_file(
        &mut self,
        content: &mut AttachmentTransfer<'_>,
    ) -> Verdict {
        if let Some(reason) = &self.stopped {
            return Verdict::Failed(reason.clone());
        }
        if !self.desk.types.data_types.has(FILE) {
            return Verdict::Skipped("TheHive has no observable type for files".to_owned());
        }
        let verdict = self.try_write_file(content).unwrap_or_else(|error| {
            let reason = self.desk.prefix_organisation(&worker::error_line(&error));
            self.stopped = Some(reason.clone());
            Verdict::Failed(reason)
        });

        if verdict == Verdict::Created {
            self.note_return(&content.file.observable);
        }

        verdict
    }

    fn try_write_file(&mut self, content: &mut AttachmentTransfer<'_>) -> Result<Verdict> {
        let Some(id) = self.alert.as_ref().map(|alert| alert.id.clone()) else {
            return Ok(Verdict::Created);
        };
        let (mut sent, mut why) = (None, String::new());

        for _ in 0..ATTEMPTS {
            self.common.ensure_time_left()?;
            match self.attempt_write(&id, content, &mut sent)? {
                Attempt::Over(verdict) => return Ok(verdict),
                Attempt::Unclear(doubt) => {
                    self.files.there = None;
                    let sha256 = content
                        .get_or_download()
                        .ok()
                        .map(|came| came.sha256.clone());

                    let is_there = |files: &Vec<Observable>| {
                        let has_it = |one: &Observable| {
                            one.attachment
                                .as_ref()
                                .is_some_and(|it| it.sha256() == sha256)
                        };

                        sha256.is_some() && files.iter().any(has_it)
                    };

                    if self
                        .reconcile(
                            &doubt,
                            |hand| hand.desk.hive.fetch_file_observables(&id),
                            is_there,
                        )?
                        .is_none()
                    {
                        why = doubt.describe_unsettled();
                        break;
                    }
                    why = doubt.reason;
                }
            }
        }

        self.is_open = true;

        Ok(Verdict::Failed(format!("not verified: {why}")))
    }

    fn attempt_write(
        &mut self,
        id: &str,
        content: &mut AttachmentTransfer<'_>,
        sent: &mut Option<Verdict>,
    ) -> Result<Attempt> {
        let file = content.file;
        if let Some(known) = self.find_file(id, file.file_key(), |one| file.is_same_file(one))? {
            let is_again = content.is_part || file.is_shared(&known);
            return self.update_existing_file(file, &known, is_again, sent);
        }
        if self.room == Some(0) {
            self.left_out += 1;
            self.is_open = true;
            return Ok(Attempt::Over(Verdict::Skipped(FULL.to_owned())));
        }

        if self.common.dry_run {
            self.is_changed = true;
            self.note_added(1);
            return Ok(Attempt::Over(Verdict::Created));
        }

        let sha256 = match content.get_or_download() {
            Ok(came) => came.sha256.clone(),
            Err(missing) => {
                self.is_open |= !missing.is_final;
                return Ok(Attempt::Over(missing.verdict.clone()));
            }
        };

        let has_it = |one: &Observable| {
            one.attachment
                .as_ref()
                .is_some_and(|it| it.sha256().as_ref() == Some(&sha256))
        };

        match self.find_file(id, &sha256, has_it)? {
            // Somebody else's, or that of another attribute: this one adds to it.
            Some(known) => self.update_existing_file(file, &known, true, sent),
            None => self.upload_file(id, content, sent),
        }
    }

    /// The file of the alert that fits, as it is now. `name` is one by which it would be known if
    /// this run wrote it.
    fn find_file(
        &mut self,
        id: &str,
        name: &str,
        fits: impl Fn(&Observable) -> bool,
    ) -> Result<Option<Observable>> {
        let files = &mut self.files;

        let there = match files.there.take().filter(|_| !files.written.contains(name)) {
            Some(there) => there,
            // An alert that this run made has no files yet.
            None if self.is_new && !files.is_looked_at => Vec::new(),
            None => {
                files.written.clear();
                self.desk.hive.fetch_file_observables(id)?
            }
        };

        files.is_looked_at = true;
        let found = there
            .iter()
            .filter(|one| fits(one))
            .max_by_key(|one| observable_diff::is_ours(one, &self.desk.users))
            .cloned();

        files.there = Some(there);

        Ok(found)
    }

    /// Keeps what is there, or changes it to what is new of the attribute.
    fn update_existing_file(
        &mut self,
        file: &AlertFileDraft,
        known: &Observable,
        is_again: bool,
        sent: &mut Option<Verdict>,
    ) -> Result<Attempt> {
        let wanted = &file.observable;
        let step = observable_diff::decide_action(
            wanted,
            Some(known),
            &self.desk.users,
            self.desk.scale,
            is_again,
        );

        let ObservableAction::Change(body) = step else {
            if observable_diff::is_kept_as_edited(
                wanted,
                known,
                &self.desk.users,
                self.desk.scale,
                is_again,
            ) {
                self.kept.edited.note(&wanted.data);
            }
            let verdict = sent.take().unwrap_or(Verdict::Unchanged);
            self.is_changed |= verdict != Verdict::Unchanged;
            return Ok(Attempt::Over(verdict));
        };

        // What was looked at is not what is there from now on.
        self.files.there = None;
        let is_new_ioc = file.observable.ioc && !known.ioc && self.was_whole;
        match self
            .patch(&[&known.id], &body)
            .map_err(WriteError::from_http_error)
        {
            Ok(()) => {
                self.is_changed = true;
                self.has_new_ioc |= is_new_ioc;
                Ok(Attempt::Over(Verdict::Updated))
            }

            Err(WriteError::Content(failure) | WriteError::Duplicate(failure)) => {
                Ok(Attempt::Over(Verdict::Failed(failure.to_string())))
            }
            Err(WriteError::Gone(_)) => Ok(Attempt::Unclear(Doubt::without_wait(
                "it went in the meantime".to_owned(),
            ))),
            Err(WriteError::Denied(failure)) => Err(failure.into()),
            Err(WriteError::Unclear(failure)) => {
                *sent = Some(Verdict::Updated);
                self.has_new_ioc |= is_new_ioc;
                Ok(Attempt::Unclear(self.note_unclear_write(&failure, 1)))
            }
        }
    }

    /// The observable that a file is sent with; the file itself goes beside it.
    fn file_batch(&self, file: &ObservableDraft) -> ObservableBatch {
        ObservableBatch {
            data_type: FILE.to_owned(),
            data: Vec::new(),
            tlp: tlp_number(file.tlp, self.desk.scale),
            tags: file.tags.clone(),
            message: file.message.clone(),
            ioc: file.ioc,
            pap: file.pap.number(),
        }
    }

    fn upload_file(
        &mut self,
        id: &str,
        content: &mut AttachmentTransfer<'_>,
        sent: &mut Option<Verdict>,
    ) -> Result<Attempt> {
        let file = content.file;
        let Ok(came) = content.get_or_download() else {
            bail!("the file is not at hand")
        };

        let group = self.file_batch(&file.observable);
        let (form, password) = build_upload_form(file, came)?;
        let values = 1 + came.bytes.len() / BYTES_OF_A_VALUE;
        let upload = Some(FileUpload {
            file: &form,
            zip_password: password,
        });
        let to_case =
            &|hive: &TheHive, case: &str| hive.add_observables(Holder::Case(case), &group, upload);
        if let Some(doubt) = self.put_into_case(values, to_case)? {
            return Ok(Attempt::Unclear(doubt));
        }
        let is_new_ioc = group.ioc && !self.is_new;
        match self
            .desk
            .write(self.common.part, |hive| {
                hive.add_observables(Holder::Alert(id), &group, upload)
            })
            .map_err(WriteError::from_http_error)
        {
            Ok(added) if !added.there.is_empty() => {
                self.is_changed = true;
                self.has_new_ioc |= is_new_ioc;
                let DownloadedFile { sha256, md5, .. } = came;
                self.note_added(1);
                self.files
                    .written
                    .extend([file.file_key(), sha256, md5].map(ToOwned::to_owned));
                Ok(Attempt::Over(Verdict::Created))
            }

            Ok(added) => Ok(judge_refusal(added)),

            Err(WriteError::Content(failure)) => {
                Ok(Attempt::Over(Verdict::Failed(failure.to_string())))
            }
            Err(WriteError::Duplicate(failure)) => {
                Ok(Attempt::Unclear(Doubt::without_wait(failure.to_string())))
            }
            Err(WriteError::Denied(failure) | WriteError::Gone(failure)) => Err(failure.into()),
            Err(WriteError::Unclear(failure)) => {
                self.has_new_ioc |= is_new_ioc;
                *sent = Some(Verdict::Created);
                Ok(Attempt::Unclear(self.note_unclear_write(&failure, values)))
            }
        }
    }
}

/// What becomes of a file that TheHive answers without taking it.
fn judge_refusal(answer: AddResult) -> Attempt {
    let refusal = answer
        .refused
        .into_iter()
        .map(|(_, refusal)| refusal)
        .find(|refusal| !refusal.is_duplicate());
    let Some(refusal) = refusal else {
        return Attempt::Unclear(Doubt::without_wait("TheHive did not store it".to_owned()));
    };

    let reason = format!("refused by TheHive: {}", refusal.message);
    if refusal.is_final() {
        Attempt::Over(Verdict::Failed(reason))
    } else {
        Attempt::Unclear(Doubt::without_wait(reason))
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
