//! `misp-export now`, which a schedule runs, against a TheHive that answers as 4.1.24 did (`fixtures/wire/schedule`), and one
//! that answers as the API description of 5 says: what is asked of it, what is printed, and the exit status.

use std::fs;

use serde_json::{Value, json};

use crate::http_fake::{Call, Fault, Nth, Reply, Server, Site, What};
use crate::program::{Program, search};

const KEY: &str = "TheHiveKey/0123456789+abcdefghijk";

/// The body of a recorded answer.
pub(crate) fn recorded(name: &str) -> Value {
    let text = fs::read(format!("fixtures/wire/schedule/{name}.json")).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["response"]["body"].clone()
}

/// A TheHive in which each responder that is begun ends as a test laid out.
#[derive(Clone)]
struct Hive {
    is_five: bool,
    cases: Vec<Value>,
    responders: Value,
    /// What a run comes to, by its case: status and report.
    ends: Vec<(&'static str, &'static str, Value)>,
    /// The cases that a run was begun on.
    begun: Vec<String>,
    /// How often each run is still shown as running.
    looks: usize,
}

impl Hive {
    fn new(is_five: bool) -> Self {
        let case = |id: &str, number: u64, tags: Value| {
            let mut case = recorded("001-list-cases-of-a-tag")[0].clone();
            case["_id"] = json!(id);
            case["number"] = json!(number);
            case["tags"] = tags;
            case["_createdAt"] = json!(1_700_000_000_000_u64);
            case["_updatedAt"] = json!(1_700_000_000_000_u64);
            case
        };
        let exported = json!(["misp:event=\"misp-corp:4feb23ac-c3ab-50d2-8da1-fd0531ba29b2\""]);
        Self {
            is_five,
            cases: vec![
                case("~1", 42, exported.clone()),
                case("~2", 43, exported),
                case("~3", 44, json!(["share"])),
            ],
            responders: recorded("003-responders-for-a-case"),
            ends: vec![
                (
                    "~1",
                    "Success",
                    json!({"success": true, "full": {"message": "Exported 2 IOCs"}}),
                ),
                (
                    "~2",
                    "Success",
                    json!({"success": true, "full": {"message": "INCOMPLETE: 1 of 2", "is_incomplete": true}}),
                ),
                (
                    "~3",
                    "Failure",
                    json!({"success": false, "errorMessage": "the key is refused"}),
                ),
            ],
            begun: Vec::new(),
            looks: 1,
        }
    }

    fn query(&self, operations: &[Value]) -> Value {
        let first = operations[0]["_name"].as_str().unwrap();
        let filter = &operations[1];
        match first {
            "listCase" => {
                let fits = |case: &&Value| {
                    let tags = case["tags"].as_array().unwrap();
                    let tag = |test: &dyn Fn(&str) -> bool| {
                        tags.iter().any(|tag| test(tag.as_str().unwrap()))
                    };
                    if let Some(start) = filter.pointer("/_startsWith/_value") {
                        tag(&|tag| tag.starts_with(start.as_str().unwrap()))
                    } else if filter["_is"]["_field"] == "tags" {
                        tag(&|tag| filter["_is"]["_value"] == tag)
                    } else {
                        filter["_is"]["_value"] == case["number"]
                    }
                };
                self.cases.iter().filter(fits).cloned().collect()
            }
            // The second case lost an observable, as the recorded one did.
            "listAudit" if !self.is_five => {
                let mut audits = recorded("002-audits-of-changes");
                for audit in audits.as_array_mut().unwrap() {
                    audit["base"]["rootId"] = json!("~2");
                }
                audits
            }
            "listObservable" if self.is_five => json!([self.cases[1]]),
            _ => panic!("{operations:?}"),
        }
    }

    fn action(&self, case: &str, status: &str, report: &Value) -> Value {
        let mut action = recorded("004-action-begun");
        action["cortexJobId"] = json!(format!("job-of-{case}"));
        action["objectId"] = json!(case);
        action["status"] = json!(status);
        action["report"] = json!(report.to_string());
        if self.is_five {
            // `OutputAction`: a job is not always named.
            let fields = action.as_object_mut().unwrap();
            fields.remove("cortexJobId");
            fields.extend(json!({"_id": format!("~9{case}"), "_type": "Action", "_createdBy": "a@soc", "_createdAt": 1}).as_object().unwrap().clone());
        }
        action
    }

    fn connector(&mut self, method: &str, path: &str, body: &Value) -> Reply {
        let json_reply = |body: &Value| Reply::json(200, body);
        match (method, path.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", ["responder", "case", _]) => json_reply(&self.responders),
            ("POST", ["action"]) => {
                assert_eq!(
                    (&body["objectType"], &body["cortexId"]),
                    (&json!("case"), &json!("cortex-own"))
                );
                let case = body["objectId"].as_str().unwrap().to_owned();
                self.begun.push(case.clone());
                json_reply(&self.action(&case, "Waiting", &json!({})))
            }
            ("GET", ["action", "case", case]) => {
                let (_, status, report) = self
                    .ends
                    .iter()
                    .find(|(id, _, _)| id == case)
                    .unwrap()
                    .clone();
                // Another run of the same case stands before it.
                let mut other =
                    self.action(case, "Failure", &json!({"errorMessage": "of another run"}));
                for name in ["_id", "cortexJobId"] {
                    if !other[name].is_null() {
                        other[name] = json!("~other");
                    }
                }
                let shown = match self.looks {
                    0 => self.action(case, status, &report),
                    _ => self.action(case, "InProgress", &json!({})),
                };
                self.looks = if self.looks == 0 { 1 } else { self.looks - 1 };
                json_reply(&json!([other, shown]))
            }
            _ => Reply::json(404, &json!({"type": "NotFound", "message": "not found"})),
        }
    }
}

impl Site for Hive {
    fn reachable_at(&mut self, _: &str) {}

    fn answer(&mut self, call: &Call) -> Reply {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        match (call.path.as_str(), self.is_five) {
            ("/api/v1/status/public", true) => {
                return Reply::json(200, &json!({"version": "5.7.3-1"}));
            }
            ("/api/status", false) => {
                return Reply::json(200, &json!({"versions": {"TheHive": "4.1.24-1"}}));
            }
            ("/api/v1/status/public", false) => {
                return Reply::json(404, &json!({"type": "NotFound", "message": "no route"}));
            }
            _ => {}
        }
        if call.header("authorization") != Some(&format!("Bearer {KEY}")) {
            return Reply::json(
                401,
                &json!({"type": "AuthenticationError", "message": "Authentication failure"}),
            );
        }
        let connector = if self.is_five {
            "/api/v1/connector/cortex/"
        } else {
            "/api/connector/cortex/"
        };
        if let Some(path) = call.path.strip_prefix(connector) {
            return self.connector(&call.method, path, &body);
        }
        match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/api/v1/user/current") => Reply::json(
                200,
                &json!({
                    "login": "a@soc", "organisation": "soc", "permissions": ["manageAction"],
                    "organisations": [{"organisationId": "~4", "organisation": "soc", "profile": "analyst"}],
                }),
            ),
            ("POST", "/api/v1/query?name=cortex-misp" | "/api/v0/query?name=cortex-misp") => {
                Reply::json(200, &self.query(body["query"].as_array().unwrap()))
            }
            _ => Reply::json(404, &json!({"type": "NotFound", "message": "not found"})),
        }
    }
}

/// What `now` of a program does, asked of this server by this key: exit status, what was printed and what was complained of.
pub(crate) fn run_now(
    program: Program,
    server: [&str; 2],
    arguments: &[&str],
) -> (i32, String, String) {
    let service = match program {
        Program::Export => "THEHIVE",
        Program::Import => "CORTEX",
    };
    let output = program
        .command()
        .env(format!("{service}_URL"), server[0])
        .env(format!("{service}_KEY"), server[1])
        .arg("now")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!(out.clone() + &err).contains(KEY), "{out}{err}");
    search(
        &json!({"config": {"key": server[1]}}),
        &(out.clone() + &err),
    );
    (output.status.code().unwrap(), out, err)
}

fn run(address: &str, key: &str, arguments: &[&str]) -> (i32, String, String) {
    run_now(Program::Export, [address, key], arguments)
}

#[test]
fn cases_are_exported_as_by_a_click() {
    for is_five in [false, true] {
        let hive = Server::start(Hive::new(is_five));
        let cases = [
            (
                &["--case", "42"][..],
                0,
                "case #42: Exported 2 IOCs\n",
                "",
                &["~1"][..],
            ),
            (
                &["--case", "#43"],
                1,
                "case #43: INCOMPLETE: 1 of 2\n",
                "",
                &["~2"],
            ),
            (
                &["--case", "44"],
                1,
                "",
                "case #44: the key is refused\n",
                &["~3"],
            ),
            (
                &["--case", "42", "--case", "44"],
                1,
                "case #42: Exported 2 IOCs\n",
                "case #44: the key is refused\n",
                &["~1", "~3"],
            ),
            (
                &["--case", "9", "--case", "42"],
                2,
                "case #42: Exported 2 IOCs\n",
                "case #9: there is no such case, or the user of THEHIVE_KEY may not see it\n",
                &["~1"],
            ),
        ];
        for (arguments, status, out, err, begun) in cases {
            hive.world().begun.clear();
            assert_eq!(
                run(&hive.url(), KEY, arguments),
                (status, out.to_owned(), err.to_owned())
            );
            assert_eq!(hive.world().begun, begun);
        }
    }
}

#[test]
fn only_what_changed_is_exported() {
    for is_five in [false, true] {
        let hive = Server::start(Hive::new(is_five));
        // A case that carries no tag of an export is none of them, and of the others one changed.
        let one = run(&hive.url(), KEY, &["--changed-since", "1h"]);
        assert_eq!(
            one,
            (
                1,
                "case #43: INCOMPLETE: 1 of 2\n".to_owned(),
                String::new()
            )
        );
        assert_eq!(hive.world().begun, ["~2"]);

        // A case that was changed itself.
        hive.world().begun.clear();
        hive.world().cases[0]["_updatedAt"] = json!(4_000_000_000_000_u64);
        run(&hive.url(), KEY, &["--changed-since", "1h"]);
        assert_eq!(hive.world().begun, ["~1", "~2"]);

        hive.world().begun.clear();
        let none = run(
            &hive.url(),
            KEY,
            &["--changed-since", "1h", "--tag", "share"],
        );
        let words = "no case that carries the tag share changed since 1h\n".to_owned();
        assert_eq!(none, (0, words, String::new()));
        let all = run(
            &hive.url(),
            KEY,
            &["--changed-since", "all", "--tag", "share"],
        );
        assert_eq!(all.2, "case #44: the key is refused\n");
        assert_eq!(hive.world().begun, ["~3"]);
    }
}

#[test]
fn what_cannot_be_asked_says_what_to_mend() {
    let usual = || Hive::new(false);
    let renamed = json!([{"id": "r", "name": "Ours", "cortexIds": ["cortex-own"]}]);
    let twice = json!([
        {"id": "r", "name": "MISPExport_1_0", "cortexIds": ["cortex-own"]},
        {"id": "s", "name": "MISPExport_2_0", "cortexIds": ["cortex-own"]},
    ]);
    let case = &["--case", "42"][..];
    let cases = [
        (usual(), "wrong", case, "401: Authentication failure"),
        (
            usual(),
            "",
            case,
            "no key: set the variable THEHIVE_KEY, or name a file by --key-file",
        ),
        (
            usual(),
            KEY,
            &["--changed-since", "yesterday"],
            "--changed-since yesterday is no time",
        ),
        (usual(), KEY, &[], "--case <NUMBER>"),
        (
            usual(),
            KEY,
            &["--case", "4x"],
            "write the case's number, such as 42",
        ),
        (
            usual(),
            KEY,
            &["--case", "42", "--key-file", "/nonexistent"],
            "--key-file /nonexistent cannot be read",
        ),
        (
            usual(),
            KEY,
            &["--case", "42", "--ca-file", "/nonexistent"],
            "--ca-file /nonexistent cannot be read",
        ),
        (
            Hive {
                responders: json!([]),
                ..usual()
            },
            KEY,
            case,
            "it has to be enabled in Cortex",
        ),
        (
            Hive {
                responders: renamed.clone(),
                ..usual()
            },
            KEY,
            case,
            "under another name, give that by --responder",
        ),
        (
            Hive {
                responders: twice.clone(),
                ..usual()
            },
            KEY,
            case,
            "more than once",
        ),
    ];
    for (world, key, arguments, expected) in cases {
        let hive = Server::start(world);
        let (status, printed, complaint) = run(&hive.url(), key, arguments);
        assert_eq!((status, printed.as_str()), (2, ""), "{complaint}");
        assert!(complaint.contains(expected), "{complaint}");
        assert!(hive.world().begun.is_empty());
    }
    for (responders, name) in [(renamed, "Ours"), (twice, "MISPExport_2_0")] {
        let hive = Server::start(Hive {
            responders,
            ..usual()
        });
        assert_eq!(
            run(&hive.url(), KEY, &["--case", "42", "--responder", name]).0,
            0
        );
    }
}

#[test]
fn a_run_is_begun_once_whatever_fails() {
    let unclear = Fault {
        on: "cortex/action",
        nth: Nth::First(1),
        what: What::CutAfter(20),
    };
    let overloaded = Fault {
        on: "action/case",
        nth: Nth::First(2),
        what: What::Status(503, "busy".into(), "text/plain"),
    };
    let refused = Fault {
        on: "action/case",
        nth: Nth::Always,
        what: What::Status(
            403,
            "{\"type\":\"AuthorizationError\",\"message\":\"no\"}".into(),
            "application/json",
        ),
    };
    let cases = [
        (unclear, 1, ""),
        (overloaded, 0, "case #42: Exported 2 IOCs\n"),
        (refused, 1, ""),
    ];
    for (fault, status, printed) in cases {
        let hive = Server::start(Hive::new(false));
        hive.fault(fault.clone());
        let (ended, out, complaint) = run(&hive.url(), KEY, &["--case", "42"]);
        assert_eq!(
            (ended, out.as_str()),
            (status, printed),
            "{fault:?} {complaint}"
        );
        assert_eq!(hive.world().begun, ["~1"], "{fault:?}");
    }
}

#[test]
fn those_who_watch_are_told() {
    struct Watch;
    impl Site for Watch {
        fn reachable_at(&mut self, _: &str) {}
        fn answer(&mut self, _: &Call) -> Reply {
            Reply::bytes(200, "text/plain", b"OK".to_vec())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (metrics, key) = (folder.path().join("misp.prom"), folder.path().join("key"));
    fs::write(&key, format!("{KEY}\n")).unwrap();
    for (case, path, status) in [("42", "/ping/a1", 0), ("43", "/ping/a1/fail", 1)] {
        let (hive, watch) = (Server::start(Hive::new(false)), Server::start(Watch));
        let ping = format!("{}/ping/a1", watch.url());
        let arguments = [
            "--case",
            case,
            "--ping",
            &ping,
            "--metrics",
            metrics.to_str().unwrap(),
            "--key-file",
            key.to_str().unwrap(),
        ];
        assert_eq!(run(&hive.url(), "another", &arguments).0, status);
        let asked = watch.requests();
        assert_eq!(
            asked
                .iter()
                .map(|asked| asked.path.as_str())
                .collect::<Vec<_>>(),
            [path]
        );
        assert_eq!(asked[0].header("authorization"), None);
        let written = fs::read_to_string(&metrics).unwrap();
        assert!(
            written.contains(&format!(
                "cortex_misp_last_run_exit_status{{program=\"misp-export\"}} {status}\n"
            )),
            "{written}"
        );
    }

    // Whoever is not told would take silence for a good sign.
    let hive = Server::start(Hive::new(false));
    let nowhere = ["--case", "42", "--metrics", "/nonexistent/misp.prom"];
    let (status, printed, complaint) = run(&hive.url(), KEY, &nowhere);
    assert_eq!(
        (status, printed.as_str()),
        (1, "case #42: Exported 2 IOCs\n")
    );
    assert!(
        complaint.contains("--metrics /nonexistent/misp.prom cannot be written"),
        "{complaint}"
    );
}
