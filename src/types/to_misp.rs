//! Export: a case's observables as MISP attributes. Which of them are IOCs, their TLP, comments and
//! uuids are not looked at here; halves of composites are found in `composites.rs`, values and
//! categories settled in `resolve.rs`.

use std::collections::HashMap;

use super::capabilities::MispCapabilities;
use super::composites::{self, Composite};
use super::detect;
use super::mapped::{MappedAttribute, ObservableInput};
use super::merge::{add_warning, merge_duplicates};
use super::misp_types;
use super::observable_types;
use super::overrides::Overrides;
use super::resolve::{Resolver, TypeRequest};
use super::tags::MispTags;
use super::validate::ValidationError;

/// What became of a list of observables: each place of the list stands either in `from` of one or
/// more wanted attributes, or once among the refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The attributes, those of the first observables first.
    pub wanted: Vec<MappedAttribute>,
    /// Observables that MISP would drop, with its reason.
    pub refused: Vec<(usize, ValidationError)>,
}

/// The attributes for all observables of a case.
///
/// A tag `misp:type="…"` is followed if the value fits that type; several make several attributes.
/// Halves that share a `misp:composite` tag become that composite. Then the administrator's lines
/// count, then the table.
pub fn to_attributes(
    given: &[ObservableInput<'_>],
    overrides: &Overrides,
    server: &MispCapabilities,
) -> Mapping {
    let words: Vec<MispTags<'_>> = given
        .iter()
        .map(|one| MispTags::from_tags(one.tags))
        .collect();
    let mut plan = Mapper {
        rules: Resolver { server, overrides },
        wanted: Vec::new(),
        refused: Vec::new(),
        covered: HashMap::new(),
        broken: HashMap::new(),
    };

    for pair in composites::find_pairs(given, &words) {
        plan.map_pair(pair, &words);
    }
    for (at, (one, words)) in given.iter().zip(&words).enumerate() {
        plan.map_single(at, one, words);
    }

    Mapping {
        wanted: merge_duplicates(plan.wanted),
        refused: plan.refused,
    }
}

struct Mapper<'a> {
    rules: Resolver<'a>,
    wanted: Vec<MappedAttribute>,
    refused: Vec<(usize, ValidationError)>,
    /// The observables that stand in a composite, and in which of the wanted.
    covered: HashMap<usize, usize>,
    /// Why the composite of an observable could not be sent.
    broken: HashMap<usize, String>,
}

impl Mapper<'_> {
    /// Sends two halves, or one and its port, as their composite; if MISP would not store that, the
    /// halves go alone and say so.
    fn map_pair(&mut self, pair: Composite<'_>, words: &[MispTags<'_>]) {
        let Composite { kind, value, from } = pair;
        let categories = shared_categories(&from, words);
        match self
            .rules
            .resolve_exactly(&TypeRequest::new(kind), &value, &categories)
        {
            Ok(draft) => {
                self.covered
                    .extend(from.iter().map(|&at| (at, self.wanted.len())));
                self.wanted.push(MappedAttribute {
                    fold: kind.to_owned(),
                    from,
                    ..draft
                });
            }

            Err(reason) => {
                let note = format!("not sent as {kind}: {reason}");
                self.broken
                    .extend(from.into_iter().map(|at| (at, note.clone())));
            }
        }
    }

    /// Sends an observable by its tags, and if these say nothing and no composite holds it, by
    /// itself.
    fn map_single(&mut self, at: usize, one: &ObservableInput<'_>, words: &MispTags<'_>) {
        let mark = composites::half_marker(one, words);
        let asked: Vec<&str> = words
            .types
            .iter()
            .copied()
            .filter(|&kind| Some(kind) != mark)
            .collect();

        let results = match (asked.as_slice(), self.covered.contains_key(&at)) {
            ([], true) => Vec::new(),
            ([], false) => vec![self.map_untagged(at, one, words)],
            (kinds, is_covered) => {
                let asked: Vec<_> = kinds
                    .iter()
                    .flat_map(|kind| self.map_tagged(one, kind, words, kinds.len() > 1))
                    .collect();
                if is_covered || asked.iter().any(Result::is_ok) {
                    asked
                } else {
                    vec![self.fall_back_untagged(at, one, words, (kinds, asked))]
                }
            }
        };

        self.record(at, results);
    }

    /// An observable whose tags ask for nothing that its value can be goes as it would without
    /// them: a tag may be somebody else's, and keeps no IOC back.
    fn fall_back_untagged(
        &self,
        at: usize,
        one: &ObservableInput<'_>,
        words: &MispTags<'_>,
        (kinds, asked): (&[&str], Vec<Result<MappedAttribute, ValidationError>>),
    ) -> Result<MappedAttribute, ValidationError> {
        let mut wanted = self.map_untagged(at, one, words)?;
        for (kind, reason) in kinds.iter().zip(asked.into_iter().filter_map(Result::err)) {
            add_warning(
                &mut wanted,
                &format!("not sent as {kind}, which a tag asks for: {reason}"),
            );
        }

        Ok(wanted)
    }

    /// What a tag asks for; of a composite that no MISP stores both halves
    /// (`fixtures/wire/misp/278-add-filename-impfuzzy-500.json`).
    fn map_tagged(
        &self,
        one: &ObservableInput<'_>,
        kind: &str,
        words: &MispTags<'_>,
        several: bool,
    ) -> Vec<Result<MappedAttribute, ValidationError>> {
        const BROKEN: &str = "filename|impfuzzy";

        let halves = BROKEN
            .split_once('|')
            .zip(one.data.rsplit_once('|'))
            .filter(|_| kind == BROKEN);
        let Some(((first, second), (name, hash))) = halves else {
            return vec![self.map_as_type(one, kind, words, several)];
        };

        let half = |kind: &str, data| {
            let mut wanted =
                self.map_as_type(&ObservableInput { data, ..*one }, kind, words, true)?;
            add_warning(
                &mut wanted,
                &format!("not sent as {BROKEN}, which no MISP stores: its halves go alone"),
            );
            Ok(wanted)
        };

        match (half(first, name), half(second, hash)) {
            (Ok(first), Ok(second)) => vec![Ok(first), Ok(second)],
            (Err(reason), _) | (_, Err(reason)) => vec![Err(reason)],
        }
    }

    fn map_as_type(
        &self,
        one: &ObservableInput<'_>,
        kind: &str,
        words: &MispTags<'_>,
        several: bool,
    ) -> Result<MappedAttribute, ValidationError> {
        let is_known = self.rules.server.has(kind) || misp_types::find_row(kind).is_some();
        let mut wish = TypeRequest::new(kind);

        if !is_known {
            wish = self.rules.requested_type(one);

            wish.notes
                .push(format!("MISP has no type {kind}, which a tag asks for"));
        }
        let draft = self
            .rules
            .resolve_with_fallback(wish, one.data, &words.categories)?;
        let usual = !several || detect::guess(one.data_type, one.data).kind == kind;
        Ok(set_fold(draft, one, usual))
    }

    fn map_untagged(
        &self,
        at: usize,
        one: &ObservableInput<'_>,
        words: &MispTags<'_>,
    ) -> Result<MappedAttribute, ValidationError> {
        let half = composites::half_kind(one, words);
        let mut wish = half.map_or_else(|| self.rules.requested_type(one), TypeRequest::new);
        wish.notes.extend(self.broken.get(&at).cloned());
        let draft = self
            .rules
            .resolve_with_fallback(wish, one.data, &words.categories)?;
        Ok(set_fold(draft, one, true))
    }

    /// Keeps what can be sent. An observable is refused only if nothing of it can be.
    fn record(&mut self, at: usize, results: Vec<Result<MappedAttribute, ValidationError>>) {
        let mut place = self.covered.get(&at).copied();
        let mut reasons = Vec::new();
        for result in results {
            match result {
                Ok(draft) => {
                    place = Some(self.wanted.len());
                    self.wanted.push(MappedAttribute {
                        from: vec![at],
                        ..draft
                    });
                }
                Err(reason) => reasons.push(reason),
            }
        }
        match place.and_then(|place| self.wanted.get_mut(place)) {
            Some(wanted) => {
                for reason in reasons {
                    add_warning(
                        wanted,
                        &format!("not sent also as a tag asks for: {reason}"),
                    );
                }
            }

            None => self
                .refused
                .extend(reasons.into_iter().next().map(|reason| (at, reason))),
        }
    }
}

/// The categories that all observables of a composite name.
fn shared_categories<'a>(from: &[usize], words: &[MispTags<'a>]) -> Vec<&'a str> {
    let mut halves = from.iter().filter_map(|&at| words.get(at));
    let mut shared = halves
        .next()
        .map(|words| words.categories.clone())
        .unwrap_or_default();
    for half in halves {
        shared.retain(|category| half.categories.contains(category));
    }
    shared
}

/// Says what a single observable counts as: its own type, but a second meaning counts as its MISP
/// type, and so does a composite.
fn set_fold(draft: MappedAttribute, one: &ObservableInput<'_>, usual: bool) -> MappedAttribute {
    let composite =
        misp_types::find_row(&draft.kind).is_some_and(misp_types::MispType::is_composite);
    let fold = if composite || !usual {
        draft.kind.clone().into_owned()
    } else {
        observable_types::canonical_type(one.data_type).into_owned()
    };

    MappedAttribute { fold, ..draft }
}
