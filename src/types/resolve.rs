//! From the wish to send a value as some type to the attribute that one MISP will store: its value,
//! its category, and something less where the server is too old. Whose wish counts is decided in
//! `to_misp.rs`.

use std::borrow::Cow;

use super::capabilities::MispCapabilities;
use super::detect;
use super::mapped::{MappedAttribute, ObservableInput};
use super::misp_types;
use super::normalise::{count_astral, normalise};
use super::overrides::Overrides;
use super::validate::{ValidationError, validate};

const ASTRAL: &str = "characters above U+FFFF, which MISP cannot store, became ?";

/// What the server can hold and what the administrator wants.
pub(super) struct Resolver<'a> {
    pub(super) server: &'a MispCapabilities,
    pub(super) overrides: &'a Overrides,
}

/// A choice of type and perhaps category before the value was looked at.
pub(super) struct TypeRequest<'a> {
    pub(super) kind: Cow<'a, str>,
    pub(super) category: Option<&'static str>,
    pub(super) notes: Vec<String>,
}

impl<'a> TypeRequest<'a> {
    pub(super) fn new(kind: impl Into<Cow<'a, str>>) -> Self {
        Self {
            kind: kind.into(),
            category: None,
            notes: Vec::new(),
        }
    }
}

impl Resolver<'_> {
    /// What the administrator says, if the value fits it, else the table.
    pub(super) fn requested_type(&self, one: &ObservableInput<'_>) -> TypeRequest<'static> {
        let guess = detect::guess(one.data_type, one.data);
        let mut wish = TypeRequest::new(guess.kind);
        wish.notes.extend(guess.note);
        let Some(line) = self.overrides.find(one.data_type) else {
            return wish;
        };

        match validate(line.kind, &normalise(line.kind, one.data), self.server) {
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
    pub(super) fn resolve_with_fallback(
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
        validate(&kind, &normalise(&kind, data), &MispCapabilities::newest())
            .map_err(|_| reason.clone())?;
        let less = self.fallback_type(&kind);
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
            &[],
        )
    }

    /// The attribute for a wish as this server stores it, or nothing.
    pub(super) fn resolve_exactly(
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
        if let Some(&category) = tagged.iter().find(|one| self.server.allows(kind, one)) {
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
        losses.push(format!("{ASTRAL}: {lost}"));
    }
    if kind == "malware-sample" || kind == "attachment" {
        losses.push(format!("{kind} is sent without its file"));
    }
    losses
}
