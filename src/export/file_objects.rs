//! `file` objects: made of a file observable, or of filename and hash observables that carry the
//! same tag `misp:object="file:…"`, as an import leaves it: of the same event and object. Pure.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::draft::ObjectDraft;
use super::mapping::MappingContext;
use super::options::Attachments;
use super::verdicts::SkipRule;
use crate::ids::Ids;
use crate::markings::Tlp;
use crate::misp::draft::{AttributeDraft, FileDraft, ObjectSlot};
use crate::report::ledger::Verdict;
use crate::sample;
use crate::secret::truncate_text;
use crate::tags::{self, Link};
use crate::text::format_count;
use crate::thehive::wire::Attachment;
use crate::types;

use super::case::CaseObservable;

/// The roles of a `file` object that a hash can have: each is named as its type.
const HASHES: [&str; 21] = [
    "sha256",
    "sha512",
    "sha384",
    "sha224",
    "sha1",
    "md5",
    "sha512/256",
    "sha512/224",
    "sha3-512",
    "sha3-384",
    "sha3-256",
    "sha3-224",
    "authentihash",
    "ssdeep",
    "tlsh",
    "imphash",
    "impfuzzy",
    "vhash",
    "telfhash",
    "pehash",
    "cdhash",
];

/// What the objects of a case are made of.
#[derive(Debug, Default)]
pub struct FileObjects {
    pub objects: Vec<ObjectDraft>,
    pub attributes: Vec<AttributeDraft>,
    /// Observables that no object can be made of, by their position.
    pub refused: BTreeMap<usize, Verdict>,
    /// Files that do not go out themselves, by the position of their observable.
    pub files: BTreeMap<usize, Verdict>,
    /// Attributes of ours that stay whatever the options say: the files, each in both ways to send
    /// it.
    pub kept: Vec<AttributeDraft>,
    pub warnings: Vec<String>,
}

/// Takes the observables that belong into `file` objects out of a list and makes those.
pub fn extract(
    open: &mut Vec<(usize, &CaseObservable)>,
    event: &Uuid,
    context: &MappingContext<'_>,
) -> FileObjects {
    let mut made = FileObjects::default();
    let (files, rest): (Vec<_>, Vec<_>) = open.drain(..).partition(|(_, ioc)| is_file(ioc));
    for (index, ioc) in files {
        if let Err(verdict) = add_file_object(index, ioc, event, context, &mut made) {
            made.refused.insert(index, verdict);
        }
    }

    let mut groups: BTreeMap<(Uuid, Uuid), Vec<(usize, &CaseObservable)>> = BTreeMap::new();
    made.warnings.extend(describe_unlinked(&rest));

    for (index, ioc) in rest {
        match object_link(ioc) {
            Some(tag) => groups.entry(tag).or_default().push((index, ioc)),
            None => open.push((index, ioc)),
        }
    }

    for group in groups.into_values() {
        if let Err(loose) = add_group_object(group, event, context, &mut made) {
            open.extend(loose);
        }
    }

    open.sort_by_key(|(index, _)| *index);

    made
}

/// True for an observable that is a file, not a name.
pub fn is_file(ioc: &CaseObservable) -> bool {
    ioc.observable.attachment.is_some() || ioc.observable.data_type == "file"
}

/// What links the observables of one `file` object: the event and the object that
/// `misp:object="file:…"` names. Halves of a composite are linked by another tag.
fn object_link(ioc: &CaseObservable) -> Option<(Uuid, Uuid)> {
    let is_composite = ioc
        .observable
        .tags
        .iter()
        .any(|tag| tags::parse_value(tag, tags::COMPOSITE).is_some());

    let mut files =
        parse_links(ioc, tags::OBJECT).filter(|link| link.name == "file" && link.port.is_none());
    files.find_map(|link| link.whole).filter(|_| !is_composite)
}

fn parse_links<'a>(ioc: &'a CaseObservable, name: &'a str) -> impl Iterator<Item = Link<'a>> {
    ioc.observable
        .tags
        .iter()
        .filter_map(move |tag| tags::parse_value(tag, name).and_then(Link::parse))
}

/// Says that tags of version 1.0 join nothing any more, once for all of them.
fn describe_unlinked(iocs: &[(usize, &CaseObservable)]) -> Option<String> {
    let is_unlinked = |ioc: &CaseObservable| {
        let mut files = parse_links(ioc, tags::OBJECT).filter(|link| link.name == "file");
        let mut halves = parse_links(ioc, tags::COMPOSITE).filter(|link| link.port.is_none());
        files.any(|link| link.whole.is_none()) || halves.any(|link| link.whole.is_none())
    };

    let number = iocs.iter().filter(|(_, ioc)| is_unlinked(ioc)).count();

    (number > 0).then(|| {
        let [one, several] = [
            "IOC goes out without the composite or file object that it was part of",
            "IOCs go out without the composites or file objects that they were part of",
        ];
        let iocs = format_count(number as u64, one, several);
        format!(
            "{iocs}: tags of version 1.0 join nothing, since they name no event, and anybody \
            can write the same"
        )
    })
}

/// What all attributes of one object share.
struct ObjectBuilder<'a> {
    object: Uuid,
    iocs: &'a [(usize, &'a CaseObservable)],
    context: &'a MappingContext<'a>,
}

impl ObjectBuilder<'_> {
    fn build_attribute(
        &self,
        kind: &str,
        category: &str,
        value: &str,
        from: Vec<usize>,
    ) -> AttributeDraft {
        let relation = kind.to_owned();
        let of = || {
            self.iocs
                .iter()
                .filter(|(index, _)| from.is_empty() || from.contains(index))
                .map(|(_, ioc)| *ioc)
        };

        let tlp = of()
            .map(|ioc| ioc.tlp)
            .max()
            .unwrap_or(self.context.case.tlp);

        AttributeDraft {
            uuid: self
                .context
                .ids
                .part_uuid(&self.object, &[&relation, value]),
            place: Some(ObjectSlot {
                object: self.object,
                relation,
            }),
            kind: kind.to_owned(),
            category: category.to_owned(),
            value: value.to_owned(),
            to_ids: true,
            comment: self.context.first_comment(of()),
            former: Vec::new(),
            tlp,
            is_stricter: tlp > self.context.case.tlp,
            is_closed: tlp.forbids_sharing(),
            tags: self.context.collect_tags(of()),
            from,
            file: None,
        }
    }

    fn build_object(&self) -> ObjectDraft {
        ObjectDraft { uuid: self.object }
    }
}

/// The object of a file observable: name, hashes, size, and the file itself where that is wanted.
fn add_file_object(
    index: usize,
    ioc: &CaseObservable,
    event: &Uuid,
    context: &MappingContext<'_>,
    made: &mut FileObjects,
) -> Result<(), Verdict> {
    let failed = |reason: &str| Verdict::Failed(reason.to_owned());
    let attachment = ioc.observable.attachment.as_ref();
    let attachment = attachment.ok_or_else(|| failed("the file observable has no attachment"))?;
    let sha256 = attachment
        .sha256()
        .ok_or_else(|| failed("TheHive names no sha256 of the file"))?;
    let name = sample::stored_name(&attachment.name);

    made.warnings.extend(describe_renaming(
        &attachment.name,
        name.as_deref(),
        &sha256,
    ));

    let object = context.ids.part_uuid(event, &["file", &sha256]);
    let iocs = [(index, ioc)];
    let frame = ObjectBuilder {
        object,
        iocs: &iocs,
        context,
    };

    let attributes = build_file_attributes(&frame, index, name.as_deref(), attachment);
    let twice = made.objects.iter().any(|known| known.uuid == object);
    if twice {
        attributes
            .into_iter()
            .for_each(|attribute| add_or_merge(&mut made.attributes, attribute));
        tighten_carrier(&frame, ioc.tlp, made);
        return Ok(());
    }
    made.objects.push(frame.build_object());
    made.attributes.extend(attributes);
    let plain = sample::plain_name(&attachment.name);
    let goes = context.settings.export_attachments != Attachments::Hashes;
    if goes && name.as_deref().is_some_and(|name| name != plain) {
        let (given, plain) = (
            truncate_text(&attachment.name, 100),
            truncate_text(&plain, 100),
        );
        made.warnings.push(format!(
            "the file \"{given}\" itself goes by the name \"{plain}\", as it has to beside a hash"
        ));
    }

    add_carrier(&frame, attachment, &plain, index, made);

    Ok(())
}

/// How a file is called in MISP, if not as it is called in the case.
fn describe_renaming(given: &str, stored: Option<&str>, sha256: &str) -> Option<String> {
    let given_short = truncate_text(given, 100);
    match stored {
        Some(stored) if stored == given => None,
        Some(stored) => Some(format!(
            "the file \"{given_short}\" is called \"{}\" in MISP, which cannot store its name",
            truncate_text(stored, 100)
        )),
        None => Some(format!(
            "a file without a name (\"{given_short}\") goes out by its hashes alone: {sha256}"
        )),
    }
}

/// Name, hashes and size of a file.
fn build_file_attributes(
    frame: &ObjectBuilder<'_>,
    index: usize,
    name: Option<&str>,
    attachment: &Attachment,
) -> Vec<AttributeDraft> {
    let indicators = [
        ("filename", name.map(ToOwned::to_owned)),
        ("md5", attachment.md5()),
        ("sha1", attachment.sha1()),
        ("sha256", attachment.sha256()),
    ];
    let indicators = indicators.into_iter().filter_map(|(kind, value)| {
        Some(frame.build_attribute(kind, "Payload delivery", &value?, vec![index]))
    });

    // Many files have the same size: it detects nothing, and is no observable's.
    let size = attachment.size.filter(|size| *size >= 0).map(|size| {
        let size = frame.build_attribute("size-in-bytes", "Other", &size.to_string(), Vec::new());
        AttributeDraft {
            to_ids: false,
            ..size
        }
    });

    indicators.chain(size).collect()
}

/// Two observables with the same file are one object: what is new of the second joins it. Of what
/// both have, the stricter TLP holds.
fn add_or_merge(known: &mut Vec<AttributeDraft>, more: AttributeDraft) {
    match known.iter_mut().find(|one| one.uuid == more.uuid) {
        Some(one) => {
            merge_into(one, &more);
            one.from.extend(more.from);
        }
        None => known.push(more),
    }
}

fn merge_into(one: &mut AttributeDraft, other: &AttributeDraft) {
    one.tlp = one.tlp.max(other.tlp);
    one.is_stricter |= other.is_stricter;
    one.is_closed |= other.is_closed;
    if one.comment.is_empty() {
        one.comment.clone_from(&other.comment);
    }
    let is_new = |tag: &&String| {
        !one.tags
            .iter()
            .any(|known| known.to_lowercase() == tag.to_lowercase())
    };

    let tags: Vec<_> = other.tags.iter().filter(is_new).cloned().collect();
    one.tags.extend(tags);
}

/// The file itself is as strict as the strictest observable that has it.
fn tighten_carrier(frame: &ObjectBuilder<'_>, tlp: Tlp, made: &mut FileObjects) {
    let is_carrier = |one: &&mut AttributeDraft| {
        one.from.is_empty()
            && one
                .place
                .as_ref()
                .is_some_and(|at| at.object == frame.object)
    };

    for one in made
        .attributes
        .iter_mut()
        .chain(&mut made.kept)
        .filter(is_carrier)
        .filter(|one| one.tlp < tlp)
    {
        one.tlp = tlp;
        one.is_stricter = tlp > frame.context.case.tlp;
        one.is_closed = tlp.forbids_sharing();
    }
}

/// The attribute that carries the file. Both ways to send it are known, so that a change of the
/// option retracts nothing.
fn add_carrier(
    frame: &ObjectBuilder<'_>,
    attachment: &Attachment,
    name: &str,
    index: usize,
    made: &mut FileObjects,
) {
    let settings = frame.context.settings;
    let carrier = |kind: &str, value: &str| {
        frame.build_attribute(kind, "Payload delivery", value, Vec::new())
    };
    let as_sample = attachment
        .md5()
        .map(|md5| carrier("malware-sample", &format!("{name}|{md5}")));
    let as_it_is = AttributeDraft {
        to_ids: false,
        ..carrier("attachment", name)
    };
    made.kept
        .extend(as_sample.iter().chain([&as_it_is]).cloned());
    let most = settings.max_attachment_bytes();
    let is_too_large = attachment
        .size
        .and_then(|size| u64::try_from(size).ok())
        .is_some_and(|size| size > most);

    let skipped = match (settings.export_attachments, &as_sample) {
        (Attachments::Hashes, _) => return,
        _ if !frame.context.can_download => Some(Verdict::Failed(
            "TheHive may not be asked for the file".to_owned(),
        )),
        (_, None) => Some(Verdict::Failed(
            "TheHive names no md5 of the file".to_owned(),
        )),
        _ if is_too_large => Some(SkipRule::FileTooLarge(settings.max_attachment_mb).into()),
        _ => None,
    };

    let (None, Some(as_sample)) = (&skipped, as_sample) else {
        made.files.extend(skipped.map(|verdict| (index, verdict)));
        return;
    };
    let is_plain = settings.export_attachments == Attachments::Plain;
    let (carrier, other) = if is_plain {
        (as_it_is, as_sample.uuid)
    } else {
        (as_sample, as_it_is.uuid)
    };

    let file = Some(FileDraft {
        of: index,
        name: name.to_owned(),
        is_plain,
        other,
    });

    made.attributes.push(AttributeDraft { file, ..carrier });
}

/// The object of filename and hash observables. Without one of each there is none to be made, and
/// they go alone.
fn add_group_object<'a>(
    group: Vec<(usize, &'a CaseObservable)>,
    event: &Uuid,
    context: &MappingContext<'_>,
    made: &mut FileObjects,
) -> Result<(), Vec<(usize, &'a CaseObservable)>> {
    let mapping = context.map_observables(&group);
    let role = |one: &types::MappedAttribute| {
        let is_role = one.kind == "filename" || HASHES.contains(&one.kind.as_ref());
        is_role.then(|| one.kind.clone().into_owned())
    };
    let hashes = mapping
        .wanted
        .iter()
        .filter(|one| one.kind != "filename" && role(one).is_some());
    let rank = |one: &types::MappedAttribute| {
        (
            HASHES.iter().position(|hash| *hash == one.kind),
            one.value.clone(),
        )
    };

    let key = hashes
        .min_by_key(|one| rank(one))
        .map(|one| one.value.clone());
    let has_name = mapping.wanted.iter().any(|one| one.kind == "filename");
    let whole = mapping.refused.is_empty() && mapping.wanted.iter().all(|one| role(one).is_some());
    let (Some(key), true, true) = (key, has_name, whole) else {
        return Err(group);
    };
    let object = context.ids.part_uuid(event, &["file", &key]);
    let frame = ObjectBuilder {
        object,
        iocs: &group,
        context,
    };

    let mut attributes = Vec::new();

    for one in &mapping.wanted {
        let from = one
            .from
            .iter()
            .filter_map(|place| group.get(*place))
            .map(|(index, _)| *index)
            .collect();

        attributes.push(frame.build_attribute(&one.kind, &one.category, &one.value, from));
        made.warnings.extend(context.describe_warning(one));
    }

    if made.objects.iter().any(|known| known.uuid == object) {
        let tlp = group.iter().map(|(_, ioc)| ioc.tlp).max();
        attributes
            .into_iter()
            .for_each(|attribute| add_or_merge(&mut made.attributes, attribute));
        tlp.into_iter()
            .for_each(|tlp| tighten_carrier(&frame, tlp, made));
    } else {
        made.objects.push(frame.build_object());
        made.attributes.extend(attributes);
    }

    Ok(())
}

/// The link back to the case, which only the own organisation may see.
pub fn build_case_link(
    event: &Uuid,
    url: &str,
    number: &str,
    ids: &Ids,
    tlp: Tlp,
) -> AttributeDraft {
    AttributeDraft {
        uuid: ids.part_uuid(event, &["case", url]),
        place: None,
        kind: "link".to_owned(),
        category: "Internal reference".to_owned(),
        value: url.to_owned(),
        to_ids: false,
        comment: format!("Case #{number} in TheHive"),
        former: Vec::new(),
        tlp,
        is_stricter: false,
        is_closed: true,
        tags: Vec::new(),
        from: Vec::new(),
        file: None,
    }
}
