//! A TheHive that alerts go to: the tests' fake of 5.7.3, or a real one, whatever its version. In front stands a proxy, which knows
//! what was asked; what it holds is asked by its API.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::world::World;
use crate::proxy::Proxy;
use crate::replay::hive::ask;
use crate::thehive;

/// A TheHive for one scenario. The sources of its alerts bear the world's mark; in a real one they go with the scenario.
pub(crate) struct Hive {
    proxy: Proxy,
    url: String,
    key: String,
    mark: String,
    fake: Option<thehive::Fake>,
}

impl Hive {
    pub(crate) fn of(world: &World) -> Self {
        let fake = world
            .thehive()
            .is_none()
            .then(|| thehive::Fake::start(thehive::World::five()));
        let (url, key) = match (world.thehive(), &fake) {
            (Some((url, key)), _) => (url.to_owned(), key.to_owned()),
            (None, fake) => (
                fake.as_ref().map_or_else(String::new, thehive::Fake::url),
                thehive::KEY.to_owned(),
            ),
        };
        Self {
            proxy: Proxy::start(&url),
            url,
            key,
            mark: world.mark.clone(),
            fake,
        }
    }

    /// Where a program finds it.
    pub(crate) fn url(&self) -> String {
        self.proxy.url()
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The number of TLP RED: TheHive 4 has no AMBER+STRICT before it.
    pub(crate) fn red(&self) -> u64 {
        let (_, status) = ask(&self.url, &self.key, "GET", "/api/status", &Value::Null);
        let is_four = status["versions"]["TheHive"]
            .as_str()
            .is_some_and(|version| version.starts_with('4'));
        if is_four { 3 } else { 4 }
    }

    pub(crate) fn forget(&self) {
        self.proxy.forget();
    }

    /// The requests that could change something, as `POST /api/v1/alert`.
    pub(crate) fn written(&self) -> Vec<String> {
        let is_read =
            |line: &String| line.starts_with("GET ") || line.starts_with("POST /api/v1/query");
        self.proxy
            .asked()
            .into_iter()
            .filter(|line| !is_read(line))
            .collect()
    }

    fn query(&self, operations: Value) -> Vec<Value> {
        let (status, found) = ask(
            &self.url,
            &self.key,
            "POST",
            "/api/v1/query",
            &json!({ "query": operations }),
        );
        assert_eq!(status, 200, "{found:#}");
        found.as_array().cloned().unwrap_or_default()
    }

    /// The alert of an event, if there is one; there must not be two.
    pub(crate) fn alert(&self, uuid: &str) -> Option<Value> {
        let is = |field: &str, value: &str| json!({"_is": {"_field": field, "_value": value}});
        let all = json!([{"_name": "listAlert"}, {"_name": "filter", "_and": [is("type", "misp"), is("sourceRef", uuid)]}]);
        let mut found = self.query(all);
        assert!(found.len() < 2, "{found:#?}");
        found.pop()
    }

    /// The observables of an alert.
    pub(crate) fn observables_of(&self, alert: &Value) -> Vec<Value> {
        self.query(
            json!([{"_name": "getAlert", "idOrName": alert["_id"]}, {"_name": "observables"}]),
        )
    }

    fn clean(&self) {
        let latest = json!({"_name": "sort", "_fields": [{"_createdAt": "desc"}]});
        let page = json!({"_name": "page", "from": 0, "to": 200});
        for alert in self.query(json!([{"_name": "listAlert"}, latest, page])) {
            if alert["source"]
                .as_str()
                .is_some_and(|source| source.contains(&self.mark))
            {
                let path = format!("/api/alert/{}", alert["_id"].as_str().unwrap());
                // TheHive 5 has the route in v1 only.
                if ask(&self.url, &self.key, "DELETE", &path, &Value::Null).0 == 404 {
                    ask(
                        &self.url,
                        &self.key,
                        "DELETE",
                        &path.replace("/api/", "/api/v1/"),
                        &Value::Null,
                    );
                }
            }
        }
    }
}

impl Drop for Hive {
    /// A scenario that failed is cleaned up after as well.
    fn drop(&mut self) {
        if self.fake.is_none() && catch_unwind(AssertUnwindSafe(|| self.clean())).is_err() {
            println!(
                "the alerts with the mark {} could not be taken away from {}",
                self.mark, self.url
            );
        }
    }
}
