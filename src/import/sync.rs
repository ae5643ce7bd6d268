//! The import from one connection: the list of a window is compared, page by page, with the alerts
//! that are there, and only what is new or changed is read, several events at once. There is no
//! state beside TheHive and MISP, and no cursor: the comparison is made anew at every run. What was
//! not listed and has an alert is asked for by name at the end.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use uuid::Uuid;

use super::alert_diff::{self, AlertStatus};
use super::chunk_mapping::HOLDS_SECRET;
use super::command::Commands;
use super::event_import::ImportTask;
use super::filter_resolution::ResolvedFilters;
use super::loop_guard::is_own_export;
use super::ordering::Sequencer;
use super::share_of_time::{Share, ShareOfTime};
use super::strangers::Strangers;
use super::target::AlertTarget;
use super::twins;
use super::twins_removed::Suspects;
use super::{Config, mapping, reporting};
use crate::config::connections::Connection;
use crate::http::HttpContext;
use crate::ids::{self, Ids};
use crate::misp::wire::Event;
use crate::misp::{IndexEntry, Misp, Window};
use crate::report::ledger::{ItemKind, Verdict};
use crate::report::{ConnectionReporter, EventRow};
use crate::share;
use crate::text::format_count;
use crate::thehive::wire::Alert;
use crate::time::DAY;

/// Events compared at once.
pub(super) const PAGE: usize = 500;
/// New events kept beyond those that a run creates, to take the places of such as are left out when
/// they are read.
const SPARE: usize = 500;
/// The same for a feed, whose filters are checked only then.
const SPARE_OF_A_FEED: usize = 5_000;
/// So many more new events are kept until those that find no place are taken out.
const SLACK: usize = 100;
/// Events of organisations that had their share of the time, kept until others had theirs.
const MOST_WAITING: usize = 500;
/// Events named in a warning.
const NAMED: usize = 3;
const NO_TIME: &str =
    "the deadline is near (\"deadline_minutes\"): the rest comes with the next run";
const LATER: &str = "its organisation's share of the time is used up (\"deadline_minutes\"): it \
    comes with the next run";

/// Why an event is not taken for a recent one.
const NO_MOMENT: &str = "its time of change or publication cannot be read";
const UNFOLLOWED: &str = "updates are switched off in TheHive (follow)";
const DEFECT: &str = "a defect of this program stopped the work on it: please report it";

/// The import from one connection.
pub(super) struct ConnectionImport<'a> {
    pub(super) connection: &'a Connection,
    pub(super) network: &'a HttpContext,
    pub(super) ids: &'a Ids,
    pub(super) config: &'a Config,
    /// Which texts are commands.
    pub(super) commands: Commands<'a>,
    pub(super) part: &'a ConnectionReporter,
    pub(super) misp: Misp,
    /// Where the alerts go; none if they are only reported.
    pub(super) desks: Vec<&'a AlertTarget>,
    pub(super) dry_run: bool,
    /// The most new alerts, 0 for no limit, and the rule that says so.
    pub(super) most_new: (u64, &'static str),
    /// The names in the filters, as the server knows them.
    pub(super) names: ResolvedFilters,
    pub(super) turns: Sequencer,
    /// New events that did not become alerts, since a filter keeps them out that can be checked
    /// only when they are read.
    pub(super) given_back: AtomicU64,
    /// Alerts of these events that somebody else created.
    pub(super) strangers: Strangers,
    /// Events that may have several alerts.
    pub(super) suspects: Suspects,
    pub(super) time: ShareOfTime,
    /// Changed events of organisations that had their share of the time.
    pub(super) waiting: Mutex<Vec<ImportTask>>,
}

/// An event of the list, with the alerts that it has.
struct ListedEvent {
    place: u64,
    event: Box<Event>,
    uuid: Uuid,
}

/// What is found out while the list is read.
pub(super) struct ListState<'l> {
    tasks: &'l SyncSender<ImportTask>,
    rows: Vec<ListedEvent>,
    new: Vec<RankedEvent>,
    /// Changed events of the rows at hand.
    changed: Vec<ImportTask>,
    /// The beginning of the window; 0 for none.
    since: i64,
    /// New events that found no place and will soon be too old for the window.
    leaving: Vec<Uuid>,
    leaving_more: u64,
    /// Events so far, and those of them that were sent to the workers.
    place: u64,
    sent: u64,
    /// Events whose fate is decided, so that none is looked at twice.
    pub(super) handled: HashSet<Uuid>,
}

/// A new event. The newest has the highest number, or in a feed the latest change.
struct RankedEvent {
    rank: i64,
    task: ImportTask,
}

impl RankedEvent {
    fn creator(&self) -> String {
        self.task.event.creator_key()
    }
}

impl ConnectionImport<'_> {
    /// Imports the events of a window, and then looks after the alerts that were not in it.
    ///
    /// # Errors
    /// What stopped the list. The events that were listed before are imported all the same.
    pub(super) fn import_window(&self, since: i64) -> Result<()> {
        let published_only = self.config.filters.published_only;
        let window = Window {
            since,
            published_only,
            only: self.names.only.clone(),
        };

        self.with_workers(since, |listing| {
            let listed = self.misp.list_events(window, &mut |listed| {
                self.handle_listed_event(listing, listed)
            });
            // What was listed before the list broke off is compared all the same.
            let compared = self.compare(listing);
            let gone = listed
                .and(compared)
                .and_then(|()| self.check_unlisted_alerts(listing, since));
            self.import_new(listing);
            gone.map(|gone| self.report_missing_events(gone))
        })
    }

    /// Imports these events, whatever their age.
    ///
    /// # Errors
    /// What stopped the comparison.
    pub(super) fn import_events(&self, events: Vec<(Uuid, Event)>) -> Result<()> {
        self.with_workers(0, |listing| {
            for (uuid, event) in events {
                self.handle_listed_event(listing, IndexEntry::Event(Box::new(event), uuid))?;
            }
            self.compare(listing)?;
            self.import_new(listing);
            Ok(())
        })
    }

    /// Events are read and written by so many threads at once, each event by one of them.
    fn with_workers(
        &self,
        since: i64,
        list: impl FnOnce(&mut ListState<'_>) -> Result<()>,
    ) -> Result<()> {
        let (sender, receiver) = sync_channel::<ImportTask>(1);
        let receiver = Mutex::new(receiver);

        let listed = thread::scope(|scope| {
            for _ in 0..self.config.settings.max_parallel.clamp(1, 16) {
                scope.spawn(|| self.run_worker(&receiver));
            }

            let mut listing = ListState {
                tasks: &sender,
                rows: Vec::new(),
                new: Vec::new(),
                changed: Vec::new(),
                since,
                leaving: Vec::new(),
                leaving_more: 0,
                place: 0,
                sent: 0,
                handled: HashSet::new(),
            };

            let listed = list(&mut listing);
            self.import_postponed(&mut listing);
            self.warn_leaving_window(&listing);
            drop(sender);
            listed
        });

        self.remove_twins();
        self.strangers.write_warnings(self.part);
        self.part
            .update(|part| part.events.sort_by_key(|line| line.place));

        listed
    }

    fn run_worker(&self, tasks: &Mutex<Receiver<ImportTask>>) {
        loop {
            let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(task) = task else { return };
            let turn = self.turns.take_ticket(task.turn);

            if self.network.clock().is_near_the_end() {
                self.record_unread_event(
                    task.place,
                    &task.event,
                    &task.uuid,
                    &Verdict::Failed(NO_TIME.to_owned()),
                );

                continue;
            }

            let (creator, started) = (task.event.creator_key(), Instant::now());
            let share = match self.allot_time(&task, &creator) {
                Share::Later => {
                    self.postpone_task(task);
                    continue;
                }
                share => share,
            };

            if catch_unwind(AssertUnwindSafe(|| self.import(&task, &turn, share))).is_err() {
                // What it had begun to count is settled at the end.
                self.record_unread_event(
                    task.place,
                    &task.event,
                    &task.uuid,
                    &Verdict::Failed(DEFECT.to_owned()),
                );
            }

            if !task.is_new() {
                self.time.add_used_time(creator, started.elapsed());
            }
        }
    }

    fn allot_time(&self, task: &ImportTask, creator: &str) -> Share {
        if task.is_new() {
            Share::All
        } else {
            self.time
                .allot_share(creator, self.network.clock().left_to_begin(), task.is_again)
        }
    }

    /// Keeps a changed event until others had their share of the time.
    fn postpone_task(&self, task: ImportTask) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(task);
        let beyond = share::truncate_fairly(
            &mut *waiting,
            MOST_WAITING,
            &[&|task: &ImportTask| task.event.creator_key()],
        );

        drop(waiting);

        for task in beyond {
            self.record_unread_event(
                task.place,
                &task.event,
                &task.uuid,
                &Verdict::Failed(LATER.to_owned()),
            );
        }
    }

    /// The changed events that were set back, in turn by organisation.
    fn import_postponed(&self, listing: &mut ListState<'_>) {
        // A report that shows alerts has none to update; its turns are waited for by nobody else.
        if self.desks.is_empty() {
            return;
        }
        self.turns.wait_until(listing.sent);
        let mut waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        share::order_round_robin(&mut waiting, |task| task.event.creator_key());

        for task in waiting {
            drop(self.send(
                listing,
                ImportTask {
                    is_again: true,
                    ..task
                },
            ));
        }
    }

    /// One event of the list.
    pub(super) fn handle_listed_event(
        &self,
        listing: &mut ListState<'_>,
        listed: IndexEntry,
    ) -> Result<()> {
        self.part.count_fetched(ItemKind::Events, 1);
        listing.place += 1;
        let place = listing.place;

        let (mut event, uuid) = match listed {
            IndexEntry::Event(event, uuid) => (event, uuid),
            IndexEntry::Bad(problem) => {
                self.part
                    .record(ItemKind::Events, &Verdict::Failed(problem.clone()), 1);
                self.part.add_failure(problem);
                return Ok(());
            }
        };

        event.forget_implausible_moments(self.network.clock().now);
        if self.network.clock().is_near_the_end() {
            bail!(NO_TIME);
        }
        self.warn_foreign_export(&uuid);

        if !listing.handled.insert(uuid) {
            self.record_unread_event(
                place,
                &event,
                &uuid,
                &Verdict::Skipped("listed twice".to_owned()),
            );

            return Ok(());
        }

        if self.holds_secret(&event) {
            self.record_unread_event(
                place,
                &event,
                &uuid,
                &Verdict::Failed(HOLDS_SECRET.to_owned()),
            );

            return Ok(());
        }

        let rule = match &self.misp {
            Misp::Server(_) => self.find_skip_rule(&event, &uuid),
            // The rest is decided by its file, once it is opened.
            Misp::Feed(_) => None,
        };
        if let Some(rule) = rule {
            self.record_unread_event(place, &event, &uuid, &Verdict::Skipped(rule));
            return Ok(());
        }
        listing.rows.push(ListedEvent { place, event, uuid });

        if listing.rows.len() >= PAGE || self.desks.is_empty() {
            self.compare(listing)
        } else {
            Ok(())
        }
    }

    /// True if one of the texts that an event brings holds a long secret of ours.
    pub(super) fn holds_secret(&self, event: &Event) -> bool {
        let scrubber = self.part.run.scrubber();

        let mut texts = [
            event.info.as_str(),
            event.creator_name(),
            &event.date,
            &event.id,
        ]
        .into_iter()
        .chain(event.all_tag_names());

        texts.any(|text| scrubber.has_secret_in(text))
    }

    /// The rule that keeps an event out; none if it passes.
    pub(super) fn find_skip_rule(&self, event: &Event, uuid: &Uuid) -> Option<String> {
        let filters = &self.config.filters;
        let is_own = is_own_export(filters, &self.misp, self.ids, self.part, event, uuid, false);
        filters
            .find_skip_rule(event, is_own)
            .or_else(|| self.names.find_skip_rule(event))
    }

    /// Compares the events at hand with the alerts that they have: one query for each organisation.
    pub(super) fn compare(&self, listing: &mut ListState<'_>) -> Result<()> {
        let rows = std::mem::take(&mut listing.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let uuids: Vec<Uuid> = rows.iter().map(|row| row.uuid).collect();
        let source = mapping::source(&self.connection.name, &self.part.run.scrubber());
        let mut alerts: Vec<HashMap<Uuid, Alert>> = Vec::new();
        let mut unreadable = HashMap::new();

        for (number, desk) in self.desks.iter().enumerate() {
            let mut known: HashMap<Uuid, Alert> = HashMap::new();
            let (found, flawed) = desk.hive.fetch_alerts_of_events(&source, &uuids)?;
            unreadable.extend(flawed);

            for alert in found {
                let Some(uuid) = event_of_alert(&alert) else {
                    continue;
                };
                let before = known.remove(&uuid);
                if before.is_some() {
                    self.suspects.note(number, uuid);
                }
                let both = before.into_iter().chain([alert]);
                known.extend(
                    twins::choose_alert(both, &uuid, &desk.users).map(|alert| (uuid, alert)),
                );
            }

            self.strangers.note_alerts(&known, &desk.users);
            alerts.push(known);
        }

        for row in rows {
            if let Some(reason) = unreadable.remove(&row.uuid) {
                self.record_unread_event(
                    row.place,
                    &row.event,
                    &row.uuid,
                    &Verdict::Failed(reason),
                );

                continue;
            }

            let of_desks = alerts.iter_mut().zip(&self.desks);

            let fates = of_desks.map(|(known, desk)| {
                alert_diff::determine_status(
                    &row.event,
                    &row.uuid,
                    known.remove(&row.uuid),
                    &desk.users,
                )
            });

            let fates: Vec<AlertStatus> = fates.collect();
            self.decide(listing, row, fates)?;
        }

        let mut changed = std::mem::take(&mut listing.changed);
        share::order_round_robin(&mut changed, |task| task.event.creator_key());

        changed
            .into_iter()
            .try_for_each(|task| self.send(listing, task))
    }

    /// Why an event becomes no new alert, if so: its age or size, or moments that cannot be read,
    /// where a window opens at `since`.
    pub(super) fn find_new_alert_skip_rule(&self, event: &Event, since: i64) -> Option<String> {
        let may_be_older = since > 0 && event.may_be_older(since);
        let no_moment = may_be_older.then(|| NO_MOMENT.to_owned());
        no_moment.or_else(|| {
            self.config
                .filters
                .find_new_alert_skip_rule(event, self.network.clock().now)
        })
    }

    /// What is to be done with an event, given what it is to each organisation. Changed alerts come
    /// before new ones.
    fn decide(
        &self,
        listing: &mut ListState<'_>,
        row: ListedEvent,
        fates: Vec<AlertStatus>,
    ) -> Result<()> {
        let ListedEvent { place, event, uuid } = row;
        let is_new = fates.is_empty() || fates.iter().any(|fate| matches!(fate, AlertStatus::New));
        let too_old = match &self.misp {
            Misp::Server(_) => self.find_new_alert_skip_rule(&event, listing.since),
            Misp::Feed(_) => None,
        };
        let (mut changed, mut new, mut unchanged, mut unfollowed) =
            (Vec::new(), Vec::new(), None, None);
        let link =
            |desk: usize, alert: &Alert| Some(self.desks.get(desk)?.hive.alert_link(&alert.id));

        for (desk, fate) in fates.into_iter().enumerate() {
            match fate {
                AlertStatus::Changed(alert) => changed.push((desk, Some(*alert))),
                AlertStatus::New => new.push((desk, None)),
                AlertStatus::Unchanged(alert) => unchanged = unchanged.or(Some(link(desk, &alert))),
                AlertStatus::Unfollowed(alert) => {
                    unfollowed = unfollowed.or(Some(link(desk, &alert)))
                }
            }
        }

        if !changed.is_empty() {
            // The event is known: that it gets an alert in one more organisation makes it no new
            // one.
            changed.extend(new.into_iter().filter(|_| too_old.is_none()));
            self.time.register_organisation(event.creator_key());

            listing.changed.push(ImportTask {
                place,
                turn: 0,
                is_again: false,
                since: listing.since,
                event,
                uuid,
                alerts: changed,
            });

            return Ok(());
        }

        let (verdict, alert) = match (is_new, too_old, unchanged, unfollowed) {
            (true, None, ..) => {
                return self.queue_new_event(
                    listing,
                    ImportTask {
                        place,
                        turn: 0,
                        is_again: false,
                        since: listing.since,
                        event,
                        uuid,
                        alerts: new,
                    },
                );
            }
            (_, _, Some(alert), _) => (Verdict::Unchanged, alert),
            (true, Some(rule), None, None) => (Verdict::Skipped(rule), None),
            (_, _, None, alert) => (Verdict::Skipped(UNFOLLOWED.to_owned()), alert.flatten()),
        };

        let line = self.build_unread_row(place, &event, &uuid, &verdict);
        self.record_event(&verdict, EventRow { alert, ..line });

        Ok(())
    }

    /// Keeps a new event, if it is among the newest of its organisation.
    fn queue_new_event(&self, listing: &mut ListState<'_>, task: ImportTask) -> Result<()> {
        self.time.register_organisation(task.event.creator_key());
        let most = usize::try_from(self.most_new.0).unwrap_or(usize::MAX);
        if most == 0 {
            return self.send(listing, task);
        }

        let rank = task
            .event
            .id
            .parse()
            .ok()
            .or(task.event.timestamp)
            .unwrap_or(0);

        listing.new.push(RankedEvent { rank, task });
        let spare = if matches!(self.misp, Misp::Feed(_)) {
            SPARE_OF_A_FEED
        } else {
            SPARE
        };

        let kept = most.saturating_add(spare);
        if listing.new.len() > kept.saturating_add(SLACK) {
            self.trim_new_events(listing, kept);
        }

        Ok(())
    }

    /// Takes out the new events that find no place if organisations take turns, each with its
    /// newest first.
    fn trim_new_events(&self, listing: &mut ListState<'_>, kept: usize) {
        let mut new = std::mem::take(&mut listing.new);
        new.sort_unstable_by_key(|new| Reverse((new.rank, new.task.uuid)));
        let beyond = share::truncate_fairly(&mut new, kept, &[&RankedEvent::creator]);
        listing.new = new;
        beyond
            .into_iter()
            .for_each(|new| self.record_over_limit(listing, &new.task));
    }

    /// Records a new event that found no place. One that will soon be too old for the window may
    /// never find one.
    fn record_over_limit(&self, listing: &mut ListState<'_>, task: &ImportTask) {
        self.record_unread_event(
            task.place,
            &task.event,
            &task.uuid,
            &Verdict::Skipped(self.most_new.1.to_owned()),
        );

        let ListState {
            since,
            leaving,
            leaving_more,
            ..
        } = listing;

        let window = self.network.clock().now.saturating_sub(*since);
        let soon = (window / 10).max(DAY.min(window / 2));
        let last = task
            .event
            .timestamp
            .max(task.event.publish_timestamp)
            .unwrap_or(0);

        if *since == 0 || last > since.saturating_add(soon) {
            return;
        }

        match leaving.len() < NAMED {
            true => leaving.push(task.uuid),
            false => *leaving_more += 1,
        }
    }

    fn warn_leaving_window(&self, listing: &ListState<'_>) {
        let ListState {
            leaving,
            leaving_more,
            ..
        } = listing;

        if leaving.is_empty() {
            return;
        }
        let number = format_count(
            leaving.len() as u64 + leaving_more,
            "event that has no alert is",
            "events that have no alert are",
        );

        let named: Vec<String> = leaving.iter().map(Uuid::to_string).collect();
        let more = if *leaving_more > 0 { ", …" } else { "" };
        let rule = self.most_new.1;
        self.part.warn(format!(
            "{number} about to leave the window and would then never become one: {}{more}; raise \
             \"{rule}\" or \"window_days\", \
             or import more often",
            named.join(", ")
        ));
    }

    /// The new events, in turn by organisation, each with its newest first. One that is left out
    /// only once it was read, since a feed does not say how large it is, gives its place to the
    /// next.
    pub(super) fn import_new(&self, listing: &mut ListState<'_>) {
        self.trim_new_events(listing, usize::MAX);
        let mut new = std::mem::take(&mut listing.new);
        share::order_round_robin(&mut new, RankedEvent::creator);
        let mut new = new.into_iter().map(|new| new.task);
        let mut places = self.most_new.0;

        while places > 0 {
            let mut sent = 0;
            for task in new
                .by_ref()
                .take(usize::try_from(places).unwrap_or(usize::MAX))
            {
                // The workers take what comes until the end; without time they say so.
                sent += u64::from(self.send(listing, task).is_ok());
            }
            if sent < places {
                break;
            }
            self.turns.wait_until(listing.sent);
            places = self.given_back.swap(0, Ordering::Relaxed);
        }

        new.for_each(|task| self.record_over_limit(listing, &task));
    }

    fn send(&self, listing: &mut ListState<'_>, task: ImportTask) -> Result<()> {
        let task = ImportTask {
            turn: listing.sent,
            ..task
        };
        listing
            .tasks
            .send(task)
            .map_err(|_| anyhow!("the import stopped"))?;
        listing.sent += 1;
        Ok(())
    }

    /// True if an event is still as it was listed.
    pub(super) fn is_still_as_listed(&self, task: &ImportTask) -> Result<bool> {
        if let Some(now) = self
            .misp
            .open_event_file(&task.uuid, &task.event, &|_| Ok(()))?
        {
            return Ok(now.head.timestamp == task.event.timestamp);
        }
        let now = self.misp.fetch_index_entries(&[task.uuid])?;
        let is_same =
            |event: &Event| event.timestamp.is_some() && event.timestamp == task.event.timestamp;

        Ok(now
            .iter()
            .any(|(uuid, event)| *uuid == task.uuid && is_same(event)))
    }

    /// Records an event that is not read.
    pub(super) fn record_unread_event(
        &self,
        place: u64,
        event: &Event,
        uuid: &Uuid,
        verdict: &Verdict,
    ) {
        self.record_event(verdict, self.build_unread_row(place, event, uuid, verdict));
    }

    fn build_unread_row(
        &self,
        place: u64,
        event: &Event,
        uuid: &Uuid,
        verdict: &Verdict,
    ) -> EventRow {
        let attributes = event
            .attribute_count
            .and_then(|count| u64::try_from(count).ok());
        EventRow {
            place,
            ..self.build_event_row(event, uuid, verdict, attributes)
        }
    }

    fn record_event(&self, verdict: &Verdict, line: EventRow) {
        if let Verdict::Failed(reason) = verdict {
            self.part
                .add_failure(format!("event {}: {reason}", line.uuid));
        }
        self.part.record(ItemKind::Events, verdict, 1);
        self.part.show_event(line);
    }

    /// An export of another installation is an event like any other; if it is this one under
    /// another name, the loop guard cannot know, so the reader is told.
    fn warn_foreign_export(&self, uuid: &Uuid) {
        if self.config.filters.loop_guard && ids::is_ours(uuid) && !self.ids.is_made_here(uuid) {
            let instance = self.ids.instance();
            self.part.warn(format!(
                "some events were exported by cortex-misp under another instance name than \
                 \"{instance}\": if they are your own, \
                 set \"instance\" to the same name in both workers"
            ));
        }
    }

    pub(super) fn build_event_row(
        &self,
        event: &Event,
        uuid: &Uuid,
        verdict: &Verdict,
        attributes: Option<u64>,
    ) -> EventRow {
        reporting::build_event_row(
            (self.part, self.connection, &self.config.marks),
            (event, uuid),
            verdict,
            attributes,
        )
    }
}

/// The event that an alert is made from. Its reference is written as this program writes it: an
/// alert of another tool may have a reference that only looks like it.
pub(super) fn event_of_alert(alert: &Alert) -> Option<Uuid> {
    Uuid::parse_str(&alert.source_ref)
        .ok()
        .filter(|uuid| uuid.to_string() == alert.source_ref)
}
