//! Which organisations and tags a server has, of those that the import's filters name. The lists
//! are read as streams, and of them only what was asked for is kept.

use anyhow::Result;
use serde_json::json;

use super::{HttpError, Server, for_each_element, for_each_row};
use crate::json::Element;
use crate::misp::tag_resolution::KnownTag;
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
    pub tags: Option<Vec<KnownTag>>,
    /// The uuid of our own organisation, if it was asked for.
    pub own: Option<String>,
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
            Some(self.account()?.organisation.uuid.clone())
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
            for_each_row(
                answer,
                &[],
                "Organisation",
                &mut |organisation: Organisation| {
                    if names.iter().any(|name| organisation.is_called(name)) {
                        known.push(organisation);
                    }
                },
            )?;
            Ok(known)
        })
    }

    /// Whole names are asked for in lists. A server asks its database several questions for each
    /// tag that `tags/search` finds, so that a pattern, which may fit thousands, goes to
    /// `tags/index` instead (MISP's `TagsController.php`).
    fn find_tags(&self, patterns: &[&str]) -> Result<Vec<KnownTag>> {
        let (patterns, names): (Vec<&str>, Vec<&str>) =
            patterns.iter().partition(|name| name.contains('*'));
        let mut known = Vec::new();
        let is_meant = |name: &str, tag: &KnownTag| matches(name, &tag.name);
        self.search_tags(&names, &is_meant, &mut known)?;

        for pattern in patterns {
            // The longest part between the asterisks finds the fewest tags.
            let longest = pattern
                .split('*')
                .max_by_key(|part| part.len())
                .unwrap_or_default();
            let body = json!({"searchall": to_like_pattern(longest), "exclude_statistics": 1});
            let found = self.post_query("tags/index", &body, |answer| {
                let mut found = Vec::new();
                for_each_element(answer, &["Tag"], &mut |tag: Element<KnownTag>| {
                    let tag = tag.into_option();
                    found.extend(tag.filter(|tag| matches(pattern, &tag.name)));
                    Ok(())
                })?;
                Ok(found)
            })?;
            known.extend(found);
        }

        Ok(known)
    }

    /// Asks for tags by their names, in any case, and adds those that `is_meant`.
    pub fn search_tags(
        &self,
        names: &[&str],
        is_meant: &dyn Fn(&str, &KnownTag) -> bool,
        known: &mut Vec<KnownTag>,
    ) -> Result<()> {
        const NAMES: usize = 500;

        for names in names.chunks(NAMES) {
            let asked: Vec<String> = names.iter().map(|name| to_like_pattern(name)).collect();
            let found = self.post_query("tags/search", &json!({"tag": asked}), |answer| {
                let mut found = Vec::new();
                for_each_row(answer, &[], "Tag", &mut |tag: KnownTag| {
                    if names.iter().any(|name| is_meant(name, &tag)) {
                        found.push(tag);
                    }
                })?;
                Ok(found)
            })?;
            known.extend(found);
        }

        Ok(())
    }
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
fn to_like_pattern(name: &str) -> String {
    name.trim().to_lowercase().replace(['\\', '%'], "_")
}
