//! The files that go out with their attributes: read from TheHive when they are sent, one at a time, and never before a
//! plan asks for them.

use anyhow::{Context, Result};
use uuid::Uuid;

use super::case::Input;
use super::wanted::WantedAttribute;
use crate::sample;
use crate::thehive::TheHive;

/// Where files come from.
pub struct Contents<'a> {
    /// TheHive, if it may be asked.
    pub thehive: Option<&'a TheHive>,
    /// The case.
    pub input: &'a Input,
    /// The largest file, in bytes.
    pub most: u64,
}

/// A file as it is sent.
#[derive(Clone, Debug)]
pub struct Content {
    /// The attribute's uuid.
    pub uuid: Uuid,
    /// `malware-sample` or `attachment`.
    pub kind: &'static str,
    /// The file's name; of a sample, with the md5.
    pub value: String,
    /// The file, or the zip that keeps it from harm, in base64.
    pub data: String,
}

impl Contents<'_> {
    /// The file that an attribute carries; none for one that carries none.
    ///
    /// # Errors
    /// That TheHive does not give it, or gives another one.
    pub fn of(&self, attribute: &WantedAttribute) -> Result<Option<Content>> {
        let Some(file) = &attribute.file else { return Ok(None) };
        let thehive = self.thehive.context("TheHive may not be asked for it")?;
        let of = self.input.observables.get(file.of).and_then(|one| one.as_ref().ok());
        let (ioc, attachment) = of
            .and_then(|ioc| Some((ioc, ioc.observable.attachment.as_ref()?)))
            .context("the observable has no attachment")?;
        let bytes = thehive.download(&ioc.observable.id, attachment, self.most)?;
        if file.is_plain && !sample::is_executable(&file.name, &bytes) {
            let data = sample::encoded(&bytes);
            return Ok(Some(Content { uuid: attribute.uuid, kind: "attachment", value: file.name.clone(), data }));
        }
        let md5 = attachment.md5().context("TheHive names no md5 of it")?;
        let zip = sample::pack(&file.name, &md5, &bytes)?;
        let uuid = if file.is_plain { file.other } else { attribute.uuid };
        let value = format!("{}|{md5}", file.name);
        Ok(Some(Content { uuid, kind: "malware-sample", value, data: sample::encoded(&zip) }))
    }
}
