//! A real Cortex that the jobs of a scenario go through: it gives them to the programs of its catalogue, as workers that bear the
//! world's mark and go with it. It has to run on this machine, where the fakes, proxies and feeds of a scenario are.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::world::TITLE;
use crate::canaries::{planted, search, search_feeds};
use crate::program::{Program, judged};
use crate::replay::hive::ask;

/// How many jobs went through a Cortex.
pub(crate) static JOBS: AtomicUsize = AtomicUsize::new(0);

/// A Cortex for one scenario.
pub(crate) struct Cortex {
    url: String,
    key: String,
    /// Stands in the names of its workers.
    mark: String,
    workers: Mutex<Vec<Worker>>,
}

/// A worker that was enabled.
struct Worker {
    program: Program,
    id: String,
    config: Value,
}

/// What Cortex calls the program: the kind of worker, its definition, and the program that was built.
fn of(program: Program) -> [&'static str; 3] {
    match program {
        Program::Export => [
            "responder",
            "MISPExport_1_0",
            env!("CARGO_BIN_EXE_misp-export"),
        ],
        Program::Import => [
            "analyzer",
            "MISPImport_1_0",
            env!("CARGO_BIN_EXE_misp-import"),
        ],
    }
}

impl Cortex {
    pub(crate) fn new(url: String, key: String, mark: &str) -> Self {
        Self {
            url,
            key,
            mark: mark.to_owned(),
            workers: Mutex::default(),
        }
    }

    /// The first role that the user of this key lacks.
    pub(crate) fn lacking(url: &str, key: &str) -> Option<&'static str> {
        let (_, user) = ask(url, key, "GET", "/api/user/current", &Value::Null);
        let has = |role: &str| {
            user["roles"]
                .as_array()
                .is_some_and(|roles| roles.iter().any(|one| one == role))
        };
        ["read", "analyze", "orgadmin"]
            .into_iter()
            .find(|role| !has(role))
    }

    fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = ask(&self.url, &self.key, method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer:#}");
        answer
    }

    /// What its worker is called.
    pub(crate) fn name(&self, program: Program) -> String {
        format!("{} {TITLE} {}", of(program)[1], self.mark)
    }

    /// Its address and the key.
    pub(crate) fn access(&self) -> (&str, &str) {
        (&self.url, &self.key)
    }

    /// The id of a worker with this configuration. Cortex reads a configuration only when a worker is enabled: it refuses what
    /// the manifest does not have, and fills in the rest (its `WorkerSrv.create`).
    pub(crate) fn worker(&self, program: Program, config: &Value) -> String {
        let mut workers = self.workers.lock().unwrap();
        if let Some(place) = workers.iter().position(|one| one.program == program) {
            if workers[place].config == *config {
                return workers[place].id.clone();
            }
            self.disable(&workers.remove(place));
        }
        let [kind, definition, built] = of(program);
        let body = json!({"name": self.name(program), "configuration": config, "jobTimeout": 30});
        let enabled = self.done(
            "POST",
            &format!("/api/organization/{kind}/{definition}"),
            &body,
        );
        let worker = Worker {
            program,
            id: enabled["id"].as_str().unwrap().to_owned(),
            config: config.clone(),
        };
        let id = worker.id.clone();
        workers.push(worker);
        // With Docker there is none.
        if let Some(Ok(held)) = enabled["command"].as_str().map(fs::read) {
            assert!(
                fs::read(built).unwrap() == held,
                "the Cortex has another program: copy {built} to {}",
                enabled["command"]
            );
        }
        id
    }

    /// Takes away a worker's jobs, whoever began them; they have its id, which follows from its name.
    fn forget(&self, worker: &Worker) {
        let path = format!("/api/job?analyzerFilter={}&range=all", worker.id);
        let jobs = self.done("GET", &path, &Value::Null);
        for job in jobs
            .as_array()
            .into_iter()
            .flatten()
            .filter(|job| job["status"] != "Deleted")
        {
            self.done(
                "DELETE",
                &format!("/api/job/{}", job["id"].as_str().unwrap()),
                &Value::Null,
            );
        }
    }

    fn disable(&self, worker: &Worker) {
        self.done(
            "DELETE",
            &format!("/api/{}/{}", of(worker.program)[0], worker.id),
            &Value::Null,
        );
    }

    /// Runs a job as TheHive and `misp-import now` do, and gives the judged report in the form in which the program wrote it.
    pub(crate) fn report(&self, program: Program, job: &Value) -> Value {
        let job = &planted(job);
        let worker = self.worker(program, &job["config"]);
        let mut asked = json!({"tlp": 2, "pap": 2, "message": "", "parameters": {}});
        asked
            .as_object_mut()
            .unwrap()
            .extend(job.as_object().unwrap().clone());
        asked.as_object_mut().unwrap().shift_remove("config");
        let started = self.done(
            "POST",
            &format!("/api/{}/{worker}/run?force=1", of(program)[0]),
            &asked,
        );
        let report = self.finished(started["id"].as_str().unwrap());
        search(job, &report.to_string());
        search_feeds(job);
        judged(program, report.to_string().as_bytes())
    }

    /// The report of a job when it is done.
    pub(crate) fn finished(&self, job: &str) -> Value {
        // Cortex never ends a job that it lost; ours have a deadline of 25 minutes.
        for _ in 0..2_400 {
            // A job that ends while Cortex begins to wait is seen only with the next question.
            let told = self.done(
                "GET",
                &format!("/api/job/{job}/waitreport?atMost=1second"),
                &Value::Null,
            );
            if told["status"] != "Waiting" && told["status"] != "InProgress" {
                JOBS.fetch_add(1, Ordering::Relaxed);
                assert_eq!(
                    told["status"] == "Success",
                    told["report"]["success"] == true,
                    "{told:#}"
                );
                return in_order(&told["report"]);
            }
        }
        panic!("the job {job} does not end");
    }
}

/// A report with its artifacts as they were written: Cortex stores each by itself, and sorts its fields.
fn in_order(report: &Value) -> Value {
    let mut report = report.clone();
    let keys = ["dataType", "data", "tlp", "tags", "message"];
    for artifact in report["artifacts"].as_array_mut().into_iter().flatten() {
        let fields = artifact.as_object().unwrap();
        assert_eq!(fields.len(), keys.len(), "{artifact:#}");
        *artifact = keys
            .into_iter()
            .map(|key| (key.to_owned(), fields[key].clone()))
            .collect();
    }
    report
}

impl Drop for Cortex {
    /// A scenario that failed is cleaned up after as well.
    fn drop(&mut self) {
        let workers = std::mem::take(
            &mut *self
                .workers
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        let disabled = catch_unwind(AssertUnwindSafe(|| {
            for worker in &workers {
                self.forget(worker);
                self.disable(worker);
            }
        }));
        if disabled.is_err() {
            println!(
                "the workers with the mark {} could not be disabled at {}",
                self.mark, self.url
            );
        }
    }
}
