//! What the fake MISP does with what is written to it, where a client could lose something without a word.

use serde_json::{Value, json};

use super::call;
use crate::misp;

/// A fake with the events of a test, spoken to as one of its users.
struct Client {
    fake: misp::Fake,
    key: String,
}

impl Client {
    fn new(user: &str) -> Self {
        Self {
            fake: misp::Fake::start(misp::World::new()),
            key: misp::key(user),
        }
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        call(&self.fake.url(), "POST", path, &self.key, body)
    }

    fn get(&self, path: &str) -> Value {
        call(&self.fake.url(), "GET", path, &self.key, &Value::Null).1
    }

    /// The event as its reader sees it.
    fn event(&self) -> Value {
        self.get(&format!("/events/view/{EVENT}"))["Event"].clone()
    }

    /// Adds the event of the test.
    fn add(&self, contents: Value) -> (u16, Value) {
        let mut event = json!({"uuid": EVENT, "info": "written"});
        for (name, value) in contents.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        self.post("/events/add", &event)
    }

    fn edit(&self, contents: Value) -> Value {
        let (status, answer) = self.post(
            &format!("/events/edit/{EVENT}"),
            &json!({ "Event": contents }),
        );
        assert_eq!(status, 200, "{answer}");
        answer["Event"].clone()
    }
}

const EVENT: &str = "aaaaaaaa-0000-4000-8000-000000000000";

/// The uuid with this number.
fn uuid(number: u32) -> String {
    format!("bbbbbbbb-0000-4000-8000-{number:012}")
}

fn domain(number: u32) -> Value {
    json!({"uuid": uuid(number), "type": "domain", "value": format!("d{number}.example")})
}

fn object(number: u32, attributes: &[Value]) -> Value {
    json!({
        "uuid": uuid(number), "name": "file", "meta-category": "file", "description": "A file", "template_version": "24",
        "template_uuid": "688c46fb-5edb-40a3-8273-1af7923e2215", "comment": "c", "distribution": 1, "Attribute": attributes,
    })
}

fn filename(number: u32) -> Value {
    json!({"uuid": uuid(number), "type": "filename", "object_relation": "filename", "value": format!("f{number}")})
}

/// The values of a list of attributes.
fn values(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["value"].as_str())
        .collect()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str())
        .collect()
}

#[test]
fn rows_show_sightings_and_proposals_in_pages() {
    let client = Client::new("partner");
    client.add(json!({"Attribute": [domain(1), domain(2), domain(3)]}));
    let proposal = json!({"uuid": uuid(1), "type": "domain", "value": "better.example"});
    let gone = json!({"uuid": uuid(2), "value": "gone.example", "deleted": true});
    client.fake.world().events[0].proposals = json!([proposal, gone]);
    let sighted = json!({"source": "cortex-misp", "type": "0", "timestamp": 1_700_000_000});
    assert_eq!(
        client
            .post(&format!("/sightings/add/{}", uuid(1)), &sighted)
            .0,
        200
    );
    let page = |page: u32| {
        let body = json!({"eventid": EVENT, "order": "Attribute.id asc", "limit": 2, "page": page, "includeSightings": 1, "includeProposals": 1});
        client.post("/attributes/restSearch", &body).1["response"]["Attribute"].clone()
    };
    let (one, two) = (page(1), page(2));
    assert_eq!(
        (values(&one), values(&two)),
        (vec!["d1.example", "d2.example"], vec!["d3.example"])
    );
    assert_eq!(one[0]["ShadowAttribute"], json!([proposal]));
    assert_eq!(
        (&one[1]["ShadowAttribute"], &one[1]["Sighting"]),
        (&json!([]), &json!([]))
    );
    let sighting = &one[0]["Sighting"][0];
    assert_eq!(
        (&sighting["source"], &sighting["type"]),
        (&json!("cortex-misp"), &json!("0"))
    );
    assert_eq!(
        (&sighting["date_sighting"], &sighting["attribute_uuid"]),
        (&json!("1700000000"), &json!(uuid(1)))
    );
    let bare = client
        .post(
            "/attributes/restSearch",
            &json!({"eventid": EVENT, "limit": 1}),
        )
        .1;
    let row = &bare["response"]["Attribute"][0];
    assert!(
        row.get("Sighting").is_none() && row.get("ShadowAttribute").is_none(),
        "{row}"
    );
}

#[test]
fn the_loser_of_two_adds_is_told_in_three_ways() {
    let client = Client::new("partner");
    assert_eq!(client.add(json!({"Attribute": [domain(1)]})).0, 200);
    assert_eq!(client.add(json!({})).0, 404);
    for (wanted, told) in [(500, None), (403, Some("The UUID provided is not unique"))] {
        client.fake.world().duplicate_add = Some(wanted);
        let (status, answer) = client.add(json!({"Attribute": [domain(2)]}));
        assert_eq!(
            (status, answer["errors"]["Event"]["uuid"][0].as_str()),
            (wanted, told)
        );
    }
    assert_eq!(values(&client.event()["Attribute"]), ["d1.example"]);
}

#[test]
fn tags_kept_for_others_are_left_out() {
    let client = Client::new("partner");
    {
        let mut world = client.fake.world();
        let tag = |id: u64, name: &str| misp::Tag {
            id,
            name: name.into(),
            ..misp::Tag::default()
        };
        world.tags.push(misp::Tag {
            org_id: 1,
            ..tag(900, "k:host")
        });
        world.tags.push(misp::Tag {
            org_id: 2,
            hide_tag: true,
            ..tag(901, "k:partner")
        });
        world.tags.push(misp::Tag {
            user_id: 1,
            ..tag(902, "k:admin")
        });
        world.tags.push(misp::Tag {
            local_only: true,
            ..tag(903, "k:local")
        });
    }
    let tags: Vec<Value> = ["k:host", "k:partner", "k:admin", "k:local", "tlp:red"]
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    client.add(json!({"Tag": tags, "Attribute": [domain(1)]}));
    assert_eq!(
        names(&client.event()["Tag"]),
        ["k:partner", "k:local", "tlp:red"]
    );
    let edited = client.edit(json!({"Tag": tags, "Attribute": [{"uuid": uuid(1), "Tag": tags}]}));
    assert_eq!(names(&edited["Tag"]), ["k:partner", "k:local", "tlp:red"]);
    assert_eq!(
        names(&edited["Attribute"][0]["Tag"]),
        ["k:partner", "k:local", "tlp:red"]
    );
    let found = client
        .post(
            "/tags/search",
            &json!({"tag": ["k:host", "k:partner", "k:local"]}),
        )
        .1;
    let row = |at: usize, name: &str| found[at]["Tag"][name].clone();
    assert_eq!(
        (row(0, "org_id"), row(1, "hide_tag"), row(2, "local_only")),
        (json!("1"), json!(true), json!(true))
    );
    assert_eq!(
        (row(0, "hide_tag"), row(0, "user_id"), row(2, "org_id")),
        (json!(false), json!("0"), json!("0"))
    );
}

#[test]
fn an_edit_tags_for_taggers_only() {
    let client = Client::new("partner");
    client.add(json!({"Tag": [{"name": "tlp:red"}], "Attribute": [domain(1)]}));
    let change = json!({"Tag": [{"name": "tlp:green"}, {"name": "tlp:red", "deleted": true}],
        "Attribute": [{"uuid": uuid(1), "Tag": [{"name": "tlp:green"}]}]});
    let tagger = |may: bool| {
        let mut world = client.fake.world();
        world
            .users
            .iter_mut()
            .filter(|user| user.name == "partner")
            .for_each(|user| user.role.tagger = may);
    };
    tagger(false);
    let edited = client.edit(change.clone());
    assert_eq!(
        (names(&edited["Tag"]), names(&edited["Attribute"][0]["Tag"])),
        (vec!["tlp:red"], vec![])
    );
    tagger(true);
    let edited = client.edit(change);
    assert_eq!(
        (names(&edited["Tag"]), names(&edited["Attribute"][0]["Tag"])),
        (vec!["tlp:green"], vec!["tlp:green"])
    );
}

#[test]
fn an_edit_changes_attributes_where_they_are() {
    let client = Client::new("partner");
    let loose = json!({"uuid": uuid(1), "type": "domain", "category": "External analysis", "value": "d1.example", "comment": "kept", "distribution": 1});
    client.add(json!({"Attribute": [loose], "Object": [object(10, &[filename(11)])]}));
    let edited = client.edit(json!({
        "Attribute": [{"uuid": uuid(1), "to_ids": false}, {"uuid": uuid(11), "comment": "lost"}],
        "Object": [{"uuid": uuid(10), "Attribute": [{"uuid": uuid(1), "comment": "lost"}, {"uuid": uuid(11), "comment": "new"}, filename(12)]}],
    }));
    let one = &edited["Attribute"][0];
    let of = |name: &str| one[name].as_str().unwrap_or_default();
    assert_eq!(
        (of("category"), of("value"), of("comment")),
        ("External analysis", "d1.example", "kept")
    );
    assert_eq!(
        (of("type"), of("distribution"), &one["to_ids"]),
        ("domain", "1", &json!(false))
    );
    assert_eq!(values(&edited["Attribute"]), ["d1.example"]);
    let object = &edited["Object"][0];
    assert_eq!(
        (&object["comment"], &object["name"], &object["distribution"]),
        (&json!("c"), &json!("file"), &json!("1"))
    );
    assert_eq!(values(&object["Attribute"]), ["f11", "f12"]);
    assert_eq!(
        (
            &object["Attribute"][0]["comment"],
            &object["Attribute"][0]["object_relation"]
        ),
        (&json!("new"), &json!("filename"))
    );
    assert_eq!(
        client.edit(json!({"Object": [{"uuid": uuid(10), "comment": "d"}]}))["Object"][0]["comment"],
        "d"
    );
}

#[test]
fn an_object_is_added_once_and_listed_in_pages() {
    let client = Client::new("partner");
    client.add(json!({"Attribute": [domain(1)]}));
    let path = format!("/objects/add/{EVENT}");
    for number in [10, 20, 30] {
        assert_eq!(
            client
                .post(&path, &object(number, &[filename(number + 1)]))
                .0,
            200
        );
    }
    client.post("/events/add", &json!({"uuid": uuid(99), "info": "another"}));
    for event in [EVENT.to_owned(), uuid(99)] {
        let (status, answer) = client.post(
            &format!("/objects/add/{event}"),
            &object(10, &[filename(12)]),
        );
        assert_eq!((status, &answer["saved"]), (403, &json!(false)));
    }
    let page = |number: u32| {
        let body = json!({"eventid": EVENT, "metadata": 1, "limit": 2, "page": number});
        let rows = client.post("/objects/restSearch", &body).1["response"].clone();
        let uuids = rows.as_array().into_iter().flatten().map(|row| {
            row["Object"]["uuid"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        });
        (
            uuids.collect::<Vec<_>>(),
            rows[0]["Object"].get("Attribute").is_none(),
        )
    };
    assert_eq!(page(1), (vec![uuid(10), uuid(20)], true));
    assert_eq!(page(2), (vec![uuid(30)], true));
    assert!(page(3).0.is_empty());
}

#[test]
fn only_lists_of_attributes_are_slow() {
    let client = Client::new("partner");
    client.add(json!({}));
    client.fake.world().slow_add = Some(1);
    let path = format!("/objects/add/{EVENT}");
    assert_eq!(
        client
            .post(
                &path,
                &object(10, &[filename(11), filename(12), filename(13)])
            )
            .0,
        200
    );
    assert_eq!(
        values(&client.edit(json!({"Attribute": [domain(1), domain(2), domain(3)]}))["Attribute"])
            .len(),
        3
    );
    assert_eq!(client.fake.world().events[0].attributes.len(), 6);
}

#[test]
fn values_can_be_dropped_without_a_word() {
    let client = Client::new("partner");
    client.add(json!({}));
    client.fake.world().dropped = vec!["d2.example".into(), "f12".into()];
    let path = format!("/attributes/add/{EVENT}");
    let (status, answer) = client.post(&path, &json!([domain(1), domain(2), domain(3)]));
    assert_eq!(
        (status, values(&answer["Attribute"]), answer.get("errors")),
        (200, vec!["d1.example", "d3.example"], None)
    );
    assert_eq!(
        client.post(&path, &json!([domain(2)])),
        (200, json!({"Attribute": []}))
    );
    client.post(
        &format!("/objects/add/{EVENT}"),
        &object(10, &[filename(11), filename(12)]),
    );
    client.edit(
        json!({"Attribute": [domain(2)], "Object": [object(20, &[filename(12), filename(21)])]}),
    );
    let event = client.event();
    assert_eq!(values(&event["Attribute"]), ["d1.example", "d3.example"]);
    let inside = |at: usize| values(&event["Object"][at]["Attribute"]);
    assert_eq!((inside(0), inside(1)), (vec!["f11"], vec!["f21"]));
}

#[test]
fn types_can_be_unknown() {
    let client = Client::new("partner");
    client.add(json!({}));
    client.fake.world().without_types = vec!["domain".into()];
    let types = client.get("/attributes/describeTypes")["result"].clone();
    let text = types.to_string();
    assert!(
        !text.contains("\"domain\"") && text.contains("\"domain|ip\""),
        "{text}"
    );
    let path = format!("/attributes/add/{EVENT}");
    let (status, answer) = client.post(
        &path,
        &json!([domain(1), {"type": "hostname", "value": "h.example"}]),
    );
    assert_eq!(
        (status, &answer["Attribute"]["value"]),
        (200, &json!("h.example"))
    );
    assert_eq!(
        answer["errors"],
        json!({"attribute_0": {"type": ["Invalid type."]}})
    );
    assert_eq!(
        values(&client.edit(json!({"Attribute": [domain(1)]}))["Attribute"]),
        ["h.example"]
    );
}
