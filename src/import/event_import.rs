//! One event: read chunk by chunk, its attributes mapped, and each chunk put into the alert of
//! every organisation that is to have it. Without TheHive the alert is only shown. What is remarked
//! of an event is in `event_import/remarks.rs`.

mod remarks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use uuid::Uuid;

use super::alert_writer::{
    AlertResult, AlertWriter, AttachmentTransfer, Page, ReadSummary, SourceEvent, WriterContext,
};
use super::attachments::AlertFileDraft;
use super::chunk_mapping::{self, ChunkContext, MappedChunk, RowOutcome};
use super::loop_guard::is_own_attribute;
use super::mapping::{self, AlertDraft, EventSource, Markings};
use super::observable_index::ObservableIndex;
use super::options::Attachments;
use super::ordering::Ticket;
use super::report_only::PreviewAlert;
use super::reporting;
use super::share_of_time::Share;
use super::sync::ConnectionImport;
use super::target::AlertTarget;
use super::task_queue::ListedContent;
use super::verdict_counts::VerdictCounts;
use super::warninglists::WarninglistHits;
use crate::config::Warninglists;
use crate::http::HttpError;
use crate::json::Element;
use crate::misp::wire::Event;
use crate::misp::{AttributeRow, Chunk, Misp, Opened, Report};
use crate::report::EventRow;
use crate::report::ledger::{ItemKind, Verdict};
use crate::tags;
use crate::thehive::wire::Alert;
use crate::types::ObservableTypeSet;
use crate::worker;

/// An event to be imported, and where: the targets by their number, each with the alert that it has.
pub struct ImportTask {
    /// Its place in the list.
    pub place: u64,
    /// Its turn among those that are read.
    pub turn: u64,
    /// It waited already until others had their share of the time.
    pub is_again: bool,
    /// Where the window opens that it was listed for, in seconds since 1970; 0 for none.
    pub since: i64,
    pub event: Box<Event>,
    pub uuid: Uuid,
    pub alerts: Vec<(usize, Option<Alert>)>,
}

impl ImportTask {
    /// An event of the list, of which it is not known yet which alerts it has.
    pub fn new(place: u64, since: i64, event: Box<Event>, uuid: Uuid) -> Self {
        Self {
            place,
            turn: 0,
            is_again: false,
            since,
            event,
            uuid,
            alerts: Vec::new(),
        }
    }

    /// Whose event it is.
    pub fn creator(&self) -> String {
        self.event.creator_key()
    }

    /// The newest event has the highest number, or in a feed the latest change.
    pub fn rank(&self) -> i64 {
        let number = self.event.id.parse().ok();
        number.or(self.event.timestamp).unwrap_or(0)
    }

    /// The number of attributes that MISP gives.
    pub fn counted_attributes(&self) -> Option<u64> {
        u64::try_from(self.event.attribute_count?).ok()
    }

    /// True if no organisation has an alert of the event.
    pub fn is_new(&self) -> bool {
        self.alerts.iter().all(|(_, alert)| alert.is_none())
    }
}

/// A feed's event as its file has it, and its content if that was one chunk.
type Known = (ImportTask, Option<Chunk>);

/// An event while it is read.
struct EventImport<'a> {
    sync: &'a ConnectionImport<'a>,
    task: &'a ImportTask,
    alert: AlertDraft,
    writers: Vec<AlertWriter<'a>>,
    /// Every attribute of the event as TheHive would have it.
    live: ObservableIndex,
    shown: Option<PreviewAlert>,
    tally: VerdictCounts,
    attributes: u64,
    /// Those of them that are meant for detection, that are soft-deleted, and those that could not
    /// be understood.
    ids_attributes: u64,
    deleted: u64,
    flaws: u64,
    warninglisted: u64,
    /// Tags of its attributes that are words of this program.
    own_tags: u64,
    /// Tags of its attributes that are longer than TheHive takes.
    long_tags: u64,
    /// Tags of the event and its attributes that are meant as a TLP or PAP and cannot be read; the
    /// first of them.
    unreadable: BTreeSet<String>,
    /// What MISP's warninglists say of the events that were read along with it.
    warninglists: Option<Arc<WarninglistHits>>,
    chunks: usize,
}

impl ConnectionImport<'_> {
    /// Imports an event, of which this was read already, and records what became of it.
    pub fn import(
        &self,
        task: &ImportTask,
        content: ListedContent,
        turn: &Ticket<'_>,
        share: Share,
    ) {
        let (opened, whole) = match self.open_feed_event(task) {
            Ok(opened) => opened.unzip(),
            Err(left_out) => {
                let (task, verdict) = *left_out;
                if matches!(verdict, Verdict::Skipped(_)) && task.is_new() {
                    self.given_back.fetch_add(1, Ordering::Relaxed);
                }
                return self.record_unread_event(&task, verdict);
            }
        };

        let task = opened.as_ref().unwrap_or(task);
        let common = self.writer_context(share);
        let from = SourceEvent {
            event: &task.event,
            uuid: &task.uuid,
        };
        let writers = task.alerts.iter().filter_map(|(target, alert)| {
            let target: &AlertTarget = self.targets.get(*target)?;
            Some(AlertWriter::new(target, &common, from, alert.clone()))
        });
        let writers: Vec<_> = writers.collect();

        let mut reading = EventImport {
            sync: self,
            task,
            alert: self.draft_alert(task, &[], 0),
            shown: writers.is_empty().then(PreviewAlert::default),
            writers,
            live: ObservableIndex::default(),
            tally: VerdictCounts::default(),
            attributes: 0,
            ids_attributes: 0,
            deleted: 0,
            flaws: 0,
            warninglisted: 0,
            own_tags: 0,
            long_tags: 0,
            unreadable: BTreeSet::new(),
            warninglists: content.warninglists,
            chunks: 0,
        };

        reading.note_unreadable_tags(task.event.all_tag_names());
        let read = reading.read(content.whole.or(whole.flatten()));
        if reading.shown.is_some() {
            turn.wait();
        }
        reading.finish_event(read);
    }

    /// What the file of a feed's event says of it: so far only the manifest spoke. Gives the event
    /// as it is to be imported, and its content, if that was one chunk, so that its file is not
    /// read twice; or why it is not imported. None for a server's event, about which its row has
    /// decided.
    fn open_feed_event(
        &self,
        task: &ImportTask,
    ) -> Result<Option<Known>, Box<(ImportTask, Verdict)>> {
        let filters = &self.config.filters;
        let check = |number| {
            if task.is_new() && filters.is_too_large(number) {
                bail!(TooLarge)
            } else {
                Ok(())
            }
        };

        let read = |event: Event, alerts| ImportTask {
            event: Box::new(event),
            alerts,
            ..*task
        };
        let left_out = |event, verdict| Box::new((read(event, task.alerts.clone()), verdict));

        let opened = self
            .misp
            .open_event_file(&task.uuid, &task.event, &check)
            .map_err(|error| {
                let verdict = match error.is::<TooLarge>() {
                    true => Verdict::Skipped(filters.too_large_rule()),
                    false => Verdict::Failed(worker::error_line(&error)),
                };
                left_out(Event::clone(&task.event), verdict)
            })?;
        let Some(Opened { mut head, whole }) = opened else {
            return Ok(None);
        };
        head.forget_implausible_moments(self.network.clock().now);

        if self.holds_secret(&head) {
            let reason = chunk_mapping::HOLDS_SECRET.to_owned();
            return Err(left_out(head, Verdict::Failed(reason)));
        }
        let too_old = self.find_new_alert_skip_rule(&head, task.since);
        let rule = self
            .find_skip_rule(&head, &task.uuid)
            .or_else(|| too_old.clone().filter(|_| task.is_new()));
        if let Some(rule) = rule {
            return Err(left_out(head, Verdict::Skipped(rule)));
        }

        let alerts = task
            .alerts
            .iter()
            .filter(|(_, alert)| alert.is_some() || too_old.is_none());
        Ok(Some((read(head, alerts.cloned().collect()), whole)))
    }

    fn draft_alert(&self, task: &ImportTask, reports: &[Report], of_attributes: u64) -> AlertDraft {
        let scrubber = self.part.run.scrubber();
        let link = reporting::event_link(self.connection, &task.uuid);
        let origin = EventSource {
            connection: &self.connection.name,
            link,
            scrubber: &scrubber,
        };

        mapping::draft_alert(
            &task.event,
            &task.uuid,
            &origin,
            &self.config.marks,
            reports,
            of_attributes,
        )
    }

    fn writer_context(&self, share: Share) -> WriterContext<'_> {
        let clock = self.network.clock();
        WriterContext {
            settings: &self.config.settings,
            most_observables: self.config.filters.max_observables(),
            case_template: self.config.marks.case_template.as_deref(),
            part: self.part,
            clock: if let Share::Part(part) = share {
                clock.limited_to(part)
            } else {
                clock
            },
            of_run: clock,
            dry_run: self.dry_run,
        }
    }
}

impl EventImport<'_> {
    /// Reads the event, of which `whole` is the content, if it was read already.
    fn read(&mut self, whole: Option<Chunk>) -> Result<()> {
        let ConnectionImport { misp, .. } = self.sync;
        let ImportTask { event, uuid, .. } = self.task;
        match whole {
            Some(whole) => self.process_chunk(whole),
            None => misp.read_chunks(uuid, event, &mut |chunk| self.process_chunk(chunk)),
        }
    }

    fn process_chunk(&mut self, mut chunk: Chunk) -> Result<()> {
        let part = self.sync.part;
        self.filter_reports(&mut chunk);
        if let Some(why) = chunk.without_objects.take() {
            self.note_missing_objects(&why);
        }
        let lacks_sightings = chunk.without_sightings.is_some();
        if let Some(missing) = chunk.without_sightings.take() {
            self.note_missing_sightings(&missing);
        }
        self.count_rows(&chunk.rows);
        self.chunks += 1;
        // Without its sightings no tag of theirs may be taken off.
        let is_part = self.chunks > 1 || !chunk.is_last || lacks_sightings;
        let reports = chunk.is_last.then(|| std::mem::take(&mut chunk.reports));
        let mut batch = self.map_chunk(chunk);
        self.own_tags += batch.own_tags;
        self.long_tags += batch.long_tags;
        if let Some(reports) = reports {
            self.alert = self.sync.draft_alert(self.task, &reports, self.own_tags);
        }
        part.update(|part| part.stand_ins += batch.stand_ins);
        self.tag_warninglisted(&mut batch);
        let by_writer = self.write_observables(&batch, is_part);
        self.write_files(std::mem::take(&mut batch.files), is_part);

        self.count_verdicts(&batch, &by_writer);

        if let Some(shown) = &mut self.shown {
            shown.add_observables(batch.observables);
        }
        if self.is_writing() {
            self.tally.record(part, &self.task.uuid, |verdict| verdict);
        }
        let is_over = !self.writers.is_empty() && self.writers.iter().all(AlertWriter::is_stopped);

        if is_over {
            bail!("the rest of the event is not read, since nothing more can be written")
        } else {
            Ok(())
        }
    }

    fn count_rows(&mut self, rows: &[AttributeRow]) {
        let count = |is_counted: fn(&AttributeRow) -> bool| {
            rows.iter().filter(|row| is_counted(row)).count() as u64
        };

        let number = rows.len() as u64;
        self.sync.part.count_fetched(ItemKind::Attributes, number);
        self.attributes += number;
        self.deleted += count(AttributeRow::is_deleted);
        self.ids_attributes += count(is_for_detection);

        for row in rows {
            if let Element::Good(attribute) = &row.attribute {
                self.note_unreadable_tags(attribute.tags_with_local_flag().map(|(name, _)| name));
            }
        }
    }

    /// Counts each attribute once, whatever the number of its observables and of the alerts that
    /// they are put into: by the verdict of the lowest rank, so that a failure is never hidden.
    fn count_verdicts(&mut self, batch: &MappedChunk, by_writer: &[Vec<Verdict>]) {
        let run = &self.sync.part.run;

        for slot in &batch.slots {
            match slot {
                RowOutcome::Is(verdict) => {
                    self.flaws += u64::from(matches!(verdict, Verdict::Failed(_)));
                    self.tally
                        .count_items(ItemKind::Attributes, verdict.clone(), 1, String::new);
                }
                RowOutcome::Becomes(places) => {
                    let all = by_writer.iter().flat_map(|verdicts| {
                        places
                            .iter()
                            .filter_map(|place| Some((*place, verdicts.get(*place)?.clone())))
                    });

                    let (place, verdict) = all
                        .min_by_key(|(_, verdict)| verdict.rank())
                        .unwrap_or((0, Verdict::Created));
                    let value = || {
                        batch
                            .observables
                            .get(place)
                            .map_or_else(String::new, |observable| {
                                run.report_text(&observable.data)
                            })
                    };

                    self.tally
                        .count_items(ItemKind::Attributes, verdict, 1, value);
                }
            }
        }
    }

    fn map_chunk(&mut self, chunk: Chunk) -> MappedChunk {
        let ConnectionImport {
            misp, config, part, ..
        } = self.sync;
        let scrubber = part.run.scrubber();
        let usual = ObservableTypeSet::thehive4();
        let types = self.writers.first().map(|writer| &writer.target.types);
        let key = |data_type: &str, data: &str| match types {
            Some(types) => types.identity_key(data_type, data),
            None => (data_type.to_owned(), data.to_owned()),
        };

        let setup = ChunkContext {
            uuid: self.task.uuid,
            commands: self.sync.commands,
            event: Markings::from_event(&self.task.event, &config.marks),
            data_types: types.map_or(&usual, |types| &types.data_types),
            marks: &config.marks,
            scrubber: &scrubber,
            has_files: config.settings.import_attachments == Attachments::Download,
            key: &key,
            is_own_export: &|uuid| {
                is_own_attribute(&config.filters, misp, self.sync.ids, &self.task.event, uuid)
            },
        };

        let rows = chunk.rows.into_iter().map(|row| {
            (
                row.attribute,
                row.within.map(|within| (within.name, within.uuid)),
            )
        });

        let live = &mut self.live;

        match types {
            Some(_) => chunk_mapping::map_rows(
                rows,
                &config.choice,
                &setup,
                &mut |digest, is_wanted, is_ioc| {
                    live.add_digest(digest, is_wanted, is_ioc);
                },
            ),
            None => chunk_mapping::map_rows(rows, &config.choice, &setup, &mut |_, _, _| {}),
        }
    }

    /// Tells that the warninglists could not be asked. Their tags follow with the next run, unless
    /// MISP will not let us ask then either.
    fn note_warninglists_missing(&mut self, error: &anyhow::Error) {
        self.sync.part.warn(format!(
            "some observables are not compared with MISP's warninglists: {}",
            worker::error_line(error)
        ));
        if !HttpError::of(error).is_some_and(HttpError::is_permanent) {
            self.writers
                .iter_mut()
                .for_each(AlertWriter::mark_incomplete);
        }
    }

    /// Names the warninglists that have an observable. A hit never takes anything out.
    fn tag_warninglisted(&mut self, batch: &mut MappedChunk) {
        let ConnectionImport {
            misp, config, part, ..
        } = self.sync;
        if config.settings.warninglists == Warninglists::Off || batch.observables.is_empty() {
            return;
        }
        let values = || batch.observables.iter().map(|one| one.data.as_str());
        let known = self.warninglists.clone();
        let known = known.filter(|hits| values().all(|value| hits.has(value)));
        let hits = match known {
            Some(hits) => hits,
            None => {
                let mut hits = WarninglistHits::default();
                if let Err(error) = hits.ask(misp, values()) {
                    return self.note_warninglists_missing(&error);
                }
                Arc::new(hits)
            }
        };

        let scrubber = part.run.scrubber();

        for observable in &mut batch.observables {
            let lists = hits.lists_of(&observable.data);
            self.warninglisted += u64::from(!lists.is_empty());

            for list in lists {
                mapping::add_tag(
                    &mut observable.tags,
                    &tags::build(tags::WARNINGLIST, list),
                    &scrubber,
                );
            }
        }
    }

    /// Puts the observables into each alert: their verdicts, by writer.
    fn write_observables(&mut self, batch: &MappedChunk, is_part: bool) -> Vec<Vec<Verdict>> {
        let Self { writers, alert, .. } = self;
        let page = Page {
            wanted: &batch.observables,
            is_part,
            is_all: !is_part && batch.files.is_empty(),
        };

        writers
            .iter_mut()
            .map(|writer| writer.write_page(alert, page))
            .collect()
    }

    /// Puts the files into each alert, one after the other.
    fn write_files(&mut self, files: Vec<AlertFileDraft>, is_part: bool) {
        let part = self.sync.part;
        for file in files {
            part.count_fetched(ItemKind::Files, file.attributes);
            let verdict = self.write_file(&file, is_part);
            if let Verdict::Failed(reason) = &verdict {
                let name = &file.observable.data;
                part.add_failure(format!(
                    "event {}: {name} (the file itself): {reason}",
                    self.task.uuid
                ));
            }

            self.tally
                .count_items(ItemKind::Files, verdict, file.attributes, String::new);
        }
    }

    fn write_file(&mut self, file: &AlertFileDraft, is_part: bool) -> Verdict {
        let ConnectionImport { misp, config, .. } = self.sync;

        let transfer = match (self.writers.is_empty(), misp) {
            (true, _) => {
                return Verdict::Skipped("alerts that are only reported have no files".to_owned());
            }
            (false, Misp::Feed(_)) => {
                return Verdict::Skipped("a feed's files are not read".to_owned());
            }
            (false, Misp::Server(_)) => {
                AttachmentTransfer::new(misp, file, &config.settings, is_part)
            }
        };

        let Self { writers, alert, .. } = self;
        worst_verdict(
            writers
                .iter_mut()
                .map(|writer| writer.write_file(alert, &transfer)),
        )
        .unwrap_or(Verdict::Created)
    }

    /// True if what is written counts, whatever becomes of the rest of the event.
    fn is_writing(&self) -> bool {
        !self.writers.is_empty() && !self.sync.dry_run
    }

    fn finish_event(mut self, read: Result<()>) {
        let ConnectionImport { part, .. } = self.sync;
        let is_whole = read.is_ok();
        let broken = read
            .err()
            .map(|error| Verdict::Failed(worker::error_line(&error)));
        let ends = self.finish_alerts(is_whole);
        let verdict = worst_verdict(ends.iter().map(|end| end.verdict.clone()));
        let verdict = match (verdict, broken) {
            (Some(Verdict::Failed(reason)), _) => Verdict::Failed(reason),
            (_, Some(broken)) => broken,
            (verdict, None) => verdict.unwrap_or(Verdict::Created),
        };
        self.record_attributes(&verdict);

        if matches!(verdict, Verdict::Skipped(_)) && self.task.is_new() {
            self.sync.given_back.fetch_add(1, Ordering::Relaxed);
        }
        for (target, _) in self.task.alerts.iter().filter(|(_, alert)| alert.is_none()) {
            self.sync.suspects.note(*target, self.task.uuid);
        }
        let removed = ends.iter().map(|end| end.removed).sum();
        if removed > 0 {
            part.count_fetched(ItemKind::Removals, removed);
            part.record(ItemKind::Removals, &Verdict::Updated, removed);
        }

        let own_tags = self.warn_about_event(&ends, is_whole);
        let attributes = match self.chunks {
            0 => self.task.counted_attributes(),
            _ => Some(self.attributes),
        };
        let row = EventRow {
            alert: ends.iter().find_map(|end| end.link.clone()),
            ids_attributes: self.ids_attributes,
            removed,
            warninglisted: self.warninglisted,
            own_tags,
            not_shown: self.count_not_shown(),
            ..self.sync.build_event_row(self.task, &verdict, attributes)
        };
        reporting::record_event(part, &verdict, row);

        if let Some(shown) = self.shown.take().filter(|_| is_whole) {
            shown.write_to_report(&self.alert, self.task.creator(), self.sync);
        }
    }

    /// Ends what was begun with each alert, if the event was read to its end.
    fn finish_alerts(&mut self, is_whole: bool) -> Vec<AlertResult> {
        self.live.seal();
        let writers = std::mem::take(&mut self.writers);
        let extent = ReadSummary {
            is_paged: self.chunks > 1,
            is_flawed: self.flaws > 0
                || (is_whole && !writers.is_empty() && self.is_mostly_hidden()),
            live: &self.live,
            is_same: &|| self.sync.is_still_as_listed(self.task),
        };

        let ended = writers
            .into_iter()
            .filter(|writer| is_whole || writer.is_stopped());

        ended
            .map(|writer| writer.finish(&self.alert, extent))
            .collect()
    }

    /// Attributes that were only looked at share the fate of their event.
    fn record_attributes(&mut self, verdict: &Verdict) {
        let (part, event) = (self.sync.part, &self.task.uuid);
        let shared = match verdict {
            Verdict::Created | Verdict::Updated | Verdict::Unchanged | Verdict::Found => None,
            Verdict::Skipped(rule) => Some(Verdict::Skipped(rule.clone())),
            Verdict::Failed(_) => Some(Verdict::Failed(
                "its event was not read to the end".to_owned(),
            )),
        };

        self.tally
            .record(part, event, |own| shared.clone().unwrap_or(own));
    }
}

fn is_for_detection(row: &AttributeRow) -> bool {
    matches!(&row.attribute, Element::Good(attribute) if attribute.to_ids == Some(true) && attribute.deleted != Some(true))
}

/// The first that applies of failed, created, updated, unchanged, skipped.
fn worst_verdict(verdicts: impl Iterator<Item = Verdict>) -> Option<Verdict> {
    verdicts.min_by_key(Verdict::rank)
}

/// Says that an event has more attributes than are wanted.
#[derive(Debug)]
struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the event is too large")
    }
}

impl std::error::Error for TooLarge {}
