//! `file` objects: made of a file observable, or of filename and hash observables that carry the
//! same tag `misp:object="file:…"`, as an import leaves it: of the same event and object. Pure.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::case::CaseObservable;
use super::mapping::{MappingContext, PlacedIoc};
use super::options::Attachments;
use super::verdicts::SkipRule;
use crate::misp::draft::{AttributeDraft, FileDraft, ObjectSlot};
use crate::report::ledger::Verdict;
use crate::sample;
use crate::secret::truncate_text;
use crate::tags::{self, Link};
use crate::text::format_count;
use crate::thehive::wire::Attachment;

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

/// What observables become in MISP: `file` objects first, then what else there is.
#[derive(Debug, Default)]
pub struct FileObjects {
    pub objects: Vec<Uuid>,
    pub attributes: Vec<AttributeDraft>,
    /// Observables that cannot go out, by their position.
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
    open: &mut Vec<PlacedIoc<'_>>,
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

    let mut groups: BTreeMap<(Uuid, Uuid), Vec<PlacedIoc<'_>>> = BTreeMap::new();
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

    // In the order of the case again.
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
fn describe_unlinked(iocs: &[PlacedIoc<'_>]) -> Option<String> {
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
    iocs: &'a [PlacedIoc<'a>],
    context: &'a MappingContext<'a>,
}

impl ObjectBuilder<'_> {
    /// An attribute that stands for some of the observables; for what stands beside them (`from` is
    /// empty), all of them count.
    fn build_attribute(
        &self,
        kind: &str,
        category: &str,
        value: &str,
        from: Vec<usize>,
    ) -> AttributeDraft {
        let is_meant = |ioc: &&PlacedIoc<'_>| from.is_empty() || from.contains(&ioc.0);
        let iocs: Vec<_> = self.iocs.iter().filter(is_meant).copied().collect();

        AttributeDraft {
            uuid: self.context.ids.part_uuid(&self.object, &[kind, value]),
            place: Some(ObjectSlot {
                object: self.object,
                relation: kind.to_owned(),
            }),
            kind: kind.to_owned(),
            category: category.to_owned(),
            value: value.to_owned(),
            from,
            ..self.context.draft_of(&iocs)
        }
    }

    /// Adds the object. Two of the same file are one: what is new of the second joins the first,
    /// and the file itself is as strict as the strictest observable that has it. True if it is the
    /// first.
    fn add_object(&self, attributes: Vec<AttributeDraft>, made: &mut FileObjects) -> bool {
        if !made.objects.contains(&self.object) {
            made.objects.push(self.object);
            made.attributes.extend(attributes);
            return true;
        }

        for draft in attributes {
            add_or_merge(&mut made.attributes, draft);
        }

        let strictest = self.context.draft_of(self.iocs);
        let carriers = made.attributes.iter_mut().chain(&mut made.kept);
        for carrier in carriers
            // What stands beside the observables: the file itself, and its size.
            .filter(|draft| draft.from.is_empty() && draft.object() == Some(self.object))
            .filter(|draft| draft.tlp < strictest.tlp)
        {
            carrier.tlp = strictest.tlp;
            carrier.is_stricter = strictest.is_stricter;
            carrier.is_closed = strictest.is_closed;
        }

        false
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
    let renamed = describe_renaming(&attachment.name, name.as_deref(), &sha256);
    made.warnings.extend(renamed);

    let builder = ObjectBuilder {
        object: context.ids.part_uuid(event, &["file", &sha256]),
        iocs: &[(index, ioc)],
        context,
    };
    let attributes = build_file_attributes(&builder, index, name.as_deref(), attachment);
    // Of two observables with the same file the first one carries it.
    if !builder.add_object(attributes, made) {
        return Ok(());
    }

    let plain = sample::plain_name(&attachment.name);
    let goes = context.settings.export_attachments != Attachments::Hashes;
    if goes && name.is_some_and(|name| name != plain) {
        made.warnings.push(format!(
            "the file \"{}\" itself goes by the name \"{}\", as it has to beside a hash",
            truncate_text(&attachment.name, 100),
            truncate_text(&plain, 100)
        ));
    }
    add_carrier(&builder, attachment, &plain, index, made);

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
    builder: &ObjectBuilder<'_>,
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
        Some(builder.build_attribute(kind, "Payload delivery", &value?, vec![index]))
    });

    // Many files have the same size: it detects nothing, and is no observable's.
    let size = attachment.size.filter(|size| *size >= 0).map(|size| {
        let size = builder.build_attribute("size-in-bytes", "Other", &size.to_string(), Vec::new());
        AttributeDraft {
            to_ids: false,
            ..size
        }
    });

    indicators.chain(size).collect()
}

/// Of what two objects of one file have both, the stricter TLP holds.
fn add_or_merge(known: &mut Vec<AttributeDraft>, more: AttributeDraft) {
    let Some(first) = known.iter_mut().find(|draft| draft.uuid == more.uuid) else {
        known.push(more);
        return;
    };

    first.tlp = first.tlp.max(more.tlp);
    first.is_stricter |= more.is_stricter;
    first.is_closed |= more.is_closed;
    first.is_uncorrelated &= more.is_uncorrelated;
    if first.comment.is_empty() {
        first.comment = more.comment;
    }
    for tag in more.tags {
        let mut tags = first.tags.iter();
        if !tags.any(|known| known.to_lowercase() == tag.to_lowercase()) {
            first.tags.push(tag);
        }
    }
    first.from.extend(more.from);
}

/// The attribute that carries the file. Both ways to send it are known, so that a change of the
/// option retracts nothing.
fn add_carrier(
    builder: &ObjectBuilder<'_>,
    attachment: &Attachment,
    name: &str,
    index: usize,
    made: &mut FileObjects,
) {
    let settings = builder.context.settings;
    let carrier = |kind: &str, value: &str| {
        builder.build_attribute(kind, "Payload delivery", value, Vec::new())
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

    let failed = |reason: &str| Verdict::Failed(reason.to_owned());
    let as_sample = match (settings.export_attachments, as_sample) {
        (Attachments::Hashes, _) => return,
        _ if !builder.context.can_download => Err(failed("TheHive may not be asked for the file")),
        (_, None) => Err(failed("TheHive names no md5 of the file")),
        _ if is_too_large => Err(SkipRule::FileTooLarge(settings.max_attachment_mb).into()),
        (_, Some(as_sample)) => Ok(as_sample),
    };
    let as_sample = match as_sample {
        Ok(as_sample) => as_sample,
        Err(verdict) => {
            made.files.insert(index, verdict);
            return;
        }
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
    group: Vec<PlacedIoc<'a>>,
    event: &Uuid,
    context: &MappingContext<'_>,
    made: &mut FileObjects,
) -> Result<(), Vec<PlacedIoc<'a>>> {
    let mapping = context.map_observables(&group);
    let (names, hashes): (Vec<_>, Vec<_>) = mapping
        .wanted
        .iter()
        .partition(|mapped| mapped.kind == "filename");
    let rank = |kind: &str| HASHES.iter().position(|hash| *hash == kind);
    let is_whole =
        mapping.refused.is_empty() && hashes.iter().all(|mapped| rank(&mapped.kind).is_some());

    // The object is named by the best hash that it has.
    let best = hashes
        .iter()
        // Of several of one kind the first by its value, whatever the order of the case.
        .min_by_key(|mapped| (rank(&mapped.kind), &mapped.value))
        .filter(|_| is_whole && !names.is_empty());
    let Some(best) = best else {
        return Err(group);
    };
    let builder = ObjectBuilder {
        object: context.ids.part_uuid(event, &["file", &best.value]),
        iocs: &group,
        context,
    };

    let mut attributes = Vec::new();
    for mapped in &mapping.wanted {
        let from = mapped.from.iter().filter_map(|place| group.get(*place));
        let from = from.map(|(index, _)| *index).collect();
        attributes.push(builder.build_attribute(
            &mapped.kind,
            &mapped.category,
            &mapped.value,
            from,
        ));
        made.warnings.extend(context.describe_warning(mapped));
    }
    builder.add_object(attributes, made);

    Ok(())
}
