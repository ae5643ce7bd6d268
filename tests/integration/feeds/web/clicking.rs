//! Clicks on feeds of the web, through their `hashes.csv`.

use std::fs;

use serde_json::{Value, json};

use super::shelf::{Shelf, url};
use super::{at_once, common, corpus, folder_url, small, uuid};
use crate::desk::md5;
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, failure, full, of};

fn click(url: &str, data: &str) -> Value {
    let config = json!({"name": ["feed"], "url": [url], "key": ["-"]});
    at_once(json!({"dataType": "other", "data": data, "config": config}))
}

#[test]
fn a_value_is_known_on_the_web_as_in_the_folder() {
    let folder = corpus(usize::MAX);
    let shelf = Shelf::start(folder.path());
    let file = fs::read(
        folder
            .path()
            .join("a3c857c5-3f0b-5c68-bc60-d2306e227b9a.json"),
    )
    .unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let attributes = file["response"][0]["Event"]["Attribute"]
        .as_array()
        .unwrap();
    let values = attributes
        .iter()
        .map(|one| one["value"].as_str().unwrap())
        .step_by(40);
    for value in values.chain(["absent.example"]) {
        let [on_disk, on_web] =
            [folder_url(folder.path()), url(&shelf)].map(|url| common(&click(&url, value)));
        assert_eq!(on_disk, on_web, "{value}");
        assert_eq!(
            counts(&on_web[0], "events").contains_key("found"),
            value != "absent.example",
            "{on_web:#}"
        );
    }
}

#[test]
fn a_file_that_breaks_off_for_a_moment_changes_nothing() {
    let folder = corpus(usize::MAX);
    let shelf = Shelf::start(folder.path());
    const VALUE: &str = "a45996261299f7d30e22e7a2528473cf";
    let expected = common(&click(&url(&shelf), VALUE));
    for (on, after) in [("/hashes.csv", 3_000), ("/a3c857c5", 400)] {
        shelf.heal();
        shelf.fault(Fault {
            on,
            nth: Nth::First(2),
            what: What::CutAfter(after),
        });
        shelf.forget_requests();
        assert_eq!(common(&click(&url(&shelf), VALUE)), expected, "{on}");
        assert_eq!(
            shelf
                .requests()
                .iter()
                .filter(|request| request.path.contains(on))
                .count(),
            3
        );
    }
}

#[test]
fn what_was_found_in_a_large_event_before_it_breaks_off_is_not_found_twice() {
    let folder = small(1);
    let one =
        |value: &str, padding: &str| json!({"type": "domain", "value": value, "padding": padding});
    let padding = "x".repeat(1 << 19);
    let mut attributes = vec![one("evil.example", "")];
    attributes.extend((0..20).map(|_| one("good.example", &padding)));
    let name = format!("{}.json", uuid(1));
    fs::write(
        folder.path().join(&name),
        json!({"Event": {"Attribute": attributes}}).to_string(),
    )
    .unwrap();
    fs::write(
        folder.path().join("hashes.csv"),
        format!("{},{}\n", md5(b"evil.example"), uuid(1)),
    )
    .unwrap();
    let shelf = Shelf::start(folder.path());
    shelf.fault(Fault {
        on: "/5f0e5b5c",
        nth: Nth::Only(1),
        what: What::CutAfter(9 << 20),
    });
    let report = click(&url(&shelf), "evil.example");
    assert!(
        failure(&report).contains("the answer broke off"),
        "{report:#}"
    );
    assert!(
        failure(&report).contains("attributes 1 fetched: 1 failed"),
        "{report:#}"
    );
    let asked = || {
        shelf
            .requests()
            .iter()
            .filter(|request| request.path.contains(&name))
            .count()
    };
    assert_eq!(asked(), 1);
    let report = click(&url(&shelf), "evil.example");
    assert_eq!(
        (counts(full(&report), "attributes"), asked()),
        (of([("fetched", 1), ("found", 1)]), 2)
    );
}

#[test]
fn a_feed_without_hashes_is_read_event_by_event_unless_it_is_too_large() {
    let folder = corpus(1);
    fs::remove_file(folder.path().join("hashes.csv")).unwrap();
    let shelf = Shelf::start(folder.path());
    let [on_disk, on_web] =
        [folder_url(folder.path()), url(&shelf)].map(|url| common(&click(&url, "x.example")));
    assert_eq!(on_disk, on_web);
    assert_eq!(
        on_web[0]["message"], "no event knows x.example",
        "{on_web:#}"
    );
    // Too many events to be asked for while somebody waits: of these only what the hashes say is known.
    let large = small(101);
    fs::write(
        large.path().join("hashes.csv"),
        format!("{},{}\n", md5(b"host-1.example"), uuid(1)),
    )
    .unwrap();
    let shelf_of_many = Shelf::start(large.path());
    let report = click(&url(&shelf_of_many), "absent.example");
    let told = full(&report)["message"].as_str().unwrap();
    assert!(told.contains("could be searched in part only"), "{told}");
    let warnings = full(&report)["connections"][0]["warnings"].to_string();
    assert!(
        warnings.contains("101 events were searched by hashes.csv alone"),
        "{warnings}"
    );
    assert_eq!(shelf_of_many.requests().len(), 2);
    // A web site that has a page for everything would otherwise be one that does not know the value.
    let page = What::Status(200, "<html>Welcome</html>".to_owned(), "text/html");
    shelf.fault(Fault {
        on: "/hashes.csv",
        nth: Nth::Always,
        what: page,
    });
    let report = click(&url(&shelf), "x.example");
    assert!(
        failure(&report).contains("hashes.csv: reading the answer: this is a web page"),
        "{report:#}"
    );
}
