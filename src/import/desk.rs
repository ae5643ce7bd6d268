//! An organisation of TheHive that gets the alerts: what is asked of it once, and how a write to it is made known.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use url::Url;

use super::map::Wanted;
use super::users::Users;
use crate::full::{PartOf, Run};
use crate::http::{Failure, Network};
use crate::markings::Scale;
use crate::secret::Secret;
use crate::thehive::{ObservableTypes, TheHive};

/// An organisation of TheHive.
pub(super) struct Desk {
    /// TheHive, asked for this organisation.
    pub(super) hive: TheHive,
    /// Its name in the configuration; none for the user's own.
    named: Option<String>,
    /// Its name, as TheHive gives it: the configuration may have its `_id`.
    organisation: String,
    pub(super) is_five: bool,
    pub(super) scale: Scale,
    /// Our own.
    pub(super) users: Users,
    pub(super) types: ObservableTypes,
    /// Types that it lacks in spite of its list.
    lacking: Mutex<BTreeSet<String>>,
    run: Run,
}

/// The type of what TheHive has no type for.
pub(super) const OTHER: &str = "other";

impl Desk {
    /// Asks TheHive for its version, our user and its observable types.
    ///
    /// # Errors
    /// That it cannot be reached, or refuses the key or the organisation.
    pub(super) fn open(
        url: &Url,
        key: &Secret,
        organisation: Option<&str>,
        former_users: &[String],
        network: &Network,
    ) -> Result<Self> {
        let run = network.run();
        let asking = || match organisation {
            Some(name) => format!("TheHive, organisation \"{name}\""),
            None => "TheHive".to_owned(),
        };
        let hive = TheHive::open(url, key, organisation, network, run).with_context(asking)?;
        let is_five = hive.is_five().with_context(asking)?;
        let scale = hive.scale().with_context(asking)?;
        let users = Users::new(hive.login().with_context(asking)?, former_users);
        let own = Some(hive.organisation().with_context(asking)?).filter(|name| !name.is_empty());
        let types = hive.observable_types().with_context(asking)?.clone();
        Ok(Self {
            named: organisation.map(ToOwned::to_owned),
            organisation: own.or(organisation).unwrap_or_default().to_owned(),
            hive,
            is_five,
            scale,
            users,
            types,
            lacking: Mutex::default(),
            run: run.clone(),
        })
    }

    /// The organisation's name.
    pub(super) fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Does a write. While it is under way, nobody knows what became of it.
    pub(super) fn write<T>(
        &self,
        part: &PartOf,
        call: impl FnOnce(&TheHive) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        part.writes(true);
        let done = call(&self.hive);
        if done.is_ok() {
            part.run.wrote();
        }
        part.writes(false);
        done
    }

    /// Takes note of a type that TheHive refused, and says whether its values are to become others in a second try.
    pub(super) fn lacks(&self, data_type: &str, part: &PartOf) -> bool {
        if data_type == OTHER || !self.types.data_types.has(OTHER) {
            return false;
        }
        if self.lacking.lock().unwrap_or_else(PoisonError::into_inner).insert(data_type.to_owned()) {
            let what = format!("TheHive lists the observable type \"{data_type}\" and then does not know it");
            part.warn(self.named(&format!("{what}: its values become \"{OTHER}\"")));
        }
        true
    }

    /// The types that were refused.
    pub(super) fn lacking(&self) -> Vec<String> {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Observables by the types that TheHive takes.
    pub(super) fn taken<'w>(&self, wanted: &'w [Wanted]) -> Cow<'w, [Wanted]> {
        let lacking = self.lacking();
        if lacking.is_empty() {
            return Cow::Borrowed(wanted);
        }
        let mut taken = wanted.to_vec();
        let lacked = taken.iter_mut().filter(|one| lacking.contains(&one.data_type));
        lacked.for_each(|one| OTHER.clone_into(&mut one.data_type));
        Cow::Owned(taken)
    }

    /// Remembers that a write of which nobody knew did arrive.
    pub(super) fn arrived(&self) {
        self.run.wrote();
    }

    /// A reason, with the organisation that it is about if one was named.
    pub(super) fn named(&self, reason: &str) -> String {
        match &self.named {
            Some(name) => format!("organisation {name}: {reason}"),
            None => reason.to_owned(),
        }
    }
}
