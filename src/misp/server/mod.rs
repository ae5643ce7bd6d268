//! A MISP server, over HTTP: what is asked and what the answers mean; what is written is in `write.rs`. The rules are
//! those of MISP 2.5, as the exchanges in `fixtures/wire/misp/` show them.

mod write;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use super::wire::{Attribute, Event, Piece, Pieces};
use super::{Held, Listed, Window};
use crate::config::connections::{Connection, Target};
use crate::full::PartOf;
use crate::http::{self, Answer, Cause, Client, Failure, Network, Origin};
use crate::json::{Each, Element, Path, Source};
use crate::types::ServerTypes;

/// Events asked for at once. A page is read before its events are, so that no answer waits half read.
const ROWS: usize = 500;
/// Attributes asked for at once.
const ATTRIBUTES: usize = 5_000;
/// Attributes that an event of ours may hold.
const MOST_HELD: usize = 200_000;

/// A MISP server.
pub struct Server {
    client: Client,
    url: Url,
}

impl Server {
    /// Makes ready; nothing is sent.
    ///
    /// # Errors
    /// A certificate file that cannot be read, a key that no header can carry.
    pub fn open(connection: &Connection, network: &Network, part: &PartOf) -> Result<Self> {
        let Target::Server { url, key, cert_path, cert_check } = &connection.target else {
            bail!("connection \"{}\" is no server", connection.name)
        };
        let origin = Origin {
            url,
            headers: vec![("authorization", key.clone())],
            user_agent: format!("MISP-cortex-misp/{}", env!("CARGO_PKG_VERSION")),
            cert_path: cert_path.as_deref(),
            cert_check: *cert_check,
        };
        let part = part.clone();
        let client = Client::new(&origin, network, Box::new(move || part.request()))?;
        Ok(Self { client, url: url.clone() })
    }

    /// The version: the cheapest question that needs a good key.
    ///
    /// # Errors
    /// That the server cannot be reached, refuses the key, or is no MISP.
    pub fn version(&self) -> Result<String> {
        let answer = self.client.get("servers/getVersion").map_err(explained)?;
        let line = answer.line().to_owned();
        let version = answer.value()?.get("version").and_then(Value::as_str).map(ToOwned::to_owned);
        version.with_context(|| format!("{line}: the answer names no version: this is no MISP"))
    }

    /// True if an event's organisation is that of the key's user (`fixtures/wire/misp/013-users-view-me-partner.json`).
    ///
    /// # Errors
    /// That the server does not say who we are.
    pub fn owns(&self, event: &Event) -> Result<bool> {
        let answer = self.client.get("users/view/me.json").map_err(explained)?;
        let line = answer.line().to_owned();
        let me = answer.value()?;
        let own = me.pointer("/Organisation/uuid").and_then(Value::as_str);
        let own = own.with_context(|| format!("{line}: the answer names no organisation"))?;
        Ok(event.orgc.as_ref().is_none_or(|orgc| orgc.uuid.eq_ignore_ascii_case(own)))
    }

    /// The attribute types of this server, by category (`fixtures/wire/misp/describeTypes.json`).
    ///
    /// # Errors
    /// That the server does not describe them.
    pub fn types(&self, version: &str) -> Result<ServerTypes> {
        let answer = self.client.get("attributes/describeTypes.json").map_err(explained)?;
        let line = answer.line().to_owned();
        let described = answer.value()?;
        let mappings = described.pointer("/result/category_type_mappings").and_then(Value::as_object);
        let mappings = mappings.with_context(|| format!("{line}: the answer has no category_type_mappings"))?;
        let texts = |list: &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        };
        Ok(ServerTypes::new(mappings.iter().map(|(category, list)| (category, texts(list))), version))
    }

    /// The union of what was published and what was changed since the window opens. A publication does not change
    /// `timestamp`, and an edit with `published` leaves `publish_timestamp` at 0
    /// (`fixtures/wire/misp/410-edit-published-true-keeps-publish-timestamp.json`), so both are asked for. Of what the
    /// first list had, the numbers are remembered: eight bytes for each event.
    ///
    /// # Errors
    /// What stopped the list.
    pub fn list(&self, window: Window, on: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        if window.since == 0 {
            return self.pages(window, &[], on);
        }
        let since = Value::from(window.since);
        let mut seen: Vec<u64> = Vec::new();
        self.pages(window, &[("publish_timestamp", since.clone())], &mut |listed| match &listed {
            Listed::Event(event, _) if event.publish_timestamp.unwrap_or(0) < window.since => Ok(()),
            Listed::Event(event, _) => {
                seen.extend(event.id.parse::<u64>());
                on(listed)
            }
            Listed::Bad(_) => on(listed),
        })?;
        self.pages(window, &[("timestamp", since)], &mut |listed| match &listed {
            Listed::Event(event, _) if event.timestamp.unwrap_or(0) < window.since => Ok(()),
            Listed::Event(event, _) if event.id.parse().is_ok_and(|id| seen.binary_search(&id).is_ok()) => Ok(()),
            Listed::Event(..) | Listed::Bad(_) => on(listed),
        })
    }

    /// Sorted by id, so that a row that slips onto the next page, because an event came in before it, is known by its
    /// number. The last page is one that is not full and, by the count in the header, has nothing behind it.
    fn pages(&self, window: Window, filters: &[(&str, Value)], on: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        let mut highest = 0;
        for page in 1.. {
            let mut body = Map::from_iter([("sort".to_owned(), json!("id")), ("direction".to_owned(), json!("asc"))]);
            body.extend([("limit".to_owned(), json!(ROWS)), ("page".to_owned(), json!(page))]);
            if window.published_only {
                body.insert("published".to_owned(), json!(1));
            }
            body.extend(filters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            let answer = self.client.post("events/index", &body).map_err(explained)?;
            let total: Option<usize> = answer.header("x-result-count").parse().ok();
            let line = answer.line().to_owned();
            let rows = elements::<Event>(answer, &[], ROWS)?;
            let ended = rows.is_empty() || (rows.len() < ROWS && total.is_some_and(|total| page * ROWS >= total));
            let last = rows.iter().filter_map(number).max();
            ensure!(
                page == 1 || rows.is_empty() || last > Some(highest),
                "{line}: the server sends the same page again and again"
            );
            let numbers: Vec<_> = rows.iter().filter_map(number).collect();
            ensure!(numbers.is_sorted(), "{line}: the server does not sort its events by number as it was asked to");
            let new = rows.into_iter().filter(|row| number(row).is_none_or(|number| number > highest));
            new.map(Listed::new).try_for_each(&mut *on)?;
            highest = last.unwrap_or(highest);
            if ended {
                break;
            }
        }
        Ok(())
    }

    /// Reads an event's content as one stream. Attachments, galaxies and correlations are not asked for
    /// (`fixtures/wire/misp/432-view-objects-no-attachments.json`).
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn read(&self, event: &Uuid, on: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        const WITHOUT: &str = "includeAttachments:0/excludeGalaxy:1/includeFeedCorrelations:0/includeWarninglistHits:0/includeEventCorrelations:0";
        let answer = self.client.get(&format!("events/view/{event}/{WITHOUT}")).map_err(explained)?;
        let line = answer.line().to_owned();
        Source::new(answer.body())
            .read(|hand| Pieces { is_inside: false, hand, on })
            .with_context(|| format!("{line}: reading the event"))
    }

    /// What an event holds, soft-deleted attributes included; none if there is no such event for us.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn held(&self, uuid: &Uuid) -> Result<Option<Held>> {
        let answer = self.client.post("events/index", &json!({"eventid": [uuid]})).map_err(explained)?;
        let rows = elements::<Event>(answer, &[], ROWS)?;
        let is_it = |event: &Event| Uuid::parse_str(&event.uuid).is_ok_and(|found| found == *uuid);
        let found = rows.into_iter().find_map(|row| match row {
            Element::Good(event) if is_it(&event) => Some(event),
            Element::Good(_) | Element::Bad(_) => None,
        });
        found.map(|event| Ok(Held { attributes: self.attributes(uuid, &event)?, event })).transpose()
    }

    /// Pages until one is empty, since a page may be short for reasons of its own and the count in its header is no total
    /// (`fixtures/wire/misp/212-ars-page1.json`); or until there are as many live ones as the event counts.
    fn attributes(&self, uuid: &Uuid, event: &Event) -> Result<Vec<Attribute>> {
        let counted = event.attribute_count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
        let mut held: Vec<Attribute> = Vec::new();
        for page in 1.. {
            let body = json!({
                "returnFormat": "json", "eventid": uuid, "deleted": [0, 1],
                "limit": ATTRIBUTES, "page": page, "order": "Attribute.id asc",
            });
            let answer = self.client.post("attributes/restSearch", &body).map_err(explained)?;
            let rows = elements::<Attribute>(answer, &["response", "Attribute"], ATTRIBUTES)?;
            let is_known =
                matches!((rows.first(), held.first()), (Some(Element::Good(row)), Some(first)) if row == first);
            ensure!(!is_known, "reading what event {uuid} holds: the server sends the same page again and again");
            let (is_empty, is_full) = (rows.is_empty(), rows.len() == ATTRIBUTES);
            for row in rows {
                match row {
                    Element::Good(attribute) => held.push(attribute),
                    Element::Bad(kind) => {
                        bail!("reading what event {uuid} holds: an attribute is {kind}, not an object")
                    }
                }
            }
            ensure!(
                held.len() <= MOST_HELD,
                "event {uuid} holds more than {MOST_HELD} attributes: it is not exported to"
            );
            let live = held.iter().filter(|attribute| attribute.deleted != Some(true)).count();
            if is_empty || (!is_full && live >= counted) {
                break;
            }
        }
        Ok(held)
    }

    /// The page of an event, for people.
    #[must_use]
    pub fn link(url: &Url, uuid: &Uuid) -> String {
        format!("{url}events/view/{uuid}")
    }
}

/// The elements of a list in an answer: no more than were asked for.
fn elements<T: for<'de> Deserialize<'de>>(answer: Answer, path: &[&str], most: usize) -> Result<Vec<Element<T>>> {
    let line = answer.line().to_owned();
    let mut elements = Vec::new();
    let mut on = |element| {
        ensure!(elements.len() < most, "the server sends more than the {most} elements asked for");
        elements.push(element);
        Ok(())
    };
    let read = Source::collected(answer.body()).read(|hand| Path { path, each: Each { hand, on: &mut on } });
    read.with_context(|| format!("{line}: reading the answer"))?;
    Ok(elements)
}

fn number(row: &Element<Event>) -> Option<u64> {
    match row {
        Element::Good(event) => event.id.parse().ok(),
        Element::Bad(_) => None,
    }
}

/// Adds what can be done about it.
fn explained(failure: Failure) -> anyhow::Error {
    let help = match &failure.cause {
        Cause::Redirected { to, .. } if to.contains("/users/login") => {
            Some("MISP is in maintenance mode, or does not take the key for an API key")
        }
        _ if says(&failure, "Authentication failed") => {
            Some("check \"key\": it is wrong, expired, or its user is disabled")
        }
        _ if says(&failure, "permission") || says(&failure, "authorised") => {
            Some("the key's user lacks a permission, or the event is another organisation's")
        }
        Cause::Refused { status: 404, .. } => Some("check \"url\": is this the address of a MISP?"),
        _ => None,
    };
    anyhow!(failure.with_help(help.unwrap_or_default()))
}

fn says(failure: &Failure, word: &str) -> bool {
    matches!(&failure.cause, Cause::Refused { message, errors, .. } if message.contains(word) || http::words(errors).contains(word))
}
