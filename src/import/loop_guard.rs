//! The loop guard: which events this installation exported itself, and which attributes of others.

use uuid::Uuid;

use super::event_filter::EventFilters;
use crate::ids::Ids;
use crate::misp::wire::Event;
use crate::misp::{Misp, Whose};
use crate::report::ConnectionReporter;

/// True for an event that this installation exported. Its uuid carries our mark; that alone is no
/// proof, for without an `instance_secret` anybody can make one, and with it anybody who saw the
/// event can use its uuid elsewhere. So the organisations count too: on a server our own as
/// creator, and as the one that brought it there; with a proven mark the creator alone, since ours
/// come back through others. In a feed, where nobody's word is known, a proven mark counts, or the
/// creator that an export writes. An event that only carries the mark is named, and an event like
/// any other. A look-up (`is_look_up`) hides nothing by what others can write: what is told once
/// too often does no harm there.
pub fn is_own_export(
    filters: &EventFilters,
    misp: &Misp,
    ids: &Ids,
    part: &ConnectionReporter,
    event: &Event,
    uuid: &Uuid,
    is_look_up: bool,
) -> bool {
    if !filters.loop_guard || !ids.is_made_here(uuid) {
        return false;
    }
    let is_proven = ids.is_proven_event(uuid);
    let whose = misp.owner_of(event, ids);
    let brought = event
        .brought_by()
        .map(|org| format!(", brought there by \"{}\"", part.run.report_text(&org.name)));

    match (misp, whose) {
        (Misp::Feed(_), Ok(whose)) if is_proven || whose == Whose::Ours => return !is_look_up,
        (Misp::Server(_), Ok(Whose::Ours | Whose::CameBack)) => return true,
        (Misp::Server(_), Ok(Whose::Brought)) if is_proven => return !is_look_up,
        (_, Ok(_)) => part.warn(format!(
            "event {uuid} carries the mark of this installation's exports, but is by organisation \
             \"{}\"{}: it is handled like \
             any other. If it is your own, {}",
            part.run.report_text(event.creator_name()),
            brought.unwrap_or_default(),
            if ids.has_secret() {
                "name that organisation in \"exclude_organisations\""
            } else {
                "set \"instance_secret\" in both workers, by which exports are known for certain"
            }
        )),
        (_, Err(error)) => part.warn(format!(
            "event {uuid} carries the mark of this installation's exports, and whose it is is not \
             known, so that it is handled \
             like any other: {error:#}"
        )),
    }

    false
}

/// True for an attribute that an export of this installation put into an event that people of our
/// organisation made, since a tag `misp:into` of a case named it: the case has it already. What
/// others put there is imported. Whose the event is is asked only where an attribute says so.
pub fn is_own_attribute(
    filters: &EventFilters,
    misp: &Misp,
    ids: &Ids,
    event: &Event,
    attribute: &str,
) -> bool {
    let is_marked = || Uuid::parse_str(attribute).is_ok_and(|uuid| ids.is_put_into_event(&uuid));
    let is_ours = || {
        let whose = misp.owner_of(event, ids);
        matches!(misp, Misp::Server(_)) && matches!(whose, Ok(Whose::Ours | Whose::CameBack))
    };

    filters.loop_guard && is_marked() && is_ours()
}
