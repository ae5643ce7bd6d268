//! A value that MISP holds is found by a look-up, however it is written; what is not there, is deleted or hidden is told so.

use serde_json::{Value, json};

use super::desks::{Exporter, Importer};
use super::{World, scenarios};

scenarios!(
    every_observable_of_an_imported_event_is_found,
    every_ioc_of_an_exported_case_is_found,
    what_is_deleted_is_not_found,
    what_nobody_knows_is_told_so,
    a_filter_hides_an_event_and_is_named,
    words_that_mean_something_to_misp_are_only_texts,
);

/// Types and values as somebody may write them in MISP.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("domain", "A.MARK.Example"),
    ("hostname", "WWW.MARK.Example"),
    ("domain", "bücher-MARK.example"),
    ("domain", "xn--bcher-kva.MARK.example"),
    ("ip-dst", "198.51.100.77"),
    ("ip-src", "2001:0DB8:0:0:0:0:0:77"),
    ("ip-dst|port", "198.51.100.78|443"),
    ("domain|ip", "pair.MARK.example|198.51.100.79"),
    ("hostname|port", "port.MARK.example|8443"),
    ("url", "HTTP://MARK.Example/Path?Q=1#Frag"),
    ("url", "http://MARK.example/%7Euser/ä"),
    ("link", "https://blog.MARK.example/post"),
    ("uri", "/MARK/Gate.PHP"),
    ("email-src", "Some.One@MARK.Example"),
    ("email-subject", "  Invoice   MARK, ünïcödé  "),
    ("filename", "MARK Report (1).DOCX"),
    ("filename", "C:\\Temp\\MARK\\Evil.exe"),
    (
        "filename|sha256",
        "MARK.bin|E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    ),
    ("md5", "D41D8CD98F00B204E9800998ECF8427F"),
    ("sha1", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80700"),
    ("ssdeep", "3:AIO9AJraNvsgzsvqSR:AeGNMgzR"),
    ("regkey", "HKLM\\Software\\MARK\\Run"),
    ("regkey|value", "HKCU\\Software\\MARK|evil.exe"),
    ("user-agent", "Mozilla/5.0 (MARK; Straße)"),
    ("mutex", "Global\\MARK-Mutex"),
    ("AS", "AS64499"),
    ("vulnerability", "cve-2026-4242"),
    ("text", "MARK 100% sure_\\ \"quoted\" 'single'"),
    ("other", "!MARK"),
    ("btc", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("phone-number", "+49 30 1234567"),
    ("mac-address", "AA-BB-CC-00-11-22"),
    ("named pipe", "\\\\.\\pipe\\MARK"),
    ("yara", "rule r_MARK { condition: true }"),
    (
        "x509-fingerprint-sha1",
        "DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09",
    ),
];

fn every_observable_of_an_imported_event_is_found(world: &World) {
    let desk = Importer::new(world);
    let attributes: Vec<Value> = ATTRIBUTES
        .iter()
        .map(|(kind, value)| json!({"type": kind, "value": value}))
        .collect();
    let uuid = desk.event(&json!({ "Attribute": attributes }));
    desk.sync();
    let alert = desk.alert(&uuid).unwrap();
    let observables = desk.thehive.observables_of(&alert);
    assert!(
        observables.len() >= ATTRIBUTES.len(),
        "{:#?}",
        desk.observables(&uuid)
    );
    let lost: Vec<String> = observables
        .iter()
        .filter(|one| !is_found(&desk, &one["dataType"], &one["data"], &uuid))
        .map(|one| format!("{} {}", one["dataType"], one["data"]))
        .collect();
    assert_eq!(lost, [""; 0]);
}

fn is_found(desk: &Importer<'_>, data_type: &Value, data: &Value, uuid: &str) -> bool {
    let report = desk.run(data_type.as_str().unwrap(), data.as_str().unwrap());
    let events = report.full()["connections"][0]["events"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    events.iter().any(|event| {
        event["uuid"] == uuid
            && event["matches"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
    })
}

/// Observable types and values as an analyst may paste them.
const IOCS: &[(&str, &str)] = &[
    ("domain", "Evil.MARK[.]Example"),
    ("domain", " spaced.MARK.example "),
    ("fqdn", "Host.MARK.Example."),
    ("ip", "198.51.100[.]80"),
    ("ip", "2001:DB8::0:80"),
    ("ip", "198.51.100.81:8080"),
    ("url", "hxxp://MARK[.]example/A?b=C"),
    ("url", "HTTPS://MARK.EXAMPLE:443/Path"),
    ("mail", "Some.One[@]MARK.Example"),
    ("mail-subject", "Re: MARK   ünïcödé"),
    ("hash", "D41D8CD98F00B204E9800998ECF8427D"),
    ("filename", "MARK (final) Report.PDF"),
    ("filename", "MARK|pipe.exe"),
    ("registry", "HKEY_LOCAL_MACHINE\\Software\\MARK"),
    ("user-agent", "MARK/1.0 (X11; Straße)"),
    ("uri_path", "/MARK/Gate.PHP?x=1"),
    ("other", "MARK just a text, 100% sure"),
    ("other", "cve-2026-4243"),
    ("autonomous-system", "as64500"),
];

fn every_ioc_of_an_exported_case_is_found(world: &World) {
    let case = Exporter::new(world);
    IOCS.iter()
        .for_each(|(kind, data)| drop(case.ioc(kind, data)));
    let report = case.run();
    let exported: Vec<String> = report.observables();
    assert!(
        exported.iter().all(|line| line.contains(": created")),
        "{exported:#?}"
    );
    case.rests();
    // The loop guard would hide our own export.
    let desk = Importer::new(world).with(&json!({"include_tags": [], "loop_guard": false}));
    let uuid = world.only();
    let lost: Vec<_> = IOCS
        .iter()
        .filter(|(kind, data)| !is_found(&desk, &json!(kind), &json!(data), &uuid))
        .collect();
    assert_eq!(lost, [&("", ""); 0]);
}

fn what_is_deleted_is_not_found(world: &World) {
    let desk = Importer::new(world);
    let uuid =
        desk.event(&json!({"Attribute": [{"type": "domain", "value": "gone.MARK.example"}]}));
    let attribute = world.event(&uuid).uuid_of("gone.MARK.example");
    world.done(
        "other",
        &format!("/attributes/delete/{attribute}"),
        &json!({}),
    );
    assert_eq!(
        desk.run("domain", "gone.MARK.example").message(),
        "no event knows gone.MARK.example"
    );
}

fn what_nobody_knows_is_told_so(world: &World) {
    let desk = Importer::new(world);
    for (data_type, data) in [
        ("domain", "absent.MARK.example"),
        ("url", "http://MARK.example/absent"),
        ("other", "MARK"),
    ] {
        assert_eq!(
            desk.run(data_type, data).message(),
            format!("no event knows {data}")
        );
    }
}

fn a_filter_hides_an_event_and_is_named(world: &World) {
    let desk = Importer::new(world).with(&json!({"include_tags": [], "published_only": true}));
    let uuid = desk.event(&json!({"Attribute": [{"type": "domain", "value": "a.MARK.example"}]}));
    let report = desk.run("domain", "a.MARK.example");
    assert_eq!(
        report.message(),
        "1 event that knows a.MARK.example is hidden by filters"
    );
    assert_eq!(
        report.full()["ledger"]["events"]["skipped_by"],
        json!({"not published": 1})
    );
    world.publish("admin", &uuid);
    assert_eq!(
        desk.run("domain", "a.MARK.example").message(),
        "1 event knows a.MARK.example on 1 connection (1 with an IDS attribute)"
    );
}

fn words_that_mean_something_to_misp_are_only_texts(world: &World) {
    let desk = Importer::new(world);
    desk.event(&json!({"Attribute": [{"type": "domain", "value": "a.MARK.example"}]}));
    let odd = [
        "!MARK",
        "MARK&&a.MARK.example",
        "a%MARK",
        "_.MARK.example",
        "\\MARK",
        "%MARK",
        "%.MARK.example",
        "a.MARK%",
    ];
    for data in odd {
        let message = desk.run("other", data).message();
        assert!(message.starts_with("no event knows "), "{data}: {message}");
    }
}
