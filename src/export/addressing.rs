//! Which connections a case goes to: those that its tags `misp:to="<name>"` name, else all. A tag
//! that is meant to narrow and does not is an error, for what it was to keep in would go
//! everywhere.

use anyhow::{Result, bail, ensure};

use super::ConnectionConfig;
use super::case::ExportInput;
use super::sighting_tags;
use crate::report::RunReport;
use crate::secret::truncate_text;
use crate::tags;
use crate::text::join_first;

/// The longest name of a connection that a person would type, in characters.
const LONGEST_NAME: usize = 100;
/// Observables named in a warning.
const NAMED: usize = 3;

/// What the message has to say if several tags name a connection each.
pub fn describe_several_targets(
    connections: &[ConnectionConfig],
    input: &ExportInput,
) -> Option<String> {
    let tags = || {
        input
            .case
            .tags
            .iter()
            .filter_map(|tag| tags::parse_value(tag, tags::TO))
    };

    let named = || {
        connections
            .iter()
            .map(|one| one.connection.name.as_str())
            .filter(|name| tags().any(|tag| tag == *name))
    };

    (named().count() > 1).then(|| {
        format!(
            "the case has several tags {}, as after a merge of cases, and all of it goes to each: \
             {}. If a part of it is not \
             for all of them, take tags off",
            tags::TO,
            quote_names(named())
        )
    })
}

/// What the tags of a case say of where it may go.
#[derive(Default)]
struct Addressees<'t> {
    names: Vec<&'t str>,
    /// Tags with a name that no connection can have.
    meaningless: Vec<&'t str>,
    /// Tags that are meant to name a connection, and cannot be read.
    unread: Vec<&'t str>,
}

impl<'t> Addressees<'t> {
    fn of_tags(tags: &'t [String]) -> Self {
        let can_be_meant = |name: &str| {
            name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control)
        };
        let mut found = Self::default();

        for tag in tags {
            match tags::parse_value(tag, tags::TO) {
                Some(name) if can_be_meant(name) => found.names.push(name),
                Some(_) => found.meaningless.push(tag),
                None if tags::mistyped_word(tag) != Some(tags::TO) => {}
                None if can_be_meant(tag) => found.unread.push(tag),
                None => found.meaningless.push(tag),
            }
        }

        found
    }

    /// # Errors
    /// That a tag is meant to narrow the export, and names none of the connections.
    fn validate(&self, connections: &[ConnectionConfig]) -> Result<()> {
        let known = || connections.iter().map(|one| one.connection.name.as_str());
        let names = quote_names(known());

        if let Some(tag) = self.unread.first() {
            bail!(
                "the case has the tag {tag}, which is meant to name a connection, and no name can \
                 be read from it: correct it to {}, \
                 or take it off; the names are {names}",
                tags::build(tags::TO, "<connection>")
            );
        }

        ensure!(
            self.meaningless.is_empty() || !self.names.is_empty(),
            "the case's tags {} name nothing that a connection can be called, and no other tag \
             says where the case may go: take \
             them off, or correct them; the names are {names}",
            tags::TO
        );

        if let Some(unknown) = self
            .names
            .iter()
            .find(|name| !known().any(|it| it == **name))
        {
            bail!(
                "the case has the tag {}, and no connection for export has that name: the names \
                 are {names}",
                tags::build(tags::TO, unknown)
            );
        }

        Ok(())
    }
}

/// The connections that the case's tags name; all, if there is none. What the job names counts
/// more. A tag that nobody can have meant is passed over, so that one from outside does not stop an
/// export, unless there are only such.
pub fn select_connections(
    connections: Vec<ConnectionConfig>,
    input: &ExportInput,
    parameter: Option<&str>,
    run: &RunReport,
) -> Result<Vec<ConnectionConfig>> {
    let addressees = Addressees::of_tags(&input.case.tags);

    for tag in &addressees.meaningless {
        let tag = truncate_text(tag, LONGEST_NAME);
        run.warn(format!(
            "the case's tag {tag} names nothing that a connection can be called: it is passed over"
        ));
    }

    if parameter.is_some() {
        return Ok(connections);
    }
    addressees.validate(&connections)?;
    let names = addressees.names;
    if names.is_empty() {
        return Ok(connections);
    }

    let (kept, left): (Vec<_>, Vec<_>) = connections
        .into_iter()
        .partition(|one| names.contains(&one.connection.name.as_str()));

    if !left.is_empty() {
        let left = quote_names(left.iter().map(|one| one.connection.name.as_str()));
        let tags: Vec<_> = names
            .iter()
            .map(|name| tags::build(tags::TO, name))
            .collect();
        run.warn(format!(
            "nothing goes to {left}: the case's tags narrow the export, {}",
            tags.join(", ")
        ));
    }

    Ok(kept)
}

/// Names the tags that are meant as words of this program and say nothing, and those that stand in
/// the wrong place.
pub fn warn_of_mistyped_tags(input: &ExportInput, run: &RunReport) {
    let is_mistyped_event = |tag: &&String| tags::mistyped_word(tag) == Some(tags::EVENT);
    for tag in input.case.tags.iter().filter(is_mistyped_event) {
        run.warn(format!(
            "the case's tag {} cannot be read, and is not followed",
            truncate_text(tag, LONGEST_NAME)
        ));
    }

    let (mut unread, mut misplaced, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let observables = input
        .observables
        .iter()
        .flatten()
        .map(|ioc| &ioc.observable);
    for observable in observables.filter(|observable| observable.ioc) {
        for tag in &observable.tags {
            let word = tags::mistyped_word(tag);
            let is_of_case = |name| word == Some(name) || tags::parse_value(tag, name).is_some();
            let list = if is_of_case(tags::TO) || is_of_case(tags::INTO) {
                &mut misplaced
            } else if word.is_some() {
                &mut unread
            } else if sighting_tags::is_unknown(tag) {
                &mut unknown
            } else {
                continue;
            };

            let value = truncate_text(&observable.data, LONGEST_NAME);
            list.push(format!("{value} ({})", truncate_text(tag, LONGEST_NAME)));
        }
    }

    warn_of_tagged_iocs(
        "IOCs with a tag that is meant for this program and cannot be read, so that it counts for \
         nothing",
        &unread,
        run,
    );
    warn_of_tagged_iocs(
        "IOCs with a tag misp:to or misp:into, which counts on a case only: they go wherever their \
         case goes",
        &misplaced,
        run,
    );
    warn_of_tagged_iocs(
        &format!(
            "IOCs with a tag misp:sighting that says nothing known, so that it counts for nothing; \
             accepted are {}",
            sighting_tags::ACCEPTED
        ),
        &unknown,
        run,
    );
}

fn warn_of_tagged_iocs(what: &str, iocs: &[String], run: &RunReport) {
    if iocs.is_empty() {
        return;
    }
    run.warn(format!("{what}: {}", join_first(iocs, NAMED)));
}

fn quote_names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ")
}
