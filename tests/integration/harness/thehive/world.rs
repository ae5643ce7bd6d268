//! What the fake TheHive holds. Cases, alerts and observables are kept in the shape of the v1 API of the version at hand, so
//! that filters and sorts look at what a client sees.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::records::{label, lay, md5, sight};
use super::running::{Running, Slow};
use crate::http_fake::Reply;

/// Which TheHive this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// 4.1.24
    Four,
    /// 5.7.3
    Five,
}

/// Everything one fake server holds. Tests may read and change all of it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) version: Version,
    /// Milliseconds since 1970; every write uses it and advances it by one.
    pub(crate) now: i64,
    pub(crate) users: Vec<User>,
    pub(crate) cases: Vec<Value>,
    pub(crate) alerts: Vec<Value>,
    pub(crate) observables: Vec<Observable>,
    /// Contents by the attachment's `id`, its sha256.
    pub(crate) attachments: BTreeMap<String, Vec<u8>>,
    /// Name and whether values of the type are files.
    pub(crate) observable_types: Vec<(String, bool)>,
    /// Types that are listed and that no observable can have all the same.
    pub(crate) lacks: Vec<String>,
    /// Types whose values TheHive 5 stores in lower case.
    pub(crate) caseless: Vec<String>,
    /// Names of the custom fields there are.
    pub(crate) custom_fields: Vec<String>,
    /// Names of the case templates there are.
    pub(crate) case_templates: Vec<String>,
    /// Ids of the techniques in the catalogue of TheHive 5.
    pub(crate) patterns: Vec<String>,
    /// Procedures, each with the `_id` of its alert or case.
    pub(crate) procedures: Vec<(String, Value)>,
    /// Links of cases to other places, each with the `_id` of its case.
    pub(crate) links: Vec<(String, Value)>,
    /// The version that a TheHive 5 names.
    pub(crate) version_of_five: &'static str,
    /// What was done to observables of cases: `_id`, operation, details. Of what a case gets from an alert there is none.
    pub(crate) audits: Vec<(String, &'static str, Value)>,
    /// Values that no observable may have. TheHive 4 looks at each by itself, 5 refuses the whole request.
    pub(crate) refuses: Vec<String>,
    /// Largest JSON body in bytes.
    pub(crate) body_limit: usize,
    /// Password of attachments that are asked for as a zip.
    pub(crate) zip_password: String,
    /// So many observables at the end are in no page, though they are counted.
    pub(crate) hide_from_pages: usize,
    /// No page comes with the number of all that there are.
    pub(crate) without_totals: bool,
    /// Which organisation has what, by the `_id` of a case or alert; what is not here is [`FIRST`]'s alone.
    pub(crate) owners: BTreeMap<String, Owner>,
    /// Organisations in which no user may do anything but look.
    pub(crate) barred: Vec<String>,
    /// Pairs of organisations that may share with each other.
    pub(crate) linked: Vec<[String; 2]>,
    /// So many of the next files that come in a zip are lost on the way: TheHive now and then has deleted the file that it
    /// unpacked before it reads it (`016-add-file-207`).
    pub(crate) losing: usize,
    /// Which writes are slow, each with how many of its kind have come.
    pub(super) slow: Vec<(Slow, usize)>,
    pub(super) running: Vec<Running>,
    /// Where the answer to the call at hand will come, if it comes later.
    pub(super) later: Option<watch::Receiver<Option<Reply>>>,
    /// The header `Date`, if it is not to be that of the machine's clock.
    pub(crate) date: Option<String>,
    pub(crate) url: String,
    last_id: u64,
}

/// A user with one key.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) login: String,
    pub(crate) key: String,
    /// The first is the default.
    pub(crate) organisations: Vec<String>,
    pub(crate) permissions: Vec<String>,
    pub(crate) locked: bool,
}

/// The organisation of a case or alert, and those it is shared with.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) organisation: String,
    pub(crate) shared_with: Vec<String>,
}

/// An observable and the case or alert it belongs to.
#[derive(Clone)]
pub(crate) struct Observable {
    /// The `_id` of the parent.
    pub(crate) parent: String,
    pub(crate) record: Value,
}

/// The organisation that cases are in unless a test says otherwise.
pub(crate) const FIRST: &str = "cert";
/// The key of the user `analyst`, who may do everything.
pub(crate) const KEY: &str = "analyst-key-0123456789abcdefghijk";
/// The key of the user `admin`, who may manage the platform and nothing in an organisation.
pub(crate) const ADMIN_KEY: &str = "admin-key-0123456789abcdefghijklm";
/// The key of the user `reader`, who has no permission.
pub(crate) const READER_KEY: &str = "reader-key-0123456789abcdefghijkl";

const TYPES: [&str; 15] = [
    "autonomous-system",
    "domain",
    "filename",
    "fqdn",
    "hash",
    "hostname",
    "ip",
    "mail",
    "mail-subject",
    "other",
    "regexp",
    "registry",
    "uri_path",
    "url",
    "user-agent",
];

impl World {
    /// TheHive 4.1.24.
    pub(crate) fn four() -> Self {
        Self::new(Version::Four, 256 * 1024)
    }

    /// TheHive 5.7.3.
    pub(crate) fn five() -> Self {
        Self::new(Version::Five, 10 * 1024 * 1024)
    }

    fn new(version: Version, body_limit: usize) -> Self {
        let files = [("file".to_owned(), true)];
        let texts = TYPES.into_iter().map(|name| (name.to_owned(), false));
        let texts_of =
            |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        let user = |login: &str, key: &str, organisations: &[&str], permissions: &[&str]| User {
            login: format!("{login}@example.org"),
            key: key.to_owned(),
            organisations: texts_of(organisations),
            permissions: texts_of(permissions),
            locked: false,
        };
        let all = [
            "manageCase",
            "manageObservable",
            "manageAlert",
            "manageAction",
            "manageAnalyse",
            "manageProcedure",
        ];
        Self {
            version,
            now: 1_795_300_000_000,
            users: vec![
                user("analyst", KEY, &[FIRST, "soc"], &all),
                user("reader", READER_KEY, &[FIRST], &[]),
                user(
                    "admin",
                    ADMIN_KEY,
                    &["admin"],
                    &["managePlatform", "manageOrganisation", "manageUser"],
                ),
            ],
            cases: Vec::new(),
            alerts: Vec::new(),
            observables: Vec::new(),
            audits: Vec::new(),
            attachments: BTreeMap::new(),
            observable_types: texts.chain(files).collect(),
            lacks: Vec::new(),
            caseless: if version == Version::Five {
                texts_of(&["domain"])
            } else {
                Vec::new()
            },
            custom_fields: Vec::new(),
            case_templates: texts_of(&["phishing"]),
            patterns: texts_of(&["T1566", "T1566.001", "T1059.001"]),
            procedures: Vec::new(),
            links: Vec::new(),
            version_of_five: "5.7.3-1",
            refuses: Vec::new(),
            body_limit,
            zip_password: "malware".to_owned(),
            hide_from_pages: 0,
            without_totals: false,
            owners: BTreeMap::new(),
            barred: Vec::new(),
            linked: Vec::new(),
            losing: 0,
            slow: Vec::new(),
            running: Vec::new(),
            later: None,
            date: None,
            url: String::new(),
            last_id: 512,
        }
    }

    /// The millisecond a write happens in.
    pub(crate) fn tick(&mut self) -> i64 {
        self.now += 1;
        self.now - 1
    }

    /// An `_id` that nothing has yet.
    pub(crate) fn next_id(&mut self) -> String {
        self.last_id += 8;
        format!("~{}", self.last_id)
    }

    /// New ids come after those that a transaction has taken.
    pub(super) fn count_on_from(&mut self, inside: &Self) {
        self.last_id = inside.last_id;
    }

    /// The names of the organisations there are.
    pub(super) fn organisations(&self) -> Vec<String> {
        let of_users = self.users.iter().flat_map(|user| &user.organisations);
        let owned = self
            .owners
            .values()
            .flat_map(|owner| std::iter::once(&owner.organisation).chain(&owner.shared_with));
        let mut all: Vec<String> = of_users.chain(owned).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The number of an alert's observables, after some came or went.
    pub(super) fn recount(&mut self, parent: &str) {
        let count = self.observables_of(parent).count();
        if let Some(alert) = self.alert_mut(parent) {
            alert["observableCount"] = count.into();
        }
    }

    /// `_id`, `_type`, `_createdBy`, `_createdAt` of something new.
    pub(super) fn stamped(&mut self, kind: &str, by: &str) -> Map<String, Value> {
        let id = self.next_id();
        let at = self.tick();
        let stamp = json!({"_id": id, "_type": kind, "_createdBy": by, "_createdAt": at});
        stamp.as_object().cloned().unwrap_or_default()
    }

    /// Adds a case; `fields` are laid over the usual ones. Answers its `_id`.
    pub(crate) fn add_case(&mut self, number: u64, title: &str, fields: &Value) -> String {
        let mut case = self.stamped("Case", "analyst@example.org");
        let usual = json!({
            "number": number, "title": title, "description": "d", "severity": 2, "startDate": case["_createdAt"], "tags": [],
            "flag": false, "tlp": 2, "pap": 2, "status": "Open", "assignee": "analyst@example.org", "customFields": [], "extraData": {},
        });
        lay(&mut case, &usual);
        if self.version == Version::Five {
            let more = json!({
                "severityLabel": "MEDIUM", "tlpLabel": "AMBER", "papLabel": "AMBER", "status": "New", "stage": "New",
                "access": {"_kind": "OrganisationAccessKind"}, "newDate": case["_createdAt"], "timeToDetect": 0,
                "userPermissions": ["manageCase/update", "manageObservable", "manageAnalyse", "manageAction"],
            });
            lay(&mut case, &more);
        }
        lay(&mut case, fields);
        let id = case["_id"].as_str().unwrap_or_default().to_owned();
        self.cases.push(case.into());
        id
    }

    /// Adds an observable to a case or alert; `fields` are laid over the usual ones. Answers its `_id`.
    pub(crate) fn add_observable(&mut self, parent: &str, fields: &Value) -> String {
        let mut record = self.stamped("Observable", "analyst@example.org");
        let usual = json!({
            "startDate": record["_createdAt"], "tlp": 2, "tags": [], "ioc": false, "sighted": false, "reports": {}, "extraData": {},
        });
        lay(&mut record, &usual);
        if self.version == Version::Five {
            lay(
                &mut record,
                &json!({"pap": 2, "ignoreSimilarity": false, "external": false}),
            );
        }
        lay(&mut record, fields);
        if self.version == Version::Five {
            sight(&mut record);
            label(&mut record);
        }
        let id = record["_id"].as_str().unwrap_or_default().to_owned();
        let record = Value::from(record);
        if self.cases.iter().any(|case| case["_id"] == parent) {
            self.audits.push((id.clone(), "Creation", record.clone()));
        }
        self.observables.push(Observable {
            parent: parent.to_owned(),
            record,
        });
        id
    }

    /// Adds a file observable with its content under the attachment id `sha256`, and its true other hashes.
    pub(crate) fn add_file(
        &mut self,
        parent: &str,
        name: &str,
        sha256: &str,
        content: &[u8],
        fields: &Value,
    ) -> String {
        self.attachments.insert(sha256.to_owned(), content.to_vec());
        let sha1 = sha1_smol::Sha1::from(content).digest().to_string();
        let hashes = json!([sha256, sha1, md5(content)]);
        let mut attachment = match self.version {
            Version::Four => Map::new(),
            Version::Five => self.stamped("Attachment", "analyst@example.org"),
        };
        lay(
            &mut attachment,
            &json!({
                "name": name, "hashes": hashes, "size": content.len(), "contentType": "application/octet-stream", "id": sha256,
            }),
        );
        if self.version == Version::Five {
            lay(
                &mut attachment,
                &json!({"path": "/", "extraData": {}, "external": false}),
            );
        }
        let mut all = Map::new();
        lay(
            &mut all,
            &json!({"dataType": "file", "attachment": attachment}),
        );
        lay(&mut all, fields);
        self.add_observable(parent, &all.into())
    }

    /// Makes a case or alert another organisation's.
    pub(crate) fn give(&mut self, id: &str, organisation: &str) {
        self.owner_mut(id).organisation = organisation.to_owned();
    }

    /// Shares a case with one more organisation.
    pub(crate) fn share(&mut self, id: &str, organisation: &str) {
        self.owner_mut(id).shared_with.push(organisation.to_owned());
    }

    fn owner_mut(&mut self, id: &str) -> &mut Owner {
        let first = || Owner {
            organisation: FIRST.to_owned(),
            shared_with: Vec::new(),
        };
        self.owners.entry(id.to_owned()).or_insert_with(first)
    }

    /// Whether the case or alert with this `_id` is the organisation's own.
    pub(crate) fn owns(&self, organisation: &str, id: &str) -> bool {
        self.owners
            .get(id)
            .map_or(FIRST, |owner| &owner.organisation)
            == organisation
    }

    /// How many organisations the case with this `_id` is shared with.
    pub(crate) fn shares(&self, id: &str) -> usize {
        self.owners
            .get(id)
            .map_or(0, |owner| owner.shared_with.len())
    }

    /// Whether an organisation sees the case or alert with this `_id`, and with it its observables.
    pub(crate) fn sees(&self, organisation: &str, id: &str) -> bool {
        let shared = |owner: &Owner| owner.shared_with.iter().any(|with| with == organisation);
        self.owns(organisation, id) || self.owners.get(id).is_some_and(shared)
    }

    /// The same for a record.
    pub(crate) fn shows(&self, organisation: &str, record: &Value) -> bool {
        record["_id"]
            .as_str()
            .is_some_and(|id| self.sees(organisation, id))
    }

    /// The case with this `_id` or number.
    pub(crate) fn case(&self, id_or_name: &str) -> Option<&Value> {
        let number = id_or_name.parse::<u64>().ok();
        self.cases.iter().find(|case| {
            case["_id"] == id_or_name || (number.is_some() && case["number"].as_u64() == number)
        })
    }

    /// The alert with this `_id` or `type;source;sourceRef`.
    pub(crate) fn alert(&self, id_or_name: &str) -> Option<&Value> {
        self.alerts.iter().find(|alert| is_alert(alert, id_or_name))
    }

    /// The same, if the organisation sees it.
    pub(crate) fn alert_of(&self, organisation: &str, id_or_name: &str) -> Option<&Value> {
        self.alerts
            .iter()
            .find(|alert| is_alert(alert, id_or_name) && self.shows(organisation, alert))
    }

    /// The alert with this `_id` or name, to change it.
    pub(crate) fn alert_mut(&mut self, id_or_name: &str) -> Option<&mut Value> {
        self.alerts
            .iter_mut()
            .find(|alert| is_alert(alert, id_or_name))
    }

    /// The observables of a case or alert.
    pub(crate) fn observables_of<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a Value> {
        self.observables
            .iter()
            .filter(move |observable| observable.parent == parent)
            .map(|observable| &observable.record)
    }
}

/// A name is split at `;` into exactly three parts.
fn is_alert(alert: &Value, id_or_name: &str) -> bool {
    let parts: Vec<&str> = id_or_name.split(';').collect();
    alert["_id"] == id_or_name
        || (parts.len() == 3
            && alert["type"] == parts[0]
            && alert["source"] == parts[1]
            && alert["sourceRef"] == parts[2])
}
