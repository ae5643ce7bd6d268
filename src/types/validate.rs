//! What MISP makes of a value, and what it would refuse, in its own words: the rules for every type
//! (MispAttribute.php, `$validate`), then those of the value's form. Values are checked as they
//! are; normalising comes before.

use std::borrow::Cow;
use std::fmt;

use super::capabilities::MispCapabilities;
use super::equal::equality_key;
use super::forms::TEXT;
use super::misp_types::{MispType, find_row};
use super::normalise::replace_astral;

/// The longest value, in bytes, that MISP's text column holds (recorded: 70,000 were dropped).
const LONGEST: usize = 65_535;

const CONTROL: &str =
    "Value provided consists purely of control characters and is therefore considered to be empty.";
const COMPOSITE: &str =
    "Composite type found but the value not in the composite (value1|value2) format.";

/// Why MISP would not store a value; shows MISP's own message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError(Cow<'static, str>);

impl ValidationError {
    pub(super) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValidationError {}

/// The value as MISP stores it for an attribute of this type. Characters above U+FFFF, which MISP
/// replaces (recorded: "emoji 😀 value" became "emoji ? value"), are `?`.
pub fn normalise(kind: &str, value: &str) -> String {
    let form = find_row(kind).map_or(TEXT, |row| row.form);
    form.normalise(&replace_astral(value))
}

/// Whether this server would store the value as it is, and if not, why.
pub fn validate(kind: &str, value: &str, server: &MispCapabilities) -> Result<(), ValidationError> {
    if !server.has(kind) {
        return Err(ValidationError::new("Invalid type."));
    }
    match find_row(kind) {
        Some(row) => {
            let checked = check(row, value, server.is_newer());
            // Where both kinds of MISP decide alike, nothing is in doubt.
            server.doubt_if(|| check(row, value, !server.is_newer()) != checked);
            checked
        }
        None => check_common(value, false).map_err(ValidationError::new),
    }
}

/// Whether the newest MISP would store a value of a type as it is.
pub fn is_valid(row: &MispType, value: &str) -> bool {
    check(row, value, true).is_ok()
}

/// Whether the newest MISP would take a value for a type, however it is written.
pub fn could_be(kind: &str, value: &str) -> bool {
    find_row(kind).is_some_and(|row| is_valid(row, &row.form.normalise(value)))
}

fn check(row: &MispType, value: &str, is_newer: bool) -> Result<(), ValidationError> {
    check_common(value, row.is_composite())
        .map_err(Cow::Borrowed)
        .and_then(|()| row.form.check.check(value, is_newer))
        .map_err(ValidationError)
}

fn check_common(value: &str, is_composite: bool) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("Value cannot be empty.");
    }
    if is_control(value) {
        return Err(CONTROL);
    }
    // To MISP's database such a value is the empty one, so that nobody could find it again.
    if !value.bytes().any(|byte| byte.is_ascii_graphic()) && equality_key(value).is_empty() {
        return Err("Value has no character by which MISP tells values apart.");
    }

    if is_composite {
        let (first, second) = value.split_once('|').ok_or(COMPOSITE)?;
        if second.contains('|') {
            return Err(COMPOSITE);
        }
        if is_control(first) || is_control(second) {
            return Err(CONTROL);
        }
    }

    if value.len() > LONGEST {
        return Err(
            "The entered string is too long and would get truncated. Please consider adding the \
             data as an attachment instead",
        );
    }
    Ok(())
}

fn is_control(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_control())
}
