//! Export: a case's observables as MISP attributes. Which of them are IOCs, their TLP, comments and
//! uuids are not looked at here; halves of composites are found in `composites.rs`. [`Mapper`]
//! decides whose wish for a type counts, [`Resolver`] makes of a wish what one MISP will store.

use std::borrow::Cow;
use std::collections::HashMap;

use super::capabilities::MispCapabilities;
use super::composites::{self, Composite, MispTags};
use super::detect;
use super::mapped::{MappedAttribute, ObservableInput, merge_duplicates};
use super::misp_types::{self, MispType};
use super::normalise::count_astral;
use super::observable_types;
use super::overrides::Overrides;
use super::validate::{ValidationError, normalise, validate};

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
        .map(|observable| MispTags::from_tags(observable.tags))
        .collect();
    let mut plan = Mapper {
        rules: Resolver { server, overrides },
        wanted: Vec::new(),
        refused: Vec::new(),
        covered: HashMap::new(),
        broken: HashMap::new(),
    };

    // Pairs come first: a half that went out in its composite does not go alone.
    for pair in composites::find_pairs(given, &words) {
        plan.map_pair(pair, &words);
    }
    for (index, (observable, words)) in given.iter().zip(&words).enumerate() {
        plan.map_single(index, observable, words);
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
                    .extend(from.iter().map(|&index| (index, self.wanted.len())));
                self.wanted.push(MappedAttribute {
                    fold: kind.to_owned(),
                    from,
                    ..draft
                });
            }

            Err(reason) => {
                let note = format!("not sent as {kind}: {reason}");
                self.broken
                    .extend(from.into_iter().map(|index| (index, note.clone())));
            }
        }
    }

    /// Sends an observable by its tags; if these say nothing, and no composite holds it, by itself.
    /// So goes one, too, whose tags ask for nothing that its value can be: a tag may be somebody
    /// else's, and keeps no IOC back.
    fn map_single(&mut self, index: usize, observable: &ObservableInput<'_>, words: &MispTags<'_>) {
        let marker = composites::half_marker(observable, words);
        let kinds: Vec<&str> = words
            .types
            .iter()
            .copied()
            .filter(|&kind| Some(kind) != marker)
            .collect();

        let mut results: Vec<_> = kinds
            .iter()
            .flat_map(|kind| self.map_tagged(observable, kind, words, kinds.len() > 1))
            .collect();

        if !self.covered.contains_key(&index) && !results.iter().any(Result::is_ok) {
            let mut untagged = self.map_untagged(index, observable, words);
            if let Ok(wanted) = &mut untagged {
                // None could be sent, so that there is one reason for each tag.
                for (kind, reason) in kinds
                    .iter()
                    .zip(results.iter().flat_map(|result| result.as_ref().err()))
                {
                    wanted.add_warning(&format!(
                        "not sent as {kind}, which a tag asks for: {reason}"
                    ));
                }
            }
            results = vec![untagged];
        }

        self.record(index, results);
    }

    /// What a tag asks for; of a composite that no MISP stores both halves
    /// (`fixtures/wire/misp/278-add-filename-impfuzzy-500.json`).
    fn map_tagged(
        &self,
        observable: &ObservableInput<'_>,
        kind: &str,
        words: &MispTags<'_>,
        several: bool,
    ) -> Vec<Result<MappedAttribute, ValidationError>> {
        const BROKEN: &str = "filename|impfuzzy";

        let halves = BROKEN
            .split_once('|')
            .zip(observable.data.rsplit_once('|'))
            .filter(|_| kind == BROKEN);
        let Some(((first, second), (name, hash))) = halves else {
            return vec![self.map_as_type(observable, kind, words, several)];
        };

        let half = |kind: &str, data| {
            let mut wanted = self.map_as_type(
                &ObservableInput {
                    data,
                    ..*observable
                },
                kind,
                words,
                true,
            )?;
            wanted.add_warning(&format!(
                "not sent as {BROKEN}, which no MISP stores: its halves go alone"
            ));
            Ok(wanted)
        };

        match (half(first, name), half(second, hash)) {
            (Ok(first), Ok(second)) => vec![Ok(first), Ok(second)],
            (Err(reason), _) | (_, Err(reason)) => vec![Err(reason)],
        }
    }

    fn map_as_type(
        &self,
        observable: &ObservableInput<'_>,
        kind: &str,
        words: &MispTags<'_>,
        several: bool,
    ) -> Result<MappedAttribute, ValidationError> {
        let is_known = self.rules.server.has(kind) || misp_types::find_row(kind).is_some();
        let mut wish = TypeRequest::new(kind);

        if !is_known {
            wish = self.rules.requested_type(observable);

            wish.notes
                .push(format!("MISP has no type {kind}, which a tag asks for"));
        }
        let draft = self
            .rules
            .resolve_with_fallback(wish, observable.data, &words.categories)?;
        // Of several types only the table's choice counts as the observable's own type.
        let usual = !several || detect::guess(observable.data_type, observable.data).kind == kind;
        Ok(set_fold(draft, observable, usual))
    }

    fn map_untagged(
        &self,
        index: usize,
        observable: &ObservableInput<'_>,
        words: &MispTags<'_>,
    ) -> Result<MappedAttribute, ValidationError> {
        let half = composites::half_kind(observable, words);
        let mut wish = half.map_or_else(|| self.rules.requested_type(observable), TypeRequest::new);
        wish.notes.extend(self.broken.get(&index).cloned());
        let draft = self
            .rules
            .resolve_with_fallback(wish, observable.data, &words.categories)?;
        Ok(set_fold(draft, observable, true))
    }

    /// Keeps what can be sent. An observable is refused only if nothing of it can be.
    fn record(&mut self, index: usize, results: Vec<Result<MappedAttribute, ValidationError>>) {
        // What holds the observable takes the warnings: the last of its attributes, or its
        // composite.
        let mut place = self.covered.get(&index).copied();
        let mut reasons = Vec::new();
        for result in results {
            match result {
                Ok(draft) => {
                    place = Some(self.wanted.len());
                    self.wanted.push(MappedAttribute {
                        from: vec![index],
                        ..draft
                    });
                }
                Err(reason) => reasons.push(reason),
            }
        }
        match place.and_then(|place| self.wanted.get_mut(place)) {
            Some(wanted) => {
                for reason in reasons {
                    wanted.add_warning(&format!("not sent also as a tag asks for: {reason}"));
                }
            }

            None => self
                .refused
                .extend(reasons.into_iter().next().map(|reason| (index, reason))),
        }
    }
}

/// The categories that all observables of a composite name.
fn shared_categories<'a>(from: &[usize], words: &[MispTags<'a>]) -> Vec<&'a str> {
    from.iter()
        .filter_map(|&index| Some(words.get(index)?.categories.clone()))
        .reduce(|mut shared, half| {
            shared.retain(|category| half.contains(category));
            shared
        })
        .unwrap_or_default()
}

/// Says what a single observable counts as: its own type, but a second meaning counts as its MISP
/// type, and so does a composite.
fn set_fold(
    draft: MappedAttribute,
    observable: &ObservableInput<'_>,
    usual: bool,
) -> MappedAttribute {
    let composite = misp_types::find_row(&draft.kind).is_some_and(MispType::is_composite);
    let fold = if composite || !usual {
        draft.kind.clone().into_owned()
    } else {
        observable_types::canonical_type(observable.data_type).into_owned()
    };

    MappedAttribute { fold, ..draft }
}

/// What the server can hold and what the administrator wants.
struct Resolver<'a> {
    server: &'a MispCapabilities,
    overrides: &'a Overrides,
}

/// A choice of type and perhaps category before the value was looked at.
struct TypeRequest<'a> {
    kind: Cow<'a, str>,
    category: Option<&'static str>,
    notes: Vec<String>,
}

impl<'a> TypeRequest<'a> {
    fn new(kind: impl Into<Cow<'a, str>>) -> Self {
        Self {
            kind: kind.into(),
            category: None,
            notes: Vec::new(),
        }
    }
}

impl Resolver<'_> {
    /// What the administrator says, if the value fits it, else the table.
    fn requested_type(&self, observable: &ObservableInput<'_>) -> TypeRequest<'static> {
        let guess = detect::guess(observable.data_type, observable.data);
        let mut wish = TypeRequest::new(guess.kind);
        wish.notes.extend(guess.note);
        let Some(line) = self.overrides.find(observable.data_type) else {
            return wish;
        };

        match validate(
            line.kind,
            &normalise(line.kind, observable.data),
            self.server,
        ) {
            Ok(()) => TypeRequest {
                category: Some(line.category),
                ..TypeRequest::new(line.kind)
            },
            Err(reason) => {
                let asked = format!(
                    "not sent as {}, which type_mapping asks for: {reason}",
                    line.kind
                );
                wish.notes.push(asked);
                wish
            }
        }
    }

    /// The attribute for a wish. What only an old or poor server refuses goes as something it
    /// takes, with a warning. `categories` are those of the tags.
    fn resolve_with_fallback(
        &self,
        wish: TypeRequest<'_>,
        data: &str,
        categories: &[&str],
    ) -> Result<MappedAttribute, ValidationError> {
        let reason = match self.resolve_exactly(&wish, data, categories) {
            Ok(wanted) => return Ok(wanted),
            Err(reason) => reason,
        };
        let TypeRequest {
            kind, mut notes, ..
        } = wish;
        // What the newest MISP refuses too is wrong in itself, and does not go as something else.
        validate(&kind, &normalise(&kind, data), &MispCapabilities::newest())
            .map_err(|_| reason.clone())?;
        let less = self.fallback_type(&kind);
        // Nothing more general is left, which also ends the recursion.
        if less == kind {
            return Err(reason);
        }
        let server = self.server.describe();
        notes.push(format!(
            "{server} does not take it as {kind} ({reason}): sent as {less}"
        ));

        self.resolve_with_fallback(
            TypeRequest {
                notes,
                ..TypeRequest::new(less)
            },
            data,
            // The tags' categories were meant for the first type.
            &[],
        )
    }

    /// The attribute for a wish as this server stores it, or nothing.
    fn resolve_exactly(
        &self,
        wish: &TypeRequest<'_>,
        data: &str,
        categories: &[&str],
    ) -> Result<MappedAttribute, ValidationError> {
        let kind: &str = &wish.kind;
        let value = normalise(kind, data);
        validate(kind, &value, self.server)?;
        let mut notes = wish.notes.clone();
        notes.extend(describe_losses(kind, data));
        let category = self.choose_category(kind, wish.category, categories, &mut notes);
        let known = misp_types::find_row(kind).map(|row| row.kind);

        Ok(MappedAttribute {
            kind: known.map_or_else(|| Cow::Owned(kind.to_owned()), Cow::Borrowed),
            category,
            value,
            warning: (!notes.is_empty()).then(|| notes.join("; ")),
            fold: String::new(),
            from: Vec::new(),
        })
    }

    /// The type that takes a value when the server cannot hold it as what it is.
    fn fallback_type(&self, kind: &str) -> &'static str {
        match kind {
            "onion-address" => "domain",
            _ if self.server.has("other") && kind != "other" => "other",
            _ => "text",
        }
    }

    /// The first category of the tags that the type is allowed in, else the administrator's, else
    /// MISP's default.
    fn choose_category(
        &self,
        kind: &str,
        said: Option<&'static str>,
        tagged: &[&str],
        notes: &mut Vec<String>,
    ) -> Cow<'static, str> {
        if let Some(&category) = tagged
            .iter()
            .find(|category| self.server.allows(kind, category))
        {
            let known = misp_types::find_category(category);
            return known.map_or_else(|| Cow::Owned(category.to_owned()), Cow::Borrowed);
        }
        if let Some(category) = tagged.first() {
            let asked =
                format!("MISP does not take {kind} in category {category}, which a tag asks for");
            notes.push(asked);
        }
        match said {
            Some(category) if self.server.allows(kind, category) => Cow::Borrowed(category),
            _ => self.server.default_category(kind),
        }
    }
}

/// What MISP will not have although it takes the attribute.
fn describe_losses(kind: &str, data: &str) -> Vec<String> {
    let mut losses = Vec::new();
    let lost = count_astral(data);
    if lost > 0 {
        losses.push(format!(
            "characters above U+FFFF, which MISP cannot store, became ?: {lost}"
        ));
    }
    if kind == "malware-sample" || kind == "attachment" {
        losses.push(format!("{kind} is sent without its file"));
    }
    losses
}
