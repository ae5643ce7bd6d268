//! What the report remarks of an event that was read: what of it is not passed on as it is, what
//! MISP does not show, what cannot be read.

use super::EventImport;
use crate::import::alert_writer::{AlertResult, AlertWriter, KeptParts, Named};
use crate::import::chunk_mapping;
use crate::import::mapping;
use crate::markings;
use crate::misp::{Chunk, Misp, Missing};
use crate::tags;
use crate::text::format_count;
use crate::time;

impl EventImport<'_> {
    /// Takes out reports that hold a secret of ours, and tells of those that are missing.
    pub fn filter_reports(&self, chunk: &mut Chunk) {
        let (part, event) = (self.sync.part, self.task.uuid);
        let scrubber = part.run.scrubber();
        let before = chunk.reports.len();
        chunk.reports.retain(|report| {
            ![&report.name, &report.content]
                .into_iter()
                .any(|text| scrubber.has_secret_in(text))
        });

        if chunk.reports.len() < before {
            part.warn(format!(
                "event {event}: an event report is left out: {}",
                chunk_mapping::HOLDS_SECRET
            ));
        }

        if chunk.reports_left_out > 0 {
            let cut = chunk.reports_left_out;
            part.warn(format!(
                "event {event}: {cut} of its event reports are left out: too many, too long or \
                 not to be read"
            ));
        }
    }

    /// Says that it is not known which objects the attributes are in. Their tags follow with the
    /// next run that can read the objects.
    pub fn note_missing_objects(&mut self, why: &str) {
        let event = self.task.uuid;
        self.sync.part.warn(format!(
            "event {event}: its objects cannot be read, so that its observables have no tag that \
             says in which they are: {why}"
        ));
        self.writers
            .iter_mut()
            .for_each(AlertWriter::mark_incomplete);
    }

    /// Says that it is not known how the attributes were sighted: none is left out for it. If that
    /// may change, their tags follow with the next run that can read the sightings.
    pub fn note_missing_sightings(&mut self, missing: &Missing) {
        let (event, why) = (self.task.uuid, &missing.why);
        self.sync.part.warn(format!(
            "event {event}: its sightings cannot be read, so that its observables have no tag that \
             says which are false positives or expire, and \"max_false_positives\" leaves none out: \
             {why}"
        ));
        if missing.may_come {
            self.writers
                .iter_mut()
                .for_each(AlertWriter::mark_incomplete);
        }
    }

    /// Remembers the tags that cannot be read as the TLP or PAP that they are meant as.
    pub fn note_unreadable_tags<'t>(&mut self, tags: impl Iterator<Item = &'t str>) {
        const MOST: usize = 5;

        let room = MOST.saturating_sub(self.unreadable.len());
        self.unreadable.extend(
            markings::unreadable_tags(tags)
                .take(room)
                .map(|tag| self.sync.part.run.report_text(tag)),
        );
    }

    /// Remarks what there is to remark once an event was read, and gives the number of tags that
    /// are words of this program.
    pub fn warn_about_event(&self, ends: &[AlertResult], is_whole: bool) -> u64 {
        let part = self.sync.part;
        self.warn_alert_full(ends);
        self.warn_kept_edits(ends);
        self.warn_cut_tags();
        let own_tags = self.alert.own_tags.event + self.own_tags;
        let not_shown = if is_whole { self.count_not_shown() } else { 0 };
        part.update(|part| {
            part.own_tags += own_tags;
            part.not_shown += not_shown;
        });
        self.warn_unreadable_parts();

        own_tags
    }

    /// Says which tags are left out or cut.
    fn warn_cut_tags(&self) {
        let (event, part, head) = (self.task.uuid, self.sync.part, &self.task.event);
        let cut = self.alert.tags_cut + head.tags_cut;
        if cut > 0 {
            part.warn(format!(
                "event {event}: {cut} of its tags are left out: an alert gets no more than 100"
            ));
        }

        let of_event = head
            .all_tag_names()
            .filter(|tag| !tags::is_reserved(tag) && mapping::is_long_tag(tag))
            .count() as u64;

        if of_event + self.long_tags > 0 {
            let long = format_count(
                of_event + self.long_tags,
                "tag of it and its attributes is",
                "tags of it and its attributes are",
            );

            part.warn(format!(
                "event {event}: {long} longer than TheHive takes ({} characters), and end in `~` \
                 and eight digits in its place",
                mapping::LONGEST_TAG
            ));
        }
    }

    /// Says what of the event's own fields and tags cannot be read, and what is taken in its place.
    fn warn_unreadable_parts(&self) {
        let (event, part, head) = (self.task.uuid, self.sync.part, &self.task.event);
        if head.timestamp.is_none_or(|moment| moment <= 0) {
            part.warn(format!(
                "event {event}: its time of change cannot be read: it is compared anew at every run"
            ));
        }

        if time::parse_day(&head.date).is_none() {
            let date = part.run.report_text(&head.date);
            part.warn(format!(
                "event {event}: its date ({date}) cannot be read: the day of its \
                last change is taken"
            ));
        }

        if !self.unreadable.is_empty() {
            let tags = self
                .unreadable
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");

            part.warn(format!(
                "event {event}: tags that cannot be read as a TLP or PAP are taken for RED: {tags}"
            ));
        }
    }

    /// Attributes that MISP counts, whoever asks, and did not send: hidden from the key's user, or
    /// left out by a setting.
    pub fn count_not_shown(&self) -> u64 {
        let count = match self.sync.misp {
            Misp::Server(_) => self.task.counted_attributes(),
            Misp::Feed(_) => None,
        };
        count.map_or(0, |count| {
            count.saturating_sub(self.attributes - self.deleted)
        })
    }

    /// Says of an alert that it may not grow any more, and what would change that.
    fn warn_alert_full(&self, ends: &[AlertResult]) {
        let (Some(left_out), Some(most)) = (
            ends.iter().map(|end| end.left_out).max(),
            self.sync.config.filters.max_observables(),
        ) else {
            return;
        };

        if left_out > 0 {
            self.sync.part.warn(format!(
                "event {}: its alert may not grow beyond {most} observables, twice \
                 \"max_attributes\": {left_out} more are left \
                 out; raise \"max_attributes\" to have them",
                self.task.uuid
            ));
        }
    }

    /// Says what became of what people did to an alert, where the event says otherwise.
    fn warn_kept_edits(&self, ends: &[AlertResult]) {
        let (event, part) = (self.task.uuid, self.sync.part);
        let named = |all: &Named| all.names(|name| part.run.report_text(name));
        for KeptParts {
            fields,
            edited,
            over,
            back,
        } in ends.iter().map(|end| &end.kept)
        {
            let fields = fields.iter().map(|field| field.as_str().to_owned());
            let number = format_count(edited.number, "observable", "observables");
            let observables = (edited.number > 0).then(|| format!("{number} ({})", named(edited)));
            let all: Vec<String> = fields.chain(observables).collect();
            if !all.is_empty() {
                part.warn(format!(
                    "event {event}: left as somebody edited it in TheHive, though the event says \
                     otherwise: {}",
                    all.join(", ")
                ));
            }

            if over.number > 0 {
                let number = format_count(over.number, "observable", "observables");
                part.warn(format!(
                    "event {event}: {number} left in the alert, though the event has no such \
                     thing any more, since somebody edited \
                     or sighted it in TheHive: {}",
                    named(over)
                ));
            }

            if back.number > 0 {
                let number = format_count(back.number, "observable", "observables");
                let put = if self.sync.dry_run {
                    "would be put"
                } else {
                    "put"
                };

                part.warn(format!(
                    "event {event}: {number} {put} into the alert again, which the event had \
                     before: somebody deleted them in \
                     TheHive, or a filter kept them out then: {}",
                    named(back)
                ));
            }
        }
    }

    /// MISP counts an event's attributes whoever asks. If less than half of them came, they are
    /// hidden from us, or the answer is not what it seems: nothing may be concluded from what is
    /// missing.
    pub fn is_mostly_hidden(&self) -> bool {
        let (came, count) = (
            self.attributes - self.deleted,
            self.task.event.attribute_count.unwrap_or(0),
        );
        let is_hidden = u64::try_from(count).is_ok_and(|count| came < count / 2);
        if is_hidden {
            self.sync.part.warn(format!(
                "event {}: MISP counts {count} attributes and shows {came} of them: nothing is \
                 taken out of its alert",
                self.task.uuid
            ));
        }

        is_hidden
    }
}
