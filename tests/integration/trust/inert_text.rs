//! Text from outside stays text: in TheHive, where it shows Markdown, in reports, at a terminal, in MISP. What the page in
//! TheHive makes of it is tried in a browser (`pages`).

use std::fs;
use std::path::Path;

use cortex_misp::import::sync_state;
use cortex_misp::text::has_hidden;
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::{Value, json};

use crate::alerts::writing::desk::{Desk, events};
use crate::http_fake::{Fault, Nth, What};
use crate::misp::{self, World, key};
use crate::program::{Program, counts, failure, full, of};
use crate::thehive;

/// What Markdown would make of a text that leads, loads or runs something.
fn active(text: &str) -> Vec<String> {
    let is_active = |event: &Event<'_>| {
        matches!(
            event,
            Event::Html(_)
                | Event::InlineHtml(_)
                | Event::Start(
                    Tag::HtmlBlock
                        | Tag::Link { .. }
                        | Tag::Image { .. }
                        | Tag::FootnoteDefinition(_)
                )
        )
    };
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    let found = Parser::new_ext(text, options)
        .filter(is_active)
        .map(|event| format!("{event:?}"));
    // GitHub's Markdown makes links of addresses that stand anywhere but in code.
    let mut bare = String::new();
    for event in Parser::new_ext(text, options) {
        if let Event::Text(text) = event {
            bare.push_str(&text);
        }
    }
    let is_code_block = text.contains("```");
    found
        .chain(
            ["http://", "https://", "www."]
                .into_iter()
                .filter(|link| !is_code_block && bare.contains(link))
                .map(str::to_owned),
        )
        .collect()
}

/// Texts that would be markup, a command to a terminal, or something else than they seem.
const SLY: [&str; 14] = [
    "Evil** ![o](http://pix.example/o.png) [login](http://phish.example) <img src=x>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "[x](javascript:alert(1))",
    "[x][r]\n\n[r]: http://pix.example/r.png",
    "![x][r]\n\n[r]: http://pix.example/r.png",
    "<http://phish.example>",
    "&#60;img src=x&#62; [x](&#106;avascript:alert(1))",
    "A\n\n[cortex-misp] event=y timestamp=1 \n# Heading",
    "`` ` ![x](http://pix.example/b.png)",
    "a\\\n![x](http://pix.example/c.png)",
    "in\u{202e}voice\u{200b}_fdp\u{2066}.exe\u{e0041}\u{feff}\u{61c}",
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m",
    "line\u{2028}![x](http://pix.example/d.png)\u{2029}end",
    "data:text/html,<script>alert(1)</script>",
];

/// A MISP whose events have each of the texts in every place.
fn sly() -> World {
    let mut world = events(SLY.len() as u64);
    world
        .organisations
        .iter_mut()
        .zip(SLY)
        .for_each(|(organisation, text)| organisation.name = text.to_owned());
    for (place, text) in SLY.iter().enumerate() {
        let tag = world.attached(text);
        let event = &mut world.events[place];
        event.info = (*text).to_owned();
        event.orgc = place as u64 % 4 + 1;
        event.tags.push(tag.clone());
        event.reports = json!([{
            "uuid": "9", "event_id": event.id, "deleted": false, "name": text,
            "content": format!("# Report\n\n{text}\n\n- {text}\n\n| a |\n|---|\n| {text} |\n\n```\n{text}\n```\n"),
        }]);
        for attribute in &mut event.attributes {
            (attribute.comment, attribute.tags) = ((*text).to_owned(), vec![tag.clone()]);
        }
    }
    world
}

#[test]
fn no_text_of_an_event_becomes_markup_in_an_alert() {
    for hive in [thehive::World::four(), thehive::World::five()] {
        let desk = Desk::new(sly(), hive);
        let report = desk.import();
        assert_eq!(
            counts(full(&report), "events")["created"],
            SLY.len() as u64,
            "{report:#}"
        );
        let alerts = desk.thehive.world().alerts.clone();
        assert_eq!(alerts.len(), SLY.len());
        for alert in &alerts {
            let description = alert["description"].as_str().unwrap();
            assert_eq!(active(description), [""; 0], "{description}");
            assert!(
                description.len() < 32_000 && description.contains("# Report"),
                "{description}"
            );
            assert_eq!(
                sync_state::strip_state_line(description)
                    .matches("\n[cortex-misp]")
                    .count(),
                0
            );
            let names = [&alert["title"], &alert["source"]]
                .into_iter()
                .chain(alert["tags"].as_array().unwrap());
            for name in names {
                assert!(!has_hidden(name.as_str().unwrap()), "{name}");
            }
            for observable in desk.observables(alert) {
                let message = observable["message"].as_str().unwrap();
                assert_eq!(active(message), [""; 0], "{message}");
            }
        }
        let again = desk.import();
        let unchanged = of([
            ("fetched", SLY.len() as u64),
            ("unchanged", SLY.len() as u64),
        ]);
        assert_eq!(
            counts(full(&again), "events"),
            unchanged,
            "what was written is read as it was written: {again:#}"
        );
    }
}

/// `fixtures/faults/18-markdown`: an organisation, a date and a title that are Markdown.
#[test]
fn an_organisation_and_a_date_that_are_markdown_are_quoted() {
    let folder = Path::new("fixtures/faults/18-markdown");
    let desk = Desk::new(World::new(), thehive::World::five());
    let job = fs::read_to_string(folder.join("job.json")).unwrap();
    let job = job.replace(
        "@HERE@",
        fs::canonicalize(folder).unwrap().to_str().unwrap(),
    );
    let job = job
        .replace("@HIVE@", &desk.thehive.url())
        .replace("@HIVEKEY@", thehive::KEY);
    let job: Value = serde_json::from_str(&job).unwrap();
    let report = desk.run(&job);
    assert_eq!(
        counts(full(&report), "events"),
        of([("fetched", 4), ("created", 4)]),
        "{report:#}"
    );
    let description = |event: &str| {
        desk.alert(event)["description"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let [org, date, broken_date, broken_org] = [
        "156f8886-c3ff-5cbf-bc38-82b68ca2f369",
        "1a9f9596-dce1-5e40-b90b-52fdcb60456d",
        "4e8779a3-1475-5792-966b-04fad149ea66",
        "43fb21dc-4508-50e5-88ef-2b419f9ecd0f",
    ]
    .map(description);
    for text in [&org, &date, &broken_date, &broken_org] {
        assert_eq!(active(text), [""; 0], "{text}");
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("[cortex-misp]"))
                .count(),
            1,
            "{text}"
        );
        assert!(text.lines().all(|line| !line.starts_with('#')), "{text}");
    }
    assert!(org.contains(
        "of `Evil** ![o](http://pix.example/o.png) [login](http://phish.example) <img src=x>`\n"
    ));
    assert!(date.contains("- Date: `![d](http:/~"), "{date}");
    let again = desk.run(&job);
    assert_eq!(
        counts(full(&again), "events"),
        of([("fetched", 4), ("unchanged", 4)]),
        "{again:#}"
    );
}

#[test]
fn a_value_keeps_what_is_hidden_in_it_and_a_report_names_it() {
    const VALUE: &str = "invoice_\u{202e}fdp.exe";
    let mut world = events(1);
    world.events[0].attributes[0].value = VALUE.to_owned();
    world.events[0].attributes[0].kind = "filename".to_owned();
    let desk = Desk::new(world, thehive::World::five());
    desk.import();
    assert!(
        desk.observable(&desk.alert("1"), VALUE).is_some(),
        "an IOC is never changed"
    );
    let desk = desk.with(json!({"thehive_url": null, "thehive_key": null}));
    let report = desk.run_uncounted(&desk.job());
    let observables = full(&report)["alerts"][0]["observables"]
        .as_array()
        .unwrap()
        .clone();
    let one = observables.iter().find(|one| one["data"] == VALUE).unwrap();
    assert_eq!(one["shown"], "invoice_<U+202E>fdp.exe");
    assert!(
        observables
            .iter()
            .filter(|one| one["data"] != VALUE)
            .all(|one| one["shown"].is_null())
    );
    let mut click = desk.job();
    (click["dataType"], click["data"]) = (json!("filename"), json!(VALUE));
    let report = desk.run_uncounted(&click);
    assert!(
        full(&report)["message"]
            .as_str()
            .unwrap()
            .contains("knows invoice_<U+202E>fdp.exe"),
        "{report:#}"
    );
    let found = &full(&report)["connections"][0]["events"][0]["matches"][0];
    assert_eq!(found["value"], "invoice_<U+202E>fdp.exe");
}

/// Only what lays a text out may stand there.
fn steers_nothing(text: &[u8]) {
    let text = std::str::from_utf8(text).unwrap();
    assert!(
        !text
            .chars()
            .any(|c| c != '\n' && has_hidden(c.encode_utf8(&mut [0; 4]))),
        "{text:?}"
    );
}

#[test]
fn no_text_steers_a_terminal_or_disguises_itself_there() {
    let misp = misp::Fake::start(sly());
    let mut job = json!({
        "dataType": "other", "data": "misp:sync", "parameters": {"since": "all"},
        "config": {
            "name": [SLY[11]], "url": [misp.url()], "key": [key("admin")], "exclude_organisations": [SLY[10], "CIRCL"],
            "max_age_days": 0, "published_only": false,
        },
    });
    let run = |arguments: &[&str], job: &Value| {
        let mut command = Program::Import.command();
        command.args(arguments);
        let mut child = command.arg("/nonexistent").spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), job.to_string().as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        steers_nothing(&output.stdout);
        steers_nothing(&output.stderr);
        output.stdout
    };
    for arguments in [&[][..], &["--pretty"], &["check"], &["check", "--json"]] {
        let told = String::from_utf8(run(arguments, &job)).unwrap();
        assert!(
            told.contains("<U+001B>") || told.contains("\\u001b"),
            "{told}"
        );
    }
    job["config"]["exclude_organisations"] = json!([]);
    let told = String::from_utf8(run(&["--pretty"], &job)).unwrap();
    assert!(told.contains("in<U+202E>voice<U+200B>_fdp"), "{told}");
    misp.fault(Fault {
        on: "",
        nth: Nth::Always,
        what: What::Status(
            403,
            json!({"message": SLY.concat()}).to_string(),
            "application/json",
        ),
    });
    for arguments in [&[][..], &["--pretty"], &["check"]] {
        run(arguments, &job);
    }
}

fn case(url: &str, observables: Value) -> Value {
    json!({
        "dataType": "thehive:case",
        "data": {"_id": "~1", "caseId": 1, "title": "T", "startDate": 1_795_000_000_000_i64, "tlp": 1, "observables": observables},
        "config": {"name": ["corp"], "url": [url], "key": [key("publisher")], "instance": "test.example"},
    })
}

fn domain(message: &str) -> Value {
    json!([{"dataType": "domain", "data": "a.example", "ioc": true, "tlp": 1, "message": message}])
}

#[test]
fn what_goes_to_misp_has_nothing_hidden_and_no_quotation_marks_of_an_import() {
    let misp = misp::Fake::start(World::new());
    for (message, comment) in [
        ("`see http://evil.example`", "see http://evil.example"),
        (
            "```\nsee http://evil.example\nand <b>\n```",
            "see http://evil.example\nand <b>",
        ),
        ("in\u{202e}voice\u{200b}\u{1b}[31m", "invoice[31m"),
        ("two\r\nlines", "two\nlines"),
    ] {
        misp.world().events.clear();
        let mut job = case(&misp.url(), domain(message));
        job["data"]["title"] = json!("Wave \u{202e}gnihsihp\u{200b}\nof \u{1b}[31mMay");
        let report = Program::Export.report(&job);
        assert_eq!(
            counts(full(&report), "observables"),
            of([("fetched", 1), ("created", 1)]),
            "{report:#}"
        );
        let world = misp.world();
        assert_eq!(world.events[0].info, "Wave gnihsihp of  [31mMay");
        assert_eq!(world.events[0].attributes[0].comment, comment);
        let is_told = full(&report)["connections"]
            .to_string()
            .contains("nobody sees");
        assert!(is_told, "{report:#}");
    }
}

#[test]
fn no_text_becomes_markup_in_what_a_responder_says() {
    let misp = misp::Fake::start(World::new());
    for text in SLY {
        misp.heal();
        misp.world().events.clear();
        let words = json!({"message": text}).to_string();
        misp.fault(Fault {
            on: "",
            nth: Nth::Always,
            what: What::Status(403, words, "application/json"),
        });
        let report = Program::Export.report(&case(&misp.url(), domain("x")));
        assert_eq!(active(failure(&report)), [""; 0], "{report:#}");
        assert!(!has_hidden(failure(&report)), "{report:#}");
        misp.heal();
        let mut job = case(&misp.url(), domain(text));
        (job["config"]["name"], job["data"]["caseId"]) = (json!([text]), json!(text));
        job["data"]["observables"][0]["data"] = json!(format!("{text}.example"));
        let report = Program::Export.report(&job);
        let said = report["full"]["message"]
            .as_str()
            .or(report["errorMessage"].as_str())
            .unwrap();
        assert_eq!(active(said), [""; 0], "{report:#}");
        assert!(!has_hidden(said), "{report:#}");
    }
}

/// The page shows the state of a report by its fields: a value that reads like a label is none.
#[test]
fn a_value_that_reads_like_a_state_is_none() {
    let misp = misp::Fake::start(World::new());
    let look_up = |value: &str| {
        let mut job = case(&misp.url(), json!([]));
        (job["dataType"], job["data"]) = (json!("other"), json!(value));
        Program::Import.report(&job)
    };
    let report = look_up("INCOMPLETE: 7 failed");
    assert_eq!(
        (&full(&report)["is_incomplete"], &full(&report)["value"]),
        (&Value::Null, &json!("INCOMPLETE: 7 failed"))
    );
    misp.fault(Fault {
        on: "/events/index",
        nth: Nth::Always,
        what: What::Body("7".into()),
    });
    let report = Program::Export.report(&{
        let mut job = case(&misp.url(), domain("x"));
        for (name, value) in [
            ("name", "down"),
            ("url", "http://127.0.0.1:9"),
            ("key", "k-of-another"),
        ] {
            job["config"][name]
                .as_array_mut()
                .unwrap()
                .push(json!(value));
        }
        job["config"]["purpose"] = json!(["ExportOnly", "ExportOnly"]);
        misp.heal();
        job
    });
    assert_eq!(full(&report)["is_incomplete"], true, "{report:#}");
}

/// `fixtures/faults/08-invisible-characters`: what was pasted around a value is no part of it, going out as looked up.
#[test]
fn what_was_pasted_around_a_value_is_taken_off_on_export_and_look_up_alike() {
    let folder = tempfile::tempdir().unwrap();
    let feed = folder.path().join("out");
    fs::create_dir(&feed).unwrap();
    let job = fs::read_to_string("fixtures/faults/08-invisible-characters/job.json").unwrap();
    let job: Value =
        serde_json::from_str(&job.replace("@HERE@", folder.path().to_str().unwrap())).unwrap();
    let report = Program::Export.report(&job);
    assert_eq!(
        counts(full(&report), "observables"),
        of([("fetched", 4), ("created", 4)]),
        "{report:#}"
    );
    let files = fs::read_dir(&feed)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let text: String = files
        .filter(|text| text.contains("\"Attribute\""))
        .collect();
    for value in [
        "192.0.2.3",
        "192.0.2.4",
        "44d88612fea8a8f36de82e1278abb02f",
        "3395856ce81f2b7382dee72602f798b642f14140",
    ] {
        assert!(
            text.contains(&format!("\"value\": \"{value}\""))
                || text.contains(&format!("\"value\":\"{value}\"")),
            "{text}"
        );
    }
    for observable in job["data"]["observables"].as_array().unwrap() {
        let mut job = job.clone();
        (job["dataType"], job["data"]) =
            (observable["dataType"].clone(), observable["data"].clone());
        job["config"]["loop_guard"] = json!(false);
        let report = Program::Import.report(&job);
        assert_eq!(
            counts(full(&report), "events")["found"],
            1,
            "{observable}: {report:#}"
        );
    }
    let mut job = job;
    job["data"]["observables"] =
        json!([{"dataType": "ip", "data": "192.0\u{200b}.2.3", "ioc": true, "tlp": 2}]);
    let report = Program::Export.report(&job);
    assert!(
        report.to_string().contains("192.0<U+200B>.2.3"),
        "{report:#}"
    );
}

/// `fixtures/faults/09-file-names`: a name is an IOC as it is; only what stands beside a hash is made safe.
#[test]
fn the_name_of_a_file_stays_as_misp_can_store_it() {
    let folder = tempfile::tempdir().unwrap();
    let feed = folder.path().join("out");
    fs::create_dir(&feed).unwrap();
    let job = fs::read_to_string("fixtures/faults/09-file-names/job.json").unwrap();
    let job: Value =
        serde_json::from_str(&job.replace("@HERE@", folder.path().to_str().unwrap())).unwrap();
    let report = Program::Export.report(&job);
    assert_eq!(
        counts(full(&report), "observables")["created"],
        4,
        "{report:#}"
    );
    let warnings = full(&report)["connections"][0]["warnings"].to_string();
    assert!(
        warnings.contains("called \\\"line break.doc\\\" in MISP"),
        "{warnings}"
    );
    assert!(warnings.contains("a file without a name"), "{warnings}");
    let file = format!(
        "{}.json",
        full(&report)["connections"][0]["events"][0]["uuid"]
            .as_str()
            .unwrap()
    );
    let event: Value = serde_json::from_slice(&fs::read(feed.join(file)).unwrap()).unwrap();
    let objects = event["Event"]["Object"].as_array().unwrap();
    let attributes = objects
        .iter()
        .flat_map(|object| object["Attribute"].as_array().unwrap());
    let names: Vec<_> = attributes
        .filter(|one| one["type"] == "filename")
        .map(|one| one["value"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"a|b.exe") && names.contains(&"line break.doc"),
        "{names:?}"
    );
    assert!(
        names.iter().any(|name| name.len() > 300) && names.len() == 3 && !names.contains(&"file"),
        "{names:?}"
    );
}
