//! The whole chain: a click in a real TheHive goes through a real Cortex to a program, and from there to a real MISP; what TheHive
//! shows afterwards is what MISP holds.

use std::process::Command;

use serde_json::{Value, json};

use crate::Servers;
use crate::program::Program;
use crate::replay::hive::{Stage, ask};
use crate::scenarios::desks::Importer;
use crate::scenarios::world::TITLE;
use crate::scenarios::{Scenario, World};
use crate::thehive::md5;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[Scenario] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),*];
    };
}

scenarios!(
    a_click_on_a_case,
    a_click_on_an_observable,
    a_click_on_a_file,
    a_click_that_is_refused,
    a_look_up,
    a_command_on_an_observable_is_not_followed,
    an_import_that_writes_alerts,
    an_import_that_offers_its_iocs,
    an_import_of_a_schedule,
    an_export_of_a_schedule,
);

/// What there has to be and is not.
pub(crate) fn lacking(servers: &Servers) -> Option<&'static str> {
    let Servers {
        misp: Some(_),
        thehive: Some(thehive),
        cortex: Some(_),
    } = servers
    else {
        return Some("they need MISP_URL, THEHIVE_URL and CORTEX_URL with their keys");
    };
    let (_, status) = ask(
        &thehive.url,
        &thehive.keys["analyst"],
        "GET",
        "/api/status",
        &Value::Null,
    );
    let servers = status["connectors"]["cortex"]["servers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is_connected = servers.iter().any(|server| server["status"] == "OK");
    (!is_connected).then_some("TheHive is connected to no Cortex, see its /api/status")
}

/// A case in the real TheHive.
struct Desk<'w> {
    world: &'w World,
    thehive: (&'w str, &'w str),
    case: String,
    number: u64,
    /// What TheHive tells of its changes.
    stream: String,
}

impl<'w> Desk<'w> {
    fn new(world: &'w World, fields: &Value) -> Self {
        let thehive = world.thehive().unwrap();
        let mut desk = Self {
            world,
            thehive,
            case: String::new(),
            number: 0,
            stream: String::new(),
        };
        let mut case = json!({"title": format!("{TITLE} MARK"), "description": "a test", "severity": 2, "tlp": 2, "pap": 2});
        case.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let made = desk.hive("POST", "/api/v1/case", &case);
        desk.case = made["_id"].as_str().unwrap().to_owned();
        desk.number = made["number"].as_u64().unwrap();
        desk
    }

    fn hive(&self, method: &str, path: &str, body: &Value) -> Value {
        let (url, key) = self.thehive;
        let (status, answer) = ask(url, key, method, path, &self.world.marked_in(body));
        assert!(status < 300, "{method} {path}: {status} {answer:#}");
        answer
    }

    /// Adds an observable and gives its `_id`.
    fn observable(&self, fields: &Value) -> String {
        let made = self.hive(
            "POST",
            &format!("/api/v1/case/{}/observable", self.case),
            fields,
        );
        made[0]["_id"]
            .as_str()
            .unwrap_or_else(|| panic!("{made:#}"))
            .to_owned()
    }

    /// Adds a file that is an IOC.
    fn file(&self, name: &str, content: &str) -> String {
        let (url, key) = self.thehive;
        let fields = json!({"dataType": "file", "ioc": true, "tlp": 2});
        let (status, made) = Stage::upload(url, key, &self.case, &fields, [name, content]);
        assert_eq!(status, 201, "{made:#}");
        made[0]["_id"].as_str().unwrap().to_owned()
    }

    /// What this TheHive needs to run a program with this configuration: the worker's id, and what it calls the Cortex.
    fn worker(&self, program: Program, config: &Value, on: &str) -> [String; 2] {
        let cortex = self.world.cortex().unwrap();
        let id = cortex.worker(program, config);
        let path = match program {
            Program::Export => format!("responder/{on}"),
            Program::Import => format!("analyzer/type/{on}"),
        };
        let listed = self.hive(
            "GET",
            &format!("/api/connector/cortex/{path}"),
            &Value::Null,
        );
        let ours = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|worker| worker["name"] == cortex.name(program).as_str());
        let ours = ours.unwrap_or_else(|| {
            panic!("TheHive does not list the worker, is it connected to this Cortex? {listed:#}")
        });
        [id, ours["cortexIds"][0].as_str().unwrap().to_owned()]
    }

    fn export(&self, more: &Value) -> Value {
        let (url, key) = self.thehive;
        let mut config = json!({
            "name": ["misp-corp"], "url": [self.world.url()], "key": [self.world.key("orgadmin")],
            "instance": format!("{}.example", self.world.mark), "thehive_url": url, "thehive_key": key,
        });
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        config
    }

    /// Begins to listen to what TheHive tells of its changes.
    fn listen(&mut self) {
        self.stream = self
            .hive("POST", "/api/stream", &Value::Null)
            .as_str()
            .unwrap()
            .to_owned();
    }

    /// Looks whenever TheHive tells of a change, until the job or action is done.
    fn done(&self, look: impl Fn() -> Value) -> Value {
        for _ in 0..20 {
            let shown = look();
            if ["Success", "Failure"]
                .iter()
                .any(|end| shown["status"] == *end)
            {
                return shown;
            }
            self.hive("GET", &format!("/api/stream/{}", self.stream), &Value::Null);
        }
        panic!("TheHive does not show the end of the job: {:#}", look());
    }

    /// Runs the responder on the case or an observable, and gives what TheHive shows when it is done.
    fn click(&mut self, config: &Value, kind: &str, id: &str) -> Value {
        self.listen();
        let [responder, cortex] = self.worker(Program::Export, config, &format!("{kind}/{id}"));
        let asked = json!({"responderId": responder, "cortexId": cortex, "objectType": kind, "objectId": id});
        let action = self.hive("POST", "/api/connector/cortex/action", &asked);
        let told = self
            .world
            .cortex()
            .unwrap()
            .finished(action["cortexJobId"].as_str().unwrap());
        let shown = self.done(|| {
            let all = self.hive(
                "GET",
                &format!("/api/connector/cortex/action/{kind}/{id}"),
                &Value::Null,
            );
            let mut all = all.as_array().into_iter().flatten();
            all.find(|one| one["cortexJobId"] == action["cortexJobId"])
                .cloned()
                .unwrap_or_default()
        });
        let text =
            |name: &str| serde_json::from_str::<Value>(shown[name].as_str().unwrap()).unwrap();
        let (report, operations) = (text("report"), text("operations"));
        // What TheHive shows is what the program wrote.
        for part in ["full", "errorMessage"] {
            assert_eq!(report[part], told[part], "{report:#}");
        }
        json!({"status": shown["status"], "report": report, "operations": operations})
    }

    /// Runs the analyzer on an observable, and gives the job as TheHive shows it when it is done.
    fn analyse(&mut self, config: &Value, observable: &str, parameters: &Value) -> Value {
        self.listen();
        let data_type = self.hive(
            "GET",
            &format!("/api/case/artifact/{observable}"),
            &Value::Null,
        )["dataType"]
            .clone();
        let [analyzer, cortex] = self.worker(Program::Import, config, data_type.as_str().unwrap());
        let asked = json!({"analyzerId": analyzer, "cortexId": cortex, "artifactId": observable, "parameters": parameters});
        let job = self.hive("POST", "/api/connector/cortex/job", &asked);
        let told = self
            .world
            .cortex()
            .unwrap()
            .finished(job["cortexJobId"].as_str().unwrap());
        let path = format!("/api/connector/cortex/job/{}", job["id"].as_str().unwrap());
        let shown = self.done(|| self.hive("GET", &path, &Value::Null));
        // TheHive finds the pages of a report by this name.
        assert_eq!(shown["analyzerDefinition"], "MISPImport_1_0");
        if told["success"] == false {
            assert_eq!(shown["report"]["errorMessage"], told["errorMessage"]);
            return shown;
        }
        assert_eq!(shown["report"]["full"], told["full"]);
        // TheHive adds the artifacts and the line at the observable only afterwards, without telling of it.
        let offered = told["artifacts"].as_array().unwrap().len();
        let look = || {
            let shown = self.hive("GET", &path, &Value::Null);
            let known = self.hive(
                "GET",
                &format!("/api/case/artifact/{observable}"),
                &Value::Null,
            );
            let line = &known["reports"][self.world.cortex().unwrap().name(Program::Import)];
            let has_all = shown["report"]["artifacts"].as_array().unwrap().len() == offered;
            let is_told = sorted(&line["taxonomies"]) == sorted(&told["summary"]["taxonomies"]);
            (has_all && is_told).then_some(shown)
        };
        (0..500)
            .find_map(|_| look())
            .expect("the artifacts, and the line at the observable")
    }

    fn tags(&self) -> Value {
        self.hive("GET", &format!("/api/v1/case/{}", self.case), &Value::Null)["tags"].clone()
    }

    /// What an action of an export has to be: done, with the case's tag of the only event, which nothing else is on.
    fn assert_tagged(&self, shown: &Value) {
        assert_eq!(shown["status"], "Success", "{shown:#}");
        let [operation] = shown["operations"].as_array().unwrap().as_slice() else {
            panic!("{shown:#}")
        };
        assert_eq!(
            (&operation["type"], &operation["status"]),
            (&json!("AddTagToCase"), &json!("Success"))
        );
        let start = format!("misp:event=\"misp-corp:{}:", self.world.only());
        assert!(
            operation["tag"].as_str().unwrap().starts_with(&start),
            "{operation:#}"
        );
        assert_eq!(self.tags(), json!([operation["tag"]]));
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        let (url, key) = self.thehive;
        if ask(
            url,
            key,
            "DELETE",
            &format!("/api/v1/case/{}", self.case),
            &Value::Null,
        )
        .0 >= 300
        {
            println!("the case #{} could not be deleted from {url}", self.number);
        }
    }
}

/// The elements of a list, of which TheHive does not keep the order.
fn sorted(list: &Value) -> Vec<String> {
    let mut texts: Vec<_> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    texts.sort();
    texts
}

fn message(shown: &Value) -> &str {
    shown["report"]["full"]["message"]
        .as_str()
        .unwrap_or_else(|| panic!("{shown:#}"))
}

fn a_click_on_a_case(world: &World) {
    let mut desk = Desk::new(world, &json!({}));
    desk.observable(&json!({"dataType": "domain", "data": "A.MARK[.]example", "ioc": true, "message": "seen in mail"}));
    desk.observable(&json!({"dataType": "ip", "data": "198.51.100.9", "ioc": true}));
    desk.observable(&json!({"dataType": "domain", "data": "quiet.MARK.example", "ioc": false}));
    let (config, case) = (desk.export(&json!({})), desk.case.clone());
    let shown = desk.click(&config, "case", &case);
    desk.assert_tagged(&shown);
    let event = world.only();
    let told = format!(
        "Exported 2 IOCs of case #{} to misp-corp as event {}",
        desk.number,
        world.event(&event).event["id"]
    );
    let told = told.replace('"', "");
    assert_eq!(message(&shown), format!("{told}: 2 added"));
    let lines = [
        "Network activity/domain a.MARK.example ids # seen in mail",
        "Network activity/ip-dst 198.51.100.9 ids",
    ];
    let stored = world.event(&event);
    assert_eq!(stored.lines(), lines);
    let ledger = &shown["report"]["full"]["ledger"]["observables"];
    assert_eq!([&ledger["fetched"], &ledger["created"]], [2, 2]);
    // A second click finds all of it, and the case keeps its one tag.
    let again = desk.click(&config, "case", &case);
    desk.assert_tagged(&again);
    let said = message(&again);
    assert!(
        said.starts_with("All 2 IOCs of case #") && said.ends_with(": 2 unchanged"),
        "{said}"
    );
    assert_eq!(
        world.event(&world.only()).event["timestamp"],
        stored.event["timestamp"]
    );
}

fn a_click_on_an_observable(world: &World) {
    let mut desk = Desk::new(world, &json!({}));
    let one =
        desk.observable(&json!({"dataType": "domain", "data": "a.MARK.example", "ioc": true}));
    desk.observable(&json!({"dataType": "domain", "data": "b.MARK.example", "ioc": true}));
    let config = desk.export(&json!({}));
    let shown = desk.click(&config, "case_artifact", &one);
    desk.assert_tagged(&shown);
    assert_eq!(
        world.event(&world.only()).lines(),
        ["Network activity/domain a.MARK.example ids"]
    );
}

fn a_click_on_a_file(world: &World) {
    let mut desk = Desk::new(world, &json!({}));
    let content = world.marked("just a few words of MARK");
    let file = desk.file("évil (1).txt", &content);
    let config = desk.export(&json!({}));
    let shown = desk.click(&config, "case_artifact", &file);
    desk.assert_tagged(&shown);
    let md5 = md5(content.as_bytes());
    let roles = |carrier: &str| {
        let attributes = world.event(&world.only()).attributes();
        let of = |one: &Value| {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            (text("of") == "file").then(|| [text("object_relation"), text("value")])
        };
        let mut roles: Vec<_> = attributes.iter().filter_map(of).collect();
        roles.sort();
        let names: Vec<_> = roles.iter().map(|[role, _]| role.clone()).collect();
        let all = [
            "filename",
            carrier,
            "md5",
            "sha1",
            "sha256",
            "size-in-bytes",
        ];
        assert_eq!(
            names,
            all.into_iter()
                .filter(|role| !role.is_empty())
                .collect::<Vec<_>>()
        );
        assert!(
            roles.contains(&["filename".to_owned(), "évil (1).txt".to_owned()]),
            "{roles:#?}"
        );
        assert!(
            roles.contains(&["md5".to_owned(), md5.clone()]),
            "{roles:#?}"
        );
        roles
    };
    roles("");
    // With this setting the file itself follows.
    let config = desk.export(&json!({"export_attachments": "sample"}));
    let case = desk.case.clone();
    desk.click(&config, "case", &case);
    let roles = roles("malware-sample");
    assert!(
        roles.contains(&["malware-sample".to_owned(), format!("évil (1).txt|{md5}")]),
        "{roles:#?}"
    );
}

/// Cortex hands over nulls for what nobody set when the worker was enabled: that is the manifest's own limit.
fn a_click_that_is_refused(world: &World) {
    let mut desk = Desk::new(world, &json!({"tlp": 3}));
    desk.observable(&json!({"dataType": "domain", "data": "a.MARK.example", "ioc": true}));
    let (config, case) = (desk.export(&json!({})), desk.case.clone());
    let shown = desk.click(&config, "case", &case);
    assert_eq!(
        (&shown["status"], &shown["operations"]),
        (&json!("Failure"), &json!([])),
        "{shown:#}"
    );
    assert_eq!(
        shown["report"]["errorMessage"],
        "TLP is higher than allowed."
    );
    assert_eq!((world.rows().len(), desk.tags()), (0, json!([])));
}

fn a_look_up(world: &World) {
    let desk = Importer::new(world);
    let uuid = desk.event(
        &json!({"Attribute": [{"type": "domain", "value": "a.MARK.example", "to_ids": true}]}),
    );
    let mut chain = Desk::new(world, &json!({}));
    let known = chain.observable(&json!({"dataType": "domain", "data": "A.MARK[.]example"}));
    let shown = chain.analyse(&desk.config, &known, &json!({}));
    assert_eq!(shown["status"], "Success", "{shown:#}");
    let event = &shown["report"]["full"]["connections"][0]["events"][0];
    assert_eq!(
        (&event["uuid"], &event["matches"][0]["value"]),
        (&json!(uuid), &json!(world.marked("a.MARK.example")))
    );
    let unknown = chain.observable(&json!({"dataType": "domain", "data": "absent.MARK.example"}));
    let shown = chain.analyse(&desk.config, &unknown, &json!({}));
    assert_eq!(
        message(&shown),
        world.marked("no event knows absent.MARK.example")
    );
}

fn a_command_on_an_observable_is_not_followed(world: &World) {
    let desk = Importer::new(world);
    let uuid = desk.event(&json!({"Attribute": [{"type": "domain", "value": "a.MARK.example"}]}));
    let mut chain = Desk::new(world, &json!({}));
    let command =
        chain.observable(&json!({"dataType": "other", "data": format!("misp:event:{uuid}")}));
    let shown = chain.analyse(&desk.config, &command, &json!({}));
    let why = shown["report"]["errorMessage"].as_str().unwrap();
    assert!(
        why.starts_with("the command on this observable is not followed"),
        "{why}"
    );
    assert!(desk.alert(&uuid).is_none());
}

/// An event with an IOC and something else.
fn two() -> Value {
    let domain = json!({"type": "domain", "value": "a.MARK.example", "to_ids": true});
    json!({"Attribute": [domain, {"type": "ip-dst", "value": "198.51.100.9", "to_ids": false}]})
}

fn an_import_that_writes_alerts(world: &World) {
    let desk = Importer::new(world);
    let uuid = desk.event(&two());
    let mut chain = Desk::new(world, &json!({}));
    let any = chain.observable(&json!({"dataType": "other", "data": "MARK"}));
    let shown = chain.analyse(&desk.config, &any, &json!({"command": "misp:sync"}));
    assert_eq!(shown["status"], "Success", "{shown:#}");
    let ledger = &shown["report"]["full"]["ledger"];
    assert_eq!(
        [
            &ledger["events"]["created"],
            &ledger["attributes"]["created"]
        ],
        [1, 2]
    );
    assert_eq!(
        desk.observables(&uuid),
        ["domain a.MARK.example ioc", "ip 198.51.100.9"]
    );
}

/// Without TheHive's key the alerts are only reported; their IOCs are offered to the analyst.
fn an_import_that_offers_its_iocs(world: &World) {
    let desk = Importer::new(world).with(&json!({"thehive_url": null, "thehive_key": null}));
    let uuid = desk.event(&two());
    let mut chain = Desk::new(world, &json!({}));
    let any = chain.observable(&json!({"dataType": "other", "data": "MARK"}));
    let shown = chain.analyse(&desk.config, &any, &json!({"command": "misp:sync"}));
    let offered = shown["report"]["artifacts"].as_array().unwrap();
    assert_eq!(offered.len(), 1, "{shown:#}");
    let told = [&offered[0]["dataType"], &offered[0]["data"]];
    assert_eq!(
        told,
        [&json!("domain"), &json!(world.marked("a.MARK.example"))]
    );
    assert!(desk.alert(&uuid).is_none());
}

fn an_import_of_a_schedule(world: &World) {
    let desk = Importer::new(world);
    let uuid = desk.event(
        &json!({"Attribute": [{"type": "domain", "value": "a.MARK.example", "to_ids": true}]}),
    );
    let cortex = world.cortex().unwrap();
    cortex.worker(Program::Import, &desk.config);
    let (url, key) = cortex.access();
    let name = cortex.name(Program::Import);
    let run = |connection: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_misp-import"));
        program
            .env("CORTEX_URL", format!("{url}/"))
            .env("CORTEX_KEY", key)
            .env("NO_PROXY", "*")
            .args(["now", "--analyzer", &name, connection]);
        ended(&mut program)
    };
    let (status, told) = run(&world.marked("partner-MARK"));
    assert_eq!(
        (status, told.as_str()),
        (
            Some(0),
            "1 event read, 1 alert created, 1 attribute added\n"
        )
    );
    assert_eq!(desk.observables(&uuid), ["domain a.MARK.example ioc"]);
    let (status, told) = run("nobody");
    assert_eq!(status, Some(1), "{told}");
    assert!(
        told.starts_with("there is no connection of the name that the job asks for: "),
        "{told}"
    );
}

fn an_export_of_a_schedule(world: &World) {
    let desk = Desk::new(world, &json!({}));
    let quiet = Desk::new(world, &json!({}));
    for case in [&desk, &quiet] {
        case.observable(&json!({"dataType": "domain", "data": "a.MARK.example", "ioc": true}));
    }
    let cortex = world.cortex().unwrap();
    cortex.worker(Program::Export, &desk.export(&json!({})));
    let name = cortex.name(Program::Export);
    let (url, key) = desk.thehive;
    let run = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_misp-export"));
        program
            .env("THEHIVE_URL", url)
            .env("THEHIVE_KEY", key)
            .env("NO_PROXY", "*")
            .args(["now", "--responder", &name])
            .args(arguments);
        ended(&mut program)
    };
    let (status, told) = run(&["--case", &desk.number.to_string()]);
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.starts_with(&format!("case #{}: Exported 1 IOC", desk.number)),
        "{told}"
    );
    // It stands on the case, whose tag the event's is now.
    let actions = desk.hive(
        "GET",
        &format!("/api/connector/cortex/action/case/{}", desk.case),
        &Value::Null,
    );
    assert_eq!(actions[0]["status"], "Success", "{actions:#}");
    let event = world.event(&world.only());
    assert_eq!(
        event.lines(),
        ["Network activity/domain a.MARK.example ids"]
    );

    // Of the two cases only that one carries the tag of an export, and it changed.
    let tag = desk.tags()[0].as_str().unwrap().to_owned();
    let (status, told) = run(&["--changed-since", "1h", "--tag", &tag]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.ends_with(": 1 unchanged\n"), "{told}");
    let (status, told) = run(&["--changed-since", "0m", "--tag", &tag]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.starts_with("no case that carries the tag "), "{told}");
}

/// Exit status, and what was printed.
fn ended(program: &mut Command) -> (Option<i32>, String) {
    let output = program.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), text)
}
