//! Whose word a comment is that is not the observable's message: if an earlier export wrote it, the
//! message was corrected in TheHive since, and the correction goes out; else somebody wrote it in
//! MISP, and it stays. TheHive 4 remembers the messages that an observable had. Of a TheHive 5 that
//! was never seen, so that there a comment stays.

use super::connection::ConnectionExport;
use super::diff::EventIndex;
use super::draft::EventDraft;
use super::mapping;
use crate::misp::EventContent;
use crate::misp::draft::AttributeDraft;

impl ConnectionExport<'_> {
    /// Notes the comments that earlier exports wrote, for attributes that have another one than
    /// they are to have: in what is wanted, and in the same as it is settled in the event.
    pub fn note_former(
        &self,
        held: Option<&EventContent>,
        settled: &mut EventDraft,
        first: &mut EventDraft,
    ) {
        let (Some(held), Some(thehive)) = (held, self.job.thehive) else {
            return;
        };
        if self.input.case.is_five
            || self.input.case.is_alert
            || self.role.is_guest()
            || settled.only_tightens
        {
            return;
        }
        let index = EventIndex::new(held, self.ids);
        let differs = |draft: &AttributeDraft| {
            let held = index.comment_of(draft);
            !draft.from.is_empty() && held.is_some_and(|comment| comment != draft.comment)
        };

        let of_both = first.attributes.iter_mut().zip(&mut settled.attributes);
        let differing: Vec<_> = of_both.filter(|(_, settled)| differs(settled)).collect();

        let id = |index: &usize| Some(self.input.ioc_at(*index)?.observable.id.as_str());

        let mut ids: Vec<&str> = differing
            .iter()
            .flat_map(|(draft, _)| draft.from.iter().filter_map(id))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return;
        }

        let messages = match thehive.messages_of(&ids) {
            Ok(messages) => messages,
            Err(error) => {
                self.part.warn(format!(
                    "whether comments that differ from TheHive's messages were changed in MISP is \
                     not known, so that they stay: \
                     {error:#}"
                ));

                return;
            }
        };

        for (draft, settled) in differing {
            let ids = draft.from.iter().filter_map(id);
            let former = ids.filter_map(|id| messages.get(id)).flatten();
            draft.former = former.map(|message| mapping::comment(message)).collect();
            settled.former.clone_from(&draft.former);
        }
    }
}
