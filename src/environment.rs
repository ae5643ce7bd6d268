//! The variables of the environment, taken once where a program starts. What a run does follows
//! from its job and from these; a run in a test has none unless it is given some.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Variables and their values.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl fmt::Debug for Environment {
    /// Without names and values: a proxy may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment of {} variables", self.0.len())
    }
}

impl Environment {
    /// That of this process.
    pub fn from_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The value of a variable, as it is.
    pub fn var_os(&self, name: &str) -> Option<OsString> {
        self.0.get(OsStr::new(name)).cloned()
    }

    /// The value of a variable, if it is text.
    pub fn var(&self, name: &str) -> Option<String> {
        self.var_os(name)?.into_string().ok()
    }
}
