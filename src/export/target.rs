//! Which event a case is exported to, and which others are this case's too. An event is the case's
//! if its uuid is computed from the case, or if a tag shows that this installation exported the
//! case, or one that was merged into it, to that event. Neither is enough where the event is not
//! our own organisation's. An event that a tag `misp:into` names (`into.rs`) goes before all of
//! them.

use anyhow::{Context, Result, anyhow};
use uuid::Uuid;

use super::case::ExportInput;
use super::connection::ConnectionExport;
use super::event_tags::{self, CaseName, EventTag, Standing};
use crate::config::connections::{self, Connection};
use crate::http;
use crate::ids::EventRole;
use crate::misp::wire::Event;
use crate::misp::{FoundEvent, FoundEvents, Misp, Whose};
use crate::secret::{Secret, truncate_text};
use crate::thehive::Holder;

/// Events of doubtful tags that the message names.
const NAMED: usize = 3;
/// The longest tag that it shows, in characters.
const LONGEST_TAG: usize = 200;

/// An event of a case.
pub struct Target {
    pub uuid: Uuid,
    /// The event that a new one extends.
    pub extends: Option<Uuid>,
    /// What is there.
    pub there: Option<FoundEvent>,
    /// Whose it is.
    pub role: EventRole,
}

/// The events of a case.
pub struct Targets {
    /// The one that new IOCs go to; or why nothing may be added to the one that a tag names, while
    /// what is there of the case becomes stricter.
    pub main: Result<Target>,
    /// Others that are there: they become as strict as the case, and what is no IOC any more is
    /// retracted there too.
    pub followed: Vec<Target>,
    /// What the event can be called if its uuid turns out to be held by an event that we cannot
    /// see.
    pub others: Vec<Uuid>,
}

/// An event that is there.
type There = (Uuid, Event);

/// What shows that an event is the case's.
struct Evidence<'t> {
    /// The event that the job confirms.
    confirmed: Option<Uuid>,
    tags: &'t [EventTag],
    /// What is known of each tag.
    standings: &'t [Standing],
}

impl<'t> Evidence<'t> {
    fn tags_with_standing(&self) -> impl Iterator<Item = (&'t EventTag, &'t Standing)> + use<'t> {
        self.tags.iter().zip(self.standings)
    }

    fn has(&self, uuid: &Uuid, standing: &Standing) -> bool {
        self.tags_with_standing()
            .any(|(tag, of_tag)| tag.uuid == *uuid && of_tag == standing)
    }

    fn is_proven(&self, uuid: &Uuid) -> bool {
        self.has(uuid, &Standing::Proven)
    }

    fn is_shown(&self, uuid: &Uuid) -> bool {
        self.is_proven(uuid) || self.is_confirmed(uuid) || self.has(uuid, &Standing::Into)
    }

    /// True for another case's event that somebody confirmed.
    fn is_confirmed(&self, uuid: &Uuid) -> bool {
        self.confirmed == Some(*uuid) || self.has(uuid, &Standing::Confirmed)
    }

    /// Whose an event is that is not computed from the case.
    fn role_of(&self, uuid: &Uuid) -> EventRole {
        match () {
            () if self.is_proven(uuid) => EventRole::Own,
            () if self.is_confirmed(uuid) => EventRole::Guest,
            () => EventRole::Into,
        }
    }

    /// The events that tags name rightly, each once.
    fn shown_events(&self) -> Vec<Uuid> {
        let uuids = self.tags.iter().map(|tag| tag.uuid);
        let mut shown: Vec<_> = uuids.filter(|uuid| self.is_shown(uuid)).collect();
        shown.sort_unstable();
        shown.dedup();

        shown
    }

    /// The tags whose event nothing shows to be the case's.
    fn unshown_tags(&self) -> impl Iterator<Item = (&'t EventTag, &'t Standing)> {
        self.tags_with_standing()
            .filter(|(tag, _)| !self.is_shown(&tag.uuid))
    }
}

impl ConnectionExport<'_> {
    /// The connection as it stands in tags: its name, and its key where it has one.
    pub fn connection_identity(&self) -> (&str, Option<&Secret>) {
        let key = match &self.connection.target {
            connections::Target::Server { key, .. } => Some(key),
            connections::Target::Feed { .. } | connections::Target::WebFeed { .. } => None,
        };
        (&self.connection.name, key)
    }

    /// The event that a tag `misp:into` names; else the one computed from the case; else the oldest
    /// that a tag proves; else a new one. Tags that prove nothing are named in the message.
    pub fn select_targets(&self, misp: &Misp) -> Result<Targets> {
        let (new, old) = self.computed_uuids();
        let is_own = |uuid: &Uuid| new.contains(uuid) || old.contains(uuid);
        let tags = event_tags::of_connection(&self.input.case.tags, &self.connection.name);
        let named = self.find_named_event(misp)?;
        let asked = new.iter().chain(&old).copied().collect();
        let FoundEvents {
            heads: there,
            mut contents,
        } = self.find_candidates(misp, asked, &tags, named)?;
        let standings = self.assess_tags(&tags, &there);
        let evidence = Evidence {
            confirmed: self.check_confirmed_event(misp, &tags, &there, &is_own)?,
            tags: &tags,
            standings: &standings,
        };
        let named = match named.filter(|uuid| !is_own(uuid)) {
            Some(uuid) => Some(self.check_named_event(misp, &uuid, find_event(&there, &uuid))?),
            None => None,
        };

        let (ours, claimed) = self.find_ours(misp, &there, (&new, &old), &evidence)?;
        let is_named = |uuid: &Uuid| named.is_some_and(|(named, _)| named == *uuid);
        self.report_doubtful_tags(
            evidence
                .unshown_tags()
                .filter(|(tag, _)| !is_own(&tag.uuid) && !is_named(&tag.uuid)),
        );

        let mut to_target = |(uuid, event): There| Target {
            uuid,
            extends: None,
            there: Some(FoundEvent {
                content: contents.remove(&uuid),
                head: event,
            }),
            role: match is_own(&uuid) {
                true => EventRole::Own,
                false => evidence.role_of(&uuid),
            },
        };
        let mut followed: Vec<_> = ours.into_iter().map(&mut to_target).collect();
        if let Some((uuid, event)) = named {
            let new = || to_target((uuid, event.clone()));
            let main = take_target(&mut followed, |target| target.uuid == uuid).unwrap_or_else(new);
            return Ok(self.select_named(main, followed, event, &tags));
        }

        let mut free = new.iter().copied().filter(|uuid| !claimed.contains(uuid));
        let main = match take_target(&mut followed, |target| target.role != EventRole::Into) {
            Some(target) => target,
            None => self.new_target(misp, free.next(), &is_own)?,
        };
        self.warn_of_former_events(&followed);
        let others = free.filter(|uuid| *uuid != main.uuid).collect();

        Ok(Targets {
            followed,
            main: Ok(main),
            others,
        })
    }

    /// The events that are there and the case's, those computed from it first; and those of the
    /// computed uuids that somebody else claimed.
    fn find_ours(
        &self,
        misp: &Misp,
        there: &[There],
        (new, old): (&[Uuid], &[Uuid]),
        evidence: &Evidence<'_>,
    ) -> Result<(Vec<There>, Vec<Uuid>)> {
        let is_of_case = |uuid: &Uuid| {
            evidence.confirmed == Some(*uuid)
                || evidence.is_proven(uuid)
                || self.was_exported_before_secret(evidence.tags, uuid)
        };
        let (mut ours, claimed) =
            self.find_computed_events(misp, there, (new, old), &is_of_case)?;
        let mut tagged = evidence.shown_events();
        tagged.retain(|uuid| !new.contains(uuid) && !old.contains(uuid));
        ours.extend(self.find_merged_events(misp, there, &tagged)?);

        Ok((ours, claimed))
    }

    /// An event that is not there yet, by the first uuid that is free.
    fn new_target(
        &self,
        misp: &Misp,
        free: Option<Uuid>,
        is_own: &dyn Fn(&Uuid) -> bool,
    ) -> Result<Target> {
        Ok(Target {
            uuid: free.context(
                "every uuid that this case's event can have is held by events of other \
                 organisations (\"instance_secret\" makes uuids that nobody else can claim)",
            )?,
            extends: self.find_origin(misp, is_own)?,
            there: None,
            role: EventRole::Own,
        })
    }

    /// The targets where a tag `misp:into` names an event: nothing is added to one that more would
    /// see than may, and what is there of the case becomes stricter.
    fn select_named(
        &self,
        main: Target,
        mut followed: Vec<Target>,
        event: &Event,
        tags: &[EventTag],
    ) -> Targets {
        self.warn_of_former_events(&followed);
        let main = match self.describe_exposure(event) {
            None => Ok(main),
            Some(why) => {
                if tags.iter().any(|tag| tag.uuid == main.uuid) {
                    followed.push(main);
                }
                Err(anyhow!(why))
            }
        };

        Targets {
            main,
            followed,
            others: Vec::new(),
        }
    }

    /// Events that a tag `misp:into` named before, and none does now.
    fn warn_of_former_events(&self, followed: &[Target]) {
        for target in followed.iter().filter(|one| one.role == EventRole::Into) {
            self.part.warn(format!(
                "no tag misp:into names event {} any more, to which IOCs of the case were added: \
                 nothing more is added there, what is no IOC any more is retracted, and what else \
                 must not stay is to be changed in MISP",
                target.uuid
            ));
        }
    }

    /// The events that tags name which this installation signed, and the one that the job confirms:
    /// MISP is asked for no other, for anybody can write a tag.
    fn signed_events<'t>(&'t self, tags: &'t [EventTag]) -> impl Iterator<Item = Uuid> + 't {
        let is_signed = |tag: &&EventTag| {
            event_tags::is_signed(tag, self.ids, self.connection_identity(), self.case_name())
        };

        tags.iter()
            .filter(is_signed)
            .map(|tag| tag.uuid)
            .chain(self.job.confirmed)
    }

    /// The events that may be the case's: those computed from it, and those that tags name rightly.
    fn find_candidates(
        &self,
        misp: &Misp,
        mut asked: Vec<Uuid>,
        tags: &[EventTag],
        named: Option<Uuid>,
    ) -> Result<FoundEvents> {
        let signed: Vec<_> = self.signed_events(tags).chain(named).collect();
        let others: Vec<_> = signed.iter().filter(|uuid| !asked.contains(uuid)).collect();
        asked.extend(others);

        let (found, ()) = http::at_once(
            || misp.find_contents(&asked, self.content_options()),
            || self.ask_ahead(misp, !signed.is_empty()),
        );
        let mut found = found?;

        // An event without attributes does not come with what events hold
        // (`fixtures/wire/misp/603-events-restsearch-of-an-empty-event.json`).
        let is_missing = |uuid: &Uuid| find_event(&found.heads, uuid).is_none();
        let missing: Vec<_> = signed.into_iter().filter(is_missing).collect();
        if !missing.is_empty() {
            found.heads.extend(misp.find_events(&missing)?);
        }

        Ok(found)
    }

    /// Asks what is needed after the events, at the same time: who we are, and what is on
    /// warninglists, if the case was exported before; else what its tags are called here. Nothing is
    /// made of an error: what is not known then is asked when it is needed.
    fn ask_ahead(&self, misp: &Misp, is_known: bool) {
        let wanted = self.map_case(self.first_event_uuid()).wanted;
        let _ = misp.ask_server(|server| match is_known {
            true => server.account().map(drop),
            false if wanted.attributes.is_empty() => Ok(()),
            false => server.ask_tags_ahead(&wanted.event_and_attribute_tags()),
        });
        if is_known {
            self.check_warninglists_ahead(misp, &wanted.attributes);
        }
    }

    /// The event of this connection that the case was made from, if it is there and another than
    /// the case's.
    fn find_origin(&self, misp: &Misp, is_own: &dyn Fn(&Uuid) -> bool) -> Result<Option<Uuid>> {
        let origin = self
            .input
            .origin(self.job.thehive, |warning| self.part.warn(warning));
        let of_connection = origin.filter(|(name, _)| *name == self.connection.name);
        let Some((_, uuid)) = of_connection.filter(|(_, uuid)| !is_own(uuid)) else {
            return Ok(None);
        };
        let there = misp.find_events(&[*uuid])?;
        Ok(find_event(&there, uuid).map(|_| *uuid))
    }

    /// The event that the job confirms, if it can be this case's: a tag of the case names it, or it
    /// has a uuid that the case had; it is our own organisation's; and the case that its tag names,
    /// if that is another, is gone.
    fn check_confirmed_event(
        &self,
        misp: &Misp,
        tags: &[EventTag],
        there: &[There],
        is_own: &dyn Fn(&Uuid) -> bool,
    ) -> Result<Option<Uuid>> {
        let Some(uuid) = self.job.confirmed else {
            return Ok(None);
        };
        let refused = |why: &str| {
            self.part.add_note(format!(
                "the parameter \"confirm_event\" names event {uuid}, which is not followed: {why}"
            ));
            Ok(None)
        };

        let mut named = tags.iter().filter(|tag| tag.uuid == uuid).peekable();

        if named.peek().is_none() && !is_own(&uuid) {
            let named = &self.job.named;
            if named.iter().any(|name| *name != self.connection.name) {
                return Ok(None);
            }
            return refused(
                "no tag misp:event of the case names it on this connection; whoever is sure can \
                 set one",
            );
        }

        let Some(event) = find_event(there, &uuid) else {
            return refused("it is not there, or cannot be seen");
        };
        if misp.owner_of(event, self.ids)? != Whose::Ours {
            return refused("it is another organisation's, or managed on another MISP");
        }
        let others = named
            .filter_map(EventTag::case_id)
            .filter(|case| *case != self.input.case.id);

        for case in others {
            match self
                .job
                .thehive
                .map(|thehive| thehive.has(Holder::Case(case)))
            {
                Some(Ok(true)) => {
                    return refused(&format!(
                        "it is the event of case {case}, which is still there"
                    ));
                }
                Some(Err(error)) => {
                    return refused(&format!(
                        "whether case {case}, whose it is, is still there: {error:#}"
                    ));
                }
                Some(Ok(false)) | None => {}
            }
        }

        Ok(Some(uuid))
    }

    /// True if a tag shows that the case was exported to this event before the installation had a
    /// secret.
    fn was_exported_before_secret(&self, tags: &[EventTag], uuid: &Uuid) -> bool {
        let ids = self.ids.without_secret();
        let of_event = tags.iter().filter(|tag| tag.uuid == *uuid);
        of_event.into_iter().any(|tag| {
            event_tags::is_of_case(tag, &ids, self.connection_identity(), self.case_name())
        })
    }

    /// The case as its tags name it.
    pub fn case_name(&self) -> CaseName<'_> {
        let case = &self.input.case;
        CaseName {
            id: &case.id,
            created: &case.created,
            organisation: self.job.organisation,
            title: &case.title,
            event_info: &self.settings.event_info,
            role: self.role,
            is_alert: case.is_alert,
        }
    }

    fn assess_tags(&self, tags: &[EventTag], there: &[There]) -> Vec<Standing> {
        let info = |uuid: &Uuid| find_event(there, uuid).map(|event| event.info.clone());
        let has_case = |case: &str| {
            self.job
                .thehive
                .map(|thehive| thehive.has(Holder::Case(case)))
        };
        let is_of_case = |alert: &str| {
            let asked = self.job.thehive?.case_of_alert(alert);
            Some(asked.map(|case| case.as_ref() == Some(&self.input.case.id)))
        };

        event_tags::assess(
            tags,
            self.ids,
            self.connection_identity(),
            self.case_name(),
            info,
            has_case,
            is_of_case,
        )
    }

    /// The events that are there with a uuid computed from the case, and those of these uuids that
    /// somebody else claimed. What came back from another MISP is ours, and read only; what others
    /// brought here only if a tag of the case shows that it was exported before. Uuids from before
    /// the installation had a secret can be computed by anybody.
    fn find_computed_events(
        &self,
        misp: &Misp,
        there: &[There],
        (new, old): (&[Uuid], &[Uuid]),
        is_of_case: &dyn Fn(&Uuid) -> bool,
    ) -> Result<(Vec<There>, Vec<Uuid>)> {
        let (mut ours, mut claimed) = (Vec::new(), Vec::new());

        for uuid in new.iter().chain(old) {
            let Some(event) = find_event(there, uuid) else {
                continue;
            };
            let is_shown = is_of_case(uuid);
            let is_old = old.contains(uuid) && !self.is_public();

            match misp.owner_of(event, self.ids)? {
                Whose::Ours | Whose::CameBack if is_shown || !is_old => {
                    ours.push((*uuid, event.clone()))
                }
                Whose::Brought if is_shown => ours.push((*uuid, event.clone())),
                Whose::Ours => self.part.add_note(format!(
                    "event {uuid} has the uuid that this case's had before \"instance_secret\" \
                     was set, which anybody could \
                     compute, and no tag of the case shows that it is the case's: nothing was \
                     written there. If it is, run the \
                     export with the parameter \"confirm_event\": \"{uuid}\""
                )),
                Whose::CameBack | Whose::Brought | Whose::Theirs => {
                    self.warn_of_claimed_uuid(uuid, event);
                    claimed.push(*uuid);
                }
            }
        }

        Ok((ours, claimed))
    }

    /// The events that are there and that tags prove, the oldest first, whatever order the tags
    /// have.
    fn find_merged_events(
        &self,
        misp: &Misp,
        there: &[There],
        uuids: &[Uuid],
    ) -> Result<Vec<There>> {
        let mut merged = Vec::new();

        for uuid in uuids {
            let Some(event) = find_event(there, uuid) else {
                continue;
            };
            if misp.may_write(event, self.ids)? {
                merged.push((*uuid, event.clone()));
                continue;
            }
            let elsewhere = format!(
                "event {uuid}, which is this case's too, is managed on another MISP or by another \
                 organisation: nothing is \
                 written there"
            );

            if self.input.case.tlp.forbids_sharing() && event.distribution != Some(0) {
                let tlp = self.input.case.tlp.word();
                self.part.add_failure(format!(
                    "{elsewhere}, and it is open to others though the case is {tlp}: close it there"
                ));
            } else {
                self.part.warn(elsewhere);
            }
        }

        merged.sort_by_key(|(uuid, event)| (event.id.parse::<u64>().unwrap_or(u64::MAX), *uuid));
        Ok(merged)
    }

    /// The uuids that the case's event can have, in their order: those that a new one gets, and
    /// those that it got before the installation had a secret.
    pub fn computed_uuids(&self) -> (Vec<Uuid>, Vec<Uuid>) {
        let old = if self.ids.has_secret() {
            self.event_uuids(&self.ids.without_secret())
        } else {
            Vec::new()
        };

        (self.event_uuids(self.ids), old)
    }

    /// Somebody else's event with the uuid that ours would have.
    fn warn_of_claimed_uuid(&self, uuid: &Uuid, event: &Event) {
        let shown = |name: &str| self.part.run.report_text(name);
        let brought = event
            .brought_by()
            .map(|org| format!(", or in its name by \"{}\"", shown(&org.name)));
        let help = match self.ids.has_secret() {
            true => "",
            false => ". \"instance_secret\" makes uuids that nobody else can claim",
        };
        self.part.warn(format!(
            "event {uuid}, whose uuid is computed from this case, was made by organisation \
             \"{}\"{}: it is left alone, and the \
             case has another event{help}",
            shown(event.creator_name()),
            brought.unwrap_or_default()
        ));
    }

    /// Tags that are not followed: which, what they name, why, and what can be done.
    fn report_doubtful_tags<'t>(&self, tags: impl Iterator<Item = (&'t EventTag, &'t Standing)>) {
        let doubtful = |(tag, standing): (&'t EventTag, &'t Standing)| match standing {
            Standing::Doubtful(why) => Some((tag, why.as_str())),
            Standing::Proven | Standing::Confirmed | Standing::Into => None,
        };
        let mut events: Vec<(Uuid, Vec<String>, Vec<&str>)> = Vec::new();

        for (tag, why) in tags.filter_map(doubtful) {
            let name = truncate_text(&self.part.run.clean(&tag.tag), LONGEST_TAG);
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

        // By its uuid alone: what it is called is for those who may see the case that it belongs
        // to.
        for (uuid, names, reasons) in events.iter().take(NAMED) {
            let (tag, s) = if names.len() == 1 {
                ("tag", "s")
            } else {
                ("tags", "")
            };

            self.part.add_note(format!(
                "the case's {tag} {} name{s} event {uuid}, and nothing shows that this is an \
                 event of the case: {}. Nothing was written \
                 there. Whoever may write tags of the case, of its alerts or of the MISP events \
                 behind them can have set it. If \
                 the event is the case's, run the export with the parameter \"confirm_event\": \
                 \"{uuid}\"; otherwise take the \
                 tag away",
                names.join(", "),
                reasons.join("; "),
            ));
        }

        if events.len() > NAMED {
            let more = events.len() - NAMED;
            self.part.add_note(format!(
                "tags of the case name {more} more events that are not followed, for such reasons"
            ));
        }
    }
}

/// The name that a connection's events are told apart by, if it is not the first one to its MISP.
pub fn distinguishing_name<'c>(connection: &'c Connection, all: &[Connection]) -> Option<&'c str> {
    connection
        .first_with_same_url(all)
        .is_some()
        .then_some(connection.name.as_str())
}

/// True if a tag of the case names this event on a connection.
pub fn has_event_tag(input: &ExportInput, connection: &str, event: Option<&Uuid>) -> bool {
    event_tags::of_connection(&input.case.tags, connection)
        .iter()
        .any(|tag| Some(&tag.uuid) == event)
}

/// Takes the first target out of which this holds.
fn take_target(targets: &mut Vec<Target>, is_it: impl FnMut(&Target) -> bool) -> Option<Target> {
    let place = targets.iter().position(is_it)?;
    Some(targets.remove(place))
}

fn find_event<'t>(there: &'t [There], uuid: &Uuid) -> Option<&'t Event> {
    there
        .iter()
        .find(|(known, _)| known == uuid)
        .map(|(_, event)| event)
}
