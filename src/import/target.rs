//! An organisation of TheHive that gets the alerts: what is asked of it once, and how a write to it
//! is made known.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use url::Url;

use super::mapping::{self, ObservableDraft};
use super::users::Users;
use crate::http::{HttpContext, HttpError};
use crate::markings::Scale;
use crate::report::{ConnectionReporter, RunReport};
use crate::secret::{Secret, truncate_text};
use crate::thehive::{ObservableTypes, Permission, TheHive, User, WriteError};
use crate::types;

/// An organisation of TheHive.
pub struct AlertTarget {
    /// TheHive, asked for this organisation.
    pub client: TheHive,
    /// Its name in the configuration; none for the user's own.
    named: Option<String>,
    /// Its name, as TheHive gives it: the configuration may have its `_id`.
    organisation: String,
    pub is_five: bool,
    pub scale: Scale,
    /// Our own.
    pub users: Users,
    pub types: ObservableTypes,
    /// Types that it lacks in spite of its list.
    lacking: Mutex<BTreeSet<String>>,
    run: RunReport,
}

/// The type of what TheHive has no type for.
pub const OTHER: &str = "other";

impl AlertTarget {
    /// Asks TheHive for its version, our user and its observable types.
    ///
    /// # Errors
    /// That it cannot be reached or refuses the key, or that the user does not belong to the
    /// organisation or may not do there what the import needs.
    pub fn open(
        url: &Url,
        key: &Secret,
        organisation: Option<&str>,
        former_users: &[String],
        rights: &[Permission],
        network: &HttpContext,
        run: &RunReport,
    ) -> Result<Self> {
        let asking = || match organisation {
            Some(name) => format!("TheHive, organisation \"{name}\""),
            None => "TheHive".to_owned(),
        };
        let client = TheHive::open(url, key, organisation, network, run).with_context(asking)?;
        let is_five = client.is_five().with_context(asking)?;
        let scale = client.scale().with_context(asking)?;
        let user = client.user().with_context(asking)?;
        ensure_can_write(user, rights, is_five).with_context(asking)?;
        let users = Users::new(&user.login, former_users);
        let own = Some(user.organisation.as_str()).filter(|name| !name.is_empty());
        let types = client.observable_types().with_context(asking)?.clone();
        Ok(Self {
            named: organisation.map(ToOwned::to_owned),
            organisation: own.or(organisation).unwrap_or_default().to_owned(),
            client,
            is_five,
            scale,
            users,
            types,
            lacking: Mutex::default(),
            run: run.clone(),
        })
    }

    /// Says that a case template is not there: TheHive 4 makes the alert all the same, without a
    /// word (`fixtures/wire/thehive/032-create-alert-unknown-template.json`).
    pub fn check_case_template(&self, name: &str) {
        let shown = self.run.report_text(name);
        match self.client.has_case_template(name) {
            Ok(true) => {}
            Ok(false) => self.run.warn(self.prefix_organisation(&format!(
                "TheHive has no case template \"{shown}\" (\"case_template\"): its alerts are \
                 made without one"
            ))),
            Err(error) => self.run.warn(self.prefix_organisation(&format!(
                "whether TheHive has the case template \
                    \"{shown}\" is not known: {error:#}"
            ))),
        }
    }

    /// The organisation's name.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Does a write. If the run is stopped while it is under way, its outcome is reported as in
    /// doubt.
    pub fn write<T>(
        &self,
        part: &ConnectionReporter,
        call: impl FnOnce(&TheHive) -> Result<T, HttpError>,
    ) -> Result<T, HttpError> {
        part.mark_writing(true);
        let done = call(&self.client);
        // Before the write counts as over, so that a report that is made in between knows of it.
        if done.is_ok() {
            part.run.mark_written();
        }
        part.mark_writing(false);

        done
    }

    /// Takes note of a type that TheHive refused, and says whether its values are to become others
    /// in a second try.
    pub fn note_lacking_type(&self, data_type: &str, part: &ConnectionReporter) -> bool {
        if data_type == OTHER || !self.types.data_types.has(OTHER) {
            return false;
        }
        if self
            .lacking
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(data_type.to_owned())
        {
            let what = format!(
                "TheHive lists the observable type \"{data_type}\" and then does not know it"
            );
            part.warn(self.prefix_organisation(&format!("{what}: its values become \"{OTHER}\"")));
        }

        true
    }

    /// The types that were refused.
    pub fn lacking_types(&self) -> Vec<String> {
        self.lacking
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// Observables by the types that TheHive takes. What becomes `other` says its type in a tag, as
    /// it does where TheHive does not list its type.
    pub fn replace_lacking_types<'w>(
        &self,
        wanted: &'w [ObservableDraft],
    ) -> Cow<'w, [ObservableDraft]> {
        let lacking = self.lacking_types();
        if lacking.is_empty() {
            return Cow::Borrowed(wanted);
        }
        let mut taken = wanted.to_vec();
        let lacked = taken
            .iter_mut()
            .filter(|draft| lacking.contains(&draft.data_type));
        for draft in lacked {
            let tag = types::type_tag_of(&draft.data_type, &draft.data, &draft.tags);
            tag.into_iter()
                .for_each(|tag| mapping::put_tag_first(&mut draft.tags, tag));
            OTHER.clone_into(&mut draft.data_type);
        }

        Cow::Owned(taken)
    }

    /// Remembers that a write of which nobody knew did arrive.
    pub fn note_write_arrived(&self) {
        self.run.mark_written();
    }

    /// A reason, with the organisation that it is about if one was named.
    pub fn prefix_organisation(&self, reason: &str) -> String {
        match &self.named {
            Some(name) => format!("organisation {name}: {reason}"),
            None => reason.to_owned(),
        }
    }
}

/// The request that failed.
pub fn failure_of(error: WriteError) -> HttpError {
    match error {
        WriteError::Content(failure)
        | WriteError::Duplicate(failure)
        | WriteError::Gone(failure)
        | WriteError::Denied(failure)
        | WriteError::Unclear(failure) => failure,
    }
}

/// Before an event is read and an alert is tried: a user without the permissions would be refused
/// each of them.
fn ensure_can_write(user: &User, rights: &[Permission], is_five: bool) -> Result<()> {
    let lacking = user.missing_permissions(rights, is_five);
    let lacking: Vec<_> = lacking.iter().filter(|(right, _)| right.is_vital).collect();
    let acts: Vec<_> = lacking.iter().map(|(right, _)| right.to).collect();
    let mut names: Vec<_> = lacking.iter().map(|(_, name)| *name).collect();
    names.dedup();

    ensure!(
        lacking.is_empty(),
        "the user {} of \"thehive_key\" may not {} there: the user's profile lacks the permission \
         {}",
        truncate_text(&user.login, 100),
        acts.join(", "),
        names.join(", ")
    );

    Ok(())
}
