//! What the attributes of an event stand for, as digests of 16 bytes each: there may be a million, and all are needed
//! until the event is read to its end.

use super::batch::Digest;

/// The digests of an event.
#[derive(Debug, Default)]
pub(super) struct Live(Vec<Digest>);

impl Live {
    /// Takes note of an observable.
    pub(super) fn note(&mut self, digest: Digest) {
        self.0.push(digest);
    }

    /// Call when all are noted, before anything is asked.
    pub(super) fn seal(&mut self) {
        self.0.sort_unstable();
    }

    /// True if one of these was noted.
    pub(super) fn has_any(&self, digests: &[Digest]) -> bool {
        digests.iter().any(|digest| self.0.binary_search(digest).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_however_often_and_in_whatever_order() {
        let mut live = Live::default();
        [9, 2, 9, 5].into_iter().for_each(|number| live.note([number; 16]));
        live.seal();
        assert!(live.has_any(&[[1; 16], [2; 16]]) && live.has_any(&[[9; 16]]));
        assert!(!live.has_any(&[[1; 16], [3; 16]]) && !live.has_any(&[]));
    }
}
