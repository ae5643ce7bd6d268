//! Servers that are wrong: none, another one, one with something before it, one that is ill.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::date_time_ymd;
use serde_json::{Value, json};

use super::{House, faults};
use crate::connections::tls::{Authority, Front, named, self_signed};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::key;
use crate::program::Program::Import;

const LOGIN: &str = "<html><head><title>Sign in</title></head><body><form></form></body></html>";
const NOT_MISP: &str = "this is no MISP, or something stands before it";
const NOT_HIVE: &str = "this is no TheHive, or something stands before it";

fn status(status: u16, body: &str) -> What {
    What::Status(status, body.to_owned(), "application/json")
}

fn page(number: u16) -> What {
    What::Status(number, LOGIN.to_owned(), "text/html")
}

/// What answers in place of MISP or TheHive, and what each message says of it.
type Row = (&'static str, What, &'static [&'static str]);

fn in_place_of_misp() -> Vec<Row> {
    vec![
        (
            "a login page",
            page(200),
            &["text/html", NOT_MISP, "check \"url\""],
        ),
        (
            "a page that wants a login",
            page(401),
            &["401", NOT_MISP, "check \"url\""],
        ),
        (
            "a page that forbids",
            page(403),
            &["403", NOT_MISP, "check \"url\""],
        ),
        (
            "a page of no such page",
            page(404),
            &["404", "check \"url\": is this the address of a MISP?"],
        ),
        (
            "a page that takes no GET",
            page(405),
            &["405", NOT_MISP, "check \"url\""],
        ),
        (
            "a login on another host",
            What::Redirect("https://sso.example.org/login?next=misp".into()),
            &[
                "302",
                "redirects to https://sso.example.org/login",
                "give the final URL",
            ],
        ),
        (
            "a redirect in a loop",
            What::Redirect("/servers/getVersion".into()),
            &[
                "302",
                "redirects to /servers/getVersion",
                "give the final URL",
            ],
        ),
        (
            "a redirect to nowhere",
            What::Redirect(String::new()),
            &["302", "without saying where to", "check the URL"],
        ),
        (
            "maintenance of MISP",
            What::Redirect("/users/login".into()),
            &["302", "maintenance mode", "try again when it is over"],
        ),
        (
            "too many questions",
            What::StatusWith(
                429,
                "{\"message\": \"Rate limit exceeded.\"}".into(),
                ("X-Rate-Limit-Reset", "0".into()),
            ),
            &[
                "429",
                "may search no more for now",
                "have its rate limit raised",
            ],
        ),
        (
            "a MISP that breaks down",
            status(500, "{\"message\": \"An Internal Error Has Occurred.\"}"),
            &["500", "Internal Error", "MISP's own log says why"],
        ),
        (
            "a gateway",
            page(502),
            &["502", "MISP does not run", "try again later"],
        ),
        (
            "a page of maintenance",
            page(503),
            &["503", "is being maintained", "try again later"],
        ),
        (
            "a gateway that gives up",
            page(504),
            &["504", "too busy", "try again later"],
        ),
        (
            "an empty answer",
            What::Body(String::new()),
            &["no answer of a MISP can be read", "check \"url\""],
        ),
        (
            "JSON of something else",
            What::Body("{\"status\": \"ok\"}".into()),
            &["names no version", "this is no MISP", "correct \"url\""],
        ),
        (
            "a list",
            What::Body("[]".into()),
            &["names no version", "this is no MISP", "correct \"url\""],
        ),
        (
            "no JSON though it is called so",
            What::Body("hello".into()),
            &["no answer of a MISP can be read", "check \"url\""],
        ),
        (
            "an answer that breaks off",
            What::CutAfter(5),
            &[
                "the answer broke off",
                "no answer of a MISP can be read",
                "check \"url\"",
            ],
        ),
        (
            "gzip that is none",
            What::Gzip(|_| b"garbage".to_vec()),
            &["no answer of a MISP can be read", "check \"url\""],
        ),
        (
            "an answer without an end",
            What::Body("[".repeat(5 << 20)),
            &["no answer of a MISP can be read", "check \"url\""],
        ),
        (
            "no answer",
            What::Hang,
            &["no answer in time", "\"read_timeout\" is too short"],
        ),
    ]
}

fn in_place_of_thehive() -> Vec<Row> {
    vec![
        (
            "TheHive: a login page",
            page(200),
            &["text/html", NOT_HIVE, "check \"thehive_url\""],
        ),
        (
            "TheHive: a page that forbids",
            page(403),
            &["403", NOT_HIVE, "check \"thehive_url\""],
        ),
        (
            "TheHive: a redirect",
            What::Redirect("https://sso.example.org/login".into()),
            &[
                "302",
                "redirects to https://sso.example.org/login",
                "check \"thehive_url\"",
            ],
        ),
        (
            "TheHive: a Cortex",
            status(200, "{\"versions\": {\"Cortex\": \"4.1.0-1\"}}"),
            &[
                "names no version",
                "this is a Cortex",
                "correct \"thehive_url\"",
            ],
        ),
        (
            "TheHive: JSON of something else",
            What::Body("{}".into()),
            &["names no version", "no TheHive", "correct \"thehive_url\""],
        ),
    ]
}

/// What is wrong, the items that lead there, and what each message says of it.
type Place = (&'static str, Value, Vec<&'static str>);

/// Others than those that answer wrongly: which items of a good configuration lead to them.
fn elsewhere(house: &House) -> (Vec<Place>, Vec<Front>) {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let authority = Authority::new("Example CA");
    let mut expired = named("localhost", &["localhost"]);
    expired.not_after = date_time_ymd(2020, 2, 3);
    let fronts: Vec<_> = [
        authority.signs(expired),
        authority.signs(named("misp.example.org", &["misp.example.org"])),
        self_signed(&named("misp.example.org", &["localhost"])),
        authority.server(),
    ]
    .iter()
    .map(|identity| Front::before(Arc::clone(&identity.serves()), &house.misp.url()))
    .collect();
    let trusted = |front: &Front| json!({"url": [front.url()], "cacerts": authority.pem()});
    let https = house.misp.url().replace("http:", "https:");
    let plain = fronts[3].url().replace("https:", "http:");
    let own = |user: &str| json!({"key": [key(user)]});
    let rows = vec![
        (
            "a closed port",
            json!({"url": [format!("http://{closed}")]}),
            vec!["nothing listens there", "check host and port"],
        ),
        (
            "a name that nobody knows",
            json!({"url": ["https://misp.invalid"]}),
            vec!["misp.invalid", "not known here"],
        ),
        (
            "an expired certificate",
            trusted(&fronts[0]),
            vec!["expired on 2020-02-03", "must be renewed there"],
        ),
        (
            "a certificate of another name",
            trusted(&fronts[1]),
            vec![
                "another host name",
                "misp.example.org",
                "correct the host in \"url\"",
            ],
        ),
        (
            "a certificate that signed itself",
            json!({"url": [fronts[2].url()]}),
            vec!["self-signed", "\"cert_path\""],
        ),
        (
            "an authority that nobody knows",
            json!({"url": [fronts[3].url()]}),
            vec!["not trusted here", "\"cert_path\""],
        ),
        (
            "plain http where https is asked for",
            json!({"url": [https]}),
            vec!["the port speaks plain http", "write http:// in \"url\""],
        ),
        (
            "https where plain http is asked for",
            json!({"url": [plain]}),
            vec!["the port speaks TLS", "write https://"],
        ),
        (
            "a wrong key",
            own("nobody"),
            vec!["403", "check \"key\": it is wrong"],
        ),
        (
            "an expired key",
            own("partner_expired"),
            vec!["403", "check \"key\": it is wrong, expired"],
        ),
        (
            "a disabled user",
            own("disabled"),
            vec!["403", "disabled", "have the user of \"key\" enabled"],
        ),
        (
            "a key for other addresses",
            own("partner_iprestricted"),
            vec![
                "403",
                "add the one of this machine to the key's allowed IPs",
            ],
        ),
        (
            "a page of MISP",
            json!({"url": ["$MISP/events"]}),
            vec!["leave /events out of \"url\""],
        ),
        (
            "the login of MISP",
            json!({"url": ["$MISP/users/login"]}),
            vec!["leave /users/login out of \"url\""],
        ),
        (
            "a path that MISP does not have",
            json!({"url": ["$MISP/misp"]}),
            vec!["404", "check \"url\": is this the address of a MISP?"],
        ),
        (
            "TheHive in place of MISP",
            json!({"url": ["$HIVE"]}),
            vec![
                "this is a TheHive or a Cortex, not a MISP",
                "give MISP's address in \"url\"",
            ],
        ),
        (
            "MISP in place of TheHive",
            json!({"thehive_url": "$MISP"}),
            vec!["403", "this is a MISP, not a TheHive", "\"thehive_url\""],
        ),
        (
            "a wrong key of TheHive",
            json!({"thehive_key": "canary-wrong-key-0123"}),
            vec!["401", "check \"thehive_key\""],
        ),
    ];
    (rows, fronts)
}

#[test]
fn each_wrong_server_is_explained_by_a_run_and_by_the_doctor_alike() {
    let house = House::new();
    let patient = json!({"read_timeout": 2});
    let mut wrong = Vec::new();
    let mut number = 0;
    let mut judge = |what: &str, more: &Value, words: &[&str]| {
        let [run, check] = house.said(Import, more);
        println!("{what}\n  {run}\n  {check}");
        wrong.extend(faults(what, &run, words));
        wrong.extend(faults(&format!("{what}, check"), &check, words));
        number += 1;
    };
    for (what, answer, words) in in_place_of_misp() {
        house.misp.fault(Fault {
            on: "getVersion",
            nth: Nth::Always,
            what: answer,
        });
        judge(what, &patient, words);
        house.misp.heal();
    }
    for (what, answer, words) in in_place_of_thehive() {
        house.hive.fault(Fault {
            on: "status",
            nth: Nth::Always,
            what: answer,
        });
        judge(what, &patient, words);
        house.hive.heal();
    }
    let (rows, _fronts) = elsewhere(&house);
    for (what, more, words) in rows {
        judge(what, &more, &words);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(number >= 40, "{number}");
}

/// Only the host's own https is what the address should be.
#[test]
fn a_redirect_to_https_says_to_write_it() {
    for item in ["url", "thehive_url"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                drop(stream.read(&mut [0; 4096]));
                let answer = "HTTP/1.1 301 Moved\r\nLocation: https://127.0.0.1/servers/getVersion\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        let url = format!("http://{address}");
        let value = if item == "url" {
            json!([url])
        } else {
            json!(url)
        };
        let [run, check] = House::new().said(Import, &json!({item: value}));
        let words = [
            &*format!("write https:// in \"{item}\""),
            "301: the server redirects to",
        ];
        let all = [faults(item, &run, &words), faults(item, &check, &words)].concat();
        assert!(all.is_empty(), "{}", all.join("\n"));
    }
}
