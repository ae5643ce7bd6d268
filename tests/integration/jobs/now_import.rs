//! `misp-import now`, which a schedule runs, against a Cortex that answers as 4.1.0 did (`fixtures/wire/schedule`): what is asked
//! of it, what is printed, and the exit status.

use serde_json::{Value, json};

use super::now_export::{recorded, run_now};
use crate::http_fake::{Call, Fault, Nth, Reply, Server, Site, What};
use crate::program::Program;

const KEY: &str = "CortexKey/0123456789+abcdefghijk";

const RUN: &str = "/api/analyzer/a44125abf96a852c6302f074d7bd88e4/run?force=1";
const WAIT: &str = "/api/job/iuifLqIBL_oO0Piyc40u/waitreport?atMost=30seconds";

/// A Cortex that answers each question with what a test laid out for it.
#[derive(Clone)]
struct Cortex {
    /// The analyzers for the type `other`.
    analyzers: Reply,
    /// The job that was begun.
    started: Reply,
    /// The job as each question for its report finds it.
    told: Vec<Value>,
}

impl Cortex {
    fn new() -> Self {
        let analyzers = recorded("010-analyzers-of-a-type");
        let told = vec![job(
            "Success",
            &json!({"success": true, "full": {"message": "2 events read, 2 alerts created"}}),
        )];
        Self {
            analyzers: Reply::json(200, &analyzers),
            started: Reply::json(200, &job("Waiting", &json!(null))),
            told,
        }
    }
}

fn job(status: &str, report: &Value) -> Value {
    let mut job = recorded("012-job-waited-for");
    job["status"] = json!(status);
    job["report"] = report.clone();
    job
}

/// What Cortex says to a user without a role.
fn refusal() -> Reply {
    Reply::json(
        403,
        &json!({"type": "AuthorizationError", "message": "Insufficient rights to perform this action"}),
    )
}

impl Site for Cortex {
    fn reachable_at(&mut self, _: &str) {}

    fn answer(&mut self, call: &Call) -> Reply {
        if call.header("authorization") != Some(&format!("Bearer {KEY}")) {
            return Reply::json(
                401,
                &json!({"type": "AuthenticationError", "message": "Authentication failure"}),
            );
        }
        match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/api/analyzer/type/other") => self.analyzers.clone(),
            ("POST", RUN) => self.started.clone(),
            ("GET", WAIT) => Reply::json(200, &self.told.remove(0)),
            _ => Reply::json(
                404,
                &json!({"type": "NotFoundError", "message": "not found"}),
            ),
        }
    }
}

fn run(address: &str, key: &str, arguments: &[&str]) -> (i32, String, String) {
    run_now(Program::Import, [address, key], arguments)
}

#[test]
fn a_schedule_has_cortex_import_and_prints_what_came_of_it() {
    let success = |message: &str| {
        job(
            "Success",
            &json!({"success": true, "full": {"message": message}}),
        )
    };
    let part = job(
        "Success",
        &json!({"success": true, "full": {"message": "INCOMPLETE: 1 event failed", "is_incomplete": true}}),
    );
    let failure = job(
        "Failure",
        &json!({"success": false, "errorMessage": "misp-corp: the key is refused", "input": null}),
    );
    let cases = [
        (
            success("2 events read, 2 alerts created"),
            0,
            "2 events read, 2 alerts created\n",
            "",
        ),
        (part, 1, "INCOMPLETE: 1 event failed\n", ""),
        (failure, 1, "", "misp-corp: the key is refused\n"),
        (
            job("Deleted", &json!("Deleted")),
            1,
            "",
            "no report (Deleted)\n",
        ),
    ];
    for (told, status, printed, complaint) in cases {
        let running = [
            job("Waiting", &json!("Waiting")),
            job("InProgress", &json!("Running")),
        ];
        let cortex = Server::start(Cortex {
            told: [&running[..], &[told]].concat(),
            ..Cortex::new()
        });
        for (address, connection, command) in [
            ("", &[][..], "misp:sync"),
            ("//", &["partner"][..], "misp:sync:partner"),
        ] {
            cortex.forget_requests();
            let left = cortex.world().told.clone();
            assert_eq!(
                run(&format!("{}{address}", cortex.url()), KEY, connection),
                (status, printed.to_owned(), complaint.to_owned())
            );
            cortex.world().told = left;
            let asked = cortex.requests();
            assert_eq!(asked.len(), 5);
            assert_eq!(
                (&asked[1].body["dataType"], &asked[1].body["data"]),
                (&json!("other"), &json!(command))
            );
            assert_eq!(asked[1].body["parameters"], json!({"command": command}));
        }
    }
}

#[test]
fn a_schedule_that_cannot_import_says_what_to_mend() {
    let page = Reply::bytes(200, "text/html", b"<html>Log in</html>".to_vec());
    let analyzers = |names: &[&str]| {
        let list: Vec<_> = names
            .iter()
            .map(|name| json!({"id": "8744e1", "name": name}))
            .collect();
        Reply::json(200, &json!(list))
    };
    let usual = Cortex::new;
    let cases = [
        (
            Cortex {
                analyzers: refusal(),
                ..usual()
            },
            KEY,
            "",
            "needs the roles read and analyze",
        ),
        (
            Cortex {
                started: refusal(),
                ..usual()
            },
            KEY,
            "",
            "needs the roles read and analyze",
        ),
        (
            usual(),
            "wrong",
            "",
            "401: Authentication failure: check CORTEX_KEY",
        ),
        (
            usual(),
            KEY,
            "/cortex",
            "check CORTEX_URL: is this the address of a Cortex?",
        ),
        (
            Cortex {
                analyzers: page,
                ..usual()
            },
            KEY,
            "",
            "correct CORTEX_URL",
        ),
        (
            Cortex {
                analyzers: Reply::json(200, &json!({"versions": {}})),
                ..usual()
            },
            KEY,
            "",
            "what answers is no Cortex: correct CORTEX_URL",
        ),
        (
            Cortex {
                analyzers: analyzers(&["Echo_1_0"]),
                ..usual()
            },
            KEY,
            "",
            "MISPImport is not enabled",
        ),
        (
            Cortex {
                analyzers: analyzers(&["MISPImport_1_0", "MISPImport_2_0"]),
                ..usual()
            },
            KEY,
            "",
            "more than once",
        ),
    ];
    for (world, key, path, expected) in cases {
        let cortex = Server::start(world);
        let (status, printed, complaint) = run(&format!("{}{path}", cortex.url()), key, &[]);
        assert_eq!((status, printed.as_str()), (2, ""), "{complaint}");
        assert!(complaint.contains(expected), "{complaint}");
        let begun = cortex
            .requests()
            .iter()
            .filter(|asked| asked.method == "POST" && asked.status == 200)
            .count();
        assert_eq!(begun, 0);
    }
}

#[test]
fn an_import_is_begun_once_whatever_fails() {
    let busy = |on, nth| Fault {
        on,
        nth,
        what: What::Status(503, "busy".into(), "text/plain"),
    };
    let cut = Fault {
        on: "/run?force",
        nth: Nth::First(1),
        what: What::CutAfter(20),
    };
    let cases = [
        (busy("/waitreport", Nth::First(2)), 0, 1),
        (busy("/analyzer/type", Nth::First(2)), 0, 1),
        // Whether it runs is not known.
        (cut, 1, 1),
        (busy("/run?force", Nth::Always), 1, 0),
    ];
    for (fault, status, begun) in cases {
        let cortex = Server::start(Cortex::new());
        cortex.fault(fault.clone());
        let (ended, _, complaint) = run(&cortex.url(), KEY, &[]);
        assert_eq!(ended, status, "{fault:?} {complaint}");
        let asked = cortex.requests();
        let runs = asked
            .iter()
            .filter(|asked| asked.path == RUN && asked.status == 200);
        assert_eq!(runs.count(), begun, "{fault:?}");
        assert_eq!(asked.iter().filter(|asked| asked.path == RUN).count(), 1);
    }
}

#[test]
fn a_schedule_may_narrow_an_import() {
    let cortex = Server::start(Cortex {
        told: vec![
            job(
                "Success",
                &json!({"success": true, "full": {"message": "done"}})
            );
            2
        ],
        ..Cortex::new()
    });
    run(&cortex.url(), KEY, &["--since", "90d", "partner"]);
    let asked = cortex.requests();
    let parameters = json!({"command": "misp:sync:partner", "since": "90d"});
    assert_eq!(asked[1].body["parameters"], parameters);
    let named = run(&cortex.url(), KEY, &["--analyzer", "Ours"]);
    assert_eq!((named.0, named.1.as_str()), (2, ""));
    assert!(named.2.contains("no analyzer Ours"), "{}", named.2);
}
