//! What stands beside a hit on a server.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rest_search::{count_withheld, without_default_filters};
use super::{ATTRIBUTE_ROWS, Server, for_each_element};
use crate::http::{self, PageRequest, ReadError, Response};
use crate::json::{Element, JsonStream};
use crate::misp::ParentObject;
use crate::misp::search::{HitName, KnownHit, MOST_BESIDE, Neighbours, Surroundings};
use crate::misp::wire::{self, Attribute, Object};

impl Server {
    /// What the objects of these hits hold, by one request: an object is found by the uuid of an
    /// attribute in it (`fixtures/wire/misp/597-objects-restsearch-by-attributes.json`). `deleted`
    /// may not be named (see [`Server::for_each_object`]); soft-deleted attributes are left out.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn read_objects_of(&self, hits: &[KnownHit]) -> Result<Surroundings> {
        let uuids: Vec<&Uuid> = hits.iter().map(|hit| &hit.attribute).collect();
        let body = without_default_filters(json!({"uuid": uuids, "limit": hits.len(), "page": 1}));

        self.ask("objects/restSearch", &body, |answer| {
            let mut all = Surroundings::default();
            read_objects(answer, &mut |object| {
                if let Some(hit) = find_hit(&object, hits) {
                    let mut group = Neighbours::new(hit.event, hit.name.clone());
                    group.add_object(&object);
                    all.add(group);
                }
            })?;
            Ok(all)
        })
    }

    /// The first attributes of these events, in turn of their numbers, by one request, and one more
    /// for the objects that they stand in. What MISP's allowed list keeps out counts as not read.
    ///
    /// # Errors
    /// What stopped the reading.
    pub fn read_first_attributes(&self, events: &[(Uuid, HitName)]) -> Result<Surroundings> {
        let uuids: Vec<&Uuid> = events.iter().map(|(uuid, _)| uuid).collect();
        let page = PageRequest {
            limit: MOST_BESIDE,
            number: 1,
        };
        let body = without_default_filters(json!({
            "eventid": uuids, "includeEventUuid": 1, "order": "Attribute.id asc",
            "limit": page.limit, "page": page.number,
        }));

        let (rows, withheld) = self.ask("attributes/restSearch", &body, |answer| {
            let counted = answer.header("x-result-count").parse().ok();
            let mut rows = Vec::new();
            for_each_element(answer, ATTRIBUTE_ROWS, &mut |row: Element<Attribute>| {
                ensure!(
                    rows.len() < page.limit,
                    "the server sends more than the {} attributes asked for",
                    page.limit
                );
                rows.push(row);
                Ok(())
            })?;
            let withheld = count_withheld(counted, rows.len(), page);
            Ok((rows, withheld))
        })?;
        let objects = self.find_parents(&rows)?;

        let group = |(uuid, hit): &(Uuid, HitName)| Neighbours::new(*uuid, hit.clone());
        let mut groups: Vec<Neighbours> = events.iter().map(group).collect();
        for row in rows {
            let Element::Good(attribute) = &row else {
                continue;
            };
            let event = attribute.parse_event_uuid();
            let within = objects.get(&attribute.object_id);
            if let Some(group) = groups.iter_mut().find(|group| Some(group.event) == event) {
                group.add(&row, within);
            }
        }

        let mut all = Surroundings::default();
        groups.into_iter().for_each(|group| all.add(group));
        all.count_unread(withheld as u64);
        Ok(all)
    }

    /// The objects that attributes stand in, by their numbers.
    fn find_parents(&self, rows: &[Element<Attribute>]) -> Result<HashMap<String, ParentObject>> {
        let mut of_objects: HashMap<&str, &str> = HashMap::new();
        for row in rows {
            if let Element::Good(attribute) = row
                && is_object_number(&attribute.object_id)
            {
                of_objects
                    .entry(&attribute.object_id)
                    .or_insert(&attribute.uuid);
            }
        }
        if of_objects.is_empty() {
            return Ok(HashMap::new());
        }
        let uuids: Vec<&str> = of_objects.into_values().collect();
        let body = without_default_filters(
            json!({"uuid": uuids, "metadata": 1, "limit": uuids.len(), "page": 1}),
        );

        self.ask("objects/restSearch", &body, |answer| {
            let mut objects = HashMap::new();
            read_objects(answer, &mut |object| {
                let parent = ParentObject::new(&object);
                objects.insert(object.id, parent);
            })?;
            Ok(objects)
        })
    }

    /// A question that is asked once only if the server breaks down over it: what it has to gather
    /// does not become less.
    fn ask<T>(
        &self,
        path: &str,
        body: &Value,
        mut read: impl FnMut(Response) -> Result<T>,
    ) -> Result<T> {
        let asked = self.client.retry_reading(|| {
            let answer = self.client.post(path, body);
            answer
                .map_err(|failure| self.explain_error(failure))
                .and_then(&mut read)
                .map_err(|error| {
                    let is_final = http::is_breakdown(&error);
                    ReadError::new(error, !is_final)
                })
        });
        asked.map_err(ReadError::into_error)
    }
}

/// True for the number of an object: `0` is none.
pub fn is_object_number(number: &str) -> bool {
    number.parse::<u64>().is_ok_and(|number| number > 0)
}

/// The first of the hits that stands in an object.
fn find_hit<'h>(object: &Object, hits: &'h [KnownHit]) -> Option<&'h KnownHit> {
    let attributes = object.attributes.iter().filter_map(|row| match row {
        Element::Good(attribute) => Uuid::parse_str(&attribute.uuid).ok(),
        Element::Bad(_) => None,
    });
    let inside: HashSet<Uuid> = attributes.collect();
    hits.iter().find(|hit| inside.contains(&hit.attribute))
}

fn read_objects(answer: Response, on: &mut dyn FnMut(Object)) -> Result<()> {
    let line = answer.request_line().to_owned();
    let mut source = JsonStream::new(answer.into_body());
    let read = wire::read_objects(&mut source, &mut |object| {
        if let Element::Good(object) = object {
            on(object);
        }
        Ok(())
    });
    read.and_then(|()| source.require_end())
        .with_context(|| format!("{line}: reading the answer"))
}
