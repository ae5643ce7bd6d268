//! Which event a case is exported to, and which others are this case's too. An event is the case's if its uuid is computed
//! from the case, or if a tag shows that this installation exported the case, or one that was merged into it, to that event.
//! A uuid alone is no proof on a server: there the creator organisation counts too.

use anyhow::{Context, Result};
use uuid::Uuid;

use super::apply::One;
use super::event_tags::{self, CaseName, EventTag, Standing};
use crate::config::connections;
use crate::ids::Ids;
use crate::misp::Misp;
use crate::misp::wire::Event;
use crate::secret::{Secret, shortened};

/// Events of doubtful tags that the message names.
const NAMED: usize = 3;
/// The longest tag that it shows, in characters.
const LONGEST_TAG: usize = 200;

/// An event of a case.
pub(super) struct Target {
    pub(super) uuid: Uuid,
    /// The event that a new one extends.
    pub(super) extends: Option<Uuid>,
    /// Its head, if it is there.
    pub(super) event: Option<Event>,
}

/// The events of a case.
pub(super) struct Targets {
    /// The one that new IOCs go to.
    pub(super) main: Target,
    /// Others that are there: they become as strict as the case, and what is no IOC any more is retracted there too.
    pub(super) followed: Vec<Target>,
    /// What the event can be called if its uuid turns out to be held by an event that we cannot see.
    pub(super) others: Vec<Uuid>,
}

/// An event that is there.
type There = (Uuid, Event);

impl One<'_> {
    /// The connection as it stands in tags: its name, and its key where it has one.
    pub(super) fn tagged_as(&self) -> (&str, Option<&Secret>) {
        let key = match &self.connection.target {
            connections::Target::Server { key, .. } => Some(key),
            connections::Target::Feed { .. } | connections::Target::WebFeed { .. } => None,
        };
        (&self.connection.name, key)
    }

    /// The event computed from the case; else the oldest that a tag proves; else a new one. Tags that prove nothing are
    /// named in the message.
    pub(super) fn targets(&self, misp: &Misp) -> Result<Targets> {
        let (new, old) = self.own_uuids();
        let is_own = |uuid: &Uuid| new.contains(uuid) || old.contains(uuid);
        let tags = event_tags::of_connection(&self.input.case.tags, &self.connection.name);
        let is_signed = |tag: &&EventTag| event_tags::is_signed(tag, self.ids, self.tagged_as(), self.case_name());
        let signed = tags.iter().filter(is_signed).map(|tag| tag.uuid).chain(self.confirmed);
        let origin = self.input.origin.as_ref().filter(|(name, _)| *name == self.connection.name);
        let origin = origin.map(|(_, uuid)| *uuid).filter(|uuid| !is_own(uuid));
        let signed: Vec<Uuid> = signed.filter(|uuid| !is_own(uuid)).collect();
        let asked: Vec<_> = new.iter().chain(&old).chain(&signed).copied().chain(origin).collect();
        let there = misp.there(&asked)?;

        let standings = self.standings(&tags, &there);
        let is_proven = |uuid: &Uuid| {
            let mut all = tags.iter().zip(&standings);
            self.confirmed == Some(*uuid)
                || all.any(|(tag, standing)| tag.uuid == *uuid && *standing == Standing::Proven)
        };
        let mut tagged: Vec<Uuid> = tags.iter().map(|tag| tag.uuid).collect();
        tagged.retain(|uuid| !is_own(uuid) && is_proven(uuid));
        tagged.sort_unstable();
        tagged.dedup();

        let all_own: Vec<Uuid> = new.iter().chain(&old).copied().collect();
        let (mut ours, claimed) = self.computed(misp, &there, &all_own, &is_proven)?;
        ours.extend(self.merged(misp, &there, &tagged)?);
        let doubtful = tags.iter().zip(&standings).filter(|(tag, _)| !is_own(&tag.uuid) && !is_proven(&tag.uuid));
        self.tell_doubtful(doubtful, misp);

        let mut ours = ours.into_iter().map(|(uuid, event)| Target { uuid, extends: None, event: Some(event) });
        let mut free = new.into_iter().filter(|uuid| !claimed.contains(uuid));
        let main = ours.next().or_else(|| {
            let extends = origin.filter(|uuid| head_of(&there, uuid).is_some());
            Some(Target { uuid: free.next()?, extends, event: None })
        });
        let main = main.context(
            "every uuid that this case's event can have is held by events of other organisations (\"instance_secret\" makes \
             uuids that nobody else can claim)",
        )?;
        let others = free.filter(|uuid| *uuid != main.uuid).collect();
        Ok(Targets { followed: ours.collect(), main, others })
    }

    /// The case as its tags name it.
    pub(super) fn case_name(&self) -> CaseName<'_> {
        let case = &self.input.case;
        CaseName { id: &case.id, created: &case.created, organisation: self.organisation, title: &case.title }
    }

    fn standings(&self, tags: &[EventTag], there: &[There]) -> Vec<Standing> {
        let info = |uuid: &Uuid| head_of(there, uuid).map(|event| event.info.clone());
        let has_case = |case: &str| self.thehive.map(|thehive| thehive.has_case(case));
        event_tags::standings(tags, self.ids, self.tagged_as(), self.case_name(), info, has_case)
    }

    /// The events that are there with a uuid computed from the case, and those of these uuids that another organisation
    /// claimed. Who we are is asked only where neither a tag nor the uuid itself proves that the event is ours.
    fn computed(
        &self,
        misp: &Misp,
        there: &[There],
        uuids: &[Uuid],
        is_proven: &dyn Fn(&Uuid) -> bool,
    ) -> Result<(Vec<There>, Vec<Uuid>)> {
        let (mut ours, mut claimed) = (Vec::new(), Vec::new());
        for uuid in uuids {
            let Some(event) = head_of(there, uuid) else { continue };
            // One of ours that came by synchronisation is looked at later: it is read only.
            let is_ours = is_proven(uuid) || self.ids.is_proven(uuid);
            if is_ours || misp.is_of_own_organisation(event)? {
                ours.push((*uuid, event.clone()));
            } else {
                self.tell_claimed(uuid, event);
                claimed.push(*uuid);
            }
        }
        Ok((ours, claimed))
    }

    /// The events that are there and that tags prove, the oldest first, whatever order the tags have.
    fn merged(&self, misp: &Misp, there: &[There], uuids: &[Uuid]) -> Result<Vec<There>> {
        let mut merged = Vec::new();
        for uuid in uuids {
            let Some(event) = head_of(there, uuid) else { continue };
            if misp.owns(event)? {
                merged.push((*uuid, event.clone()));
            } else {
                self.part.warn(format!(
                    "event {uuid}, which is this case's too, is managed on another MISP or by another organisation: nothing \
                     is written there"
                ));
            }
        }
        merged.sort_by_key(|(uuid, event)| (event.id.parse::<u64>().unwrap_or(u64::MAX), *uuid));
        Ok(merged)
    }

    /// The uuids that the case's event can have, in their order: those that a new one gets, and those that it got before the
    /// installation had a secret.
    fn own_uuids(&self) -> (Vec<Uuid>, Vec<Uuid>) {
        let case = &self.input.case;
        let of = |ids: &Ids| {
            let event = ids.event(&case.id, &case.created);
            let extension = ids.id(&event, &["extends", &event.to_string()]);
            [event, extension].into_iter().chain(ids.fallbacks(&event)).collect::<Vec<_>>()
        };
        let old = if self.ids.has_secret() { of(&self.ids.without_secret()) } else { Vec::new() };
        (of(self.ids), old)
    }

    /// Somebody else's event with the uuid that ours would have.
    fn tell_claimed(&self, uuid: &Uuid, event: &Event) {
        self.part.warn(format!(
            "event {uuid}, whose uuid is computed from this case, was made by organisation \"{}\": it is left alone, and the \
             case has another event. \"instance_secret\" makes uuids that nobody else can claim",
            self.part.run.shown(event.organisation())
        ));
    }

    /// Tags that are not followed: which, what they name, why, and what can be done.
    fn tell_doubtful<'t>(&self, tags: impl Iterator<Item = (&'t EventTag, &'t Standing)>, misp: &Misp) {
        let doubtful = |(tag, standing): (&'t EventTag, &'t Standing)| match standing {
            Standing::Doubtful(why) => Some((tag, why.as_str())),
            Standing::Proven => None,
        };
        let mut events: Vec<(Uuid, Vec<String>, Vec<&str>)> = Vec::new();
        for (tag, why) in tags.filter_map(doubtful) {
            let name = shortened(&self.part.run.clean(&tag.tag), LONGEST_TAG);
            match events.iter_mut().find(|(uuid, ..)| *uuid == tag.uuid) {
                Some((_, names, reasons)) => {
                    names.push(name);
                    reasons.extend(Some(why).filter(|why| !reasons.contains(why)));
                }
                None => events.push((tag.uuid, vec![name], vec![why])),
            }
        }
        if events.is_empty() {
            return;
        }
        let uuids: Vec<_> = events.iter().take(NAMED).map(|(uuid, ..)| *uuid).collect();
        // What the event is called is only told, so that an error in asking stops nothing.
        let there = misp.there(&uuids).unwrap_or_default();
        for (uuid, names, reasons) in events.iter().take(NAMED) {
            let (tag, s) = if names.len() == 1 { ("tag", "s") } else { ("tags", "") };
            self.part.note(format!(
                "the case's {tag} {} name{s} {}, and nothing shows that this is an event of the case: {}. Nothing was written \
                 there. Whoever may write tags of the case, of its alerts or of the MISP events behind them can have set it. If \
                 the event is the case's, run the export with the parameter \"confirm_event\": \"{uuid}\"; otherwise take the \
                 tag away",
                names.join(", "),
                self.described(&there, uuid),
                reasons.join("; "),
            ));
        }
        if events.len() > NAMED {
            let more = events.len() - NAMED;
            self.part.note(format!("tags of the case name {more} more events that are not followed, for such reasons"));
        }
    }

    /// An event as a message names it.
    fn described(&self, there: &[There], uuid: &Uuid) -> String {
        let run = &self.part.run;
        let Some(event) = head_of(there, uuid) else {
            return format!("an event that is not there or cannot be seen, {uuid}");
        };
        let name = run.shown(if event.id.is_empty() { &event.uuid } else { &event.id });
        let organisation = match event.organisation() {
            "" => "an organisation that is not shown".to_owned(),
            name => format!("organisation \"{}\"", run.shown(name)),
        };
        format!("event {name} \"{}\" of {organisation}", run.shown(&event.info))
    }
}

fn head_of<'t>(there: &'t [There], uuid: &Uuid) -> Option<&'t Event> {
    there.iter().find(|(known, _)| known == uuid).map(|(_, event)| event)
}
