//! The import from one connection: the list of a window is compared, page by page, with the alerts that are there, and
//! only what is new or changed is read, several events at once. There is no state beside TheHive and MISP, and no cursor:
//! the comparison is made anew at every run. What was not listed and has an alert is asked for by name at the end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Result, anyhow, bail};
use uuid::Uuid;

use super::compare::{self, Fate};
use super::desk::Desk;
use super::event::Task;
use super::loop_guard::is_own_export;
use super::names::Resolved;
use super::turns::Turns;
use super::{Config, map, told};
use crate::config::connections::Connection;
use crate::full::{EventLine, PartOf};
use crate::http::Network;
use crate::ids::{self, Ids};
use crate::ledger::{Item, Verdict};
use crate::misp::wire::Event;
use crate::misp::{Listed, Misp, Window};
use crate::thehive::wire::Alert;

/// Events compared at once.
const PAGE: usize = 500;
/// New events kept beyond those that a run creates, to take the places of such as are left out when they are read.
const SPARE: usize = 500;
/// The same for a feed, whose filters are checked only then.
const SPARE_OF_A_FEED: usize = 5_000;
const NO_TIME: &str = "the deadline is near (\"deadline_minutes\"): the rest comes with the next run";

const UNFOLLOWED: &str = "updates are switched off in TheHive (follow)";
const DEFECT: &str = "a defect of this program stopped the work on it: please report it";

/// The import from one connection.
pub(super) struct Sync<'a> {
    pub(super) connection: &'a Connection,
    pub(super) network: &'a Network,
    pub(super) ids: &'a Ids,
    pub(super) config: &'a Config,
    pub(super) part: &'a PartOf,
    pub(super) misp: Misp,
    /// Where the alerts go; none if they are only reported.
    pub(super) desks: Vec<&'a Desk>,
    pub(super) dry_run: bool,
    /// The most new alerts, 0 for no limit, and the rule that says so.
    pub(super) most_new: (u64, &'static str),
    /// The names in the filters, as the server knows them.
    pub(super) names: Resolved,
    pub(super) turns: Turns,
    /// New events that did not become alerts, since a filter keeps them out that can be checked only when they are read.
    pub(super) given_back: AtomicU64,
}

/// An event of the list, with the alerts that it has.
struct Row {
    place: u64,
    event: Box<Event>,
    uuid: Uuid,
}

/// What is found out while the list is read.
pub(super) struct Listing<'l> {
    tasks: &'l SyncSender<Task>,
    rows: Vec<Row>,
    new: BinaryHeap<Reverse<New>>,
    /// Events so far, and those of them that were sent to the workers.
    place: u64,
    sent: u64,
    /// Events whose fate is decided, so that none is looked at twice.
    pub(super) handled: HashSet<Uuid>,
}

/// A new event, ordered by its number, or in a feed by its last change.
struct New {
    rank: i64,
    task: Task,
}

impl PartialEq for New {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for New {}

impl PartialOrd for New {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for New {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.rank, self.task.uuid).cmp(&(other.rank, other.task.uuid))
    }
}

impl Sync<'_> {
    /// Imports the events of a window, and then looks after the alerts that were not in it.
    ///
    /// # Errors
    /// What stopped the list. The events that were listed before are imported all the same.
    pub(super) fn window(&self, since: i64) -> Result<()> {
        let published_only = self.config.filters.published_only;
        let window = Window { since, published_only, only: self.names.only.clone() };
        self.with_workers(|listing| {
            let listed = self.misp.list(window, &mut |listed| self.row(listing, listed));
            // What was listed before the list broke off is compared all the same.
            let compared = self.compare(listing);
            let gone = listed.and(compared).and_then(|()| self.revisit(listing, since));
            self.import_new(listing);
            gone.map(|gone| self.withdraw(gone))
        })
    }

    /// Imports these events, whatever their age.
    ///
    /// # Errors
    /// What stopped the comparison.
    pub(super) fn these(&self, events: Vec<(Uuid, Event)>) -> Result<()> {
        self.with_workers(|listing| {
            for (uuid, event) in events {
                self.row(listing, Listed::Event(Box::new(event), uuid))?;
            }
            self.compare(listing)?;
            self.import_new(listing);
            Ok(())
        })
    }

    /// Events are read and written by so many threads at once, each event by one of them.
    fn with_workers(&self, list: impl FnOnce(&mut Listing<'_>) -> Result<()>) -> Result<()> {
        let (sender, receiver) = sync_channel::<Task>(1);
        let receiver = Mutex::new(receiver);
        let listed = thread::scope(|scope| {
            for _ in 0..self.config.settings.max_parallel.clamp(1, 16) {
                scope.spawn(|| self.work(&receiver));
            }
            let mut listing = Listing {
                tasks: &sender,
                rows: Vec::new(),
                new: BinaryHeap::new(),
                place: 0,
                sent: 0,
                handled: HashSet::new(),
            };
            let listed = list(&mut listing);
            drop(sender);
            listed
        });
        self.part.with(|part| part.events.sort_by_key(|line| line.place));
        listed
    }

    fn work(&self, tasks: &Mutex<Receiver<Task>>) {
        loop {
            let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(task) = task else { return };
            let turn = self.turns.take(task.turn);
            if self.network.clock().is_near_the_end() {
                self.conclude(task.place, &task.event, &task.uuid, &Verdict::Failed(NO_TIME.to_owned()));
            } else if catch_unwind(AssertUnwindSafe(|| self.import(&task, &turn))).is_err() {
                // What it had begun to count is settled at the end.
                self.conclude(task.place, &task.event, &task.uuid, &Verdict::Failed(DEFECT.to_owned()));
            }
        }
    }

    /// One event of the list.
    pub(super) fn row(&self, listing: &mut Listing<'_>, listed: Listed) -> Result<()> {
        self.part.fetched(Item::Events, 1);
        listing.place += 1;
        let place = listing.place;
        let (event, uuid) = match listed {
            Listed::Event(event, uuid) => (event, uuid),
            Listed::Bad(problem) => {
                self.part.record(Item::Events, &Verdict::Failed(problem.clone()), 1);
                self.part.fail(problem);
                return Ok(());
            }
        };
        if self.network.clock().is_near_the_end() {
            bail!(NO_TIME);
        }
        self.note_foreign(&uuid);
        if !listing.handled.insert(uuid) {
            self.conclude(place, &event, &uuid, &Verdict::Skipped("listed twice".to_owned()));
            return Ok(());
        }
        let rule = match &self.misp {
            Misp::Server(_) => self.rule(&event, &uuid),
            // The rest is decided by its file, once it is opened.
            Misp::Feed(_) => None,
        };
        if let Some(rule) = rule {
            self.conclude(place, &event, &uuid, &Verdict::Skipped(rule));
            return Ok(());
        }
        listing.rows.push(Row { place, event, uuid });
        if listing.rows.len() >= PAGE || self.desks.is_empty() { self.compare(listing) } else { Ok(()) }
    }

    /// The rule that keeps an event out; none if it passes.
    pub(super) fn rule(&self, event: &Event, uuid: &Uuid) -> Option<String> {
        let filters = &self.config.filters;
        let is_own = is_own_export(filters, &self.misp, self.ids, self.part, event, uuid);
        filters.rule(event, is_own).or_else(|| self.names.rule(event))
    }

    /// Compares the events at hand with the alerts that they have: one query for each organisation.
    pub(super) fn compare(&self, listing: &mut Listing<'_>) -> Result<()> {
        let rows = std::mem::take(&mut listing.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let uuids: Vec<Uuid> = rows.iter().map(|row| row.uuid).collect();
        let source = map::source(&self.connection.name, &self.part.run.scrubber());
        let mut alerts: Vec<HashMap<Uuid, Alert>> = Vec::new();
        let mut unreadable = HashMap::new();
        for desk in &self.desks {
            let (found, flawed) = desk.hive.alerts_of(&source, &uuids)?;
            unreadable.extend(flawed);
            alerts.push(found.into_iter().filter_map(|alert| Some((named(&alert)?, alert))).collect());
        }
        for row in rows {
            if let Some(reason) = unreadable.remove(&row.uuid) {
                self.conclude(row.place, &row.event, &row.uuid, &Verdict::Failed(reason));
                continue;
            }
            let fates = alerts.iter_mut().map(|known| compare::fate(&row.event, &row.uuid, known.remove(&row.uuid)));
            let fates: Vec<Fate> = fates.collect();
            self.decide(listing, row, fates)?;
        }
        Ok(())
    }

    /// What is to be done with an event, given what it is to each organisation. Changed alerts come before new ones.
    fn decide(&self, listing: &mut Listing<'_>, row: Row, fates: Vec<Fate>) -> Result<()> {
        let Row { place, event, uuid } = row;
        let is_new = fates.is_empty() || fates.iter().any(|fate| matches!(fate, Fate::New));
        let too_old = match &self.misp {
            Misp::Server(_) => self.config.filters.creation_rule(&event, self.network.clock().now),
            Misp::Feed(_) => None,
        };
        let (mut changed, mut new, mut unchanged, mut unfollowed) = (Vec::new(), Vec::new(), None, None);
        let link = |desk: usize, alert: &Alert| Some(self.desks.get(desk)?.hive.alert_link(&alert.id));
        for (desk, fate) in fates.into_iter().enumerate() {
            match fate {
                Fate::Changed(alert) => changed.push((desk, Some(*alert))),
                Fate::New => new.push((desk, None)),
                Fate::Unchanged(alert) => unchanged = unchanged.or(Some(link(desk, &alert))),
                Fate::Unfollowed(alert) => unfollowed = unfollowed.or(Some(link(desk, &alert))),
            }
        }
        if !changed.is_empty() {
            // The event is known: that it gets an alert in one more organisation makes it no new one.
            changed.extend(new.into_iter().filter(|_| too_old.is_none()));
            return self.send(listing, Task { place, turn: 0, event, uuid, alerts: changed });
        }
        let (verdict, alert) = match (is_new, too_old, unchanged, unfollowed) {
            (true, None, ..) => return self.keep(listing, Task { place, turn: 0, event, uuid, alerts: new }),
            (_, _, Some(alert), _) => (Verdict::Unchanged, alert),
            (true, Some(rule), None, None) => (Verdict::Skipped(rule), None),
            (_, _, None, alert) => (Verdict::Skipped(UNFOLLOWED.to_owned()), alert.flatten()),
        };
        let line = self.unread(place, &event, &uuid, &verdict);
        self.tell(&verdict, EventLine { alert, ..line });
        Ok(())
    }

    /// Keeps a new event, if it is among the newest.
    fn keep(&self, listing: &mut Listing<'_>, task: Task) -> Result<()> {
        let (most, rule) = self.most_new;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if most == 0 {
            return self.send(listing, task);
        }
        let rank = task.event.id.parse().ok().or(task.event.timestamp).unwrap_or(0);
        listing.new.push(Reverse(New { rank, task }));
        let spare = if matches!(self.misp, Misp::Feed(_)) { SPARE_OF_A_FEED } else { SPARE };
        if listing.new.len() > most.saturating_add(spare)
            && let Some(Reverse(New { task, .. })) = listing.new.pop()
        {
            self.conclude(task.place, &task.event, &task.uuid, &Verdict::Skipped(rule.to_owned()));
        }
        Ok(())
    }

    /// The new events, newest first. One that is left out only once it was read, since a feed does not say how large it is,
    /// gives its place to the next.
    pub(super) fn import_new(&self, listing: &mut Listing<'_>) {
        let (most, rule) = self.most_new;
        let mut new = std::mem::take(&mut listing.new).into_vec();
        new.sort_unstable();
        let mut new = new.into_iter().map(|Reverse(New { task, .. })| task);
        let mut places = most;
        while places > 0 {
            let mut sent = 0;
            for task in new.by_ref().take(usize::try_from(places).unwrap_or(usize::MAX)) {
                // The workers take what comes until the end; without time they say so.
                sent += u64::from(self.send(listing, task).is_ok());
            }
            if sent < places {
                break;
            }
            self.turns.wait_until(listing.sent);
            places = self.given_back.swap(0, Ordering::Relaxed);
        }
        new.for_each(|task| self.conclude(task.place, &task.event, &task.uuid, &Verdict::Skipped(rule.to_owned())));
    }

    fn send(&self, listing: &mut Listing<'_>, task: Task) -> Result<()> {
        let task = Task { turn: listing.sent, ..task };
        listing.tasks.send(task).map_err(|_| anyhow!("the import stopped"))?;
        listing.sent += 1;
        Ok(())
    }

    /// True if an event is still as it was listed.
    pub(super) fn is_same(&self, task: &Task) -> Result<bool> {
        if let Some(now) = self.misp.opened(&task.uuid, &task.event, &|_| Ok(()))? {
            return Ok(now.head.timestamp == task.event.timestamp);
        }
        let now = self.misp.listed(&[task.uuid])?;
        Ok(now.iter().any(|(uuid, event)| *uuid == task.uuid && event.timestamp == task.event.timestamp))
    }

    /// Records an event that is not read.
    pub(super) fn conclude(&self, place: u64, event: &Event, uuid: &Uuid, verdict: &Verdict) {
        self.tell(verdict, self.unread(place, event, uuid, verdict));
    }

    fn unread(&self, place: u64, event: &Event, uuid: &Uuid, verdict: &Verdict) -> EventLine {
        let attributes = event.attribute_count.and_then(|count| u64::try_from(count).ok());
        EventLine { place, ..self.line(event, uuid, verdict, attributes) }
    }

    fn tell(&self, verdict: &Verdict, line: EventLine) {
        if let Verdict::Failed(reason) = verdict {
            self.part.fail(format!("event {}: {reason}", line.uuid));
        }
        self.part.record(Item::Events, verdict, 1);
        self.part.show_event(line);
    }

    /// An export of another installation is an event like any other; if it is this one under another name, the loop
    /// guard cannot know, so the reader is told.
    fn note_foreign(&self, uuid: &Uuid) {
        if self.config.filters.loop_guard && ids::is_ours(uuid) && !self.ids.is_mine(uuid) {
            let instance = self.ids.instance();
            self.part.warn(format!(
                "some events were exported by cortex-misp under another instance name than \"{instance}\": if they are your own, \
                 set \"instance\" to the same name in both workers"
            ));
        }
    }

    pub(super) fn line(&self, event: &Event, uuid: &Uuid, verdict: &Verdict, attributes: Option<u64>) -> EventLine {
        told::line((self.part, self.connection, &self.config.marks), (event, uuid), verdict, attributes)
    }
}

/// The event that an alert is made from. Its reference is written as this program writes it: an alert of another tool may
/// have a reference that only looks like it.
pub(super) fn named(alert: &Alert) -> Option<Uuid> {
    Uuid::parse_str(&alert.source_ref).ok().filter(|uuid| uuid.to_string() == alert.source_ref)
}
