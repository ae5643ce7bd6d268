//! The observable types that a TheHive has, and how it compares their values.

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::TheHive;
use crate::json::{self, Element};
use crate::types::ObservableTypeSet;

/// Types that a TheHive can have at the most.
const MOST: usize = 10_000;
/// The type of files, the only one without a value that observables are made of here.
pub const FILE: &str = "file";

/// The observable types of one TheHive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservableTypes {
    /// Their names: those with values, and `file`. A value that is to be of another type with files
    /// is refused (TheHive 4's `ObservableSrv.scala`).
    pub data_types: ObservableTypeSet,
    /// The names of those whose values are stored in lower case.
    caseless: Vec<String>,
}

/// A type as TheHive lists it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Listed {
    #[serde(deserialize_with = "json::text")]
    name: String,
    #[serde(rename = "isAttachment", deserialize_with = "json::flag")]
    is_attachment: Option<bool>,
    /// Since TheHive 5.7.
    #[serde(rename = "isCaseSensitive", deserialize_with = "json::flag")]
    is_case_sensitive: Option<bool>,
}

impl ObservableTypes {
    /// False if TheHive stores the values of this type in lower case, whatever it is sent.
    pub fn is_case_sensitive(&self, data_type: &str) -> bool {
        !self.caseless.iter().any(|name| name == data_type)
    }

    /// What makes an observable the same as another of its alert: its type, and its value as
    /// TheHive stores it. Blanks around it do not count, since a TheHive may take them off.
    pub fn identity_key(&self, data_type: &str, data: &str) -> (String, String) {
        let data = data.trim();
        let data = if self.is_case_sensitive(data_type) {
            data.to_owned()
        } else {
            data.to_lowercase()
        };

        (data_type.to_owned(), data)
    }
}

impl From<Vec<Listed>> for ObservableTypes {
    fn from(listed: Vec<Listed>) -> Self {
        let is_text = |entry: &&Listed| {
            !entry.name.is_empty() && (entry.is_attachment != Some(true) || entry.name == FILE)
        };
        let is_caseless = |entry: &&Listed| entry.is_case_sensitive == Some(false);
        let names = listed
            .iter()
            .filter(is_text)
            .map(|entry| entry.name.clone());
        let caseless = listed
            .iter()
            .filter(is_caseless)
            .map(|entry| entry.name.clone());

        Self {
            data_types: ObservableTypeSet::new(names),
            caseless: caseless.collect(),
        }
    }
}

impl TheHive {
    /// The observable types of this TheHive. Asked once.
    ///
    /// # Errors
    /// What stopped the reading; that it lists none, which no TheHive does.
    pub fn observable_types(&self) -> Result<&ObservableTypes> {
        if let Some(types) = self.types.get() {
            return Ok(types);
        }
        let listed = self.named_list(json!([{"_name": "listObservableType"}]), MOST)?;
        let listed: Vec<Listed> = listed
            .into_iter()
            .filter_map(Element::into_option)
            .collect();
        ensure!(
            listed.iter().any(|entry| !entry.name.is_empty()),
            "TheHive lists no observable types: this is no TheHive"
        );

        Ok(self.types.get_or_init(|| listed.into()))
    }
}
