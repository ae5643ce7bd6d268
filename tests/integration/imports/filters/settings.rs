//! The filters that are tried, each with what it should leave, and a world in which each decides something.

use cortex_misp::ids::Ids;
use serde_json::{Value, json};

use crate::misp::{Attached, Attribute, Event, Tag, World};

const DAY: i64 = 86_400;

/// Options, and what they leave.
pub(super) struct Setting {
    pub(super) options: Value,
    /// True if a server is asked to apply it.
    pub(super) pushed: bool,
    pub(super) event: fn(&World, &Event) -> bool,
    pub(super) attribute: fn(&World, &Attribute) -> bool,
}

/// The corpus, with ages of 5, 15, 25 … days by each of the three dates, and with tags and organisations that differ more.
pub(crate) fn varied() -> World {
    let mut world = World::with_corpus();
    world.now = jiff::Timestamp::now().as_second();
    let spelt = |id: u64, name: &str| Tag {
        id,
        name: name.into(),
        ..Tag::default()
    };
    world.tags.extend([
        spelt(9_001, "TLP:Green"),
        spelt(9_002, "100% sure_\\really"),
    ]);
    let now = world.now;
    let mut links = 800_000..;
    let mut attached = |tag: u64| Attached {
        id: links.next().unwrap(),
        tag,
        local: false,
    };
    for (index, event) in (0_i64..).zip(&mut world.events) {
        let ago = |factor: i64| now - (5 + 10 * (index * factor % 34)) * DAY;
        event.date = date(ago(1));
        event.timestamp = ago(7);
        event.publish_timestamp = if event.published { ago(11) } else { 0 };
        event.attributes.truncate(250);
        event.attribute_count = event.live().count().try_into().unwrap();
        if index % 5 == 4 {
            event.orgc = 3;
        }
        if index % 6 == 1 {
            event.tags.push(attached(9_001));
        }
        if index % 4 == 0 {
            event
                .attributes
                .iter_mut()
                .step_by(3)
                .for_each(|attribute| attribute.tags.push(attached(73)));
        }
    }
    world.events[0].uuid = Ids::new("here", None).event_uuid("~1", "").to_string();
    world.events[9].tags.push(attached(9_002));
    world
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .unwrap()
        .strftime("%Y-%m-%d")
        .to_string()
}

fn any(_: &World, _: &Attribute) -> bool {
    true
}

fn every(_: &World, _: &Event) -> bool {
    true
}

fn pushed(options: Value, event: fn(&World, &Event) -> bool) -> Setting {
    Setting {
        options,
        pushed: true,
        event,
        attribute: any,
    }
}

fn ours(options: Value, event: fn(&World, &Event) -> bool) -> Setting {
    Setting {
        options,
        pushed: false,
        event,
        attribute: any,
    }
}

fn chosen(options: Value, attribute: fn(&World, &Attribute) -> bool) -> Setting {
    Setting {
        options,
        pushed: false,
        event: every,
        attribute,
    }
}

fn has_tag(world: &World, tags: &[Attached], is: impl Fn(&str) -> bool) -> bool {
    world
        .names(tags)
        .iter()
        .any(|name| is(&name.to_lowercase()))
}

/// All filters; none of them twice with the same options, so that any two that name different ones can be joined.
pub(super) fn settings() -> Vec<Setting> {
    let mut all = of_events();
    all.extend(of_tags());
    all.extend(of_attributes());
    all
}

fn of_events() -> Vec<Setting> {
    vec![
        pushed(json!({"published_only": true}), |_, event| event.published),
        pushed(json!({"window_days": 100}), |world, event| {
            event.timestamp.max(event.publish_timestamp) >= world.now - 100 * DAY
        }),
        ours(json!({"max_age_days": 100}), |world, event| {
            event.date >= date(world.now - 100 * DAY)
        }),
        ours(
            json!({"max_age_days": "100", "max_age_date": "modified"}),
            |world, event| event.timestamp >= world.now - 100 * DAY,
        ),
        ours(
            json!({"max_age_days": 100, "max_age_date": "Published"}),
            |world, event| {
                let moment = if event.publish_timestamp == 0 {
                    event.timestamp
                } else {
                    event.publish_timestamp
                };
                moment >= world.now - 100 * DAY
            },
        ),
        pushed(
            json!({"include_organisations": ["partnerORG"]}),
            |_, event| event.orgc == 2,
        ),
        pushed(
            json!({"include_organisations": ["4", "5E0B5C1A-7d2b-4a8e-9d6a-0a1b2c3d4e60", "Nobody"]}),
            |_, event| [3, 4].contains(&event.orgc),
        ),
        ours(
            json!({"exclude_organisations": ["orgname", "Nobody"]}),
            |_, event| event.orgc != 1,
        ),
        ours(json!({"max_attributes": 5}), |_, event| {
            event.live().count() <= 5
        }),
        pushed(json!({"min_threat_level": "medium"}), |_, event| {
            [1, 2].contains(&event.threat_level)
        }),
        pushed(json!({"min_threat_level": "low"}), |_, event| {
            event.threat_level != 4
        }),
        pushed(
            json!({"include_analysis": ["initial", "completed"]}),
            |_, event| event.analysis != 1,
        ),
        pushed(json!({"include_distributions": [0, "3"]}), |_, event| {
            [0, 3].contains(&event.distribution)
        }),
        ours(json!({"include_event_info": "DIST=*admin"}), |_, event| {
            event.info.contains("dist=") && event.info.ends_with("by admin")
        }),
        ours(json!({"loop_guard": true}), |world, event| {
            event.uuid != world.events[0].uuid
        }),
        ours(json!({"skip_own_organisation": true}), |_, event| {
            event.orgc != 1
        }),
    ]
}

fn of_tags() -> Vec<Setting> {
    vec![
        pushed(
            json!({"include_tags": ["tlp:GREEN", "Tlp:Amber"]}),
            |world, event| {
                has_tag(world, &event.tags, |name| {
                    ["tlp:green", "tlp:amber"].contains(&name)
                })
            },
        ),
        pushed(
            json!({"include_tags": ["100% SURE_\\really"]}),
            |world, event| event.id == world.events[9].id,
        ),
        ours(
            json!({"include_tags": ["misp-galaxy:*=\"apt*", "*:WHITE"]}),
            |world, event| {
                has_tag(world, &event.tags, |name| {
                    name.ends_with(":white")
                        || (name.starts_with("misp-galaxy:") && name.contains("=\"apt"))
                })
            },
        ),
        ours(
            json!({"exclude_tags": ["pap:*", "TLP:green"]}),
            |world, event| {
                !has_tag(world, &event.tags, |name| {
                    name.starts_with("pap:") || name == "tlp:green"
                })
            },
        ),
    ]
}

fn of_attributes() -> Vec<Setting> {
    vec![
        chosen(json!({"ids_only": true}), |_, one| one.to_ids),
        chosen(json!({"attribute_types": ["ip-*", "DOMAIN"]}), |_, one| {
            one.kind.starts_with("ip-") || one.kind == "domain"
        }),
        chosen(
            json!({"exclude_attribute_types": ["*md5", "text"]}),
            |_, one| !one.kind.ends_with("md5") && one.kind != "text",
        ),
        chosen(
            json!({"attribute_categories": ["network activity", "Payload*"]}),
            |_, one| one.category == "Network activity" || one.category.starts_with("Payload"),
        ),
        chosen(json!({"attribute_tags": ["TLP:*"]}), |world, one| {
            has_tag(world, &one.tags, |name| name.starts_with("tlp:"))
        }),
        chosen(
            json!({"exclude_attribute_tags": ["tlp:WHITE"]}),
            |world, one| !has_tag(world, &one.tags, |name| name == "tlp:white"),
        ),
    ]
}
