//! What becomes of each wanted observable of an alert: added, changed, or left. And how the ones to
//! be added are put together, so that one call carries many. Pure.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::alert_diff::tlp_number;
use super::mapping::ObservableDraft;
use super::users::Users;
use crate::markings::Scale;
use crate::tags;
use crate::thehive::ObservableBatch;
use crate::thehive::wire::Observable;

/// What is to be done about a wanted observable that is there.
#[derive(Debug, PartialEq)]
pub enum ObservableAction {
    /// It is ours, and differs: the body of the PATCH.
    Change(Map<String, Value>),
    /// It is there as wanted.
    Keep,
    /// It differs, and a person has touched it.
    Leave,
}

/// True for an observable that no person has touched since a user of this program wrote it.
pub fn is_ours(observable: &Observable, users: &Users) -> bool {
    users.has(&observable.created_by)
        && (observable.updated_by.is_empty() || users.has(&observable.updated_by))
}

/// Decides about an observable that is there. `is_part` says that another page of the same event may want it
/// too: then what that page wanted stays, and this one adds to it.
pub fn decide_action(
    wanted: &ObservableDraft,
    known: &Observable,
    users: &Users,
    scale: Scale,
    is_part: bool,
) -> ObservableAction {
    let change = build_patch(wanted, known, scale, is_part);
    if change.is_empty() {
        ObservableAction::Keep
    } else if is_ours(known, users) {
        ObservableAction::Change(change)
    } else {
        ObservableAction::Leave
    }
}

fn build_patch(
    wanted: &ObservableDraft,
    known: &Observable,
    scale: Scale,
    is_part: bool,
) -> Map<String, Value> {
    let mut change = Map::new();
    let mut tags = wanted.tags.clone();
    let (mut ioc, mut tlp) = (wanted.ioc, tlp_number(wanted.tlp, scale));
    let mut ignores = wanted.ignore_similarity;

    if is_part {
        tags = known.tags.clone();

        tags.extend(
            wanted
                .tags
                .iter()
                .filter(|tag| !known.tags.contains(tag))
                .cloned(),
        );

        tags::keep_greatest(&mut tags);
        ioc |= known.ioc;
        ignores &= known.ignore_similarity == Some(true);

        tlp = tlp.max(
            known
                .tlp
                .and_then(|tlp| u8::try_from(tlp).ok())
                .unwrap_or(0),
        );
    } else {
        // A tag that names a warninglist is never taken away: a MISP that cannot be asked for its
        // lists at the moment says nothing about the value.
        let is_kept = |tag: &&String| {
            tags::parse_value(tag, tags::WARNINGLIST).is_some() && !wanted.tags.contains(tag)
        };
        tags.extend(known.tags.iter().filter(is_kept).cloned());
        if known.message.trim() != wanted.message.trim() {
            change.insert("message".to_owned(), json!(wanted.message));
        }
    }

    if !is_same_set(&tags, &known.tags) {
        change.insert("tags".to_owned(), json!(tags));
    }
    if ioc != known.ioc {
        change.insert("ioc".to_owned(), json!(ioc));
    }
    if known.tlp != Some(i64::from(tlp)) {
        change.insert("tlp".to_owned(), json!(tlp));
    }
    // Only TheHive 5 has a PAP of observables: TheHive 4 is not told what is not to be compared.
    if known.pap.is_some() && known.ignore_similarity == Some(!ignores) {
        change.insert("ignoreSimilarity".to_owned(), json!(ignores));
    }
    let pap = i64::from(wanted.pap.number());
    let is_pap_other = |known: i64| if is_part { known < pap } else { known != pap };
    if known.pap.is_some_and(is_pap_other) {
        change.insert("pap".to_owned(), json!(pap));
    }

    change
}

fn is_same_set(some: &[String], other: &[String]) -> bool {
    some.iter().all(|tag| other.contains(tag)) && other.iter().all(|tag| some.contains(tag))
}

/// Observables of one call: all but their data is the same.
#[derive(Clone)]
pub struct IndexedBatch {
    /// What is sent.
    pub group: ObservableBatch,
    /// Which of the wanted ones these are, one for each of the group's data.
    pub places: Vec<usize>,
}

impl IndexedBatch {
    /// Its two halves; none if it holds a single one.
    pub fn halves(mut self) -> Option<[Self; 2]> {
        let middle = self.places.len() / 2;
        let second = Self {
            places: self.places.split_off(middle),
            group: ObservableBatch {
                data: self.group.data.split_off(middle),
                ..self.group.clone()
            },
        };
        (middle > 0).then_some([self, second])
    }
}

/// The most values in one call: TheHive works through them one by one, 20 to 200 ms each, and a
/// gateway waits a minute.
pub const MOST_VALUES: usize = 200;

/// The most values that come with their alert. TheHive 4 takes longer for each the more there are:
/// with 300 the last ones take half as long as one that is added later, with 500 twice as long, and
/// all of 300 half a minute where it has a fifth of a processor, while a gateway waits a minute.
pub const MOST_INLINE: usize = 300;

/// Puts together what can go in one call, of at most so many bytes.
pub fn group_additions(
    wanted: &[ObservableDraft],
    places: &[usize],
    scale: Scale,
    most_bytes: usize,
) -> Vec<IndexedBatch> {
    type Key<'a> = (&'a str, u8, u8, &'a [String], &'a str, bool, bool);
    let mut parcels: Vec<IndexedBatch> = Vec::new();
    let mut open: HashMap<Key<'_>, (usize, usize)> = HashMap::new();

    for place in places {
        let Some(draft) = wanted.get(*place) else {
            continue;
        };
        let size = json_size(&draft.data);
        let key: Key<'_> = (
            &draft.data_type,
            tlp_number(draft.tlp, scale),
            draft.pap.number(),
            &draft.tags,
            &draft.message,
            draft.ioc,
            draft.ignore_similarity,
        );

        let open_parcel = open
            .get_mut(&key)
            .filter(|(_, bytes)| *bytes + size <= most_bytes)
            .and_then(|(at, bytes)| Some((parcels.get_mut(*at)?, bytes)))
            .filter(|(parcel, _)| parcel.places.len() < MOST_VALUES);
        if let Some((parcel, bytes)) = open_parcel {
            *bytes += size;
            parcel.group.data.push(draft.data.clone());
            parcel.places.push(*place);
            continue;
        }

        let tags = draft.tags.iter().map(|tag| json_size(tag)).sum::<usize>();
        let around = json_size(&draft.message) + tags + 200;
        open.insert(key, (parcels.len(), around + size));
        parcels.push(IndexedBatch {
            group: batch_of(draft, scale),
            places: vec![*place],
        });
    }

    parcels
}

/// An observable as it is sent.
fn batch_of(draft: &ObservableDraft, scale: Scale) -> ObservableBatch {
    ObservableBatch {
        data_type: draft.data_type.clone(),
        data: vec![draft.data.clone()],
        tlp: tlp_number(draft.tlp, scale),
        tags: draft.tags.clone(),
        message: draft.message.clone(),
        ioc: draft.ioc,
        pap: draft.pap.number(),
        ignore_similarity: draft.ignore_similarity,
    }
}

/// A change of observables, which is the same for all of these.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedPatch {
    /// The body of the PATCH.
    pub body: Map<String, Value>,
    /// Which of the wanted ones become so, each with TheHive's id of it.
    pub targets: Vec<(usize, String)>,
}

/// The most observables that are changed by one call: TheHive 4 takes 0.3 s for as many.
pub const MOST_ALIKE: usize = 100;

/// Puts together the changes that are the same.
pub fn group_changes(changes: Vec<(usize, String, Map<String, Value>)>) -> Vec<IndexedPatch> {
    let mut all: Vec<IndexedPatch> = Vec::new();
    let mut open: HashMap<String, usize> = HashMap::new();

    for (place, id, body) in changes {
        let key = Value::from(body.clone()).to_string();
        let known = open
            .get(&key)
            .and_then(|at| all.get_mut(*at))
            .filter(|patch| patch.targets.len() < MOST_ALIKE);
        match known {
            Some(known) => known.targets.push((place, id)),
            None => {
                open.insert(key, all.len());
                let targets = vec![(place, id)];
                all.push(IndexedPatch { body, targets });
            }
        }
    }

    all
}

impl IndexedPatch {
    /// Its two halves; none if it is of a single one.
    pub fn halves(mut self) -> Option<[Self; 2]> {
        let middle = self.targets.len() / 2;
        let second = Self {
            body: self.body.clone(),
            targets: self.targets.split_off(middle),
        };
        (middle > 0).then_some([self, second])
    }
}

/// Of these parcels those that go with the alert itself, in one call; the rest follows. Each that
/// follows costs a call, however few values it has, so the smallest go first.
pub fn split_inline(
    mut parcels: Vec<IndexedBatch>,
    most_bytes: usize,
) -> (Vec<IndexedBatch>, Vec<IndexedBatch>) {
    parcels.sort_by_key(|parcel| parcel.places.len());
    let (mut bytes, mut values) = (0, 0);

    parcels.into_iter().partition(|parcel| {
        let group = &parcel.group;
        let texts = group.data.iter().chain(&group.tags).chain([&group.message]);
        let size = texts.map(|text| json_size(text)).sum::<usize>() + 200;
        let fits = bytes + size <= most_bytes && values + group.data.len() <= MOST_INLINE;
        if fits {
            (bytes, values) = (bytes + size, values + group.data.len());
        }
        fits
    })
}

/// Bytes of a text in JSON, with quotes and comma.
fn json_size(text: &str) -> usize {
    let of = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => 6,
        _ => 1,
    };

    text.bytes().map(of).sum::<usize>() + 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markings::{Pap, Tlp};

    const US: &str = "importer@example.org";

    fn own_users() -> Users {
        Users::new(US, &[])
    }

    fn wanted(data: &str, tags: &[&str], ioc: bool) -> ObservableDraft {
        ObservableDraft {
            data_type: "ip".into(),
            data: data.into(),
            message: "C2".into(),
            tlp: Tlp::Amber,
            pap: Pap::Amber,
            ioc,
            tags: tags.iter().map(ToString::to_string).collect(),
            ignore_similarity: false,
            changed: None,
        }
    }

    fn known(change: Value) -> Observable {
        let mut known = json!({"_id": "~1", "_createdBy": US, "data": "a", "message": "C2", "tlp": 2, "ioc": true, "tags": ["x", "y"]});
        known
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        serde_json::from_value(known).unwrap()
    }

    fn change(change: Value, is_part: bool) -> ObservableAction {
        decide_action(
            &wanted("a", &["y", "x"], true),
            &known(change),
            &own_users(),
            Scale::Five,
            is_part,
        )
    }

    #[test]
    fn ours_become_as_wanted_and_those_of_people_are_kept() {
        assert_eq!(change(json!({}), false), ObservableAction::Keep);
        let all = json!({"message": "C2", "tags": ["y", "x"], "ioc": true, "tlp": 2});
        let other = json!({"message": "old", "tags": ["z"], "ioc": false, "tlp": 1});
        assert_eq!(
            change(other.clone(), false),
            ObservableAction::Change(all.as_object().unwrap().clone())
        );

        for person in [json!({"_createdBy": "jane"}), json!({"_updatedBy": "jane"})] {
            let mut touched = other.clone();
            touched
                .as_object_mut()
                .unwrap()
                .extend(person.as_object().unwrap().clone());
            assert_eq!(change(touched, false), ObservableAction::Leave);
        }

        let touched = json!({"_updatedBy": "jane"});
        assert_eq!(change(touched, false), ObservableAction::Keep);
    }

    #[test]
    fn a_value_that_comes_again_only_adds() {
        let before =
            json!({"message": "first", "tags": ["z"], "ioc": true, "tlp": 3, "_updatedBy": US});
        let added = json!({"tags": ["z", "y", "x"]});
        assert_eq!(
            change(before, true),
            ObservableAction::Change(added.as_object().unwrap().clone())
        );
        assert_eq!(
            change(json!({"tags": ["x", "y", "z"], "tlp": 3}), true),
            ObservableAction::Keep
        );
    }

    #[test]
    fn one_call_carries_what_differs_in_data_only() {
        let all = [
            wanted("a", &[], true),
            wanted("b", &[], true),
            wanted("c", &["t"], true),
            wanted("d", &[], false),
            wanted("e", &[], true),
        ];

        let places: Vec<_> = (0..all.len()).collect();
        let data = |parcels: &[IndexedBatch]| {
            parcels
                .iter()
                .map(|parcel| parcel.group.data.join(""))
                .collect::<Vec<_>>()
        };

        assert_eq!(
            data(&group_additions(&all, &places, Scale::Five, 10_000)),
            ["abe", "c", "d"]
        );
        assert_eq!(
            data(&group_additions(&all, &places, Scale::Five, 1)),
            ["a", "b", "c", "d", "e"]
        );
        let (first, rest) = split_inline(group_additions(&all, &places, Scale::Five, 10_000), 450);
        assert_eq!(
            (data(&first), data(&rest)),
            (vec!["c".to_owned(), "d".to_owned()], vec!["abe".to_owned()])
        );
    }

    #[test]
    fn halves_keep_each_value_with_its_place() {
        let all: Vec<_> = (0..5).map(|n| wanted(&n.to_string(), &[], true)).collect();
        let parcel = group_additions(&all, &[4, 3, 2, 1, 0], Scale::Four, 10_000).remove(0);
        let halves = parcel
            .halves()
            .unwrap()
            .map(|half| (half.group.data, half.places));
        assert_eq!(
            halves,
            [
                (vec!["4".into(), "3".into()], vec![4, 3]),
                (vec!["2".into(), "1".into(), "0".into()], vec![2, 1, 0])
            ]
        );

        assert!(
            group_additions(&all, &[0], Scale::Four, 10_000)
                .remove(0)
                .halves()
                .is_none()
        );
    }

    #[test]
    fn changes_that_are_the_same_go_together() {
        let body = |tlp: u8| {
            json!({"tlp": tlp, "ioc": true})
                .as_object()
                .unwrap()
                .clone()
        };

        let changes: Vec<_> = (0..250)
            .map(|place| (place, format!("~{place}"), body(u8::from(place % 5 == 0))))
            .collect();
        let all = group_changes(changes);
        let sizes: Vec<_> = all
            .iter()
            .map(|one| (one.body["tlp"].clone(), one.targets.len()))
            .collect();
        assert_eq!(sizes, [(json!(1), 50), (json!(0), 100), (json!(0), 100)]);
        let targets = all.iter().flat_map(|one| &one.targets);
        let mut places: Vec<_> = targets.map(|(place, _)| *place).collect();
        places.sort_unstable();
        assert_eq!(places, (0..250).collect::<Vec<_>>());
        let [first, second] = all[0].clone().halves().unwrap();
        assert_eq!([first.targets, second.targets].concat(), all[0].targets);
        assert_eq!(
            group_changes(vec![(3, "~3".into(), body(1))])[0]
                .clone()
                .halves(),
            None
        );
    }

    #[test]
    fn no_more_values_than_thehive_works_through_in_time() {
        let all: Vec<_> = (0..2_500)
            .map(|n| wanted(&n.to_string(), &[], true))
            .collect();
        let places: Vec<_> = (0..all.len()).collect();
        let sizes: Vec<_> = group_additions(&all, &places, Scale::Five, usize::MAX)
            .iter()
            .map(|parcel| parcel.places.len())
            .collect();
        assert_eq!(sizes, [[MOST_VALUES; 12].as_slice(), &[100]].concat());
    }

    fn parcel(values: usize, length: usize) -> IndexedBatch {
        let group = ObservableBatch {
            data_type: "other".to_owned(),
            data: vec!["x".repeat(length); values],
            tlp: 2,
            tags: Vec::new(),
            message: String::new(),
            ioc: false,
            pap: 2,
            ignore_similarity: false,
        };

        IndexedBatch {
            group,
            places: (0..values).collect(),
        }
    }

    #[test]
    fn small_parcels_go_with_the_alert_and_one_that_does_not_fit_keeps_no_other_out() {
        let sizes = |parcels: Vec<IndexedBatch>| {
            parcels
                .iter()
                .map(|one| one.places.len())
                .collect::<Vec<_>>()
        };

        let (inline, rest) = split_inline(
            vec![parcel(298, 1), parcel(1, 1), parcel(40, 1), parcel(2, 1)],
            usize::MAX,
        );
        assert_eq!((sizes(inline), sizes(rest)), (vec![1, 2, 40], vec![298]));
        let (inline, rest) = split_inline(vec![parcel(1, 9_000), parcel(1, 10)], 1_000);
        assert_eq!(
            (inline[0].group.data[0].len(), rest[0].group.data[0].len()),
            (10, 9_000)
        );
    }
}
