//! Case and observables to the event that they should be. Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::json;
use uuid::Uuid;

use super::case::{Case, CaseObservable, ExportInput};
use super::draft::{Doubts, EventDraft};
use super::file_objects::{self, is_file};
use super::options::Settings;
use super::retraction::neutralise_mark;
use super::verdicts::SkipRule;
use crate::cortex::markdown::unquote;
use crate::ids::{self, Ids};
use crate::misp::draft::AttributeDraft;
use crate::report::ledger::Verdict;
use crate::secret::truncate_text;
use crate::text;
use crate::time;
use crate::types::{self, MispCapabilities, ObservableInput, Overrides, equal};

/// The event that a case should be on one MISP.
#[derive(Clone, Debug)]
pub struct MappedEvent {
    /// The event.
    pub wanted: EventDraft,
    /// Observables that this MISP would not take, or may not have, by their position.
    pub refused: BTreeMap<usize, Verdict>,
    /// Files that do not go out themselves, by the position of their observable.
    pub files: BTreeMap<usize, Verdict>,
    /// What the analyst should know about the mapping.
    pub warnings: Vec<String>,
}

/// What the mapping has to know beside the observables.
#[derive(Clone, Copy, Debug)]
pub struct MappingContext<'a> {
    /// The case.
    pub case: &'a Case,
    /// Makes our uuids.
    pub ids: &'a Ids,
    /// What goes out.
    pub settings: &'a Settings,
    /// The administrator's own lines of the table.
    pub overrides: &'a Overrides,
    /// The types that this MISP has.
    pub server: &'a MispCapabilities,
    /// True if files can be read from TheHive.
    pub can_download: bool,
    /// Whether the case is to be linked.
    pub link: CaseLink<'a>,
}

/// Whether an event links to the page of its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseLink<'a> {
    /// That is not configured.
    No,
    /// To this page.
    To(&'a str),
    /// It should, and the address of TheHive is not configured.
    Unknown,
    /// It should, and must not: everyone can read a feed, and the link is for the own organisation
    /// only.
    Public,
}

/// The longest comment that goes out, in characters: MISP's column holds 65,535 bytes.
const LONGEST_COMMENT: usize = 10_000;
/// The text that PHP takes for none: MISP refuses an event that is called so
/// (`fixtures/wire/misp/450-events-add-title-0.json`).
const NOTHING: &str = "0";
/// The longest info line that goes out, in characters.
const LONGEST_INFO: usize = 10_000;

/// What is decided about an observable before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes out, unless this MISP would not take it.
    Send,
    /// It is too strict: what is there of it becomes stricter too.
    Withhold(SkipRule),
    /// It does not go out, and what is there of it is not looked for.
    Stay(Verdict),
}

impl Decision {
    /// The verdict of what does not go out.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Send => None,
            Self::Withhold(rule) => Some(rule.clone().into()),
            Self::Stay(verdict) => Some(verdict.clone()),
        }
    }
}

/// What is decided about each observable without asking any MISP: what is no IOC stays here, and so
/// does what may not be passed on: where everyone can read it (`is_public`: a feed), or by
/// `max_export_tlp`.
pub fn decide_observables(
    input: &ExportInput,
    settings: &Settings,
    is_public: bool,
) -> Vec<Decision> {
    let is_refused = find_refusal(&input.case, settings).map(|(rule, _)| rule);
    input
        .observables
        .iter()
        .map(|one| decide_observable(one, settings, is_public, is_refused.as_ref()))
        .collect()
}

/// Why a case may not go out as a whole: the rule, and what is said.
pub fn find_refusal(case: &Case, settings: &Settings) -> Option<(SkipRule, String)> {
    let told = |what: &str, is: &str, option: &str, most: &str| {
        format!("the case is {what}:{is}, and \"{option}\" is {most}: nothing is exported")
    };
    if let Some(most) = settings.max_export_tlp.filter(|most| case.tlp > *most) {
        return Some((
            SkipRule::Tlp,
            told("TLP", case.tlp.word(), "max_export_tlp", most.word()),
        ));
    }

    let (pap, most) = (case.pap?, settings.max_export_pap?);
    (pap > most).then(|| {
        let told = told("PAP", pap.word(), "max_export_pap", most.word());
        (SkipRule::Pap, told)
    })
}

/// Maps what is left of a case into the event of this uuid.
pub fn build_event(
    input: &ExportInput,
    decided: &[Decision],
    event: Uuid,
    context: &MappingContext<'_>,
) -> MappedEvent {
    let open = select_iocs(input, decided, |decision| *decision == Decision::Send);
    let closed = select_iocs(input, decided, |decision| {
        matches!(decision, Decision::Withhold(_))
    });

    let mut mapped = MappedEvent {
        wanted: self::build_event_head(event, context),
        refused: BTreeMap::new(),
        files: BTreeMap::new(),
        warnings: collect_warnings(input, &open, context),
    };

    let withheld = collect_withheld(&open, closed, &event, context);
    let MappedEvent {
        wanted,
        refused,
        files,
        warnings,
    } = build_content(open.clone(), &event, context);

    mapped.refused = refused;
    mapped.files = files;
    mapped.warnings.extend(warnings);
    mapped
        .warnings
        .extend(describe_dropped_characters(&open, &wanted.attributes));
    mapped.wanted.objects = wanted.objects;
    mapped.wanted.kept = wanted
        .kept
        .into_iter()
        .filter(|one| !withheld.covers(one))
        .collect();

    mapped.wanted.attributes = wanted.attributes;

    mapped.wanted.attributes.retain(|attribute| {
        let is_withheld = withheld.covers(attribute);
        if is_withheld {
            // The same value or file is there twice, once closed: the stricter holds.
            let skip = |index: &usize| (*index, SkipRule::Tlp.into());
            mapped.refused.extend(attribute.from.iter().map(skip));
            mapped.files.extend(attribute.from.iter().map(skip));
        }

        !is_withheld
    });

    // A link alone would make an event of a case that has nothing to say.
    let link = build_link(&event, context).filter(|_| !mapped.wanted.attributes.is_empty());
    mapped.wanted.attributes.extend(link);

    mapped.wanted.withheld = withheld.attributes;
    mapped.wanted.doubts = collect_doubts(input, decided, &mapped.refused);

    mapped
}

/// The observables of a certain verdict, with their positions in the case.
fn select_iocs<'i>(
    input: &'i ExportInput,
    decided: &[Decision],
    is_wanted: impl Fn(&Decision) -> bool,
) -> Vec<(usize, &'i CaseObservable)> {
    let all = input.observables.iter().zip(decided).enumerate();
    all.filter(|(_, (_, decision))| is_wanted(decision))
        .filter_map(|(index, (ioc, _))| Some((index, ioc.as_ref().ok()?)))
        .collect()
}

/// The link to the case in TheHive, where one goes out.
fn build_link(event: &Uuid, context: &MappingContext<'_>) -> Option<AttributeDraft> {
    let CaseLink::To(url) = context.link else {
        return None;
    };
    Some(file_objects::build_case_link(
        event,
        &types::normalise("link", url),
        &context.case.number,
        context.ids,
        context.case.tlp,
    ))
}

/// What could not be mapped: as it stands, and as it would be read if it were written as it should.
fn collect_doubts(
    input: &ExportInput,
    decided: &[Decision],
    refused: &BTreeMap<usize, Verdict>,
) -> Doubts {
    let mut doubts = Doubts::default();

    for (index, (one, decided)) in input.observables.iter().zip(decided).enumerate() {
        let Some(ioc) = one.as_ref().ok().filter(|_| {
            matches!(decided, Decision::Stay(Verdict::Failed(_)))
                || matches!(refused.get(&index), Some(Verdict::Failed(_)))
        }) else {
            continue;
        };

        let data = ioc.observable.data.trim();
        doubts.files |= is_file(ioc) || data.is_empty();
        let forms =
            [data, text::trim_pasted(data), &types::refang_value(data)].map(equal::equality_key);
        doubts
            .values
            .extend(forms.into_iter().filter(|form| !form.is_empty()));
    }

    doubts
}

/// What observables that may not go there would be, or were before they became so strict.
struct Withheld {
    attributes: Vec<AttributeDraft>,
    uuids: HashSet<Uuid>,
    objects: HashSet<Uuid>,
    /// The values, and the halves of composites, as MISP tells them apart.
    values: HashSet<String>,
}

impl Withheld {
    /// True for what is withheld itself, whatever it is there for: a value that another observable
    /// has too, and what stands in an object of what is withheld.
    fn covers(&self, one: &AttributeDraft) -> bool {
        self.uuids.contains(&one.uuid)
            || one
                .place
                .as_ref()
                .is_some_and(|place| self.objects.contains(&place.object))
            || (one.to_ids
                && one
                    .value_parts()
                    .any(|part| self.values.contains(&equal::equality_key(part))))
    }
}

/// Alone they are other attributes than with those that may go out: the half of a composite, a hash
/// beside its file's name. Both are withheld, and files in whatever way they went out.
fn collect_withheld(
    open: &[(usize, &CaseObservable)],
    closed: Vec<(usize, &CaseObservable)>,
    event: &Uuid,
    context: &MappingContext<'_>,
) -> Withheld {
    let indices: HashSet<usize> = closed.iter().map(|(index, _)| *index).collect();
    let mut together: Vec<_> = open.iter().copied().chain(closed.iter().copied()).collect();
    together.sort_by_key(|(index, _)| *index);
    let alone = build_content(closed, event, context).wanted;
    let objects: HashSet<Uuid> = alone.objects.iter().map(|object| object.uuid).collect();
    // Of what they are alone: with the half of a composite that may go out, this one is no reason
    // to keep that back.
    let iocs = alone.attributes.iter().filter(|one| one.to_ids);
    let values = iocs
        .flat_map(AttributeDraft::value_parts)
        .map(equal::equality_key)
        .collect();
    let mut attributes = [alone.attributes, alone.kept].concat();
    let is_closed = |one: &AttributeDraft| one.from.iter().any(|index| indices.contains(index));

    if !indices.is_empty() {
        attributes.extend(
            build_content(together, event, context)
                .wanted
                .attributes
                .into_iter()
                .filter(is_closed),
        );
    }

    let mut uuids = HashSet::new();
    attributes.retain(|one| uuids.insert(one.uuid));
    // They are only made stricter, so that MISP is not even asked for their own tags.
    attributes.iter_mut().for_each(|one| one.tags.clear());

    Withheld {
        attributes,
        uuids,
        objects,
        values,
    }
}

/// Attributes and objects of these observables.
fn build_content(
    mut iocs: Vec<(usize, &CaseObservable)>,
    event: &Uuid,
    context: &MappingContext<'_>,
) -> MappedEvent {
    let made = file_objects::extract(&mut iocs, event, context);
    let mapping = context.map_observables(&iocs);
    let at = |place: &usize| iocs.get(*place).map(|(index, _)| *index);
    let mut refused = made.refused;
    refused.extend(mapping.refused.iter().filter_map(|(place, reason)| {
        Some((
            at(place)?,
            Verdict::Failed(format!("refused before sending: {reason}")),
        ))
    }));

    let mut warnings = made.warnings;
    warnings.extend(
        mapping
            .wanted
            .iter()
            .filter_map(|one| context.describe_warning(one)),
    );

    let mut wanted = self::build_event_head(*event, context);
    wanted.objects = made.objects;
    wanted.attributes = made.attributes;

    wanted.attributes.extend(
        mapping
            .wanted
            .into_iter()
            .filter_map(|one| build_attribute(event, one, &iocs, context)),
    );

    wanted.kept = made.kept;

    MappedEvent {
        wanted,
        refused,
        files: made.files,
        warnings,
    }
}

impl MappingContext<'_> {
    /// What these observables are as attributes, by the table.
    pub fn map_observables(&self, iocs: &[(usize, &CaseObservable)]) -> types::Mapping {
        let given: Vec<_> = iocs
            .iter()
            .map(|(_, ioc)| to_observable_input(ioc))
            .collect();
        types::to_attributes(&given, self.overrides, self.server)
    }

    pub fn describe_warning(&self, one: &types::MappedAttribute) -> Option<String> {
        one.warning
            .as_ref()
            .map(|warning| format!("{}: {warning}", truncate_text(&one.value, 100)))
    }

    /// The first comment of several observables that are one attribute.
    pub fn first_comment<'i>(&self, mut iocs: impl Iterator<Item = &'i CaseObservable>) -> String {
        let comment = iocs.find_map(|ioc| {
            Some(ioc.observable.message.trim()).filter(|message| !message.is_empty())
        });
        comment.map(self::comment).unwrap_or_default()
    }

    /// The tags of several observables that are one attribute, as far as they may go out; their PAP
    /// where it is stricter than the case's.
    pub fn collect_tags<'i>(
        &self,
        iocs: impl Iterator<Item = &'i CaseObservable> + Clone,
    ) -> Vec<String> {
        let pap = iocs
            .clone()
            .filter_map(|ioc| ioc.pap)
            .max()
            .filter(|pap| Some(*pap) > self.case.pap);

        let free = match self.settings.export_observable_tags {
            true => filter_allowed_tags(iocs.flat_map(|ioc| &ioc.observable.tags), self.settings),
            false => Vec::new(),
        };
        pap.map(|pap| pap.tag().to_owned())
            .into_iter()
            .chain(free)
            .collect()
    }
}

fn filter_allowed_tags<'t>(
    tags: impl Iterator<Item = &'t String>,
    settings: &Settings,
) -> Vec<String> {
    let mut free: Vec<String> = Vec::new();
    for tag in tags
        .filter(|tag| settings.allows_tag(tag))
        .map(|tag| strip_hidden(tag))
    {
        if !tag.is_empty()
            && !free
                .iter()
                .any(|known| known.to_lowercase() == tag.to_lowercase())
        {
            free.push(tag);
        }
    }

    free
}

/// A tag without what nobody sees. One with line ends or other controls is not made into another:
/// it stays here.
fn strip_hidden(tag: &str) -> String {
    tag.chars()
        .filter(|c| c.is_control() || !text::is_hidden(*c))
        .collect::<String>()
        .trim()
        .to_owned()
}

fn collect_warnings(
    input: &ExportInput,
    open: &[(usize, &CaseObservable)],
    context: &MappingContext<'_>,
) -> Vec<String> {
    let is_changed = |(_, ioc): &&(usize, &CaseObservable)| {
        clean_comment(&ioc.observable.message) != unquote(ioc.observable.message.trim())
    };
    let comments = open.iter().filter(is_changed).count();
    let comments = (comments > 0).then(|| {
        format!(
            "{comments} comments have characters that MISP cannot store, or that \
            nobody sees: they are replaced or left out"
        )
    });

    let is_long = |(_, ioc): &&(usize, &CaseObservable)| {
        clean_comment(&ioc.observable.message).chars().count() > LONGEST_COMMENT
    };
    let cut = open.iter().filter(is_long).count();
    let cut = (cut > 0).then(|| format!("{cut} comments are cut to {LONGEST_COMMENT} characters"));
    let marked = open
        .iter()
        .filter(|(_, ioc)| neutralise_mark(&ioc.observable.message).1)
        .count();
    let marked = (marked > 0).then(|| {
        format!(
            "{marked} comments have the mark of a retraction in them: it goes out in other \
             brackets, and means nothing"
        )
    });

    let hidden = count_tags_with_hidden(input, open, context.settings);
    let hidden = (hidden > 0)
        .then(|| format!("{hidden} tags have characters that nobody sees: they are left out"));

    let url = match context.link {
        CaseLink::No | CaseLink::To(_) => None,
        CaseLink::Unknown => {
            Some("the case is not linked: \"export_case_url\" needs \"thehive_url\"".to_owned())
        }
        CaseLink::Public => Some(
            "the case is not linked: everyone who pulls this feed could read the link".to_owned(),
        ),
    };

    title_warnings(&input.case, context.settings)
        .chain(comments)
        .chain(cut)
        .chain(marked)
        .chain(hidden)
        .chain(url)
        .collect()
}

/// How many of the tags that go out have characters that nobody sees.
fn count_tags_with_hidden(
    input: &ExportInput,
    open: &[(usize, &CaseObservable)],
    settings: &Settings,
) -> usize {
    let of_case = input.case.tags.iter().filter(|_| settings.export_case_tags);
    let of_iocs = open
        .iter()
        .flat_map(|(_, ioc)| &ioc.observable.tags)
        .filter(|_| settings.export_observable_tags);
    of_case
        .chain(of_iocs)
        .filter(|tag| strip_hidden(tag) != tag.trim() && settings.allows_tag(tag))
        .count()
}

/// What goes out without characters that its observable has and that nobody sees, be they pasted
/// around it or dropped by the rules of its type (a name in Punycode has none).
fn describe_dropped_characters(
    open: &[(usize, &CaseObservable)],
    attributes: &[AttributeDraft],
) -> Option<String> {
    const NAMED: usize = 5;

    let is_unseen = |c: &char| text::is_hidden(*c) || (c.is_whitespace() && !c.is_ascii());
    let mut sent: BTreeMap<usize, String> = BTreeMap::new();
    for attribute in attributes {
        attribute
            .from
            .iter()
            .for_each(|index| sent.entry(*index).or_default().push_str(&attribute.value));
    }

    let told = open.iter().filter_map(|(index, ioc)| {
        let value = sent.get(index)?;
        let dropped = |c: &char| is_unseen(c) && !c.is_ascii_whitespace() && !value.contains(*c);
        let dropped: BTreeSet<char> = ioc.observable.data.chars().filter(dropped).collect();
        let names = dropped
            .iter()
            .map(|c| format!("U+{:04X}", u32::from(*c)))
            .collect::<Vec<_>>()
            .join(", ");

        (!names.is_empty()).then(|| format!("{} ({names})", truncate_text(value, 100)))
    });

    let told: Vec<String> = told.collect();
    let more = told
        .len()
        .checked_sub(NAMED)
        .filter(|more| *more > 0)
        .map(|more| format!(" and {more} more"));

    let first = told
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");

    (!told.is_empty()).then(|| {
        format!(
            "IOCs that go out without characters that nobody sees: {first}{}",
            more.unwrap_or_default()
        )
    })
}

/// What is not as it stands in the case of the event's info line.
fn title_warnings(case: &Case, settings: &Settings) -> impl Iterator<Item = String> + use<> {
    let sent = to_storable(&text::clean_name(case.title.as_str().into()));
    let replaced = (sent.is_empty() || sent != case.title).then(|| {
        "the case's title is empty or has characters that MISP cannot store, or that nobody sees: \
         they are replaced or left out"
            .to_owned()
    });

    let whole = full_info_line(case, &settings.event_info);
    let info = info_line(case, &settings.event_info);
    let nothing = (whole == NOTHING)
        .then(|| format!("MISP takes \"{NOTHING}\" for no title: the event is called \"{info}\""));
    let is_long = whole.chars().count() > LONGEST_INFO;
    let cut = is_long.then(|| format!("the event's title is cut to {LONGEST_INFO} characters"));

    [replaced, nothing, cut].into_iter().flatten()
}

fn decide_observable(
    one: &Result<CaseObservable, String>,
    settings: &Settings,
    is_public: bool,
    refusal: Option<&SkipRule>,
) -> Decision {
    let is_too_strict =
        |ioc: &CaseObservable| settings.max_export_tlp.is_some_and(|most| ioc.tlp > most);
    let may_not_be_used = |ioc: &CaseObservable| {
        settings
            .max_export_pap
            .is_some_and(|most| ioc.pap > Some(most))
    };

    let failed = |reason: &str| Decision::Stay(Verdict::Failed(reason.to_owned()));

    match one {
        Err(problem) => failed(problem),
        Ok(ioc) if !ioc.observable.ioc => Decision::Stay(SkipRule::NotAnIoc.into()),
        Ok(ioc) => match refusal {
            Some(rule) => Decision::Withhold(rule.clone()),
            None if is_public && ioc.tlp.forbids_sharing() => Decision::Withhold(SkipRule::Tlp),
            None if is_too_strict(ioc) => Decision::Withhold(SkipRule::Tlp),
            None if may_not_be_used(ioc) => Decision::Withhold(SkipRule::Pap),
            None if is_file(ioc) && ioc.observable.attachment.is_none() => {
                failed("the file observable has no attachment")
            }
            None => Decision::Send,
        },
    }
}

fn to_observable_input(ioc: &CaseObservable) -> ObservableInput<'_> {
    ObservableInput {
        data_type: &ioc.observable.data_type,
        data: text::trim_pasted(&ioc.observable.data),
        tags: &ioc.observable.tags,
    }
}

fn build_event_head(uuid: Uuid, context: &MappingContext<'_>) -> EventDraft {
    let (case, settings) = (context.case, context.settings);
    let instance = context.ids.instance();
    let is_closed = case.tlp.forbids_sharing();
    let is_refused = find_refusal(case, settings).is_some();

    EventDraft {
        uuid,
        info: info_line(case, &settings.event_info),
        date: time::format_date(case.start),
        threat_level: match case.severity {
            ..=1 => 3,
            2 => 2,
            3.. => 1,
        },
        analysis: if case.is_resolved { 2 } else { 0 },
        distribution: if is_closed { 0 } else { settings.distribution },
        sharing_group: settings.sharing_group.filter(|_| !is_closed),
        extends: None,
        tlp: case.tlp,
        pap: case.pap,
        tags: if settings.export_case_tags && !is_refused {
            filter_allowed_tags(case.tags.iter(), settings)
        } else {
            Vec::new()
        },
        organisation: json!({"name": instance, "uuid": ids::unsigned_uuid(&["organisation", instance])}),
        objects: Vec::new(),
        attributes: Vec::new(),
        withheld: Vec::new(),
        kept: Vec::new(),
        spared: Vec::new(),
        doubts: Doubts::default(),
        is_guest: false,
        only_tightens: is_refused,
    }
}

/// The info line; an empty title is named by the case's number.
fn info_line(case: &Case, pattern: &str) -> String {
    match full_info_line(case, pattern).as_str() {
        "" => format!("Case #{}", case.number),
        NOTHING => format!("Case #{}: {NOTHING}", case.number),
        info => truncate_text(info, LONGEST_INFO),
    }
}

fn full_info_line(case: &Case, pattern: &str) -> String {
    let title = text::clean_name(case.title.as_str().into());
    let title = if title.is_empty() {
        format!("Case #{}", case.number)
    } else {
        title
    };

    // One pass, so that a title that reads like a placeholder stays as it is.
    let parts = pattern
        .split("{title}")
        .map(|part| part.replace("{number}", &case.number));
    to_storable(&text::clean_name(
        parts.collect::<Vec<_>>().join(&title).into(),
    ))
}

/// Several observables may stand for one attribute: the strictest TLP and the first comment hold.
fn build_attribute(
    event: &Uuid,
    wanted: types::MappedAttribute,
    iocs: &[(usize, &CaseObservable)],
    context: &MappingContext<'_>,
) -> Option<AttributeDraft> {
    let of: Vec<_> = wanted
        .from
        .iter()
        .filter_map(|place| iocs.get(*place))
        .collect();

    let tlp = of.iter().map(|(_, ioc)| ioc.tlp).max()?;

    Some(AttributeDraft {
        uuid: context.ids.part_uuid(event, &[&wanted.fold, &wanted.value]),
        place: None,
        kind: wanted.kind.into_owned(),
        category: wanted.category.into_owned(),
        value: wanted.value,
        to_ids: true,
        comment: context.first_comment(of.iter().map(|(_, ioc)| *ioc)),
        former: Vec::new(),
        tlp,
        is_stricter: tlp > context.case.tlp,
        is_closed: tlp.forbids_sharing(),
        tags: context.collect_tags(of.iter().map(|(_, ioc)| *ioc)),
        from: of.iter().map(|(index, _)| *index).collect(),
        file: None,
    })
}

/// A message as the comment that goes out.
pub fn comment(message: &str) -> String {
    truncate_text(&neutralise_mark(&clean_comment(message)).0, LONGEST_COMMENT)
}

/// A message without what an import put around it, and without what nobody sees.
fn clean_comment(message: &str) -> String {
    to_storable(&text::clean_lines(unquote(message.trim())))
}

/// MISP cannot store characters above U+FFFF and answers 500
/// (`fixtures/wire/misp/307-add-emoji-info.json`).
fn to_storable(text: &str) -> String {
    types::replace_astral(text).trim().to_owned()
}
