//! The filters' names where they meet a MISP: which of them exist there, and which filters it can
//! be asked to apply itself, so that less is read. Nothing here decides about an event that
//! `event_filter.rs` could decide about.

use anyhow::{Result, bail};

use super::event_filter::{EventFilters, ThreatLevel};
use crate::misp::server::filter_names::{NameQuery, NumberedTag, ResolvedNames};
use crate::misp::wire::{Event, Organisation};
use crate::misp::{IndexFilter, Misp};
use crate::report::{ConnectionReporter, RunReport};
use crate::tags::matches;

/// What the names of the filters are on one MISP.
#[derive(Clone, Debug, Default)]
pub struct ResolvedFilters {
    /// The filters that it is asked to apply itself.
    pub only: Vec<IndexFilter>,
    /// The uuid of our own organisation, if its events are to be skipped.
    own: Option<String>,
}

impl ResolvedFilters {
    /// The rule that keeps out an event of our own organisation, if that is wanted; it is for after
    /// [`EventFilters::find_skip_rule`].
    pub fn find_skip_rule(&self, event: &Event) -> Option<String> {
        let own = self.own.as_ref()?;
        // Who uploads an event names any creator; it then belongs to the organisation that he is
        // of.
        let is = |organisation: &Organisation| organisation.uuid.eq_ignore_ascii_case(own);
        let is_own = event.orgc.as_ref().is_some_and(is) && event.org.as_ref().is_none_or(is);
        is_own.then(|| "of our own organisation".to_owned())
    }
}

/// Names in a line of the report; of those beyond the first it gives the number.
const NAMED: usize = 10;

/// Looks up the names of the filters, once for each connection, and only if there are any. A name
/// that does not exist there is a warning; what the MISP is asked to filter stands in the report
/// too. A feed is asked nothing.
///
/// # Errors
/// What stopped the asking; an include list of which nothing exists there.
pub fn resolve(
    misp: &Misp,
    filters: &EventFilters,
    part: &ConnectionReporter,
) -> Result<ResolvedFilters> {
    let organisations = filters
        .include_organisations
        .iter()
        .chain(&filters.exclude_organisations);
    let tags = filters.include_tags.iter().chain(&filters.exclude_tags);
    let sought = NameQuery {
        organisations: organisations.map(String::as_str).collect(),
        tags: tags.map(String::as_str).collect(),
        own: filters.skip_own_organisation,
    };

    let Some(known) = misp.resolve_names(&sought)? else {
        return Ok(ResolvedFilters::default());
    };
    check(&known, filters, part)?;
    let (only, lines): (Vec<_>, Vec<_>) = build_server_filters(&known, filters, &part.run)
        .into_iter()
        .unzip();
    part.update(|part| part.asked_for = lines);

    Ok(ResolvedFilters {
        only,
        own: known.own,
    })
}

/// Only our own organisation, if its events are to be skipped: for a look-up, which nothing else of
/// this concerns.
///
/// # Errors
/// That the server does not say who we are.
pub fn resolve_own_organisation(misp: &Misp, filters: &EventFilters) -> Result<ResolvedFilters> {
    let sought = NameQuery {
        own: filters.skip_own_organisation,
        ..NameQuery::default()
    };
    let known = misp.resolve_names(&sought)?;
    Ok(ResolvedFilters {
        only: Vec::new(),
        own: known.and_then(|known| known.own),
    })
}

/// Warns of names that do not exist.
fn check(known: &ResolvedNames, filters: &EventFilters, part: &ConnectionReporter) -> Result<()> {
    match &known.organisations {
        None => part.warn(
            "the server does not show its list of organisations: whether those in \
             \"include_organisations\" and \
             \"exclude_organisations\" exist there is not checked",
        ),
        Some(known) => {
            let is_there = |name: &str| known.iter().any(|one| one.is_called(name));
            check_list(
                "include_organisations",
                &filters.include_organisations,
                &is_there,
                part,
            )?;

            warn(
                "exclude_organisations",
                &filters.exclude_organisations,
                &is_there,
                part,
            );
        }
    }

    match &known.tags {
        None => part.warn(
            "the server does not show its list of tags: whether those in \"include_tags\" and \
             \"exclude_tags\" exist there is \
             not checked",
        ),
        Some(known) => {
            let is_there = |pattern: &str| known.iter().any(|tag| matches(pattern, &tag.name));
            check_list("include_tags", &filters.include_tags, &is_there, part)?;
            warn("exclude_tags", &filters.exclude_tags, &is_there, part);
        }
    }

    Ok(())
}

fn check_list(
    option: &str,
    names: &[String],
    is_there: &dyn Fn(&str) -> bool,
    part: &ConnectionReporter,
) -> Result<()> {
    if !names.is_empty() && !names.iter().any(|name| is_there(name)) {
        let quoted = names
            .iter()
            .map(|name| format!("\"{}\"", part.run.report_text(name)));
        bail!(
            "nothing of \"{option}\" exists on this server, so nothing is imported from it: {}",
            join_names(quoted)
        );
    }

    warn(option, names, is_there, part);
    Ok(())
}

fn warn(
    option: &str,
    names: &[String],
    is_there: &dyn Fn(&str) -> bool,
    part: &ConnectionReporter,
) {
    for name in names.iter().filter(|name| !is_there(name)) {
        part.warn(format!(
            "{option}: \"{}\" does not exist on this server",
            part.run.report_text(name)
        ));
    }
}

/// The filters that a server can apply, each with its line for the report. Numbers only: one
/// unknown name would empty its answer (MISP's `EventsController.php`), and it knows tags by their
/// exact spelling.
fn build_server_filters(
    known: &ResolvedNames,
    filters: &EventFilters,
    run: &RunReport,
) -> Vec<(IndexFilter, String)> {
    let of_organisations = organisations(known, filters, run);
    let of_tags = tags(known, filters, run);
    of_organisations
        .into_iter()
        .chain(of_tags)
        .chain(field_filters(filters))
        .collect()
}

fn organisations(
    known: &ResolvedNames,
    filters: &EventFilters,
    run: &RunReport,
) -> Option<(IndexFilter, String)> {
    let known = known.organisations.as_ref()?;
    let is_included = |one: &&Organisation| {
        filters
            .include_organisations
            .iter()
            .any(|name| one.is_called(name))
    };
    let meant: Vec<&Organisation> = known.iter().filter(is_included).collect();
    let names = meant.iter().map(|one| {
        format!(
            "{} ({})",
            run.report_text(&one.name),
            run.report_text(&one.id)
        )
    });

    build_filter(
        "org",
        "organisations",
        meant.iter().map(|one| one.id.clone()),
        names,
    )
}

/// Tags only if all of them are known by their numbers: of a pattern, a tag that is made meanwhile
/// would be missed.
fn tags(
    known: &ResolvedNames,
    filters: &EventFilters,
    run: &RunReport,
) -> Option<(IndexFilter, String)> {
    let known = known.tags.as_ref()?;
    let fits = |pattern: &str, tag: &NumberedTag| matches(pattern, &tag.name);
    let is_plain = |name: &String| !name.contains('*') && known.iter().any(|tag| fits(name, tag));
    if !filters.include_tags.iter().all(is_plain) {
        return None;
    }
    let meant: Vec<_> = known
        .iter()
        .filter(|tag| filters.include_tags.iter().any(|name| fits(name, tag)))
        .collect();
    let names = meant.iter().map(|tag| {
        format!(
            "{} ({})",
            run.report_text(&tag.name),
            run.report_text(&tag.id)
        )
    });

    build_filter("tag", "tags", meant.iter().map(|tag| tag.id.clone()), names)
}

/// The highest distribution that MISP has for events: a sharing group.
const HIGHEST_DISTRIBUTION: u64 = 4;

fn field_filters(filters: &EventFilters) -> impl Iterator<Item = (IndexFilter, String)> {
    let texts = |numbers: Vec<u64>| numbers.into_iter().map(|number| number.to_string());
    let levels = filters
        .min_threat_level
        .map(ThreatLevel::misp_numbers_at_or_above)
        .unwrap_or_default();

    let least = filters
        .min_threat_level
        .map(|least| format!("{} or higher", least.as_str()));
    let analysis = filters
        .include_analysis
        .iter()
        .map(|state| state.to_misp_number())
        .collect();
    let states = filters
        .include_analysis
        .iter()
        .map(|state| state.as_str().to_owned());
    let distributions = &filters.include_distributions;
    // A number that MISP does not know is none to ask for, and no event has it.
    let known = distributions
        .iter()
        .copied()
        .filter(|number| *number <= HIGHEST_DISTRIBUTION)
        .collect();
    let named = distributions.iter().map(ToString::to_string);
    let all = [
        build_filter(
            "threatlevel",
            "threat level",
            texts(levels),
            least.into_iter(),
        ),
        build_filter("analysis", "analysis", texts(analysis), states),
        build_filter("distribution", "distribution", texts(known), named),
    ];

    all.into_iter().flatten()
}

/// A filter and its line; none without values, since MISP takes an empty list for no filter, and
/// none by what is no number.
fn build_filter(
    filter: &'static str,
    word: &str,
    values: impl Iterator<Item = String>,
    names: impl Iterator<Item = String>,
) -> Option<(IndexFilter, String)> {
    let values: Vec<String> = values.collect();
    let is_good = !values.is_empty() && values.iter().all(|value| value.parse::<u64>().is_ok());
    is_good.then(|| {
        (
            IndexFilter { filter, values },
            format!("{word}: {}", join_names(names)),
        )
    })
}

fn join_names(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let first = names
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");

    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
