//! A case that TheHive shares: its owner and the organisations that it is shared with see parts of
//! it, and may export all into its one event. Each side's attributes have uuids of their own
//! (`Ids::for_case`), so that neither takes back what it does not see; and each finds there what
//! the other brought.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::connection::ConnectionExport;
use super::draft::EventDraft;
use crate::ids::Ids;
use crate::misp::EventContent;
use crate::text::format_count;

impl ConnectionExport<'_> {
    /// What is wanted, as the other side of a shared case put it there, where it did.
    pub fn adopt_other_side(&self, wanted: EventDraft, held: Option<&EventContent>) -> EventDraft {
        let (Some(held), Some(beside)) = (held, self.ids.other_side()) else {
            return wanted;
        };
        let uuids = held.attributes_by_uuid().map(|(uuid, _)| uuid);
        let mut uuids = uuids.chain(held.objects.values().copied());
        if !uuids.any(|uuid| beside.is_this_side_part(&wanted.uuid, &uuid)) {
            return wanted;
        }

        let theirs = ConnectionExport {
            ids: &beside,
            ..*self
        }
        .map_case(wanted.uuid)
        .wanted;

        wanted.adopt_other_uuids(&theirs, held, (self.ids, &beside))
    }

    /// What organisations of TheHive added that the case is shared with, or was: its owner neither
    /// sees nor takes it back.
    pub fn report_brought_items(&self, number: usize) {
        if number == 0 || !self.input.is_owner {
            return;
        }

        let remark = format!(
            "{} in the event came from other organisations of TheHive that the case is or was \
             shared with, and \
             nothing takes them back: what must not stay is to be changed in MISP",
            format_count(
                number as u64,
                "attribute or object",
                "attributes or objects"
            )
        );

        if self.input.is_shared() {
            self.part.warn(remark)
        } else {
            self.part.add_note(remark)
        }
    }
}

impl EventDraft {
    /// The same with the uuids of the other side of a shared case, where that put something there
    /// and this one did not: `beside` is what it would want of the same observables. What both see
    /// is there once, whoever brought it.
    pub fn adopt_other_uuids(
        mut self,
        beside: &Self,
        held: &EventContent,
        (ids, theirs): (&Ids, &Ids),
    ) -> Self {
        let (own, theirs) = (
            self.resolve_uuids(Some(held), &HashSet::new(), ids),
            beside.resolve_uuids(Some(held), &HashSet::new(), theirs),
        );
        let attributes: HashMap<Uuid, bool> = held
            .attributes_by_uuid()
            .map(|(uuid, attribute)| (uuid, attribute.deleted != Some(true)))
            .collect();
        let objects: HashSet<Uuid> = held.objects.values().copied().collect();
        let mut moved = HashMap::new();
        // Both were made of the same observables, and so in the same order.
        let of_both = own.objects.iter().zip(&theirs.objects);
        for (object, (own, theirs)) in self.objects.iter_mut().zip(of_both) {
            if !objects.contains(own) && objects.contains(theirs) {
                moved.insert(*object, *theirs);
                *object = *theirs;
            }
        }

        let of_both = own.drafts().zip(theirs.drafts());
        for (attribute, (own, theirs)) in self.drafts_mut().zip(of_both) {
            // One that is live goes before one that is not, and either before none.
            if attributes.get(&theirs.uuid) > attributes.get(&own.uuid) && theirs.value == own.value
            {
                attribute.uuid = theirs.uuid;
            }
            if let (Some(file), Some(own), Some(theirs)) =
                (&mut attribute.file, &own.file, &theirs.file)
                && attributes.get(&theirs.other) > attributes.get(&own.other)
            {
                file.other = theirs.other;
            }
            if let Some(place) = &mut attribute.place {
                place.object = moved.get(&place.object).copied().unwrap_or(place.object);
            }
        }

        self
    }
}
