//! The import from one connection: the list of a window is compared, page by page, with the alerts
//! that are there, and only what is new or changed is read, several events at once. There is no
//! state beside TheHive and MISP, and no cursor: the comparison is made anew at every run. What was
//! not listed and has an alert is asked for by name at the end.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};
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
use super::task_queue::{ListedContent, Lists, SMALL_EVENT, TaskQueue, Work};
use super::twins;
use super::twins_removed::Suspects;
use super::warninglists::WarninglistHits;
use super::{Config, mapping, reporting};
use crate::config::Warninglists;
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
pub const PAGE: usize = 500;
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
pub struct ConnectionImport<'a> {
    pub connection: &'a Connection,
    pub network: &'a HttpContext,
    pub ids: &'a Ids,
    pub config: &'a Config,
    /// Which texts are commands.
    pub commands: Commands<'a>,
    pub part: &'a ConnectionReporter,
    pub misp: Misp,
    /// Where the alerts go; none if they are only reported.
    pub targets: Vec<&'a AlertTarget>,
    pub dry_run: bool,
    /// The most new alerts, 0 for no limit, and the rule that says so.
    pub most_new: (u64, &'static str),
    /// The names in the filters, as the server knows them.
    pub names: ResolvedFilters,
    pub turns: Sequencer,
    /// New events that did not become alerts, since a filter keeps them out that can be checked
    /// only when they are read.
    pub given_back: AtomicU64,
    /// Alerts of these events that somebody else created.
    pub strangers: Strangers,
    /// Events that may have several alerts.
    pub suspects: Suspects,
    pub time: ShareOfTime,
    /// Changed events of organisations that had their share of the time.
    pub waiting: Mutex<Vec<ImportTask>>,
}

/// What is found out while the list is read.
pub struct ListState<'l> {
    queue: &'l TaskQueue,
    rows: Vec<ImportTask>,
    new: Vec<ImportTask>,
    /// Changed events of the rows at hand, and new ones that need no place.
    changed: Vec<ImportTask>,
    unlimited: Vec<ImportTask>,
    /// The beginning of the window; 0 for none.
    since: i64,
    /// New events that found no place and will soon be too old for the window.
    leaving: u64,
    first_leaving: Vec<String>,
    /// Events so far, and those of them that were sent to the workers.
    place: u64,
    sent: u64,
    /// Events whose fate is decided, so that none is looked at twice.
    pub handled: HashSet<Uuid>,
}

impl ListState<'_> {
    /// An event with the next turn.
    fn number(&mut self, task: ImportTask) -> ImportTask {
        let turn = self.sent;
        self.sent += 1;
        ImportTask { turn, ..task }
    }
}

impl ConnectionImport<'_> {
    /// Imports the events of a window, and then looks after the alerts that were not in it.
    ///
    /// # Errors
    /// What stopped the list. The events that were listed before are imported all the same.
    pub fn import_window(&self, since: i64) -> Result<()> {
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
            // Also if the list broke off: what was listed until then is known to be new.
            self.import_new(listing);
            gone.map(|gone| self.report_missing_events(gone))
        })
    }

    /// Imports these events, whatever their age.
    ///
    /// # Errors
    /// What stopped the comparison.
    pub fn import_events(&self, events: Vec<(Uuid, Event)>) -> Result<()> {
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
        let queue = TaskQueue::default();

        let listed = thread::scope(|scope| {
            for _ in 0..self.config.settings.max_parallel.clamp(1, 16) {
                scope.spawn(|| self.run_worker(&queue));
            }

            let closing = queue.close_when_dropped();
            let mut listing = ListState {
                queue: &queue,
                rows: Vec::new(),
                new: Vec::new(),
                changed: Vec::new(),
                unlimited: Vec::new(),
                since,
                leaving: 0,
                first_leaving: Vec::new(),
                place: 0,
                sent: 0,
                handled: HashSet::new(),
            };

            let listed = list(&mut listing);
            self.import_postponed(&mut listing);
            self.warn_leaving_window(&listing);
            drop(closing);
            listed
        });

        self.remove_twins();
        self.strangers.write_warnings(self.part);
        self.part
            // Several threads have shown them, each when it was done.
            .update(|part| part.events.sort_by_key(|line| line.place));

        listed
    }

    fn run_worker(&self, queue: &TaskQueue) {
        while let Some(work) = queue.take() {
            match work {
                Work::Read(list) => queue.give_back(self.read_list(list)),
                Work::Import(task, content) => self.work_on(*task, content),
            }
        }
    }

    /// Reads the events of a list by few questions; what does not come so is read by itself.
    fn read_list(&self, list: Vec<ImportTask>) -> Vec<(ImportTask, ListedContent)> {
        let read = || {
            let events: Vec<_> = list.iter().map(|task| (task.uuid, &*task.event)).collect();
            let contents = self.misp.read_small_events(&events);
            let hits = match self.config.settings.warninglists {
                Warninglists::Off => None,
                // What goes wrong here is told by the events, which ask again.
                _ => WarninglistHits::of_events(&self.misp, contents.values()).ok(),
            };
            (contents, hits.map(Arc::new))
        };
        let (mut contents, warninglists) = match self.network.clock().is_near_the_end() {
            true => Default::default(),
            // A defect here costs only the list: its events are read by themselves.
            false => catch_unwind(AssertUnwindSafe(read)).unwrap_or_default(),
        };

        list.into_iter()
            .map(|task| {
                let content = ListedContent {
                    whole: contents.remove(&task.uuid),
                    warninglists: warninglists.clone(),
                };
                (task, content)
            })
            .collect()
    }

    fn work_on(&self, task: ImportTask, content: ListedContent) {
        let turn = self.turns.take_ticket(task.turn);

        if self.network.clock().is_near_the_end() {
            return self.record_unread_event(&task, Verdict::Failed(NO_TIME.to_owned()));
        }

        let (creator, started) = (task.event.creator_key(), Instant::now());
        let share = match self.allot_time(&task, &creator) {
            Share::Later => return self.postpone_task(task),
            share => share,
        };

        if catch_unwind(AssertUnwindSafe(|| {
            self.import(&task, content, &turn, share)
        }))
        .is_err()
        {
            // What it had begun to count is settled at the end.
            self.record_unread_event(&task, Verdict::Failed(DEFECT.to_owned()));
        }
        if !task.is_new() {
            self.time.add_used_time(creator, started.elapsed());
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
        let beyond = share::truncate_fairly(&mut *waiting, MOST_WAITING, &[&ImportTask::creator]);
        drop(waiting);
        for task in beyond {
            self.record_unread_event(&task, Verdict::Failed(LATER.to_owned()));
        }
    }

    /// The changed events that were set back, in turn by organisation.
    fn import_postponed(&self, listing: &mut ListState<'_>) {
        // Where alerts are only reported there is none to update, so that no event waits.
        if self.targets.is_empty() {
            return;
        }
        self.turns.wait_until(listing.sent);
        let mut waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        share::order_round_robin(&mut waiting, ImportTask::creator);
        waiting.iter_mut().for_each(|task| task.is_again = true);
        self.send_all(listing, waiting);
    }

    /// One event of the list.
    pub fn handle_listed_event(
        &self,
        listing: &mut ListState<'_>,
        listed: IndexEntry,
    ) -> Result<()> {
        self.part.count_fetched(ItemKind::Events, 1);
        listing.place += 1;
        let (mut event, uuid) = match listed {
            IndexEntry::Event(event, uuid) => (event, uuid),
            IndexEntry::Bad(problem) => {
                let verdict = Verdict::Failed(problem.clone());
                self.part.record(ItemKind::Events, &verdict, 1);
                self.part.add_failure(problem);
                return Ok(());
            }
        };

        // A moment that lies ahead would count as recent for years.
        event.forget_implausible_moments(self.network.clock().now);
        if self.network.clock().is_near_the_end() {
            // The next run lists the rest anew.
            bail!(NO_TIME);
        }
        self.warn_foreign_export(&uuid);
        let task = ImportTask::new(listing.place, listing.since, event, uuid);

        if !listing.handled.insert(uuid) {
            self.record_unread_event(&task, Verdict::Skipped("listed twice".to_owned()));
            return Ok(());
        }
        if self.holds_secret(&task.event) {
            self.record_unread_event(&task, Verdict::Failed(HOLDS_SECRET.to_owned()));
            return Ok(());
        }
        let rule = match &self.misp {
            Misp::Server(_) => self.find_skip_rule(&task.event, &uuid),
            // The rest is decided by its file, once it is opened.
            Misp::Feed(_) => None,
        };
        if let Some(rule) = rule {
            self.record_unread_event(&task, Verdict::Skipped(rule));
            return Ok(());
        }

        listing.rows.push(task);
        if listing.rows.len() >= PAGE {
            self.compare(listing)
        } else {
            Ok(())
        }
    }

    /// True if one of the texts that an event brings holds a long secret of ours.
    pub fn holds_secret(&self, event: &Event) -> bool {
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
    pub fn find_skip_rule(&self, event: &Event, uuid: &Uuid) -> Option<String> {
        let filters = &self.config.filters;
        let is_own = is_own_export(filters, &self.misp, self.ids, self.part, event, uuid, false);
        filters
            .find_skip_rule(event, is_own)
            .or_else(|| self.names.find_skip_rule(event))
    }

    /// Compares the events at hand with the alerts that they have: one query for each organisation.
    pub fn compare(&self, listing: &mut ListState<'_>) -> Result<()> {
        let rows = std::mem::take(&mut listing.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let uuids: Vec<Uuid> = rows.iter().map(|row| row.uuid).collect();
        let source = mapping::source(&self.connection.name, &self.part.run.scrubber());
        let mut alerts: Vec<HashMap<Uuid, Alert>> = Vec::new();
        let mut unreadable = HashMap::new();

        for (number, target) in self.targets.iter().enumerate() {
            let mut known: HashMap<Uuid, Alert> = HashMap::new();
            let (found, flawed) = target.client.fetch_alerts_of_events(&source, &uuids)?;
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
                    twins::choose_alert(both, &uuid, &target.users).map(|alert| (uuid, alert)),
                );
            }

            self.strangers.note_alerts(&known, &target.users);
            alerts.push(known);
        }

        for task in rows {
            let uuid = task.uuid;
            if let Some(reason) = unreadable.remove(&uuid) {
                self.record_unread_event(&task, Verdict::Failed(reason));
                continue;
            }
            let by_target = alerts.iter_mut().zip(&self.targets);
            let statuses = by_target.map(|(known, target)| {
                let alert = known.remove(&uuid);
                alert_diff::determine_status(&task.event, &uuid, alert, &target.users)
            });
            let statuses = statuses.collect();
            self.decide(listing, task, statuses);
        }

        let mut changed = std::mem::take(&mut listing.changed);
        share::order_round_robin(&mut changed, ImportTask::creator);
        self.send_all(listing, changed);
        let unlimited = std::mem::take(&mut listing.unlimited);
        self.send_all(listing, unlimited);
        Ok(())
    }

    /// Why an event becomes no new alert, if so: its age or size, or moments that cannot be read,
    /// where a window opens at `since`.
    pub fn find_new_alert_skip_rule(&self, event: &Event, since: i64) -> Option<String> {
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
        mut task: ImportTask,
        statuses: Vec<AlertStatus>,
    ) {
        let is_new = |status: &AlertStatus| matches!(status, AlertStatus::New);
        let is_new = statuses.is_empty() || statuses.iter().any(is_new);
        let too_old = match &self.misp {
            Misp::Server(_) => self.find_new_alert_skip_rule(&task.event, listing.since),
            Misp::Feed(_) => None,
        };
        let (mut changed, mut new, mut unchanged, mut unfollowed) =
            (Vec::new(), Vec::new(), None, None);

        for (index, status) in statuses.into_iter().enumerate() {
            match status {
                AlertStatus::Changed(alert) => changed.push((index, Some(*alert))),
                AlertStatus::New => new.push((index, None)),
                AlertStatus::Unchanged(alert) => {
                    unchanged = unchanged.or(Some(self.alert_link(index, &alert)));
                }
                AlertStatus::Unfollowed(alert) => {
                    unfollowed = unfollowed.or(Some(self.alert_link(index, &alert)));
                }
            }
        }

        if !changed.is_empty() {
            // The event is known: that it gets an alert in one more organisation makes it no new
            // one.
            changed.extend(new.into_iter().filter(|_| too_old.is_none()));
            self.time.register_organisation(task.creator());
            task.alerts = changed;
            return listing.changed.push(task);
        }

        let (verdict, alert) = match (is_new, too_old, unchanged, unfollowed) {
            (true, None, ..) => {
                task.alerts = new;
                return self.queue_new_event(listing, task);
            }
            // Where some organisation has it as it is, that counts more than that another gets no
            // alert.
            (_, _, Some(alert), _) => (Verdict::Unchanged, alert),
            (true, Some(rule), None, None) => (Verdict::Skipped(rule), None),
            (_, _, None, alert) => (Verdict::Skipped(UNFOLLOWED.to_owned()), alert.flatten()),
        };
        let row = EventRow {
            alert,
            ..self.build_unread_row(&task, &verdict)
        };
        reporting::record_event(self.part, &verdict, row);
    }

    /// Where an alert can be seen, in the organisation of this number.
    pub fn alert_link(&self, target: usize, alert: &Alert) -> Option<String> {
        Some(self.targets.get(target)?.client.alert_link(&alert.id))
    }

    /// Keeps a new event, if it is among the newest of its organisation.
    fn queue_new_event(&self, listing: &mut ListState<'_>, task: ImportTask) {
        self.time.register_organisation(task.creator());
        let most = usize::try_from(self.most_new.0).unwrap_or(usize::MAX);
        if most == 0 {
            return listing.unlimited.push(task);
        }
        listing.new.push(task);

        let spare = match self.misp {
            Misp::Feed(_) => SPARE_OF_A_FEED,
            Misp::Server(_) => SPARE,
        };
        let kept = most.saturating_add(spare);
        if listing.new.len() > kept.saturating_add(SLACK) {
            self.trim_new_events(listing, kept);
        }
    }

    /// Takes out the new events that find no place if organisations take turns, each with its
    /// newest first.
    fn trim_new_events(&self, listing: &mut ListState<'_>, kept: usize) {
        let mut new = std::mem::take(&mut listing.new);
        // The uuid makes the order the same in every run.
        new.sort_by_cached_key(|task| Reverse((task.rank(), task.uuid)));
        let beyond = share::truncate_fairly(&mut new, kept, &[&ImportTask::creator]);
        listing.new = new;
        for task in beyond {
            self.record_over_limit(listing, &task);
        }
    }

    /// Records a new event that found no place. One that will soon be too old for the window may
    /// never find one.
    fn record_over_limit(&self, listing: &mut ListState<'_>, task: &ImportTask) {
        self.record_unread_event(task, Verdict::Skipped(self.most_new.1.to_owned()));
        let since = listing.since;
        let window = self.network.clock().now.saturating_sub(since);
        // A tenth of the window, but a day at least, and of a window of less than two days its
        // half.
        let soon = (window / 10).max(DAY.min(window / 2));
        let event = &task.event;
        let last = event.timestamp.max(event.publish_timestamp).unwrap_or(0);

        if since > 0 && last <= since.saturating_add(soon) {
            listing.leaving += 1;
            if listing.first_leaving.len() < NAMED {
                listing.first_leaving.push(task.uuid.to_string());
            }
        }
    }

    fn warn_leaving_window(&self, listing: &ListState<'_>) {
        if listing.leaving == 0 {
            return;
        }
        let number = format_count(
            listing.leaving,
            "event that has no alert is",
            "events that have no alert are",
        );
        let named = listing.first_leaving.join(", ");
        let more = if listing.leaving > NAMED as u64 {
            ", …"
        } else {
            ""
        };
        self.part.warn(format!(
            "{number} about to leave the window and would then never become one: {named}{more}; \
             raise \"{}\" or \"window_days\", or import more often",
            self.most_new.1
        ));
    }

    /// The new events, in turn by organisation, each with its newest first. One that is left out
    /// only once it was read, since a feed does not say how large it is, gives its place to the
    /// next.
    pub fn import_new(&self, listing: &mut ListState<'_>) {
        // Nothing is cut here: it only puts them in order.
        self.trim_new_events(listing, usize::MAX);
        let mut new = std::mem::take(&mut listing.new);
        share::order_round_robin(&mut new, ImportTask::creator);
        let mut new = new.into_iter();
        let mut places = self.most_new.0;

        while places > 0 {
            let most = usize::try_from(places).unwrap_or(usize::MAX);
            let chosen: Vec<_> = new.by_ref().take(most).collect();
            let is_all = chosen.len() < most;
            self.send_all(listing, chosen);
            if is_all {
                break;
            }
            // Only when these were read it is known how many gave their places back.
            self.turns.wait_until(listing.sent);
            places = self.given_back.swap(0, Ordering::Relaxed);
        }

        new.for_each(|task| self.record_over_limit(listing, &task));
    }

    /// Sends events to the workers: the small ones of a server in lists, then those that are read
    /// by themselves.
    fn send_all(&self, listing: &mut ListState<'_>, tasks: Vec<ImportTask>) {
        let count = |task: &ImportTask| match &self.misp {
            Misp::Server(_) => task
                .counted_attributes()
                .filter(|count| *count <= SMALL_EVENT),
            Misp::Feed(_) => None,
        };
        let attributes: u64 = tasks.iter().filter_map(count).sum();
        let (small, others): (Vec<_>, Vec<_>) =
            tasks.into_iter().partition(|task| count(task).is_some());

        let mut lists = Lists::new(attributes);
        for task in small {
            let attributes = count(&task).unwrap_or(0);
            if let Some(full) = lists.add(listing.number(task), attributes) {
                listing.queue.push(full);
            }
        }
        listing.queue.push(lists.finish());
        for task in others {
            let task = listing.number(task);
            listing.queue.push(vec![task]);
        }
    }

    /// True if an event is still as it was listed.
    pub fn is_still_as_listed(&self, task: &ImportTask) -> Result<bool> {
        // Of an event without a readable time of change nobody can say so.
        let is_same =
            |event: &Event| event.timestamp.is_some() && event.timestamp == task.event.timestamp;
        if let Some(now) = self
            .misp
            .open_event_file(&task.uuid, &task.event, &|_| Ok(()))?
        {
            return Ok(is_same(&now.head));
        }
        let now = self.misp.fetch_index_entries(&[task.uuid])?;

        Ok(now
            .iter()
            .any(|(uuid, event)| *uuid == task.uuid && is_same(event)))
    }

    /// Records an event that is not read.
    pub fn record_unread_event(&self, task: &ImportTask, verdict: Verdict) {
        reporting::record_event(self.part, &verdict, self.build_unread_row(task, &verdict));
    }

    fn build_unread_row(&self, task: &ImportTask, verdict: &Verdict) -> EventRow {
        self.build_event_row(task, verdict, task.counted_attributes())
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

    pub fn build_event_row(
        &self,
        task: &ImportTask,
        verdict: &Verdict,
        attributes: Option<u64>,
    ) -> EventRow {
        let told = (self.part, self.connection, &self.config.marks);
        let row = reporting::build_event_row(told, (&task.event, &task.uuid), verdict, attributes);
        EventRow {
            place: task.place,
            ..row
        }
    }
}

/// The event that an alert is made from. Its reference is written as this program writes it: an
/// alert of another tool may have a reference that only looks like it.
pub fn event_of_alert(alert: &Alert) -> Option<Uuid> {
    Uuid::parse_str(&alert.source_ref)
        .ok()
        .filter(|uuid| uuid.to_string() == alert.source_ref)
}
