//! Configurations that are wrong.

use serde_json::{Value, json};

use super::{House, faults};
use crate::program::Program::{self, Export, Import};

/// What is wrong, for which program, and what each message says of it: the item, the reason, the remedy.
type Row = (&'static str, Program, Value, &'static [&'static str]);

fn table() -> Vec<Row> {
    vec![
        (
            "no name",
            Import,
            json!({"name": null}),
            &["\"name\" is not set", "such as"],
        ),
        (
            "no url",
            Import,
            json!({"url": null}),
            &["\"url\" is not set", "https://misp.example.org"],
        ),
        (
            "no key",
            Import,
            json!({"key": null}),
            &["\"key\" is not set", "give the API key"],
        ),
        (
            "an empty key",
            Import,
            json!({"key": [""]}),
            &["\"key\": element 1 is empty", "give the API key"],
        ),
        (
            "two names and one url",
            Import,
            json!({"name": ["a", "b"], "key": ["k", "k"]}),
            &[
                "\"name\" and \"url\" have 2 and 1 elements",
                "the same number",
            ],
        ),
        (
            "a name twice",
            Import,
            json!({"name": ["a", "a"], "url": ["$MISP", "$MISP"], "key": ["canary-1234", "canary-5678"]}),
            &[
                "\"name\": elements 1 and 2 are both \"a\"",
                "a name of its own",
            ],
        ),
        (
            "a url without a scheme",
            Import,
            json!({"url": ["misp.example.org"]}),
            &[
                "\"url\": element 1 (connection \"corp\") has no scheme",
                "write it as https://host",
            ],
        ),
        (
            "a url with a password",
            Import,
            json!({"url": ["https://user:canary-pw@misp.example.org"]}),
            &[
                "\"url\": element 1",
                "carries a user or password",
                "write it as https://host",
            ],
        ),
        (
            "a url with a key in it",
            Import,
            json!({"url": ["https://misp.example.org/?key=canary-pw"]}),
            &[
                "\"url\": element 1",
                "carries a query",
                "write it as https://host",
            ],
        ),
        (
            "another scheme",
            Import,
            json!({"url": ["ftp://misp.example.org"]}),
            &[
                "\"url\": element 1",
                "has the scheme ftp",
                "write it as https://host",
            ],
        ),
        (
            "a blank in a url",
            Import,
            json!({"url": ["https://misp example.org"]}),
            &[
                "\"url\": element 1",
                "is no URL",
                "write it as https://host",
            ],
        ),
        (
            "a port that is none",
            Import,
            json!({"url": ["https://misp.example.org:99999"]}),
            &[
                "\"url\": element 1",
                "invalid port number",
                "write it as https://host",
            ],
        ),
        (
            "a feed that is no absolute path",
            Import,
            json!({"url": ["file://feed"]}),
            &[
                "\"url\": element 1",
                "names no absolute folder",
                "write file:///",
            ],
        ),
        (
            "a feed that is not there",
            Import,
            json!({"url": ["file:///nowhere/feed"]}),
            &[
                "/nowhere/feed does not exist",
                "create it",
                "correct \"url\"",
            ],
        ),
        (
            "a MISP with the key of a feed",
            Import,
            json!({"key": ["-"]}),
            &[
                "manifest.json",
                "if a MISP server is meant, give its API key in \"key\"",
            ],
        ),
        (
            "an export to a feed on the web",
            Export,
            json!({"key": ["-"], "purpose": ["ImportAndExport"]}),
            &[
                "\"purpose\": connection \"corp\" is a feed over http",
                "make it ImportOnly",
                "give its API key in \"key\"",
            ],
        ),
        (
            "a key with a line end in it",
            Import,
            json!({"key": ["canary\ncanary-2"]}),
            &["no HTTP header can carry", "paste \"key\" (MISP"],
        ),
        (
            "a key of TheHive with a line end in it",
            Import,
            json!({"thehive_key": "canary\ncanary-2"}),
            &[
                "no HTTP header can carry",
                "\"thehive_key\" (TheHive's) anew",
            ],
        ),
        (
            "a mistyped purpose",
            Import,
            json!({"purpose": ["ImportOnley"]}),
            &[
                "\"purpose\" (element 1) is none of its words",
                "did you mean \"ImportOnly\"?",
                "write one of ImportOnly, ExportOnly",
            ],
        ),
        (
            "no connection for import",
            Import,
            json!({"purpose": ["ExportOnly"]}),
            &[
                "no connection may import",
                "set its \"purpose\" to ImportAndExport",
            ],
        ),
        (
            "more purposes than connections",
            Import,
            json!({"purpose": ["ImportOnly", "ImportOnly", "ExportOnly"]}),
            &[
                "\"name\" and \"purpose\" have 1 and 3 elements",
                "one for all connections, or one for each",
            ],
        ),
        (
            "a certificate that is not there",
            Import,
            json!({"url": ["https://localhost:1"], "cert_path": ["/nowhere/ca.pem"]}),
            &["/nowhere/ca.pem (\"cert_path\")", "No such file"],
        ),
        (
            "a client certificate that is not there",
            Import,
            json!({"url": ["https://localhost:1"], "client_cert_path": ["/nowhere/own.pem"]}),
            &["/nowhere/own.pem (\"client_cert_path\")", "No such file"],
        ),
        (
            "a word for a switch",
            Import,
            json!({"cert_check": "maybe"}),
            &[
                "\"cert_check\" is neither true nor false",
                "write one of these",
            ],
        ),
        (
            "an object for a switch",
            Import,
            json!({"ids_only": {"is": "canary"}}),
            &[
                "\"ids_only\" is neither true nor false",
                "write one of these",
            ],
        ),
        (
            "settings that are no JSON",
            Import,
            json!({"connection_settings": ["{name: canary}"]}),
            &[
                "\"connection_settings\" (element 1)",
                "is no JSON (line 1, column 2)",
                "write one such as {\"name\"",
            ],
        ),
        (
            "settings of a mistyped connection",
            Import,
            json!({"connection_settings": [{"name": "cropp"}]}),
            &[
                "\"connection_settings\" (element 1)",
                "there is no such connection (did you mean \"corp\"?)",
                "the names are \"corp\"",
            ],
        ),
        (
            "a mistyped setting",
            Import,
            json!({"connection_settings": [{"name": "corp", "max_age_day": 3}]}),
            &[
                "connection \"corp\"",
                "\"max_age_day\" is no option",
                "did you mean \"max_age_days\"?",
                "correct its name",
            ],
        ),
        (
            "a setting of the wrong kind",
            Import,
            json!({"connection_settings": [{"name": "corp", "max_age_days": "canary"}]}),
            &[
                "connection \"corp\"",
                "\"max_age_days\" is a text, not a number",
                "such as 90",
            ],
        ),
        (
            "a setting that holds for all",
            Import,
            json!({"connection_settings": [{"name": "corp", "thehive_key": "canary-key"}]}),
            &[
                "\"thehive_key\" holds for all connections",
                "cannot be set for one",
            ],
        ),
        (
            "a proxy that nobody knows",
            Import,
            json!({"connection_settings": [{"name": "corp", "proxy": "http://user:canary-pw@proxy.invalid:3128"}]}),
            &["proxy.invalid", "not known here"],
        ),
        (
            "a word for a number",
            Import,
            json!({"max_age_days": "seven"}),
            &["\"max_age_days\" is a text, not a number", "such as 90"],
        ),
        (
            "a negative number",
            Import,
            json!({"max_age_days": -1}),
            &[
                "\"max_age_days\" is no whole number from 0 on",
                "such as 90",
            ],
        ),
        (
            "half a number",
            Import,
            json!({"max_age_days": 1.5}),
            &[
                "\"max_age_days\" is no whole number from 0 on",
                "such as 90",
            ],
        ),
        (
            "a list for a number",
            Import,
            json!({"max_age_days": [7]}),
            &["\"max_age_days\" is a list, not a number", "such as 90"],
        ),
        (
            "a number below the least",
            Import,
            json!({"read_timeout": 0}),
            &[
                "\"read_timeout\" is no whole number from 1 on",
                "such as 300",
            ],
        ),
        (
            "an object for a text",
            Import,
            json!({"instance": {"a": "canary"}}),
            &["\"instance\" is an object, not a text", "write one text"],
        ),
        (
            "a mistyped threat level",
            Import,
            json!({"min_threat_level": "highh"}),
            &[
                "\"min_threat_level\" is none of its words",
                "did you mean \"high\"?",
                "write one of low, medium, high",
            ],
        ),
        (
            "a mistyped analysis",
            Import,
            json!({"include_analysis": ["complete"]}),
            &[
                "\"include_analysis\" (element 1) is none of its words",
                "did you mean \"completed\"?",
            ],
        ),
        (
            "a distribution that there is not",
            Import,
            json!({"include_distributions": [7]}),
            &[
                "\"include_distributions\" has a number above 4",
                "write numbers from 0",
            ],
        ),
        (
            "a mistyped attribute type",
            Import,
            json!({"attribute_types": ["ipdst"]}),
            &[
                "\"attribute_types\": \"ipdst\"",
                "did you mean \"ip-dst\"?",
                "correct it",
            ],
        ),
        (
            "a mistyped type that is excluded",
            Import,
            json!({"exclude_attribute_types": ["email_src"]}),
            &[
                "\"exclude_attribute_types\": \"email_src\"",
                "did you mean \"email-src\"?",
                "correct it",
            ],
        ),
        (
            "a mistyped category",
            Import,
            json!({"attribute_categories": ["Network-Activity "]}),
            &[
                "\"attribute_categories\": \"Network-Activity\"",
                "did you mean \"Network activity\"?",
                "correct it",
            ],
        ),
        (
            "an organisation that there is not",
            Import,
            json!({"include_organisations": ["CIRCLE"]}),
            &[
                "nothing of \"include_organisations\" exists on this server",
                "\"CIRCLE\"",
                "correct the names",
            ],
        ),
        (
            "a mistyped option",
            Import,
            json!({"max_age_day": 7}),
            &[
                "\"max_age_day\" is not known and is ignored",
                "did you mean \"max_age_days\"?",
            ],
        ),
        (
            "a mistyped option of Cortex",
            Export,
            json!({"proxy_htps": "http://user:canary-pw@proxy", "max_export_pap": "none"}),
            &[
                "\"max_export_pap\" is none of its words",
                "write one of CLEAR, GREEN",
            ],
        ),
        (
            "TheHive without a scheme",
            Import,
            json!({"thehive_url": "thehive.example.org"}),
            &["\"thehive_url\" has no scheme", "write it as https://host"],
        ),
        (
            "TheHive's address from a browser",
            Import,
            json!({"thehive_url": "$HIVE/index.html#!/alert/list"}),
            &[
                "\"thehive_url\" carries a query or fragment",
                "write it as https://host",
            ],
        ),
        (
            "a key of TheHive without its address",
            Import,
            json!({"thehive_url": null}),
            &[
                "\"thehive_key\" is set and \"thehive_url\" is not",
                "set both, or none",
            ],
        ),
        (
            "an organisation of TheHive that there is not",
            Import,
            json!({"thehive_organisations": ["nowhere"]}),
            &[
                "\"nowhere\"",
                "check \"thehive_key\", and whether its user belongs to the organisation",
            ],
        ),
        (
            "a secret that is too short",
            Export,
            json!({"instance_secret": "canary"}),
            &[
                "\"instance_secret\" has fewer than 16 characters",
                "give a random text",
            ],
        ),
        (
            "a distribution above the last",
            Export,
            json!({"distribution": 9}),
            &["\"distribution\" is above 4", "to 3 (all communities)"],
        ),
        (
            "a sharing group that is not named",
            Export,
            json!({"distribution": 4}),
            &[
                "\"distribution\" is 4",
                "\"sharing_group\" is not set",
                "give the number",
            ],
        ),
        (
            "a sharing group by its name",
            Export,
            json!({"distribution": 4, "sharing_group": "Partners"}),
            &["\"sharing_group\" is a text, not a number", "such as 7"],
        ),
        (
            "a mistyped place in the title",
            Export,
            json!({"event_info": "{tittle}"}),
            &[
                "\"event_info\" has a word in braces",
                "none of {title} and {number}",
                "such as",
            ],
        ),
        (
            "a TLP with a blank in it",
            Export,
            json!({"max_export_tlp": "AMBER STRICT"}),
            &[
                "\"max_export_tlp\" is none of its words",
                "did you mean \"AMBER+STRICT\"?",
            ],
        ),
        (
            "a TLP without its plus",
            Export,
            json!({"max_export_tlp": "amberstrict"}),
            &[
                "\"max_export_tlp\" is none of its words",
                "did you mean \"AMBER+STRICT\"?",
            ],
        ),
        (
            "a TLP of TheHive's numbers",
            Export,
            json!({"max_export_tlp": 2}),
            &[
                "\"max_export_tlp\" is none of its words",
                "write one of CLEAR, GREEN, AMBER",
            ],
        ),
        (
            "a mistyped type in the mapping",
            Export,
            json!({"type_mapping": ["ip=Network activity/ipdst"]}),
            &[
                "type_mapping",
                "MISP has no type ipdst (did you mean \"ip-dst\"?)",
                "accepted in Network activity",
            ],
        ),
        (
            "a mistyped category in the mapping",
            Export,
            json!({"type_mapping": ["ip=Network-activity/ip-dst"]}),
            &[
                "type_mapping",
                "MISP has no category Network-activity (did you mean \"Network activity\"?)",
            ],
        ),
        (
            "limits of Cortex in words",
            Export,
            json!({"max_tlp": "green"}),
            &[
                "\"max_tlp\" is no whole number",
                "write 0 (CLEAR) to 3 (RED)",
            ],
        ),
        (
            "a switch of Cortex in words",
            Export,
            json!({"check_pap": "perhaps"}),
            &[
                "\"check_pap\" is neither true nor false",
                "write one of these",
            ],
        ),
        (
            "an organisation that may not use the connection",
            Import,
            json!({"include_thehive_organisations": ["crt"]}),
            &[
                "is not for TheHive's organisation \"cert\"",
                "\"include_thehive_organisations\"",
            ],
        ),
    ]
}

#[test]
fn each_wrong_configuration_is_explained_by_a_run_and_by_the_doctor_alike() {
    let (house, table) = (House::new(), table());
    assert!(table.len() >= 60, "{}", table.len());
    let mut wrong = Vec::new();
    for (what, program, patch, words) in &table {
        let [run, check] = house.said(*program, patch);
        println!("{what}\n  {run}\n  {check}");
        wrong.extend(faults(what, &run, words));
        wrong.extend(faults(&format!("{what}, check"), &check, words));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A pattern is not judged, nor is a case or a blank at the end.
#[test]
fn what_is_right_is_not_doubted() {
    let house = House::new();
    let right = json!({
        "attribute_types": ["ip-*", "MD5"], "exclude_attribute_types": ["x-*"],
        "attribute_categories": ["Network Activity ", "payload*"], "deadline_minutes": 20,
    });
    let [run, check] = house.said(Import, &right);
    assert!(
        !run.contains("did you mean") && !run.contains("nothing that MISP"),
        "{run}"
    );
    assert!(
        !check.contains("nothing that MISP") && !check.contains("deadline"),
        "{check}"
    );
}

#[test]
fn a_mistyped_connection_of_a_job_is_asked_back() {
    let house = House::new();
    let mut job = house.job(Import, &json!({}));
    job["parameters"] = json!({"command": "misp:sync:cropp"});
    let report = Import.report(&job);
    let said = crate::program::failure(&report);
    assert!(
        said.contains("asks for (did you mean \"corp\"?): the names are \"corp\""),
        "{said}"
    );
}
