//! The administrator's own lines of the mapping (`type_mapping`). When they apply is decided where
//! observables become attributes.

use super::misp_types::{self, MispType};
use super::observable_types;
use crate::text::did_you_mean;

/// Observable types that the administrator sends as something else than the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(Vec<Override>);

/// One checked line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    data_type: String,
    pub category: &'static str,
    pub kind: &'static str,
}

impl Overrides {
    /// Reads lines such as `ip=Network activity/ip-src`; empty ones say nothing. The error names
    /// the line, what is wrong, and what is accepted.
    pub fn parse(lines: &[String]) -> Result<Self, String> {
        let mut all: Vec<Override> = Vec::new();
        for line in lines
            .iter()
            .map(|line| line.trim())
            .filter(|line| !line.is_empty())
        {
            let parsed =
                parse_line(line).map_err(|wrong| format!("type_mapping `{line}`: {wrong}"))?;
            if all.iter().any(|known| known.data_type == parsed.data_type) {
                return Err(format!(
                    "type_mapping `{line}`: a second line for {}; one is accepted",
                    parsed.data_type
                ));
            }

            all.push(parsed);
        }

        Ok(Self(all))
    }

    /// The line for an observable type: its own, else that of a type that means the same.
    pub fn find(&self, data_type: &str) -> Option<&Override> {
        if self.0.is_empty() {
            return None;
        }
        let exact = self.0.iter().find(|line| line.data_type == data_type);
        exact.or_else(|| {
            let fold = observable_types::canonical_type(data_type);
            self.0
                .iter()
                .find(|line| observable_types::canonical_type(&line.data_type) == fold)
        })
    }
}

fn parse_line(line: &str) -> Result<Override, String> {
    const SHAPE: &str = "accepted is `observable type=MISP category/MISP type`";

    let (data_type, target) = line
        .split_once('=')
        .ok_or_else(|| format!("no `=`; {SHAPE}"))?;
    let (category, kind) = target
        .split_once('/')
        .ok_or_else(|| format!("no `/` after the category; {SHAPE}"))?;
    let (data_type, category, kind) = (data_type.trim(), category.trim(), kind.trim());
    if data_type.is_empty() {
        return Err(format!("no observable type; {SHAPE}"));
    }
    let row = misp_types::find_row(kind).ok_or_else(|| unknown_type_error(category, kind))?;
    match row
        .categories
        .iter()
        .find(|known| known.eq_ignore_ascii_case(category))
    {
        Some(&category) => Ok(Override {
            data_type: data_type.to_owned(),
            category,
            kind: row.kind,
        }),
        None if misp_types::CATEGORIES.contains(&category) => Err(format!(
            "MISP does not take {kind} in category {category}; accepted: {}",
            row.categories.join(", ")
        )),
        None => Err(format!(
            "MISP has no category {category}{}; accepted for {kind}: {}",
            did_you_mean(category, row.categories.iter().copied()),
            row.categories.join(", ")
        )),
    }
}

fn unknown_type_error(category: &str, kind: &str) -> String {
    let in_category = |row: &&MispType| row.categories.contains(&category);
    let kinds: Vec<&str> = misp_types::TABLE
        .iter()
        .filter(in_category)
        .map(|row| row.kind)
        .collect();

    let hint = did_you_mean(kind, misp_types::TABLE.iter().map(|row| row.kind));
    if kinds.is_empty() {
        return format!(
            "MISP has no type {kind}{hint} and no category {category}; accepted categories: {}",
            misp_types::CATEGORIES.join(", ")
        );
    }

    format!(
        "MISP has no type {kind}{hint}; accepted in {category}: {}",
        kinds.join(", ")
    )
}
