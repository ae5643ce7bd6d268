//! The filters' names where they meet a MISP: which of them exist there, and which filters it can
//! be asked to apply itself, so that less is read. Nothing here decides about an event that
//! `event_filter.rs` could decide about.

use std::{panic, thread};

use anyhow::{Result, bail};

use super::event_filter::{EventFilters, NameList, ThreatLevel};
use crate::config::connections::Connection;
use crate::http::HttpContext;
use crate::misp::server::filter_names::{NameQuery, ResolvedNames};
use crate::misp::tag_resolution::KnownTag;
use crate::misp::wire::{Event, Organisation};
use crate::misp::{IndexFilter, Misp};
use crate::report::{ConnectionReporter, RunReport};
use crate::tags::matches;
use crate::text::join_first;

/// What the names of the filters are on one MISP.
#[derive(Default)]
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

/// Opens a MISP, and notes its version.
pub fn open_misp(
    connection: &Connection,
    network: &HttpContext,
    filters: &EventFilters,
    part: &ConnectionReporter,
) -> Result<Misp> {
    let mut misp = Misp::open(connection, network, part)?;
    // Before anything is read: tags that decide are then kept, however many an event has.
    misp.set_decisive_tags(filters.tag_patterns());
    note_version(misp.version()?, part);
    Ok(misp)
}

/// The same, and looks up the names of the filters meanwhile. What a server says of them is
/// believed only if it names its version.
///
/// # Errors
/// Those of [`open_misp`], else those of [`resolve`].
pub fn open_and_resolve(
    connection: &Connection,
    network: &HttpContext,
    filters: &EventFilters,
    part: &ConnectionReporter,
) -> Result<(Misp, ResolvedFilters)> {
    let mut misp = Misp::open(connection, network, part)?;
    misp.set_decisive_tags(filters.tag_patterns());
    let (version, known) = thread::scope(|scope| {
        let known = scope.spawn(|| ask_names(&misp, filters));
        let version = misp.version();
        (version, known.join())
    });
    note_version(version?, part);
    let known = known.unwrap_or_else(|panicked| panic::resume_unwind(panicked))?;
    let names = use_names(known, filters, part)?;
    Ok((misp, names))
}

fn note_version(version: Option<String>, part: &ConnectionReporter) {
    let version = version.map(|version| part.run.report_text(&version));
    part.update(|part| part.version = version);
}

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
    use_names(ask_names(misp, filters)?, filters, part)
}

fn ask_names(misp: &Misp, filters: &EventFilters) -> Result<Option<ResolvedNames>> {
    let sought = NameQuery {
        organisations: filters.organisations().all().collect(),
        tags: filters.tags().all().collect(),
        own: filters.skip_own_organisation,
    };
    misp.ask_server(|server| server.resolve_names(&sought).map(Some))
}

fn use_names(
    known: Option<ResolvedNames>,
    filters: &EventFilters,
    part: &ConnectionReporter,
) -> Result<ResolvedFilters> {
    let Some(known) = known else {
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
    let known = misp.ask_server(|server| server.resolve_names(&sought))?;
    Ok(ResolvedFilters {
        only: Vec::new(),
        own: known.own,
    })
}

/// Warns of names that do not exist.
fn check(known: &ResolvedNames, filters: &EventFilters, part: &ConnectionReporter) -> Result<()> {
    let organisations = known.organisations.as_ref();
    let is_known = organisations.map(|known| {
        move |name: &str| {
            known
                .iter()
                .any(|organisation| organisation.is_called(name))
        }
    });
    check_lists("organisations", filters.organisations(), is_known, part)?;

    let tags = known.tags.as_ref();
    let is_known =
        tags.map(|known| move |pattern: &str| known.iter().any(|tag| matches(pattern, &tag.name)));
    check_lists("tags", filters.tags(), is_known, part)
}

/// `is_known` says what exists there, if the server shows that.
fn check_lists(
    what: &str,
    names: NameList<'_>,
    is_known: Option<impl Fn(&str) -> bool>,
    part: &ConnectionReporter,
) -> Result<()> {
    let (include, exclude) = (format!("include_{what}"), format!("exclude_{what}"));
    let Some(is_known) = is_known else {
        part.warn(format!(
            "the server does not show its list of {what}: whether those in \"{include}\" and \
             \"{exclude}\" exist there is not checked"
        ));
        return Ok(());
    };

    if !names.include.is_empty() && !names.include.iter().any(|name| is_known(name)) {
        let quoted = names
            .include
            .iter()
            .map(|name| format!("\"{}\"", part.run.report_text(name)));
        bail!(
            "nothing of \"{include}\" exists on this server, so nothing is imported from it: {}: \
             correct the names, or leave the option empty for this connection",
            join_names(quoted)
        );
    }
    for (option, names) in [(include, names.include), (exclude, names.exclude)] {
        for name in names.iter().filter(|name| !is_known(name)) {
            part.warn(format!(
                "{option}: \"{}\" does not exist on this server",
                part.run.report_text(name)
            ));
        }
    }
    Ok(())
}

/// The filters that a server can apply, each with its line for the report. Numbers only: one
/// unknown name would empty its answer (MISP's `EventsController.php`), and it knows tags by their
/// exact spelling.
fn build_server_filters(
    known: &ResolvedNames,
    filters: &EventFilters,
    run: &RunReport,
) -> Vec<(IndexFilter, String)> {
    organisations(known, filters, run)
        .into_iter()
        .chain(tags(known, filters, run))
        .chain(field_filters(filters))
        .collect()
}

fn organisations(
    known: &ResolvedNames,
    filters: &EventFilters,
    run: &RunReport,
) -> Option<(IndexFilter, String)> {
    let include = &filters.include_organisations;
    let known = known.organisations.as_ref()?.iter();
    let meant = known
        .filter(|known| include.iter().any(|name| known.is_called(name)))
        .map(|known| (&known.name, &known.id));
    build_filter_by_number("org", "organisations", meant, run)
}

/// Tags only if all of them are known by their numbers: of a pattern, a tag that is made meanwhile
/// would be missed.
fn tags(
    known: &ResolvedNames,
    filters: &EventFilters,
    run: &RunReport,
) -> Option<(IndexFilter, String)> {
    let known = known.tags.as_ref()?;
    let include = &filters.include_tags;
    let fits = |pattern: &String, tag: &KnownTag| matches(pattern, &tag.name);
    let is_plain = |name: &String| !name.contains('*') && known.iter().any(|tag| fits(name, tag));
    let meant = known
        .iter()
        .filter(|tag| include.iter().any(|name| fits(name, tag)))
        .map(|tag| (&tag.name, &tag.id));
    build_filter_by_number("tag", "tags", meant, run).filter(|_| include.iter().all(is_plain))
}

fn build_filter_by_number<'n>(
    filter: &'static str,
    word: &str,
    meant: impl Iterator<Item = (&'n String, &'n String)>,
    run: &RunReport,
) -> Option<(IndexFilter, String)> {
    let (names, ids): (Vec<String>, Vec<String>) = meant
        .map(|(name, id)| {
            let name = format!("{} ({})", run.report_text(name), run.report_text(id));
            (name, id.clone())
        })
        .unzip();
    build_filter(filter, word, ids.into_iter(), names.into_iter())
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
    join_first(&names.collect::<Vec<_>>(), NAMED)
}
