//! `import-now`, which cron runs, against a Cortex that answers as version 4.1.0 did: what is asked of it, what is printed, and the
//! exit status.

use std::process::Command;

use serde_json::{Value, json};

use crate::http_fake::{Call, Reply, Server, Site};

const KEY: &str = "CortexKey/0123456789+abcdefghijk";

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
        let analyzers =
            json!([{"id": "e", "name": "Echo_1_0"}, {"id": "8744e1", "name": "MISPImport_1_0"}]);
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
    json!({"id": "mJAXLaIBA_qY", "status": status, "report": report})
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
            ("POST", "/api/analyzer/8744e1/run?force=1") => self.started.clone(),
            ("GET", "/api/job/mJAXLaIBA_qY/waitreport?atMost=50seconds") => {
                Reply::json(200, &self.told.remove(0))
            }
            _ => Reply::json(
                404,
                &json!({"type": "NotFoundError", "message": "not found"}),
            ),
        }
    }
}

/// Exit status, what was printed and what was complained of.
fn run(address: &str, key: &str, connection: &[&str]) -> (i32, String, String) {
    let mut script = Command::new("manifests/analyzers/MISPImport/import-now");
    script
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .args(connection);
    let output = script
        .env("CORTEX_URL", address)
        .env("CORTEX_KEY", key)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_schedule_has_cortex_import_and_prints_what_came_of_it() {
    let success = |message: &str| {
        job(
            "Success",
            &json!({"success": true, "full": {"message": message}}),
        )
    };
    let part = success("INCOMPLETE: 1 event failed");
    let failure = job(
        "Failure",
        &json!({"success": false, "errorMessage": "misp-corp: the key is refused", "input": null}),
    );
    let cases = [
        (
            success("2 events read, 2 alerts created"),
            0,
            "2 events read, 2 alerts created\n",
        ),
        (part, 2, "INCOMPLETE: 1 event failed\n"),
        (failure, 1, "misp-corp: the key is refused\n"),
        (job("Deleted", &json!("Deleted")), 1, "no report\n"),
    ];
    for (told, status, printed) in cases {
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
                (status, printed.to_owned(), String::new())
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
            "lacks the role read or analyze",
        ),
        (
            Cortex {
                started: refusal(),
                ..usual()
            },
            KEY,
            "",
            "lacks the role analyze",
        ),
        (
            usual(),
            "wrong",
            "",
            "401 and 403 mean that the user of CORTEX_KEY is another",
        ),
        (
            usual(),
            KEY,
            "/cortex",
            "404 that CORTEX_URL is not the address of a Cortex",
        ),
        (
            Cortex {
                analyzers: page,
                ..usual()
            },
            KEY,
            "",
            "what answers is no Cortex: correct CORTEX_URL",
        ),
        (
            Cortex {
                analyzers: Reply::json(200, &json!({"versions": {}})),
                ..usual()
            },
            KEY,
            "",
            "what answers is no Cortex",
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
        assert_eq!((status, printed.as_str()), (1, ""), "{complaint}");
        assert!(
            complaint.contains(expected) && !complaint.contains("Traceback"),
            "{complaint}"
        );
        let begun = cortex
            .requests()
            .iter()
            .filter(|asked| asked.method == "POST" && asked.status == 200)
            .count();
        assert_eq!(begun, 0);
    }
}
