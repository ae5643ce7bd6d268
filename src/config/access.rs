//! Which TheHive organisations may use a connection. Without access to TheHive the organisation is
//! the one that the caller names, so this guards against mistakes, not against people who hold a
//! key of Cortex.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tags::are_alike;

/// Which TheHive organisations may use a connection: all, unless one of the lists is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Organisations {
    /// Only these TheHive organisations may use the MISP connections, such as `cert`, by name in
    /// any case: an export's is the one of the job, an import's those that get its alerts.
    pub include_thehive_organisations: Vec<String>,
    /// All but these TheHive organisations may use the MISP connections, such as `training`, by
    /// name in any case.
    pub exclude_thehive_organisations: Vec<String>,
}

impl Organisations {
    /// True if every organisation may use the connection.
    pub fn allows_all(&self) -> bool {
        self.include_thehive_organisations.is_empty()
            && self.exclude_thehive_organisations.is_empty()
    }

    /// Why an organisation may not use the connection, in words that follow its name; none if it
    /// may. Where an organisation counts and none is known, nobody may.
    pub fn denial_reason(&self, organisation: Option<&str>) -> Option<String> {
        let Self {
            include_thehive_organisations: included,
            exclude_thehive_organisations: excluded,
        } = self;
        let has =
            |list: &[String], name: &str| list.iter().any(|listed| is_same_name(listed, name));
        // What keeps out is compared by its look too, so that no other spelling gets in
        // (`tags::excludes`).
        let is_excluded = |name: &str| {
            has(excluded, name) || excluded.iter().any(|listed| are_alike(listed, name))
        };

        match organisation.map(str::trim).filter(|name| !name.is_empty()) {
            None if self.allows_all() => None,
            None => Some(
                "is for certain TheHive organisations, and it is not known for which one this job \
                 runs: TheHive names it in the job's parameter \"organisation\""
                    .to_owned(),
            ),
            Some(name) if is_excluded(name) => Some(format!(
                "is not for TheHive's organisation \"{name}\" \
                    (\"exclude_thehive_organisations\")"
            )),
            Some(name) if !included.is_empty() && !has(included, name) => Some(format!(
                "is not for TheHive's organisation \"{name}\" \
                    (\"include_thehive_organisations\")"
            )),
            Some(_) => None,
        }
    }
}

fn is_same_name(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_decide_and_who_is_unknown_is_denied() {
        let denied = |included: &[&str], excluded: &[&str], organisation: Option<&str>| {
            let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            let organisations = Organisations {
                include_thehive_organisations: list(included),
                exclude_thehive_organisations: list(excluded),
            };
            organisations.denial_reason(organisation).is_some()
        };

        for (included, excluded, organisation, expected) in [
            ([].as_slice(), [].as_slice(), None, false),
            (&[], &[], Some("CERT"), false),
            (&["cert"], &[], Some("CERT "), false),
            (&["cert"], &[], Some("soc"), true),
            (&["cert"], &[], None, true),
            (&["cert"], &[], Some(""), true),
            (&[], &["soc"], Some("SOC"), true),
            (&[], &["soc"], Some("s\u{200b}оc"), true),
            (&["soc"], &[], Some("s\u{200b}оc"), true),
            (&[], &["soc"], Some("cert"), false),
            (&[], &["soc"], None, true),
            (&["soc"], &["soc"], Some("soc"), true),
        ] {
            assert_eq!(
                denied(included, excluded, organisation),
                expected,
                "{included:?} {excluded:?} {organisation:?}"
            );
        }
    }
}
