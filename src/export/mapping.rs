//! Case and observables to the event that they should be. Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::json;
use uuid::Uuid;

use super::case::{Case, CaseObservable, ExportInput};
use super::case_report::ReportDraft;
use super::draft::{Doubts, EventDraft};
use super::file_objects::{self, FileObjects, is_file};
use super::options::Settings;
use super::retraction::neutralise_mark;
use super::verdicts::SkipRule;
use crate::cortex::markdown::unquote;
use crate::ids::{self, EventRole, Ids};
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

/// An observable with its position in the case.
pub type PlacedIoc<'a> = (usize, &'a CaseObservable);

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
    let refusal = find_refusal(&input.case, settings).map(|(rule, _)| rule);
    input
        .observables
        .iter()
        .map(|ioc| decide_observable(ioc, settings, is_public, refusal.as_ref()))
        .collect()
}

/// Why a case may not go out as a whole: the rule, and what is said.
pub fn find_refusal(case: &Case, settings: &Settings) -> Option<(SkipRule, String)> {
    let refuse = |marking: &str, of_case: &str, limit: &str| {
        let (word, option) = (marking.to_uppercase(), format!("max_export_{marking}"));
        format!("the case is {word}:{of_case}, and \"{option}\" is {limit}: nothing is exported")
    };

    if let Some(limit) = settings.max_export_tlp.filter(|limit| case.tlp > *limit) {
        let refusal = refuse("tlp", case.tlp.word(), limit.word());
        return Some((SkipRule::Tlp, refusal));
    }
    let (pap, limit) = (case.pap?, settings.max_export_pap?);

    (pap > limit).then(|| (SkipRule::Pap, refuse("pap", pap.word(), limit.word())))
}

/// Maps what is left of a case into the event of this uuid.
pub fn build_event(
    input: &ExportInput,
    decided: &[Decision],
    event: Uuid,
    context: &MappingContext<'_>,
) -> MappedEvent {
    let select = |is_wanted: fn(&Decision) -> bool| -> Vec<PlacedIoc<'_>> {
        let all = input.observables.iter().zip(decided).enumerate();
        all.filter(|(_, (_, decision))| is_wanted(decision))
            .filter_map(|(index, (ioc, _))| Some((index, ioc.as_ref().ok()?)))
            .collect()
    };
    let open = select(|decision| *decision == Decision::Send);
    let closed = select(|decision| matches!(decision, Decision::Withhold(_)));

    let withheld = Withheld::new(&open, closed, &event, context);
    let mut warnings = collect_warnings(input, &open, context);
    let mut content = build_content(open.clone(), &event, context);
    warnings.append(&mut content.warnings);
    warnings.extend(describe_dropped_characters(&open, &content.attributes));

    // Where the same value or file is there twice, once closed, the stricter holds.
    let covered = content
        .attributes
        .extract_if(.., |draft| withheld.covers(draft));
    for index in covered.flat_map(|draft| draft.from) {
        content.refused.insert(index, SkipRule::Tlp.into());
        content.files.insert(index, SkipRule::Tlp.into());
    }
    content.kept.retain(|draft| !withheld.covers(draft));

    // A link alone would make an event of a case that has nothing to say.
    let link = build_link(&event, context).filter(|_| !content.attributes.is_empty());
    content.attributes.extend(link);

    MappedEvent {
        wanted: EventDraft {
            objects: content.objects,
            attributes: content.attributes,
            kept: content.kept,
            withheld: withheld.attributes,
            doubts: collect_doubts(input, decided, &content.refused),
            ..build_event_head(event, context)
        },
        refused: content.refused,
        files: content.files,
        warnings,
    }
}

/// The link back to the case in TheHive, which only the own organisation may see, where one goes
/// out.
fn build_link(event: &Uuid, context: &MappingContext<'_>) -> Option<AttributeDraft> {
    let CaseLink::To(url) = context.link else {
        return None;
    };
    let value = types::normalise("link", url);

    Some(AttributeDraft {
        uuid: context.ids.part_uuid(event, &["case", &value]),
        kind: "link".to_owned(),
        category: "Internal reference".to_owned(),
        value,
        to_ids: false,
        comment: format!("{} in TheHive", context.case.name()),
        is_closed: true,
        ..context.draft_of(&[])
    })
}

/// What could not be mapped: as it stands, and as it would be read if it were written as it should.
fn collect_doubts(
    input: &ExportInput,
    decided: &[Decision],
    refused: &BTreeMap<usize, Verdict>,
) -> Doubts {
    let mut doubts = Doubts::default();

    for (index, (ioc, decided)) in input.observables.iter().zip(decided).enumerate() {
        let is_failed = matches!(decided, Decision::Stay(Verdict::Failed(_)))
            || matches!(refused.get(&index), Some(Verdict::Failed(_)));
        let Ok(ioc) = ioc else { continue };
        if !is_failed {
            continue;
        }

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
    /// Alone they are other attributes than with those that may go out: the half of a composite, a
    /// hash beside its file's name. Both are withheld, and files in whatever way they went out.
    fn new(
        open: &[PlacedIoc<'_>],
        closed: Vec<PlacedIoc<'_>>,
        event: &Uuid,
        context: &MappingContext<'_>,
    ) -> Self {
        let indices: HashSet<usize> = closed.iter().map(|(index, _)| *index).collect();
        let mut together = [open, &closed].concat();
        together.sort_by_key(|(index, _)| *index);

        let alone = build_content(closed, event, context);
        // Of what they are alone: with the half of a composite that may go out, this one is no
        // reason to keep that back.
        let iocs = alone.attributes.iter().filter(|draft| draft.to_ids);
        let values = iocs
            .flat_map(AttributeDraft::value_parts)
            .map(equal::equality_key)
            .collect();

        let mut attributes = [alone.attributes, alone.kept].concat();
        if !indices.is_empty() {
            let together = build_content(together, event, context).attributes;
            let is_closed =
                |draft: &AttributeDraft| draft.from.iter().any(|index| indices.contains(index));
            attributes.extend(together.into_iter().filter(is_closed));
        }

        let mut uuids = HashSet::new();
        attributes.retain(|draft| uuids.insert(draft.uuid));
        // They are only made stricter, so that MISP is not even asked for their own tags.
        attributes.iter_mut().for_each(|draft| draft.tags.clear());

        Self {
            attributes,
            uuids,
            objects: alone.objects.into_iter().collect(),
            values,
        }
    }

    /// True for what is withheld itself, whatever it is there for: a value that another observable
    /// has too, and what stands in an object of what is withheld.
    fn covers(&self, draft: &AttributeDraft) -> bool {
        let is_value = |part| self.values.contains(&equal::equality_key(part));
        let object = draft.object();

        self.uuids.contains(&draft.uuid)
            || object.is_some_and(|object| self.objects.contains(&object))
            || (draft.to_ids && draft.value_parts().any(is_value))
    }
}

/// Attributes and objects of these observables.
fn build_content(
    mut iocs: Vec<PlacedIoc<'_>>,
    event: &Uuid,
    context: &MappingContext<'_>,
) -> FileObjects {
    let mut content = file_objects::extract(&mut iocs, event, context);
    let mapping = context.map_observables(&iocs);

    for (place, reason) in mapping.refused {
        if let Some((index, _)) = iocs.get(place) {
            let reason = format!("refused before sending: {reason}");
            content.refused.insert(*index, Verdict::Failed(reason));
        }
    }

    for mapped in mapping.wanted {
        content.warnings.extend(context.describe_warning(&mapped));
        let stands_for = mapped.from.iter().filter_map(|place| iocs.get(*place));
        let stands_for: Vec<_> = stands_for.copied().collect();
        if !stands_for.is_empty() {
            content.attributes.push(AttributeDraft {
                uuid: context.ids.part_uuid(event, &[&mapped.fold, &mapped.value]),
                kind: mapped.kind.into_owned(),
                category: mapped.category.into_owned(),
                value: mapped.value,
                ..context.draft_of(&stands_for)
            });
        }
    }

    content
}

impl MappingContext<'_> {
    /// What these observables are as attributes, by the table.
    pub fn map_observables(&self, iocs: &[PlacedIoc<'_>]) -> types::Mapping {
        let given: Vec<_> = iocs
            .iter()
            .map(|(_, ioc)| ObservableInput {
                data_type: &ioc.observable.data_type,
                data: text::trim_pasted(&ioc.observable.data),
                tags: &ioc.observable.tags,
            })
            .collect();
        types::to_attributes(&given, self.overrides, self.server)
    }

    pub fn describe_warning(&self, mapped: &types::MappedAttribute) -> Option<String> {
        let warning = mapped.warning.as_ref()?;
        Some(format!("{}: {warning}", truncate_text(&mapped.value, 100)))
    }

    /// What an attribute has of the observables that it stands for, whatever it is: of several the
    /// strictest markings, the first comment, and the tags that may go out.
    pub fn draft_of(&self, iocs: &[PlacedIoc<'_>]) -> AttributeDraft {
        let tlp = iocs.iter().map(|(_, ioc)| ioc.tlp).max();
        let tlp = tlp.unwrap_or(self.case.tlp);
        let messages = iocs.iter().map(|(_, ioc)| ioc.observable.message.trim());
        let message = messages.into_iter().find(|message| !message.is_empty());

        let pap = iocs.iter().filter_map(|(_, ioc)| ioc.pap).max();
        let pap = pap.filter(|pap| Some(*pap) > self.case.pap);
        let mut tags: Vec<_> = pap.map(|pap| pap.tag().to_owned()).into_iter().collect();
        if self.settings.export_observable_tags {
            let all = iocs.iter().flat_map(|(_, ioc)| &ioc.observable.tags);
            tags.extend(filter_allowed_tags(all, self.settings));
        }

        AttributeDraft {
            uuid: Uuid::nil(),
            place: None,
            kind: String::new(),
            category: String::new(),
            value: String::new(),
            to_ids: true,
            comment: message.map(comment).unwrap_or_default(),
            former: Vec::new(),
            tlp,
            is_stricter: tlp > self.case.tlp,
            is_closed: tlp.forbids_sharing(),
            is_uncorrelated: is_ignored_alike(iocs),
            tags,
            from: iocs.iter().map(|(index, _)| *index).collect(),
            file: None,
        }
    }
}

/// True if TheHive looks for nothing alike to any of these.
fn is_ignored_alike(iocs: &[PlacedIoc<'_>]) -> bool {
    let mut all = iocs.iter().map(|(_, ioc)| &ioc.observable);
    !iocs.is_empty() && all.all(|observable| observable.ignore_similarity == Some(true))
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
    open: &[PlacedIoc<'_>],
    context: &MappingContext<'_>,
) -> Vec<String> {
    let (mut changed, mut cut, mut marked) = (0, 0, 0);
    for (_, ioc) in open {
        let message = &ioc.observable.message;
        let clean = clean_comment(message);
        changed += usize::from(clean != unquote(message.trim()));
        cut += usize::from(clean.chars().count() > LONGEST_COMMENT);
        marked += usize::from(neutralise_mark(message).1);
    }

    let cut_to = format!("comments are cut to {LONGEST_COMMENT} characters");
    let counted = [
        (
            changed,
            "comments have characters that MISP cannot store, or that nobody sees: they are \
             replaced or left out",
        ),
        (cut, &cut_to),
        (
            marked,
            "comments have the mark of a retraction in them: it goes out in other brackets, and \
             means nothing",
        ),
        (
            count_tags_with_hidden(input, open, context.settings),
            "tags have characters that nobody sees: they are left out",
        ),
    ];

    let unlinked = match context.link {
        CaseLink::No | CaseLink::To(_) => None,
        CaseLink::Unknown => Some("\"export_case_url\" needs \"thehive_url\""),
        CaseLink::Public => Some("everyone who pulls this feed could read the link"),
    };

    let counted = counted.into_iter().filter(|(number, _)| *number > 0);
    title_warnings(&input.case, context.settings)
        .chain(counted.map(|(number, what)| format!("{number} {what}")))
        .chain(unlinked.map(|why| format!("the case is not linked: {why}")))
        .collect()
}

/// How many of the tags that go out have characters that nobody sees.
fn count_tags_with_hidden(
    input: &ExportInput,
    open: &[PlacedIoc<'_>],
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
    open: &[PlacedIoc<'_>],
    attributes: &[AttributeDraft],
) -> Option<String> {
    let is_unseen = |c: &char| text::is_hidden(*c) || (c.is_whitespace() && !c.is_ascii());
    let mut sent: BTreeMap<usize, String> = BTreeMap::new();
    for draft in attributes {
        for index in &draft.from {
            sent.entry(*index).or_default().push_str(&draft.value);
        }
    }

    let changed = open.iter().filter_map(|(index, ioc)| {
        let value = sent.get(index)?;
        let dropped = |c: &char| is_unseen(c) && !c.is_ascii_whitespace() && !value.contains(*c);
        let dropped: BTreeSet<char> = ioc.observable.data.chars().filter(dropped).collect();
        let names = dropped.iter().map(|c| format!("U+{:04X}", u32::from(*c)));
        let names = names.collect::<Vec<_>>().join(", ");

        (!names.is_empty()).then(|| format!("{} ({names})", truncate_text(value, 100)))
    });
    let changed: Vec<String> = changed.collect();

    (!changed.is_empty()).then(|| {
        format!(
            "IOCs that go out without characters that nobody sees: {}",
            text::join_first(&changed, 5)
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
    ioc: &Result<CaseObservable, String>,
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

    match ioc {
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
        report: ReportDraft::default(),
        organisation: json!({"name": instance, "uuid": ids::unsigned_uuid(&["organisation", instance])}),
        objects: Vec::new(),
        attributes: Vec::new(),
        withheld: Vec::new(),
        kept: Vec::new(),
        spared: Vec::new(),
        doubts: Doubts::default(),
        role: EventRole::Own,
        only_tightens: is_refused,
    }
}

/// The info line; an empty title is named by the case's number.
fn info_line(case: &Case, pattern: &str) -> String {
    match full_info_line(case, pattern).as_str() {
        "" => case.name(),
        NOTHING => format!("{}: {NOTHING}", case.name()),
        info => truncate_text(info, LONGEST_INFO),
    }
}

fn full_info_line(case: &Case, pattern: &str) -> String {
    let title = text::clean_name(case.title.as_str().into());
    let title = if title.is_empty() { case.name() } else { title };

    // One pass, so that a title that reads like a placeholder stays as it is.
    let parts = pattern
        .split("{title}")
        .map(|part| part.replace("{number}", &case.number));
    to_storable(&text::clean_name(
        parts.collect::<Vec<_>>().join(&title).into(),
    ))
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
