//! The event that a tag `misp:into="<connection>:<uuid or number>"` of a case names: people made
//! it, and the case's IOCs go there in place of an event of the case's own. Its head is not
//! touched. What may not be written to is refused before anything is sent; what the case must not
//! be shown to neither.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use uuid::Uuid;

use super::ConnectionConfig;
use super::case::ExportInput;
use super::connection::ConnectionExport;
use super::diff::shared_tags;
use super::event_report::distribution_text;
use super::plan::Plan;
use super::reconcile::Reconciler;
use crate::config::connections::Connection;
use crate::markings::{Pap, Tlp};
use crate::misp::draft::AttributeDraft;
use crate::misp::server::account::Role;
use crate::misp::wire::Event;
use crate::misp::{Misp, Whose};
use crate::report::RunReport;
use crate::secret::truncate_text;
use crate::tags;
use crate::text::join_first;

/// The longest tag that a message shows, in characters.
const LONGEST_TAG: usize = 100;
/// Tags that a message names.
const NAMED: usize = 3;
/// The highest number that an event can have: MISP's column `events.id` is a signed integer
/// (`MYSQL.sql`).
const HIGHEST: u64 = 2_147_483_647;
/// What a tag has to look like.
const ACCEPTED: &str =
    "misp:into=\"<connection>:<event>\", with the number or the uuid of an event there";
/// The distribution of MISP that is a sharing group.
const SHARING_GROUP: u64 = 4;
/// The widest distribution.
const ALL_COMMUNITIES: u64 = 3;

/// An event as a tag names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EventName {
    Uuid(Uuid),
    Number(u64),
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => uuid.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl EventName {
    /// The event that a tag's value names on a connection; none if the value is about another.
    fn parse(value: &str, connection: &str) -> Option<Self> {
        let event = value.strip_prefix(connection)?.strip_prefix(':')?.trim();
        if event.len() == 36 {
            return Uuid::parse_str(event).ok().map(Self::Uuid);
        }
        let is_number = event.chars().all(|c| c.is_ascii_digit());
        let number = event.parse().ok().filter(|_| is_number)?;
        (1..=HIGHEST)
            .contains(&number)
            .then_some(Self::Number(number))
    }
}

/// The tags that are meant to name an event, each with what it says, if that can be read.
fn tags_of(input: &ExportInput) -> impl Iterator<Item = (&str, Option<&str>)> {
    let is_meant = |tag: &str| tags::mistyped_word(tag) == Some(tags::INTO);
    let all = input.case.tags.iter().map(String::as_str);
    all.map(|tag| (tag, tags::parse_value(tag, tags::INTO)))
        .filter(move |(tag, value)| value.is_some() || is_meant(tag))
}

/// The events that tags name on a connection, each once.
fn events_on(input: &ExportInput, connection: &str) -> Vec<EventName> {
    let values = tags_of(input).filter_map(|(_, value)| value);
    let events: BTreeSet<_> = values
        .filter_map(|value| EventName::parse(value, connection))
        .collect();

    events.into_iter().collect()
}

/// Checks that each tag names an event on one of the connections that export: what was meant for
/// one event is not to go to another.
///
/// # Errors
/// The tag, and what is accepted.
pub fn validate_tags(input: &ExportInput, all: &[Connection]) -> Result<()> {
    let names = || all.iter().map(|connection| connection.name.as_str());

    for (tag, value) in tags_of(input) {
        let value = value.unwrap_or_default();
        if names().any(|name| EventName::parse(value, name).is_some()) {
            continue;
        }
        let is_named = |name: &str| {
            value
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(':'))
        };
        let wrong = match names().find(|name| is_named(name)) {
            Some(_) => "what stands behind the connection is no uuid and no number of an event",
            None => "it names no connection for export",
        };
        let names: Vec<_> = names().map(|name| format!("\"{name}\"")).collect();
        bail!(
            "the case has the tag {}, and {wrong}: correct it to {ACCEPTED}, or take it off; the \
             connections are {}; nothing was exported",
            truncate_text(tag, LONGEST_TAG),
            join_first(&names, 10)
        );
    }

    Ok(())
}

/// Says which tags name an event on a connection that this export does not go to.
pub fn warn_of_other_connections(
    input: &ExportInput,
    exporting: &[ConnectionConfig],
    all: &[Connection],
    run: &RunReport,
) {
    let is_left = |connection: &&Connection| {
        let mut exporting = exporting.iter();
        exporting.all(|one| one.connection.name != connection.name)
    };
    for Connection { name, .. } in all.iter().filter(is_left) {
        if !events_on(input, name).is_empty() {
            run.warn(format!(
                "a tag {} of the case names an event on \"{name}\", to which this export does not \
                 go: nothing is added there",
                tags::INTO
            ));
        }
    }
}

/// TLP and PAP of an event as they are there for everybody.
pub fn markings_of(event: &Event) -> (Option<Tlp>, Option<Pap>) {
    let shared = || shared_tags(event.tags_with_local_flag());
    (
        Tlp::from_plain_tags(shared()),
        Pap::from_plain_tags(shared()),
    )
}

/// True if all who see an event are among those who would see one of a case's own with this
/// distribution and sharing group.
fn is_within(event: &Event, distribution: u64, group: Option<u64>) -> bool {
    let held = event.distribution.and_then(|held| u64::try_from(held).ok());
    let group = group.map(|group| group.to_string());
    match (held, distribution) {
        (Some(0), _) => true,
        (Some(..=SHARING_GROUP), ALL_COMMUNITIES) => true,
        (Some(SHARING_GROUP), SHARING_GROUP) => group.as_ref() == Some(&event.sharing_group_id),
        (Some(SHARING_GROUP), _) | (_, SHARING_GROUP) => false,
        (Some(held), wanted) => held <= wanted,
        (None, _) => false,
    }
}

impl ConnectionExport<'_> {
    /// The event that a tag names on this connection.
    ///
    /// # Errors
    /// That there are several, that this is a feed, or that there is no event of the number.
    pub fn find_named_event(&self, misp: &Misp) -> Result<Option<Uuid>> {
        let events = events_on(self.input, &self.connection.name);
        let event = match events.as_slice() {
            [] => return Ok(None),
            [event] => event,
            several => {
                let named: Vec<_> = several.iter().map(ToString::to_string).collect();
                bail!(
                    "tags {} of the case name {} events here, and an export adds to one: {}; take \
                     all but one off. Nothing was exported",
                    tags::INTO,
                    several.len(),
                    join_first(&named, NAMED)
                );
            }
        };
        let Misp::Server(server) = misp else {
            bail!(
                "a tag {} of the case names event {event} here, and this is a feed, in which \
                 exports alone write events: take the tag off. Nothing was exported",
                tags::INTO
            );
        };

        match event {
            EventName::Uuid(uuid) => Ok(Some(*uuid)),
            EventName::Number(number) => {
                let found = server.find_event_by_number(*number)?;
                let (uuid, _) = found.with_context(|| describe_unknown(event))?;
                Ok(Some(uuid))
            }
        }
    }

    /// The event that a tag names, if it may be written to.
    ///
    /// # Errors
    /// Why nothing may be added to it.
    pub fn check_named_event<'e>(
        &self,
        misp: &Misp,
        uuid: &Uuid,
        there: Option<&'e Event>,
    ) -> Result<(Uuid, &'e Event)> {
        let event = there.with_context(|| describe_unknown(&EventName::Uuid(*uuid)))?;
        let refused = |why: String| {
            format!(
                "a tag {} of the case names event {}, {why}. Nothing was exported",
                tags::INTO,
                self.part.run.report_text(&event.id)
            )
        };

        match misp.owner_of(event, self.ids)? {
            Whose::Ours => {}
            Whose::CameBack | Whose::Brought => bail!(refused(
                "which came here by synchronisation and is managed on another MISP: name it on \
                 that one, or another event"
                    .to_owned()
            )),
            Whose::Theirs => bail!(refused(format!(
                "which organisation \"{}\" made: an export adds only to events that the \
                 organisation of its key made here",
                self.part.run.report_text(event.creator_name())
            ))),
        }

        let role = misp.ask_server(|server| Ok(Some(&server.account()?.role)))?;
        if let Some(role) = role.filter(|role| !may_change_events(role)) {
            bail!(refused(format!(
                "and the role of the key's user, \"{}\", may not change events: give it that right, \
                 or the connection another key",
                self.part.run.report_text(&role.name)
            )));
        }

        Ok((*uuid, event))
    }

    /// Why the case's IOCs may not be shown to all who see an event: no more may than see an event
    /// of the case's own.
    pub fn describe_exposure(&self, event: &Event) -> Option<String> {
        let wanted = self.map_case(self.first_event_uuid()).wanted;
        if is_within(event, wanted.distribution, wanted.sharing_group) {
            return None;
        }
        let run = &self.part.run;
        let held = event.distribution.and_then(|held| u64::try_from(held).ok());
        let seen_by = held.map_or("nobody knows whom".to_owned(), |held| {
            distribution_text(held, Some(run.report_text(&event.sharing_group_id)))
        });
        let allowed = match wanted.tlp.forbids_sharing() {
            true => format!(
                "the case is {}, so that what it holds is for your organisation only",
                wanted.tlp.word()
            ),
            false => format!(
                "by the option \"distribution\" what cases hold is for {}",
                distribution_text(
                    wanted.distribution,
                    wanted.sharing_group.map(|group| group.to_string())
                )
            ),
        };
        let help = match wanted.tlp.forbids_sharing() {
            true => "lower the event's distribution in MISP, or take the tag off",
            false => {
                "lower the event's distribution in MISP, have an administrator widen that option, \
                 or take the tag off"
            }
        };

        Some(format!(
            "a tag {} of the case names event {}, which may be seen by {seen_by}; {allowed}: \
             {help}. Nothing was added to it",
            tags::INTO,
            run.report_text(&event.id)
        ))
    }

    /// Checks that what is added can say its own TLP, where the event says a laxer one or none.
    ///
    /// # Errors
    /// That it cannot.
    pub fn check_settable_tlp(
        &self,
        misp: &Misp,
        writing: &Reconciler<'_, '_>,
        plan: &Plan,
    ) -> Result<()> {
        let mut additions = plan.additions(&writing.mapped.wanted);
        let is_stricter = |draft: &&AttributeDraft| draft.is_stricter;
        let Some(draft) = additions.find(is_stricter) else {
            return Ok(());
        };
        let is_settable = writing.tags.resolve(draft.tlp.tag()).is_some() && misp.may_set_tags()?;
        ensure!(
            is_settable,
            "a tag {} of the case names an event that does not say TLP:{}, and the key's user cannot \
             set that tag on what is added: set it on the event in MISP, or give the role the \
             permission tagger. Nothing was added to it",
            tags::INTO,
            draft.tlp.word()
        );

        Ok(())
    }
}

fn describe_unknown(event: &EventName) -> String {
    format!(
        "a tag {} of the case names event {event}, which is not on this MISP, was deleted, or is \
         not shown to the key's user: correct the tag to {ACCEPTED}, or take it off. Nothing was \
         exported",
        tags::INTO
    )
}

/// True for a role that may change the events of its organisation, or those that its user added:
/// which these are MISP decides (`canModifyEvent` in its `ACLComponent.php`).
fn may_change_events(role: &Role) -> bool {
    let may_change = role.has_right(role.modify) || role.has_right(role.modify_org);
    role.has_right(role.add) && may_change
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_its_uuid_in_any_case_or_by_its_number() {
        let uuid = "4FEB23AC-c3ab-50d2-8da1-fd0531ba29b2";
        let read = |event: &str| EventName::parse(&format!("misp:corp:{event}"), "misp:corp");
        assert_eq!(read(" 0042 "), Some(EventName::Number(42)));
        assert_eq!(read(uuid), Some(EventName::Uuid(uuid.parse().unwrap())));

        let wrong = [
            "",
            "0",
            "-1",
            "+1",
            "1e3",
            "12%",
            "12/..",
            "../12",
            "!12",
            "12:13",
            "2147483648",
            "99999999999999999999999999",
            "4feb23acc3ab50d28da1fd0531ba29b2",
            "12345678901234567890123456789012",
            "{4feb23ac-c3ab-50d2-8da1-fd0531ba29b2}",
            "１２",
        ];
        for event in wrong {
            assert_eq!(read(event), None, "{event}");
        }
        assert_eq!(EventName::parse("misp:corporation:12", "misp:corp"), None);
    }

    #[test]
    fn no_more_see_the_event_than_would_see_one_of_the_cases_own() {
        let sees = |held: i64, group: &str, wanted: u64, sharing_group: Option<u64>| {
            let mut event = Event::default();
            event.distribution = Some(held);
            group.clone_into(&mut event.sharing_group_id);
            is_within(&event, wanted, sharing_group)
        };
        for (held, wanted) in [(0, 0), (0, 4), (1, 1), (1, 2), (3, 3), (4, 3)] {
            assert!(sees(held, "7", wanted, Some(9)), "{held} {wanted}");
        }
        for (held, wanted) in [(1, 0), (3, 2), (4, 2), (4, 0), (2, 4), (5, 3), (-1, 3)] {
            assert!(!sees(held, "7", wanted, Some(9)), "{held} {wanted}");
        }
        assert!(sees(4, "7", 4, Some(7)) && !sees(4, "7", 4, Some(9)));
    }
}
