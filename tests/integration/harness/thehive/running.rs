//! Writes that take a while. TheHive 4 looks for duplicates inside a transaction, which does not see what another one has not
//! finished: two creations of one alert at the same time are both stored. A creation is one transaction; of a list of
//! observables each value has its own, one after the other. A test says which write is slow (`World::slow_down`) and what it
//! takes until its end; no clock is involved.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::world::{Observable, Owner, World};
use super::{at_once, json_reply};
use crate::http_fake::{Call, Nth, Reply};

/// Which write is slow.
#[derive(Clone, Copy)]
pub(crate) struct Slow {
    pub(crate) on: Write,
    /// Counted from the moment it is ordered.
    pub(crate) nth: Nth,
    pub(crate) takes: Takes,
    /// Whether a gateway in front gives up at once, with 504, while the write goes on. Otherwise its answer comes at its end,
    /// whether or not somebody still waits for it.
    pub(crate) gateway: bool,
}

/// A kind of write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// An alert is created, with what it has inline.
    Alert,
    /// Observables are added.
    Observables,
    /// Something is changed or deleted; what it was is seen until the end.
    Change,
}

/// What a write takes until its end.
#[derive(Clone, Copy)]
pub(crate) enum Takes {
    /// So many later requests, of whomever: the values of a list are stored one after the other while they come in. With
    /// nobody else there, a client that waits for its answer waits for ever: then a gateway has to give up.
    Requests(usize),
    /// Until a test says so: [`World::step`], [`World::finish`].
    Told,
    /// Until so many of them have begun, which then end together, value by value in turn.
    Together(usize),
}

/// A write that has begun and not ended.
#[derive(Clone)]
pub(crate) struct Running {
    takes: Takes,
    /// Which order it comes from.
    order: usize,
    requests: usize,
    /// One call for each transaction still to be begun, the one that is open included.
    rest: VecDeque<Call>,
    /// What the open transaction will have written, and its answer.
    open: Option<(Written, Reply)>,
    replies: Vec<Reply>,
    total: usize,
    /// Whether the answers are of values of a list.
    is_list: bool,
    answer: Arc<watch::Sender<Option<Reply>>>,
}

/// What one transaction adds.
#[derive(Clone)]
struct Written {
    alerts: Vec<Value>,
    observables: Vec<Observable>,
    attachments: BTreeMap<String, Vec<u8>>,
    owners: BTreeMap<String, Owner>,
}

impl World {
    /// Makes a write slow.
    pub(crate) fn slow_down(&mut self, slow: Slow) {
        self.slow.push((slow, 0));
    }

    /// How many writes are running.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Ends one transaction of every running write.
    pub(crate) fn step(&mut self) {
        each(self, |_| true);
    }

    /// Ends all running writes, and makes no further one slow.
    pub(crate) fn finish(&mut self) {
        self.slow.clear();
        while !self.running.is_empty() {
            self.step();
        }
    }
}

/// Takes over a call that is to be slow, and gives the answer if there is one already.
pub(super) fn begin(world: &mut World, call: &Call) -> Option<Reply> {
    let order = struck(world, call)?;
    let slow = world.slow.get(order)?.0;
    let rest = transactions(call);
    let open = match (slow.on, rest.front()) {
        (Write::Alert | Write::Observables, Some(first)) => Some(opened(world, first)),
        _ => None,
    };
    // What is refused is refused before anything is written.
    if let Some((_, refused)) = open.as_ref().filter(|(_, reply)| reply.status >= 400) {
        return Some(refused.clone());
    }
    let (answer, later) = watch::channel(None);
    let (total, is_list) = (rest.len(), slow.on == Write::Observables);
    let answer = Arc::new(answer);
    let replies = Vec::new();
    world.running.push(Running {
        takes: slow.takes,
        order,
        requests: 0,
        rest,
        open,
        replies,
        total,
        is_list,
        answer,
    });
    let is_of_order = |one: &Running| one.order == order;
    if matches!(slow.takes, Takes::Together(many) if world.running.iter().filter(|one| is_of_order(one)).count() >= many)
    {
        while world.running.iter().any(is_of_order) {
            each(world, is_of_order);
        }
    }
    if slow.gateway {
        let page =
            "<html><head><title>504 Gateway Time-out</title></head><body>nginx</body></html>";
        return Some(Reply::bytes(504, "text/html", page.into()));
    }
    world.later = Some(later);
    Some(Reply::bytes(200, "text/plain", Vec::new()))
}

/// A request has come in: what waits for requests goes on.
pub(super) fn go_on(world: &mut World) {
    for one in &mut world.running {
        one.requests += 1;
    }
    let is_due = |one: &Running| match one.takes {
        Takes::Requests(all) => one.total - one.rest.len() < one.total * one.requests / all.max(1),
        Takes::Told | Takes::Together(_) => false,
    };
    while world.running.iter().any(is_due) {
        each(world, is_due);
    }
}

fn struck(world: &mut World, call: &Call) -> Option<usize> {
    let path = call.path.split('?').next().unwrap_or_default();
    let write = match call.method.as_str() {
        "POST" if path.ends_with("/alert") => Write::Alert,
        "POST" if path.ends_with("/artifact") || path.ends_with("/observable") => {
            Write::Observables
        }
        "PATCH" | "DELETE" => Write::Change,
        _ => return None,
    };
    let mut found = None;
    for (at, (slow, seen)) in world
        .slow
        .iter_mut()
        .enumerate()
        .filter(|(_, (slow, _))| slow.on == write)
    {
        *seen += 1;
        if found.is_none() && slow.nth.hits(*seen) {
            found = Some(at);
        }
    }
    found
}

/// The call itself, or one for each value of its list.
fn transactions(call: &Call) -> VecDeque<Call> {
    let json: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let values = json["data"]
        .as_array()
        .filter(|_| call.method == "POST")
        .cloned()
        .unwrap_or_default();
    if values.is_empty() {
        return VecDeque::from([call.clone()]);
    }
    let one = |value: Value| {
        let mut json = json.clone();
        json["data"] = value;
        Call {
            body: json.to_string().into_bytes(),
            ..call.clone()
        }
    };
    values.into_iter().map(one).collect()
}

/// A transaction on what is there now: what it will have written at its end.
fn opened(world: &mut World, call: &Call) -> (Written, Reply) {
    let mut inside = world.clone();
    let reply = at_once(&mut inside, call);
    (world.now, world.losing) = (inside.now, inside.losing);
    world.count_on_from(&inside);
    let new = |id: &String| !world.owners.contains_key(id);
    let written = Written {
        alerts: inside
            .alerts
            .split_off(world.alerts.len().min(inside.alerts.len())),
        observables: inside
            .observables
            .split_off(world.observables.len().min(inside.observables.len())),
        attachments: inside.attachments,
        owners: inside
            .owners
            .into_iter()
            .filter(|(id, _)| new(id))
            .collect(),
    };
    (written, reply)
}

fn commit(world: &mut World, written: Written) {
    let parents: Vec<String> = written
        .observables
        .iter()
        .map(|one| one.parent.clone())
        .collect();
    world.alerts.extend(written.alerts);
    world.observables.extend(written.observables);
    world.attachments.extend(written.attachments);
    world.owners.extend(written.owners);
    for parent in parents {
        world.recount(&parent);
    }
}

/// Ends the open transaction of those asked for, and begins their next one; what has ended is answered.
fn each(world: &mut World, is_wanted: impl Fn(&Running) -> bool) {
    let mut running = std::mem::take(&mut world.running);
    for one in running.iter_mut().filter(|one| is_wanted(one)) {
        let call = one.rest.pop_front();
        match (one.open.take(), call) {
            (Some((written, reply)), _) => {
                commit(world, written);
                one.replies.push(reply);
            }
            (None, Some(call)) => one.replies.push(at_once(world, &call)),
            (None, None) => {}
        }
        one.open = one.rest.front().map(|next| opened(world, next));
    }
    for ended in running.iter().filter(|one| one.rest.is_empty()) {
        ended.answer.send_replace(Some(answer(ended)));
    }
    running.retain(|one| !one.rest.is_empty());
    world.running = running;
}

/// The answers to the values of a list as one.
fn answer(ended: &Running) -> Reply {
    let (Some(first), true) = (ended.replies.first(), ended.is_list) else {
        return ended
            .replies
            .first()
            .cloned()
            .unwrap_or_else(|| json_reply(201, &json!([])));
    };
    if ended.replies.len() == 1 {
        return first.clone();
    }
    let (mut success, mut failure) = (Vec::new(), Vec::new());
    for reply in &ended.replies {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match &body {
            Value::Array(stored) => success.extend(stored.iter().cloned()),
            Value::Object(_) if reply.status == 207 => {
                success.extend(body["success"].as_array().into_iter().flatten().cloned());
                failure.extend(body["failure"].as_array().into_iter().flatten().cloned());
            }
            _ => failure.push(body),
        }
    }
    if failure.is_empty() {
        json_reply(201, &success.into())
    } else {
        json_reply(207, &json!({"success": success, "failure": failure}))
    }
}
