//! What the library asks of TheHive, call by call: cases and their owners, observables with their count, alerts, and the
//! content of files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cortex_misp::config::TimeLimits;
use cortex_misp::http::ServerAccess;
use cortex_misp::http::{Client, Endpoint, HttpContext};
use cortex_misp::json::Element;
use cortex_misp::report::RunReport;
use cortex_misp::sample;
use cortex_misp::secret::Secret;
use cortex_misp::thehive::wire::Attachment;
use cortex_misp::thehive::{Holder, TheHive};
use cortex_misp::time::Clock;
use serde_json::{Map, Value, json};
use url::Url;

use crate::http_fake::{Call, Fault, Nth, Reply, Server, Site, What};
use crate::thehive::{Fake, KEY, World};

fn network() -> HttpContext {
    let limits = TimeLimits {
        deadline_minutes: 1,
        connect_timeout: 5,
        read_timeout: 5,
    };
    HttpContext::new(
        limits.timeouts(),
        &Map::new(),
        None,
        Clock::start_with_limit(Some(Duration::from_secs(60))),
        RunReport::default().http_context(),
    )
}

fn open(url: &str) -> TheHive {
    let url = Url::parse(&format!("{url}/")).unwrap();
    TheHive::open(
        &url,
        &Secret::new(KEY),
        None,
        &network(),
        &RunReport::default(),
    )
    .unwrap()
}

/// Answers by path and query, and 404 to everything else.
#[derive(Default)]
struct Shelf(BTreeMap<String, Reply>);

impl Site for Shelf {
    fn reachable_at(&mut self, _: &str) {}

    fn answer(&mut self, call: &Call) -> Reply {
        let missing = || {
            Reply::json(
                404,
                &json!({"type": "NotFoundError", "message": "not found"}),
            )
        };
        self.0.get(&call.path).cloned().unwrap_or_else(missing)
    }
}

/// A TheHive of this version whose downloads have this password, with these answers.
fn shelf(version: &str, password: &str, answers: &[(&str, Reply)]) -> Server<Shelf> {
    let status =
        json!({"versions": {"TheHive": version}, "config": {"protectDownloadsWith": password}});
    let mut shelf = Shelf::default();
    let path = if version.starts_with('5') {
        "/api/v1/status"
    } else {
        "/api/status"
    };
    shelf.0.insert(path.to_owned(), Reply::json(200, &status));
    if version.starts_with('5') {
        shelf.0.insert(
            "/api/v1/status/public".to_owned(),
            Reply::json(200, &json!({"version": version})),
        );
    }
    shelf.0.extend(
        answers
            .iter()
            .map(|(path, reply)| ((*path).to_owned(), reply.clone())),
    );
    Server::start(shelf)
}

fn asked(server: &Server<Shelf>) -> Vec<String> {
    let paths = server.requests().into_iter().map(|request| request.path);
    paths.filter(|path| !path.contains("status")).collect()
}

const CONTENT: &[u8] = b"MZ\x90\x00 this program cannot be run";
const FOUR: [&str; 2] = [
    "/api/datastorezip/a1?name=file",
    "/api/datastore/a1?name=file",
];
const FIVE: [&str; 2] = [
    "/api/v1/observable/~8/attachment/~16/download?asZip=true",
    "/api/v1/observable/~8/attachment/~16/download",
];

fn attachment() -> Attachment {
    Attachment {
        id: "a1".to_owned(),
        internal_id: "~16".to_owned(),
        name: "evil.exe".to_owned(),
        hashes: vec![
            sample::sha256(CONTENT).to_uppercase(),
            "0".repeat(40),
            "0".repeat(32),
        ],
        size: Some(CONTENT.len() as i64),
        content_type: "application/octet-stream".to_owned(),
    }
}

fn zipped() -> Reply {
    Reply::bytes(
        200,
        "application/zip",
        sample::pack("evil.exe", &"0".repeat(32), CONTENT).unwrap(),
    )
}

fn plain() -> Reply {
    Reply::bytes(200, "application/octet-stream", CONTENT.to_vec())
}

fn page() -> Reply {
    Reply::bytes(200, "text/html", b"\n<html>please log in</html>".to_vec())
}

fn download(server: &Server<Shelf>) -> Result<Vec<u8>, String> {
    open(&server.url())
        .download("~8", &attachment(), 1_000)
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn a_file_comes_in_a_zip_with_the_password_of_this_thehive() {
    for (version, [zip, _]) in [("4.1.24-1", FOUR), ("5.7.3-1", FIVE)] {
        let server = shelf(version, sample::PASSWORD, &[(zip, zipped())]);
        let thehive = open(&server.url());
        assert_eq!(thehive.is_five().unwrap(), version.starts_with('5'));
        for _ in 0..2 {
            assert_eq!(
                thehive.download("~8", &attachment(), 1_000).unwrap(),
                CONTENT
            );
        }
        assert_eq!(asked(&server), [zip, zip]);
        let asked_for_status = server
            .requests()
            .iter()
            .filter(|request| request.path.ends_with("/status"))
            .count();
        // That of TheHive 4 tells its version and the password at once.
        assert_eq!(asked_for_status, 1);
        assert!(
            server
                .requests()
                .iter()
                .any(|request| request.header("accept") == Some("*/*"))
        );
    }
}

#[test]
fn without_a_zip_that_opens_the_plain_file_is_taken() {
    let refused = |status| Reply::json(status, &json!({"type": "x", "message": "no"}));
    for answer in [
        refused(400),
        refused(404),
        refused(500),
        page(),
        zipped(),
        Reply::bytes(200, "x/y", vec![]),
    ] {
        for (version, [zip, file]) in [("4.1.24-1", FOUR), ("5.7.3-1", FIVE)] {
            let server = shelf(
                version,
                "another",
                &[(zip, answer.clone()), (file, plain())],
            );
            assert_eq!(download(&server).unwrap(), CONTENT);
            assert_eq!(asked(&server), [zip, file]);
        }
    }
    // One that gives the plain file at once, and one that has nothing but zips, whatever is asked for.
    assert_eq!(asked_after(FIVE[0], plain()), [FIVE[0]]);
    assert_eq!(asked_after(FIVE[1], zipped()), FIVE);
}

fn asked_after(path: &str, reply: Reply) -> Vec<String> {
    let server = shelf("5.0.8", sample::PASSWORD, &[(path, reply)]);
    assert_eq!(download(&server).unwrap(), CONTENT);
    asked(&server)
}

#[test]
fn what_is_not_the_file_is_never_taken_for_it() {
    let said =
        |answers: &[(&str, Reply)]| download(&shelf("5.7.3", "malware", answers)).unwrap_err();
    let login = said(&[(FIVE[0], page()), (FIVE[1], page())]);
    assert!(
        login.contains("the answer is not the file but a web page"),
        "{login}"
    );
    assert!(login.starts_with("GET http://127.0.0.1:"), "{login}");
    assert!(login.contains(&sample::sha256(CONTENT)), "{login}");
    let other = said(&[(
        FIVE[1],
        Reply::bytes(200, "application/octet-stream", b"other".to_vec()),
    )]);
    assert!(
        other.contains("but something else") && other.contains(&sample::sha256(b"other")),
        "{other}"
    );
    assert!(said(&[]).ends_with("404: not found: TheHive does not hold the file"));
    assert!(
        said(&[(FIVE[1], Reply::bytes(200, "x/y", vec![0; 1_001]))])
            .contains("larger than 1000 bytes")
    );
    let refused = Reply::json(
        401,
        &json!({"type": "AuthenticationError", "message": "Authentication failure"}),
    );
    let server = shelf(
        "5.7.3",
        "malware",
        &[(FIVE[0], refused), (FIVE[1], plain())],
    );
    assert!(
        download(&server)
            .unwrap_err()
            .contains("check \"thehive_key\"")
    );
    assert_eq!(asked(&server), [FIVE[0]]);
}

#[test]
fn a_file_that_cannot_be_taken_is_not_asked_for() {
    let server = shelf("5.7.3", "malware", &[]);
    let thehive = open(&server.url());
    let said = |change: &dyn Fn(&mut Attachment)| {
        let mut attachment = attachment();
        change(&mut attachment);
        format!(
            "{:#}",
            thehive.download("~8", &attachment, 1_000).unwrap_err()
        )
    };
    assert_eq!(
        said(&|file| file.size = Some(1_001)),
        "the file is larger than 1000 bytes"
    );
    assert!(said(&|file| file.hashes.clear()).contains("names no sha256"));
    assert!(
        said(&|file| file.internal_id = "../x".to_owned()).contains("the id of the file is none")
    );
    assert!(
        said(&|file| (file.internal_id, file.id) = Default::default())
            .contains("the id of the file is none")
    );
    assert!(asked(&server).is_empty());
}

#[test]
fn a_download_may_be_of_any_type_and_ends_at_its_limit() {
    let redirect =
        Reply::bytes(302, "text/html", vec![]).with("Location", "https://login.example.org/");
    let broken = Reply {
        cut_after: Some(7),
        ..plain()
    };
    let server = shelf(
        "5",
        "",
        &[
            ("/page", page()),
            ("/moved", redirect),
            ("/broken", broken),
            ("/file", plain()),
        ],
    );
    let url = Url::parse(&format!("{}/", server.url())).unwrap();
    let origin = Endpoint {
        url: &url,
        headers: vec![],
        user_agent: "x".to_owned(),
        access: &ServerAccess::default(),
    };
    let client = Client::new(&origin, &network(), Arc::new(RunReport::default())).unwrap();
    let length = CONTENT.len() as u64;
    assert_eq!(client.download("file", length).unwrap(), CONTENT);
    assert!(
        client
            .download("page", 100)
            .unwrap()
            .starts_with(b"\n<html>")
    );
    let said = |path: &str, most: u64| client.download(path, most).unwrap_err().to_string();
    assert!(
        said("file", length - 1)
            .ends_with(&format!("the answer is larger than {} bytes", length - 1))
    );
    assert!(said("moved", 100).contains("302: the server redirects to https://login.example.org/"));
    assert!(said("broken", 100).contains("/broken: the answer broke off"));
    assert_eq!(
        client.download("missing", 100).unwrap_err().status(),
        Some(404)
    );
}

fn hive(world: World, iocs: usize) -> (Fake, String) {
    let fake = Fake::start(world);
    let case = fake.world().add_case(
        42,
        "Phishing wave",
        &json!({"extraData": {"shareCount": 1, "isOwner": true}}),
    );
    for n in 0..iocs {
        let observable =
            json!({"dataType": "domain", "data": format!("host-{n}.example"), "ioc": true});
        fake.world().add_observable(&case, &observable);
    }
    (fake, case)
}

#[test]
fn the_observables_are_counted_and_read_again_if_there_are_more() {
    for world in [World::four(), World::five()] {
        let (fake, case) = hive(world, 502);
        let thehive = open(&fake.url());
        let whole = thehive.fetch_ioc_observables(Holder::Case(&case)).unwrap();
        assert_eq!((whole.all.len(), whole.incomplete), (502, None));
        // Two pages, the second not full, and the count.
        assert_eq!(fake.requests().len(), 3);
        let said = |nth, what| {
            fake.heal();
            fake.fault(Fault {
                on: "/api/v1/query",
                nth: Nth::Only(nth),
                what,
            });
            let found = thehive.fetch_ioc_observables(Holder::Case(&case)).unwrap();
            (found.all.len(), found.incomplete.unwrap_or_default())
        };
        assert_eq!(said(3, What::Body("503".to_owned())), (502, String::new()));
        assert_eq!(said(3, What::Body("501".to_owned())), (502, String::new()));
        assert_eq!(said(1, What::Body("[]".to_owned())), (502, String::new()));
        let (number, why) = said(3, What::Status(500, "{}".to_owned(), "application/json"));
        assert_eq!(number, 502);
        assert!(
            why.starts_with("TheHive does not say how many IOC observables the case has: POST"),
            "{why}"
        );
        assert!(
            said(3, What::Body("[]".to_owned()))
                .1
                .ends_with("the answer is no count")
        );
        fake.heal();
        fake.world().hide_from_pages = 1;
        let found = thehive.fetch_ioc_observables(Holder::Case(&case)).unwrap();
        let fewer = "TheHive counts 502 IOC observables, and gave 501".to_owned();
        assert_eq!((found.all.len(), found.incomplete), (501, Some(fewer)));
    }
}

#[test]
fn a_short_page_is_not_the_last() {
    let (fake, case) = hive(World::five(), 3);
    let first = fake.world().observables[0].record.clone();
    fake.fault(Fault {
        on: "/api/v1/query",
        nth: Nth::Only(1),
        what: What::Body(json!([first]).to_string()),
    });
    let found = open(&fake.url())
        .fetch_ioc_observables(Holder::Case(&case))
        .unwrap();
    assert_eq!((found.all.len(), found.incomplete), (3, None));
}

#[test]
fn a_case_is_found_by_itself_and_by_its_observable_with_its_shares() {
    for world in [World::four(), World::five()] {
        let (fake, case) = hive(world, 1);
        let thehive = open(&fake.url());
        let observable = fake.world().observables[0].record["_id"]
            .as_str()
            .unwrap()
            .to_owned();
        for found in [
            thehive.case(&case).unwrap(),
            thehive.fetch_case_of_observable(&observable).unwrap(),
        ] {
            assert_eq!(
                (&found["_id"], &found["extraData"]["isOwner"]),
                (&json!(case), &json!(true))
            );
        }
        let page =
            json!({"_name": "page", "from": 0, "to": 1, "extraData": ["shareCount", "isOwner"]});
        let asked = fake.requests();
        let mut queries = asked
            .iter()
            .filter_map(|request| request.body["query"].as_array());
        assert!(queries.all(|query| query.last() == Some(&page)));
        assert!(
            thehive
                .case("~99")
                .unwrap_err()
                .to_string()
                .contains("the case does not exist")
        );
        assert!(
            thehive
                .fetch_case_of_observable(&case)
                .unwrap_err()
                .to_string()
                .contains("belongs to no case")
        );
        fake.fault(Fault {
            on: "/api/v1/query",
            nth: Nth::Always,
            what: What::Status(
                404,
                json!({"type": "NotFoundError", "message": "Case not found"}).to_string(),
                "application/json",
            ),
        });
        let said = thehive.case(&case).unwrap_err().to_string();
        assert!(
            said.contains("404: Case not found: the case does not exist, or the user"),
            "{said}"
        );
        assert!(
            thehive.case("../user").is_err() && thehive.fetch_case_of_observable("a b").is_err()
        );
    }
}

#[test]
fn the_alerts_of_misp_events_are_named_whatever_else_was_merged_into_the_case() {
    let (fake, case) = hive(World::five(), 0);
    let alert = |n: usize| {
        let kind = if n == 11 { "misp" } else { "external" };
        json!({"_id": format!("~a{n}"), "caseId": case, "type": kind, "source": "corp", "sourceRef": n})
    };
    fake.world().alerts = (0..12).map(alert).collect();
    let alerts = open(&fake.url()).fetch_alerts_of_case(&case).unwrap();
    let [Element::Good(alert)] = &alerts[..] else {
        panic!("{alerts:?}")
    };
    assert_eq!(
        [&alert.kind, &alert.source, &alert.source_ref],
        ["misp", "corp", "11"]
    );
    let of_none: Value = json!([3, null]);
    fake.fault(Fault {
        on: "/api/v1/query",
        nth: Nth::Always,
        what: What::Body(of_none.to_string()),
    });
    // What cannot be read is one all the same: a case of two alerts is not one of one.
    assert!(
        open(&fake.url())
            .fetch_alerts_of_case(&case)
            .unwrap()
            .iter()
            .all(|alert| matches!(alert, Element::Bad(_)))
    );
}
