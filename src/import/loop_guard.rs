//! The loop guard: which events this installation exported itself.

use uuid::Uuid;

use super::filter::Filters;
use crate::full::PartOf;
use crate::ids::{self, Ids};
use crate::misp::Misp;
use crate::misp::wire::Event;

/// True for an event that this installation exported. Its uuid carries our mark; without an `instance_secret` anybody can
/// make one, so the creator organisation counts too: on a server that of the key's user, in a feed the one that an export
/// writes. An event that only carries the mark is named, and an event like any other. What a feed says of its creator is no
/// proof, so that a look-up hides nothing by it (`is_look_up`).
pub(super) fn is_own_export(
    filters: &Filters,
    misp: &Misp,
    ids: &Ids,
    part: &PartOf,
    event: &Event,
    uuid: &Uuid,
    is_look_up: bool,
) -> bool {
    if !filters.loop_guard || !ids.is_mine(uuid) {
        return false;
    }
    if ids.is_proven(uuid) {
        return true;
    }
    let is_own = match misp {
        Misp::Server(server) => server.owns(event),
        Misp::Feed(_) => {
            let creator = event.orgc.as_ref().and_then(|orgc| Uuid::parse_str(&orgc.uuid).ok());
            Ok(creator == Some(ids::plain(&["organisation", ids.instance()])))
        }
    };
    match is_own {
        Ok(true) => return !(is_look_up && matches!(misp, Misp::Feed(_))),
        Ok(false) => part.warn(format!(
            "event {uuid} carries the mark of this installation's exports, but is by organisation \"{}\": it is handled like any \
             other. If it is your own, set \"instance_secret\" in both workers, by which exports are known for certain",
            part.run.shown(event.organisation())
        )),
        Err(error) => part.warn(format!(
            "event {uuid} carries the mark of this installation's exports, and whose it is is not known, so that it is handled \
             like any other: {error:#}"
        )),
    }
    false
}
