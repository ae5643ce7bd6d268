//! The files that go out with their attributes: read from TheHive when they are sent, one at a
//! time, and never before a plan asks for them.

use anyhow::{Context, Result};

use super::case::ExportInput;
use crate::misp::changes::{AttachmentPayload, AttachmentSource};
use crate::misp::draft::AttributeDraft;
use crate::sample;
use crate::thehive::TheHive;

/// Where files come from.
pub struct Contents<'a> {
    /// TheHive, if it may be asked.
    pub thehive: Option<&'a TheHive>,
    /// The case.
    pub input: &'a ExportInput,
    /// The largest file, in bytes.
    pub most: u64,
}

impl AttachmentSource for Contents<'_> {
    fn load_payload(&self, attribute: &AttributeDraft) -> Result<Option<AttachmentPayload>> {
        let Some(file) = &attribute.file else {
            return Ok(None);
        };
        let thehive = self.thehive.context("TheHive may not be asked for it")?;
        let (ioc, attachment) = self
            .input
            .ioc_at(file.of)
            .and_then(|ioc| Some((ioc, ioc.observable.attachment.as_ref()?)))
            .context("the observable has no attachment")?;
        let bytes = thehive.download(&ioc.observable.id, attachment, self.most)?;

        if file.is_plain && !sample::is_executable(&file.name, &bytes) {
            let data = sample::to_base64(&bytes);
            return Ok(Some(AttachmentPayload {
                uuid: attribute.uuid,
                kind: "attachment",
                value: file.name.clone(),
                data,
            }));
        }

        // What turns out to be a program goes as a sample, though it was to go as it is.
        let md5 = attachment.md5().context("TheHive names no md5 of it")?;
        let zip = sample::pack(&file.name, &md5, &bytes)?;
        let uuid = if file.is_plain {
            file.other
        } else {
            attribute.uuid
        };

        let value = format!("{}|{md5}", file.name);

        Ok(Some(AttachmentPayload {
            uuid,
            kind: "malware-sample",
            value,
            data: sample::to_base64(&zip),
        }))
    }
}
