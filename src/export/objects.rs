//! `file` objects: made of a file observable, or of filename and hash observables that carry the same tag
//! `misp:object="file:…"`, as an import leaves it. Pure.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::map::Context;
use super::settings::Attachments;
use super::wanted::{Place, WantedAttribute, WantedFile, WantedObject};
use crate::ids::Ids;
use crate::ledger::Verdict;
use crate::sample;
use crate::tags;
use crate::thehive::wire::Attachment;
use crate::types;

use super::case::Ioc;

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
pub(super) struct Objects {
    pub(super) objects: Vec<WantedObject>,
    pub(super) attributes: Vec<WantedAttribute>,
    /// Observables that no object can be made of, by their position.
    pub(super) refused: BTreeMap<usize, Verdict>,
    /// Files that do not go out themselves, by the position of their observable.
    pub(super) files: BTreeMap<usize, Verdict>,
    /// Attributes of ours that stay whatever the options say: the files.
    pub(super) kept: Vec<Uuid>,
    pub(super) warnings: Vec<String>,
}

/// Takes the observables that belong into `file` objects out of a list and makes those.
pub(super) fn taken(open: &mut Vec<(usize, &Ioc)>, event: &Uuid, context: &Context<'_>) -> Objects {
    let mut made = Objects::default();
    let (files, rest): (Vec<_>, Vec<_>) = open.drain(..).partition(|(_, ioc)| is_file(ioc));
    for (index, ioc) in files {
        if let Err(verdict) = of_file(index, ioc, event, context, &mut made) {
            made.refused.insert(index, verdict);
        }
    }
    let mut groups: BTreeMap<&str, Vec<(usize, &Ioc)>> = BTreeMap::new();
    for (index, ioc) in rest {
        match object_tag(ioc) {
            Some(tag) => groups.entry(tag).or_default().push((index, ioc)),
            None => open.push((index, ioc)),
        }
    }
    for group in groups.into_values() {
        if let Err(loose) = of_group(group, event, context, &mut made) {
            open.extend(loose);
        }
    }
    open.sort_by_key(|(index, _)| *index);
    made
}

/// True for an observable that is a file, not a name.
pub(super) fn is_file(ioc: &Ioc) -> bool {
    ioc.observable.attachment.is_some() || ioc.observable.data_type == "file"
}

/// What links the observables of one `file` object: the text of `misp:object="file:1a2b3c4d"`. Halves of a composite are
/// linked by another tag.
fn object_tag(ioc: &Ioc) -> Option<&str> {
    let tags = &ioc.observable.tags;
    let is_composite = tags.iter().any(|tag| tags::value(tag, "misp:composite=").is_some());
    let of_object = tags.iter().find_map(|tag| tags::value(tag, "misp:object="));
    of_object.filter(|text| text.starts_with("file:") && !is_composite)
}

/// What all attributes of one object share.
struct Frame<'a> {
    object: Uuid,
    iocs: &'a [(usize, &'a Ioc)],
    context: &'a Context<'a>,
}

impl Frame<'_> {
    fn attribute(&self, kind: &str, category: &str, value: &str, from: Vec<usize>) -> WantedAttribute {
        let relation = kind.to_owned();
        let of = || self.iocs.iter().filter(|(index, _)| from.is_empty() || from.contains(index)).map(|(_, ioc)| *ioc);
        let tlp = of().map(|ioc| ioc.tlp).max().unwrap_or(self.context.case.tlp);
        WantedAttribute {
            uuid: self.context.ids.id(&self.object, &[&relation, value]),
            place: Some(Place { object: self.object, relation }),
            kind: kind.to_owned(),
            category: category.to_owned(),
            value: value.to_owned(),
            to_ids: true,
            comment: self.context.comment(of()),
            tlp,
            is_stricter: tlp > self.context.case.tlp,
            is_closed: tlp.is_closed(),
            tags: self.context.tags(of()),
            from,
            file: None,
        }
    }

    fn object(&self) -> WantedObject {
        let is_closed = self.iocs.iter().any(|(_, ioc)| ioc.tlp.is_closed());
        WantedObject { uuid: self.object, is_closed }
    }
}

/// The object of a file observable: name, hashes, size, and the file itself where that is wanted.
fn of_file(index: usize, ioc: &Ioc, event: &Uuid, context: &Context<'_>, made: &mut Objects) -> Result<(), Verdict> {
    let failed = |reason: &str| Verdict::Failed(reason.to_owned());
    let attachment = ioc.observable.attachment.as_ref();
    let attachment = attachment.ok_or_else(|| failed("the file observable has no attachment"))?;
    let sha256 = attachment.sha256().ok_or_else(|| failed("TheHive names no sha256 of the file"))?;
    let name = sample::plain_name(&attachment.name);
    let object = context.ids.id(event, &["file", &sha256]);
    let iocs = [(index, ioc)];
    let frame = Frame { object, iocs: &iocs, context };
    let mut attributes = vec![frame.attribute("filename", "Payload delivery", &name, vec![index])];
    let hashes = [("md5", attachment.md5()), ("sha1", attachment.sha1()), ("sha256", Some(sha256))];
    for (kind, hash) in hashes.into_iter().filter_map(|(kind, hash)| Some((kind, hash?))) {
        attributes.push(frame.attribute(kind, "Payload delivery", &hash, vec![index]));
    }
    if let Some(size) = attachment.size.filter(|size| *size >= 0) {
        let size = frame.attribute("size-in-bytes", "Other", &size.to_string(), Vec::new());
        attributes.push(WantedAttribute { to_ids: false, ..size });
    }
    let twice = made.objects.iter().any(|known| known.uuid == object);
    if twice {
        merge(&mut made.attributes, attributes, index);
        return Ok(());
    }
    made.objects.push(frame.object());
    made.attributes.extend(attributes);
    file(&frame, attachment, &name, index, made);
    Ok(())
}

/// Two observables with the same file are one object: what is new of the second joins it.
fn merge(known: &mut Vec<WantedAttribute>, more: Vec<WantedAttribute>, index: usize) {
    for attribute in more {
        match known.iter_mut().find(|one| one.uuid == attribute.uuid) {
            Some(one) if attribute.to_ids => one.from.push(index),
            Some(_) => {}
            None => known.push(attribute),
        }
    }
}

/// The attribute that carries the file. Both ways to send it are known, so that a change of the option retracts nothing.
fn file(frame: &Frame<'_>, attachment: &Attachment, name: &str, index: usize, made: &mut Objects) {
    let settings = frame.context.settings;
    let md5 = attachment.md5();
    let value = md5.as_ref().map(|md5| format!("{name}|{md5}"));
    let as_sample = value.as_ref().map(|value| frame.context.ids.id(&frame.object, &["malware-sample", value]));
    let as_it_is = frame.context.ids.id(&frame.object, &["attachment", name]);
    made.kept.extend(as_sample.into_iter().chain([as_it_is]));
    let most = settings.most_bytes();
    let is_too_large = attachment.size.and_then(|size| u64::try_from(size).ok()).is_some_and(|size| size > most);
    let skipped = match (settings.export_attachments, as_sample) {
        (Attachments::Hashes, _) => return,
        _ if !frame.context.can_download => Some(Verdict::Failed("TheHive may not be asked for the file".to_owned())),
        (_, None) => Some(Verdict::Failed("TheHive names no md5 of the file".to_owned())),
        _ if is_too_large => {
            Some(Verdict::Skipped(format!("larger than max_attachment_mb ({} MiB)", settings.max_attachment_mb)))
        }
        _ => None,
    };
    let (None, Some(as_sample), Some(value)) = (&skipped, as_sample, value) else {
        made.files.extend(skipped.map(|verdict| (index, verdict)));
        return;
    };
    let is_plain = settings.export_attachments == Attachments::Plain;
    let (kind, value, uuid, other) = if is_plain {
        ("attachment", name.to_owned(), as_it_is, as_sample)
    } else {
        ("malware-sample", value, as_sample, as_it_is)
    };
    let carrier = frame.attribute(kind, "Payload delivery", &value, Vec::new());
    let file = Some(WantedFile { of: index, name: name.to_owned(), is_plain, other });
    made.attributes.push(WantedAttribute { uuid, to_ids: !is_plain, file, ..carrier });
}

/// The object of filename and hash observables. Without one of each there is none to be made, and they go alone.
fn of_group<'a>(
    group: Vec<(usize, &'a Ioc)>,
    event: &Uuid,
    context: &Context<'_>,
    made: &mut Objects,
) -> Result<(), Vec<(usize, &'a Ioc)>> {
    let mapping = context.attributes(&group);
    let role = |one: &types::Wanted| {
        let is_role = one.kind == "filename" || HASHES.contains(&one.kind.as_ref());
        is_role.then(|| one.kind.clone().into_owned())
    };
    let hashes = mapping.wanted.iter().filter(|one| one.kind != "filename" && role(one).is_some());
    let rank = |one: &types::Wanted| (HASHES.iter().position(|hash| *hash == one.kind), one.value.clone());
    let key = hashes.min_by_key(|one| rank(one)).map(|one| one.value.clone());
    let has_name = mapping.wanted.iter().any(|one| one.kind == "filename");
    let whole = mapping.refused.is_empty() && mapping.wanted.iter().all(|one| role(one).is_some());
    let (Some(key), true, true) = (key, has_name, whole) else { return Err(group) };
    let object = context.ids.id(event, &["file", &key]);
    let frame = Frame { object, iocs: &group, context };
    let mut attributes = Vec::new();
    for one in &mapping.wanted {
        let from = one.from.iter().filter_map(|place| group.get(*place)).map(|(index, _)| *index).collect();
        attributes.push(frame.attribute(&one.kind, &one.category, &one.value, from));
        made.warnings.extend(context.warning(one));
    }
    if made.objects.iter().any(|known| known.uuid == object) {
        for attribute in attributes {
            let from = attribute.from.clone();
            from.into_iter().for_each(|index| merge(&mut made.attributes, vec![attribute.clone()], index));
        }
    } else {
        made.objects.push(frame.object());
        made.attributes.extend(attributes);
    }
    Ok(())
}

/// The link back to the case, which only the own organisation may see.
pub(super) fn link(event: &Uuid, url: &str, number: &str, ids: &Ids, tlp: crate::markings::Tlp) -> WantedAttribute {
    WantedAttribute {
        uuid: ids.id(event, &["case", url]),
        place: None,
        kind: "link".to_owned(),
        category: "Internal reference".to_owned(),
        value: url.to_owned(),
        to_ids: false,
        comment: format!("Case #{number} in TheHive"),
        tlp,
        is_stricter: false,
        is_closed: true,
        tags: Vec::new(),
        from: Vec::new(),
        file: None,
    }
}
