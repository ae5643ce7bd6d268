//! The recorded exchanges that any MISP should answer as the recorded one did: they need nothing that it holds. Each is sent to
//! a real one; what differs between it, the record and the fake is a table.

use serde_json::{Value, json};

use super::wire::{Answer, Exchange};
use super::{compare, replay, table};
use crate::scenarios::World;

/// Series of exchanges: each of a line needs those before it.
const SERIES: &[&[&str]] = &[
    &["004-wrong-key"],
    &["005-wrong-key-post"],
    &["006-no-key"],
    &["007-no-key-no-accept"],
    &["008-wrong-key-no-accept"],
    &["009-short-key"],
    &["034-view-notfound-uuid"],
    &["040-edit-notfound"],
    &["041-delete-notfound"],
    &["042-attr-add-notfound-event"],
    &["043-events-add-get"],
    &["046-unknown-action"],
    &["048-unknown-post"],
    &["018-partner-events-add"],
    &["054-add-unwrapped"],
    &["057-add-ints"],
    &["058-add-unknown-keys"],
    &["059-add-orgc-spoof-partner"],
    &["062-add-no-info"],
    &["063-add-empty-info"],
    &["065-add-bad-date"],
    &["066-add-bad-distribution"],
    &["067-add-bad-threat"],
    &["068-add-bad-analysis"],
    &["072-add-sg-dist5"],
    &["073-add-empty-body"],
    &["075-add-malformed-json"],
    &["080-add-emoji"],
    &["081-add-invalid-value"],
    &["082-add-invalid-type"],
    &["083-add-invalid-category"],
    &["084-add-type-category-mismatch"],
    &["085-add-all-invalid"],
    &["086-add-attr-no-category"],
    &["087-add-attr-no-type"],
    &["088-add-attr-no-value"],
    &["089-add-attr-empty-value"],
    &["090-add-attr-whitespace"],
    &["091-add-dup-attr"],
    &["094-add-attr-bad-uuid"],
    &["095-add-attr-bad-distribution"],
    &["096-add-attr-bad-seen"],
    &["097-add-attr-bad-base64"],
    &["098-add-attr-composite-broken"],
    &["100-add-attr-onion-v3"],
    &["101-add-attr-deleted-flag"],
    &["112-attr-view-notfound"],
    &["119-attr-edit-notfound"],
    &["133-attach-tag-unknown-object"],
    &["172-rs-no-match"],
    &["176-rs-bad-json"],
    &["171-rs-unknown-format"],
    &["185-rs-timestamp-bad"],
    &["243-describe-types"],
    &["251-sighting-add-unknown"],
    &["261-event-add-object-invalid-attr"],
    &["262-event-add-object-unknown-template"],
    &["263-event-add-object-no-attrs"],
    &["266-add-malware-sample"],
    &["267-add-attachment"],
    &["269-br-body"],
    &["270-gzip-bad"],
    &["280-add-integer-dropped"],
    &["304-add-emoji-attr-value"],
    &["307-add-emoji-info"],
    &["309-add-emoji-tag"],
    &["346-add-published-with-attr-user"],
    &["348-add-published-with-attr-admin"],
    &["351-add-local-tag-user"],
    &["353-tags-search-colon"],
    &["433-objects-restsearch-deleted-0-1"],
    &["434-objects-restsearch-deleted-1"],
    &["442-restsearch-only-unknown"],
    &["447-events-add-import-regexp"],
    &["449-tags-add-emoji"],
    &["450-events-add-title-0"],
    &["451-attributes-fastlookup"],
    &["453-events-below-wrong-root"],
    &[
        "402-add-v5-uuids",
        "403-edit-strategy-own",
        "405-publish-v5",
        "407-edit-noop-unpublishes",
        "411-edit-attribute-to-ids-0",
        "412-attribute-soft-delete",
        "413-attributes-add-soft-deleted-uuid",
        "414-edit-undelete-attribute",
        "415-readback-with-deleted",
    ],
];

/// What may be answered otherwise than it was recorded: the exchange, the beginning of the difference, and the reason.
const KNOWN: &[(&str, &str, &str)] = &[];

/// A line of the comparison of the recorded answers, the fake's and a real MISP's.
pub(crate) struct Difference {
    exchange: &'static str,
    /// Who answers otherwise than it was recorded.
    who: &'static str,
    what: String,
    /// Why that is expected, if it is.
    reason: Option<&'static str>,
}

impl Difference {
    pub(crate) fn is_expected(&self) -> bool {
        self.reason.is_some()
    }

    pub(crate) fn line(&self) -> String {
        let reason = self.reason.unwrap_or("NOT EXPECTED");
        format!(
            "{:<50} {:<5} {} | {reason}",
            self.exchange, self.who, self.what
        )
    }
}

/// What differs between the recorded answers, those of the fake, and those of this MISP to what any MISP should answer alike.
/// Gives also how many were sent to each.
pub(crate) fn compared(world: &World) -> ([usize; 2], Vec<Difference>) {
    let mut all = Vec::new();
    let mut note = |exchange: &'static str, who: &'static str, found: Vec<String>| {
        all.extend(found.into_iter().map(|what| {
            let mut known = KNOWN
                .iter()
                .filter(|(name, start, _)| *name == exchange && what.starts_with(start));
            Difference {
                exchange,
                who,
                reason: known.next().map(|(.., reason)| *reason),
                what,
            }
        }));
    };
    table::ROWS
        .iter()
        .for_each(|row| note(row.name, "fake", replay(row)));
    let mut sent = 0;
    for name in SERIES.iter().copied().flatten() {
        let exchange = Exchange::read(name);
        let Some(answer) = send(&exchange, world) else {
            continue;
        };
        sent += 1;
        let mut found = compare::differences(&exchange, &answer);
        // The title bears the mark.
        found.retain(|one| !one.starts_with("info is "));
        note(name, "real", found);
    }
    ([table::ROWS.len(), sent], all)
}

/// Sends a request as the user who sent it then, if this MISP has one like that.
fn send(exchange: &Exchange, world: &World) -> Option<Answer> {
    let key = match exchange.request["as"].as_str() {
        Some("admin") => world.key("admin").to_owned(),
        Some("partner") => world.key("user").to_owned(),
        Some("orgadmin") => world.key("orgadmin").to_owned(),
        Some("thirduser") => world.key("other").to_owned(),
        Some(_) => return None,
        None if exchange.name.contains("short") => "short".to_owned(),
        None => "x".repeat(40),
    };
    Some(exchange.send_as(world.url(), &key, &marked(exchange, world)))
}

/// The body with the mark in the title, so that the event goes with the world.
fn marked(exchange: &Exchange, world: &World) -> Vec<u8> {
    let mut body = exchange.request["body"].clone();
    let plain = exchange.request["body_raw"].is_null() && exchange.request["body_base64"].is_null();
    let path = if body["Event"].is_object() {
        "/Event/info"
    } else {
        "/info"
    };
    match body.pointer_mut(path) {
        Some(Value::String(info)) if plain && !["", "0"].contains(&info.as_str()) => {
            *info = format!("cortex-misp test {} {info}", world.mark);
            json!(body).to_string().into_bytes()
        }
        _ => exchange.body(),
    }
}
