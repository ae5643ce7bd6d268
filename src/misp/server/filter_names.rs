//! Which organisations and tags a server has, of those that the import's filters name. The lists
//! are read as streams, and of them only what was asked for is kept.

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{HttpError, Response, Server};
use crate::json::{self, Element};
use crate::misp::wire::Organisation;
use crate::tags::matches;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct NameQuery<'a> {
    /// Organisations: name in any case, uuid or number.
    pub organisations: Vec<&'a str>,
    /// Tags in any case; `*` stands for any text.
    pub tags: Vec<&'a str>,
    /// True if the uuid of our own organisation is of interest.
    pub own: bool,
}

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct ResolvedNames {
    /// The organisations among those asked for; none if the server does not show its list.
    pub organisations: Option<Vec<Organisation>>,
    /// The tags among those asked for, in every spelling; none if the server does not show its
    /// list.
    pub tags: Option<Vec<NumberedTag>>,
    /// The uuid of our own organisation, if it was asked for.
    pub own: Option<String>,
}

/// A tag with its number on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NumberedTag {
    /// Its number.
    #[serde(deserialize_with = "json::text")]
    pub id: String,
    /// Its name, as written.
    #[serde(deserialize_with = "json::text")]
    pub name: String,
}

/// A row of `organisations/index`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OrganisationRow {
    #[serde(rename = "Organisation", deserialize_with = "json::object")]
    organisation: Option<Organisation>,
}

/// A row of `tags/search`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TagRow {
    #[serde(rename = "Tag", deserialize_with = "json::object")]
    tag: Option<NumberedTag>,
}

impl Server {
    /// Which of these names there are. What is not asked for is not looked up.
    ///
    /// # Errors
    /// What stopped the asking. That a list is not shown to us is no error.
    pub fn resolve_names(&self, sought: &NameQuery<'_>) -> Result<ResolvedNames> {
        let organisations = match sought.organisations.is_empty() {
            true => Some(Vec::new()),
            false => none_if_hidden(self.find_organisations(&sought.organisations))?,
        };
        let tags = if sought.tags.is_empty() {
            Some(Vec::new())
        } else {
            none_if_hidden(self.find_tags(&sought.tags))?
        };

        let own = if sought.own {
            Some(self.current_user()?.organisation.clone())
        } else {
            None
        };

        Ok(ResolvedNames {
            organisations,
            tags,
            own,
        })
    }

    /// One list of all organisations: without `scope:all` it is that of the local ones, and a
    /// single one can be asked for by its name in some versions only (MISP's
    /// `OrganisationsController.php`, `index` and `view`).
    fn find_organisations(&self, names: &[&str]) -> Result<Vec<Organisation>> {
        self.get("organisations/index/scope:all", |answer| {
            let mut known = Vec::new();
            for_each_object(answer, &[], &mut |OrganisationRow { organisation }| {
                let is_named = |one: &Organisation| names.iter().any(|name| one.is_called(name));
                known.extend(organisation.filter(is_named));
            })?;
            Ok(known)
        })
    }

    /// Whole names are asked for in lists. A server asks its database several questions for each
    /// tag that `tags/search` finds, so that a pattern, which may fit thousands, goes to
    /// `tags/index` instead (MISP's `TagsController.php`).
    fn find_tags(&self, patterns: &[&str]) -> Result<Vec<NumberedTag>> {
        const NAMES: usize = 500;

        let (patterns, names): (Vec<&str>, Vec<&str>) =
            patterns.iter().partition(|name| name.contains('*'));
        let mut known = Vec::new();

        for names in names.chunks(NAMES) {
            let asked: Vec<String> = names.iter().map(|name| to_like_pattern(name)).collect();

            let found = self.query_tags::<TagRow>(
                "tags/search",
                &json!({"tag": asked}),
                &[],
                &|TagRow { tag }| {
                    tag.filter(|tag| names.iter().any(|name| matches(name, &tag.name)))
                },
            )?;

            known.extend(found);
        }

        for pattern in patterns {
            let longest = pattern
                .split('*')
                .max_by_key(|part| part.len())
                .unwrap_or_default();
            let body = json!({"searchall": to_like_pattern(longest), "exclude_statistics": 1});
            let fits = |tag: NumberedTag| Some(tag).filter(|tag| matches(pattern, &tag.name));
            known.extend(self.query_tags("tags/index", &body, &["Tag"], &fits)?);
        }

        Ok(known)
    }

    /// The tags among the rows of an answer that are meant.
    fn query_tags<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        body: &Value,
        inside: &[&str],
        meant: &dyn Fn(T) -> Option<NumberedTag>,
    ) -> Result<Vec<NumberedTag>> {
        self.post_query(path, body, |answer| {
            let mut found = Vec::new();
            for_each_object(answer, inside, &mut |row| found.extend(meant(row)))?;
            Ok(found)
        })
    }
}

/// Reads a list as a stream; what is no object is passed over.
fn for_each_object<T: for<'de> Deserialize<'de>>(
    answer: Response,
    inside: &[&str],
    on: &mut dyn FnMut(T),
) -> Result<()> {
    super::for_each_element(answer, inside, &mut |element: Element<T>| {
        element.into_option().into_iter().for_each(&mut *on);
        Ok(())
    })
}

/// None for a list that the server does not show to us: its administrator may hide it from users
/// (`Security.hide_organisation_index_from_users`), and other versions may not have it.
fn none_if_hidden<T>(asked: Result<T>) -> Result<Option<T>> {
    match asked {
        Ok(list) => Ok(Some(list)),
        Err(error) if matches!(HttpError::status_of(&error), Some(403..=405)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name for a question by SQL's `LIKE`, in lower case as MISP compares it there. What means
/// something else to `LIKE` gives way to `_`, which is any one sign: what comes back is compared
/// once more.
pub(super) fn to_like_pattern(name: &str) -> String {
    name.trim().to_lowercase().replace(['\\', '%'], "_")
}
