//! Export: a case's observables as MISP attributes. Which of them are IOCs, their TLP, comments and
//! uuids are not looked at here; halves of composites are put together in `composites.rs`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::choices;
use super::composites::{self, Pair};
use super::form;
use super::normalise::{astral, normalise};
use super::overrides::Overrides;
use super::server::ServerTypes;
use super::table;
use super::tags::Words;
use super::validate::{Reason, validate};

/// An observable as TheHive has it.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// TheHive's observable type.
    pub data_type: &'a str,
    /// Its data.
    pub data: &'a str,
    /// All its tags.
    pub tags: &'a [String],
}

/// An attribute that MISP is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// MISP type.
    pub kind: Cow<'static, str>,
    /// MISP category, one that the type is allowed in.
    pub category: Cow<'static, str>,
    /// The value as MISP will store it.
    pub value: String,
    /// What the analyst should know: a fallback, a changed character, a tag not followed.
    pub warning: Option<String>,
    /// What the attribute counts as when its uuid is made: the observable type with its synonyms
    /// folded, or the MISP type of a composite. No two wanted attributes share fold and value.
    pub fold: String,
    /// The observables it stands for, by their place in the list.
    pub from: Vec<usize>,
}

/// What became of a list of observables: each place of the list stands either in `from` of one or
/// more wanted attributes, or once among the refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The attributes, those of the first observables first.
    pub wanted: Vec<Wanted>,
    /// Observables that MISP would drop, with its reason.
    pub refused: Vec<(usize, Reason)>,
}

/// The attributes for all observables of a case.
///
/// A tag `misp:type="…"` is always followed; several make several attributes. Halves that share a
/// `misp:composite` tag become that composite. Then the administrator's lines count, then the table.
pub fn attributes(given: &[Given<'_>], overrides: &Overrides, server: &ServerTypes) -> Mapping {
    let words: Vec<Words<'_>> = given.iter().map(|one| Words::of(one.tags)).collect();
    let mut plan = Plan {
        server,
        overrides,
        mapping: Mapping::default(),
        covered: vec![false; given.len()],
        warnings: HashMap::new(),
    };
    for pair in composites::pairs(given, &words) {
        plan.pair(&pair, &words);
    }
    for (at, (one, words)) in given.iter().zip(&words).enumerate() {
        plan.single(at, one, words);
    }
    let Mapping { wanted, mut refused } = plan.mapping;
    refused.sort_by_key(|(at, _)| *at);
    Mapping { wanted: unified(wanted), refused }
}

struct Plan<'a> {
    server: &'a ServerTypes,
    overrides: &'a Overrides,
    mapping: Mapping,
    /// The observables that already stand in a composite.
    covered: Vec<bool>,
    /// Why the composite of an observable could not be sent.
    warnings: HashMap<usize, String>,
}

/// A choice of type and category before the value was looked at.
struct Wish<'a> {
    kind: Cow<'a, str>,
    category: Option<&'static str>,
    notes: Vec<String>,
}

impl Plan<'_> {
    /// Sends two halves, or one and its port, as their composite; if MISP would not store that, the
    /// halves go alone and say so.
    fn pair(&mut self, pair: &Pair<'_>, words: &[Words<'_>]) {
        let halves: Vec<&Words<'_>> = pair.from.iter().filter_map(|&at| words.get(at)).collect();
        let shared = |category: &&str| halves.iter().all(|words| words.categories.contains(category));
        let categories: Vec<&str> = halves
            .first()
            .map(|words| words.categories.iter().copied().filter(|one| shared(one)).collect())
            .unwrap_or_default();
        let wish = Wish { kind: Cow::Borrowed(pair.kind), category: None, notes: Vec::new() };
        match self.settle(wish, &pair.value, &categories) {
            Ok(draft) if draft.kind == pair.kind => {
                for &at in &pair.from {
                    self.cover(at);
                }
                let fold = pair.kind.to_owned();
                self.mapping.wanted.push(Wanted { fold, from: pair.from.clone(), ..draft });
            }
            Ok(draft) => self.warn(pair, draft.warning.unwrap_or_default()),
            Err(reason) => self.warn(pair, reason.to_string()),
        }
    }

    fn cover(&mut self, at: usize) {
        if let Some(covered) = self.covered.get_mut(at) {
            *covered = true;
        }
    }

    fn warn(&mut self, pair: &Pair<'_>, reason: String) {
        for &at in &pair.from {
            self.warnings.entry(at).or_insert_with(|| format!("not sent as {}: {reason}", pair.kind));
        }
    }

    /// Sends an observable by its tags, and if these say nothing and no composite holds it, by
    /// itself.
    fn single(&mut self, at: usize, one: &Given<'_>, words: &Words<'_>) {
        let mark = composites::mark(one, words);
        let asked: Vec<&str> = words.types.iter().copied().filter(|&kind| Some(kind) != mark).collect();
        let covered = self.covered.get(at).copied().unwrap_or(false);
        let mut results = Vec::new();
        for kind in &asked {
            results.push(self.asked(one, kind, words, asked.len() > 1));
        }
        if results.is_empty() && !covered {
            results.push(self.alone(at, one, words));
        }
        self.record(at, covered, results);
    }

    fn asked(&self, one: &Given<'_>, kind: &str, words: &Words<'_>, several: bool) -> Result<Wanted, Reason> {
        let mut draft = if self.server.has(kind) || table::row(kind).is_some() {
            let wish = Wish { kind: Cow::Borrowed(kind), category: None, notes: Vec::new() };
            self.settle(wish, one.data, &words.categories)?
        } else {
            let mut wish = self.by_table(one);
            wish.notes.push(format!("MISP has no type {kind}, which a tag asks for"));
            self.settle(wish, one.data, &words.categories)?
        };
        let usual = !several || form::guess(one.data_type, one.data).kind == kind;
        draft.fold = fold(one, &draft, usual);
        Ok(draft)
    }

    fn alone(&self, at: usize, one: &Given<'_>, words: &Words<'_>) -> Result<Wanted, Reason> {
        let mut wish = match composites::half(one, words) {
            Some(kind) => Wish { kind: Cow::Borrowed(kind), category: None, notes: Vec::new() },
            None => self.by_table(one),
        };
        wish.notes.extend(self.warnings.get(&at).cloned());
        let mut draft = self.settle(wish, one.data, &words.categories)?;
        draft.fold = fold(one, &draft, true);
        Ok(draft)
    }

    /// What the administrator says, if the value fits it, else the table.
    fn by_table(&self, one: &Given<'_>) -> Wish<'static> {
        let guess = form::guess(one.data_type, one.data);
        let mut wish =
            Wish { kind: Cow::Borrowed(guess.kind), category: None, notes: guess.note.into_iter().collect() };
        let Some(line) = self.overrides.of(one.data_type) else {
            return wish;
        };
        match validate(line.kind, &normalise(line.kind, one.data), self.server) {
            Ok(()) => Wish { kind: Cow::Borrowed(line.kind), category: Some(line.category), notes: Vec::new() },
            Err(reason) => {
                wish.notes.push(format!("not sent as {}, which type_mapping asks for: {reason}", line.kind));
                wish
            }
        }
    }

    /// A wish with its final value, type and category. What only an old or poor server refuses goes
    /// as something it takes, with a warning.
    fn settle(&self, wish: Wish<'_>, data: &str, categories: &[&str]) -> Result<Wanted, Reason> {
        let Wish { kind, category, mut notes } = wish;
        let value = normalise(&kind, data);
        if let Err(reason) = validate(&kind, &value, self.server) {
            validate(&kind, &value, &ServerTypes::newest()).map_err(|_| reason.clone())?;
            let less = self.less(&kind);
            if less == kind {
                return Err(reason);
            }
            notes.push(format!("{} does not take it as {kind} ({reason}): sent as {less}", self.server.name()));
            return self.settle(Wish { kind: Cow::Borrowed(less), category: None, notes }, data, &[]);
        }
        let lost = astral(data);
        if lost > 0 {
            notes.push(format!("{lost} characters above U+FFFF, which MISP cannot store, replaced by ?"));
        }
        if kind == "malware-sample" || kind == "attachment" {
            notes.push(format!("{kind} is sent without its file"));
        }
        let category = self.category(&kind, category, categories, &mut notes);
        Ok(Wanted {
            kind: table::row(&kind).map_or_else(|| Cow::Owned(kind.into_owned()), |row| Cow::Borrowed(row.kind)),
            category,
            value,
            warning: (!notes.is_empty()).then(|| notes.join("; ")),
            fold: String::new(),
            from: Vec::new(),
        })
    }

    /// The type that takes a value when the server cannot hold it as what it is.
    fn less(&self, kind: &str) -> &'static str {
        match kind {
            "onion-address" => "domain",
            _ if self.server.has("other") && kind != "other" => "other",
            _ => "text",
        }
    }

    /// The first category of the tags that the type is allowed in, else the administrator's, else
    /// MISP's default.
    fn category(
        &self,
        kind: &str,
        said: Option<&'static str>,
        tagged: &[&str],
        notes: &mut Vec<String>,
    ) -> Cow<'static, str> {
        if let Some(&category) = tagged.iter().find(|category| self.server.allows(kind, category)) {
            return table::category(category).map_or_else(|| Cow::Owned(category.to_owned()), Cow::Borrowed);
        }
        if let Some(category) = tagged.first() {
            notes.push(format!("MISP does not take {kind} in category {category}, which a tag asks for"));
        }
        match said {
            Some(category) if self.server.allows(kind, category) => Cow::Borrowed(category),
            _ => self.server.category(kind),
        }
    }

    fn record(&mut self, at: usize, covered: bool, results: Vec<Result<Wanted, Reason>>) {
        let mut stands = covered;
        let mut refused = Vec::new();
        for result in results {
            match result {
                Ok(draft) => {
                    stands = true;
                    self.mapping.wanted.push(Wanted { from: vec![at], ..draft });
                }
                Err(reason) => refused.push(reason),
            }
        }
        for (nth, reason) in refused.into_iter().enumerate() {
            if stands {
                let holds = |wanted: &&mut Wanted| wanted.from.contains(&at);
                if let Some(wanted) = self.mapping.wanted.iter_mut().rev().find(holds) {
                    warn(wanted, &format!("not sent also as a tag asks for: {reason}"));
                }
            } else if nth == 0 {
                self.mapping.refused.push((at, reason));
            }
        }
    }
}

/// What a single observable counts as: its own type, but a second meaning counts as its MISP type.
fn fold(one: &Given<'_>, draft: &Wanted, usual: bool) -> String {
    let composite = table::row(&draft.kind).is_some_and(table::Row::is_composite);
    if composite || !usual {
        return draft.kind.clone().into_owned();
    }
    choices::fold(one.data_type).into_owned()
}

fn warn(wanted: &mut Wanted, note: &str) {
    wanted.warning = Some(match wanted.warning.take() {
        Some(warning) if warning.split("; ").any(|known| known == note) => warning,
        Some(warning) => format!("{warning}; {note}"),
        None => note.to_owned(),
    });
}

/// One attribute for each type and value, and no two of the same fold and value.
fn unified(drafts: Vec<Wanted>) -> Vec<Wanted> {
    let mut places: HashMap<(Cow<'static, str>, String), usize> = HashMap::new();
    let mut all: Vec<Wanted> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let key = (draft.kind.clone(), draft.value.clone());
        match places.get(&key).and_then(|&at| all.get_mut(at)) {
            Some(known) => join(known, draft),
            None => {
                places.insert(key, all.len());
                all.push(draft);
            }
        }
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|&at| all.get(at).map(|one| one.kind.clone()));
    let mut taken: HashMap<(String, String), ()> = HashMap::new();
    for at in order {
        if let Some(one) = all.get_mut(at)
            && taken.insert((one.fold.clone(), one.value.clone()), ()).is_some()
        {
            one.fold = one.kind.clone().into_owned();
        }
    }
    all.sort_by_key(|one| one.from.iter().min().copied());
    all
}

/// A second observable for an attribute that is wanted already. Of two folds the one that is not
/// `other` stays, and then the first by name, whatever the order of the list.
fn join(known: &mut Wanted, draft: Wanted) {
    for at in draft.from {
        if !known.from.contains(&at) {
            known.from.push(at);
        }
    }
    if (draft.fold == "other", &draft.fold) < (known.fold == "other", &known.fold) {
        known.fold = draft.fold;
    }
    if let Some(warning) = draft.warning {
        warn(known, &warning);
    }
    if draft.category != known.category {
        warn(known, &format!("also asked for in category {}", draft.category));
    }
}
