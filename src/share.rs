//! Places of which there are too few, shared: everybody who wants some takes turns, so that whoever
//! wants many keeps nobody else out. Pure.

use std::collections::HashMap;
use std::hash::Hash;

/// Puts a list in turn: the first of everybody, then the second of everybody, and so on; within a
/// turn as it was.
pub fn order_round_robin<T, K: Eq + Hash>(list: &mut Vec<T>, who: impl Fn(&T) -> K) {
    let mut turns: HashMap<K, u64> = HashMap::new();
    let with_turn = |element: T| {
        let turn = turns.entry(who(&element)).or_default();
        *turn += 1;
        (*turn, element)
    };

    let mut turned: Vec<(u64, T)> = std::mem::take(list).into_iter().map(with_turn).collect();
    // The sort is stable, so that within a turn the order stays.
    turned.sort_by_key(|(turn, _)| *turn);
    list.extend(turned.into_iter().map(|(_, element)| element));
}

/// Takes out of a list, which is in the order of importance, what finds no place if all take turns.
/// What stays is in the order that it was in. `who` names whose something is, the innermost first:
/// an event, then its organisation.
///
/// A list that is cut now and then while it grows keeps what it would keep if it were cut once:
/// what comes later only takes places from those that were before it.
pub fn truncate_fairly<T, K: Eq + Hash>(
    list: &mut Vec<T>,
    most: usize,
    who: &[&dyn Fn(&T) -> K],
) -> Vec<T> {
    if list.len() <= most {
        return Vec::new();
    }
    let mut places: Vec<(usize, &T)> = list.iter().enumerate().collect();
    // The innermost first: the outermost orders last, so its turns decide, and the stable sort
    // keeps those inside.
    for who in who {
        order_round_robin(&mut places, |(_, element)| who(element));
    }
    let mut is_kept = vec![false; list.len()];
    for (place, _) in places.into_iter().take(most) {
        if let Some(is_kept) = is_kept.get_mut(place) {
            *is_kept = true;
        }
    }

    let mut is_kept = is_kept.into_iter();
    list.extract_if(.., |_| is_kept.next() == Some(false))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whoever_wants_many_keeps_nobody_out() {
        let mut list: Vec<(char, u32)> = (0..100).map(|number| ('a', number)).collect();
        list.extend([('b', 1), ('c', 1), ('b', 2)]);
        let dropped = truncate_fairly(&mut list, 6, &[&|one| one.0]);
        assert_eq!(
            list,
            [('a', 0), ('a', 1), ('a', 2), ('b', 1), ('c', 1), ('b', 2)]
        );
        assert_eq!(dropped.len(), 97);
        order_round_robin(&mut list, |one| one.0);
        assert_eq!(
            list,
            [('a', 0), ('b', 1), ('c', 1), ('a', 1), ('b', 2), ('a', 2)]
        );
    }

    #[test]
    fn within_an_organisation_its_events_take_turns() {
        let mut list: Vec<(char, u32)> = ["a1", "a1", "a1", "a2", "b3", "b3", "b3"]
            .iter()
            .map(|text| (text.chars().next().unwrap(), text[1..].parse().unwrap()))
            .collect();
        truncate_fairly(
            &mut list,
            4,
            &[&|one| one.1.to_string(), &|one| one.0.to_string()],
        );

        assert_eq!(list, [('a', 1), ('a', 2), ('b', 3), ('b', 3)]);
    }

    proptest! {
        #[test]
        fn a_list_that_is_cut_while_it_grows_keeps_the_same(all in prop::collection::vec((0..4_u8, 0..3_u8), 0..60), most in 0..12_usize, slack in 0..5_usize) {
            type One = (usize, (u8, u8));
            let (event, organisation) = (|one: &One| one.1.0 * 3 + one.1.1, |one: &One| one.1.0);
            let who: [&dyn Fn(&One) -> u8; 2] = [&event, &organisation];
            let mut at_once: Vec<_> = all.into_iter().enumerate().collect();
            let mut growing = Vec::new();
            for one in at_once.clone() {
                growing.push(one);
                if growing.len() > most + slack {
                    truncate_fairly(&mut growing, most, &who);
                }
            }

            truncate_fairly(&mut growing, most, &who);
            truncate_fairly(&mut at_once, most, &who);
            prop_assert_eq!(growing, at_once);
        }
    }
}
