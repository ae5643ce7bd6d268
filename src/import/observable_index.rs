//! What the attributes of an event stand for, as digests of 16 bytes each: there may be a million,
//! and all are needed until the event is read to its end.

use super::chunk_mapping::Digest;

/// Bits of a digest that say more of its attribute. What is left is as good as unique.
const WANTED: u128 = 1;
const IOC: u128 = 2;
const SAID: u128 = WANTED | IOC;

/// The digests of an event.
#[derive(Default)]
pub struct ObservableIndex(Vec<u128>);

/// What the attributes that stand for one observable say together.
#[derive(Default)]
pub struct IndexedObservable {
    /// There are any.
    pub is_live: bool,
    /// One of them passed the filters.
    pub is_wanted: bool,
    /// One of those is meant for detection.
    pub is_ioc: bool,
}

impl ObservableIndex {
    /// Takes note of an observable that an attribute stands for.
    pub fn add_digest(&mut self, digest: Digest, is_wanted: bool, is_ioc: bool) {
        let said = if is_wanted {
            WANTED | if is_ioc { IOC } else { 0 }
        } else {
            0
        };

        self.0.push(u128::from_be_bytes(digest) & !SAID | said);
    }

    /// Call when all are noted, before anything is asked.
    pub fn seal(&mut self) {
        self.0.sort_unstable();
    }

    /// What is said of the observable that has one of these digests.
    pub fn look_up(&self, digests: &[Digest]) -> IndexedObservable {
        let mut said = IndexedObservable::default();
        for digest in digests
            .iter()
            .map(|digest| u128::from_be_bytes(*digest) & !SAID)
        {
            let place = self.0.partition_point(|known| *known < digest);
            let same = self
                .0
                .iter()
                .skip(place)
                .take_while(|known| **known & !SAID == digest);

            for known in same {
                said.is_live = true;
                said.is_wanted |= known & WANTED != 0;
                said.is_ioc |= known & IOC != 0;
            }
        }

        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_however_often_and_in_whatever_order() {
        let mut live = ObservableIndex::default();
        let notes = [
            (9, false, true),
            (2, true, false),
            (9, true, false),
            (5, true, true),
            (2, true, true),
        ];

        notes.into_iter().for_each(|(number, is_wanted, is_ioc)| {
            live.add_digest([number; 16], is_wanted, is_ioc)
        });
        live.seal();

        let said = |numbers: &[u8]| {
            let said = live.look_up(
                &numbers
                    .iter()
                    .map(|number| [*number; 16])
                    .collect::<Vec<_>>(),
            );

            (said.is_live, said.is_wanted, said.is_ioc)
        };

        assert_eq!(
            (said(&[9]), said(&[2]), said(&[5])),
            ((true, true, false), (true, true, true), (true, true, true))
        );

        assert_eq!(
            (said(&[1, 7]), said(&[]), said(&[1, 9])),
            (
                (false, false, false),
                (false, false, false),
                (true, true, false)
            )
        );
    }
}
