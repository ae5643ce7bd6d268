//! What a job's text and parameters are understood to ask for.

use serde_json::{Map, json};

use super::*;
use crate::config::connections::Connections;
use crate::config::{OptionSource, parse_options};

const UUID: &str = "3369ff1d-14c3-5f35-8aa4-9cba22183b31";

fn connections() -> Vec<Connection> {
    let config = json!({
        "name": ["partner", "corp", "again", "feed"], "key": ["k", "k", "k", "-"],
        "url": ["https://misp.example.org", "https://host.example/misp/", "https://misp.example.org/", "file:///feed"],
    });
    let (lists, _) =
        parse_options::<Connections>(config.as_object().unwrap(), OptionSource::Configuration)
            .unwrap();
    lists.to_connections(&[]).unwrap().0
}

fn command(data_type: &str, data: &str, parameters: &Parameters) -> Result<Command, String> {
    let job = Job {
        data_type: data_type.into(),
        data: data.into(),
        tlp: 2,
        pap: 2,
        parameters: Map::new(),
        config: Map::new(),
        is_click: false,
        folder: None,
        file: None,
    };

    parse_job(&job, parameters, false)
}

fn parse_job(job: &Job, parameters: &Parameters, observables_may: bool) -> Result<Command, String> {
    Command::new(
        job,
        parameters,
        &connections(),
        observables_may,
        1_000_000_000,
    )
    .map_err(|error| error.to_string())
}

fn request_of(data: &str) -> Request {
    command("other", data, &Parameters::default())
        .unwrap()
        .asked
}

fn sync(connection: Option<&str>) -> Request {
    Request::Sync {
        connection: connection.map(Into::into),
    }
}

fn event_1337(connection: &str) -> Request {
    event(EventRef::Number(1337), Some(connection))
}

fn event(uuid_or_id: EventRef, connection: Option<&str>) -> Request {
    Request::Event {
        uuid_or_id,
        connection: connection.map(Into::into),
    }
}

fn uuid() -> EventRef {
    EventRef::Uuid(Uuid::parse_str(UUID).unwrap())
}

#[test]
fn commands_are_read_exactly_and_all_else_is_a_value() {
    assert_eq!(request_of(" misp:sync "), sync(None));

    assert_eq!(request_of("misp:sync:partner"), sync(Some("partner")));
    assert_eq!(
        request_of(&format!("misp:event:{UUID}")),
        event(uuid(), None)
    );

    for text in [
        "evil.example.com",
        "",
        "!x",
        "%",
        "39/45",
        "1337",
        UUID,
        "misp",
        "misplaced:sync",
        "https://other.example/misp/",
        "https://misp.example.org.evil.example/",
        "file:///feed/events/view/1",
    ] {
        assert_eq!(request_of(text), Request::Value(text.into()), "{text}");
    }
}

#[test]
fn what_is_like_a_command_and_is_none_is_an_error() {
    for text in [
        "misp:synchronise",
        "misp:sync:",
        "MISP:sync",
        "misp:sync all",
        "misp:\u{200b}sync",
        "ｍｉｓｐ:sync",
        "misp:confidence-level",
        "https://misp.example.org/",
        "https://misp.example.org/events/index",
        "https://misp.example.org/events/view/",
        "https://misp.example.org/events/view/+1",
        "https://misp.example.org/attributes/view/1",
        "https://host.example/misp/servers",
        "https://other.example/events/view/1",
        "https://host.example/events/view/1",
        "https://misp.example.org.evil.example/misp/events/view/1",
    ] {
        let error = command("other", text, &Parameters::default()).unwrap_err();
        assert!(
            error.contains("commands are misp:sync, "),
            "{text}: {error}"
        );
    }

    let error = command(
        "other",
        &format!("misp-attribute:{UUID}"),
        &Parameters::default(),
    )
    .unwrap_err();

    assert!(error.contains("in its message"), "{error}");
}

#[test]
fn a_command_on_an_observable_is_followed_only_if_that_is_allowed() {
    let job = |data: &str| Job {
        data_type: "other".into(),
        data: data.into(),
        tlp: 2,
        pap: 2,
        parameters: Map::new(),
        config: Map::new(),
        is_click: true,
        folder: None,
        file: None,
    };
    let none = Parameters::default();
    for text in [
        "misp:sync",
        &format!("misp:event:{UUID}"),
        "https://misp.example.org/events/1337",
    ] {
        let error = parse_job(&job(text), &none, false).unwrap_err();
        assert!(
            error.contains("\"observable_commands\"") && error.contains("parameter \"command\""),
            "{error}"
        );
        assert!(
            parse_job(&job(text), &none, true).unwrap().asked != Request::Value(text.into()),
            "{text}"
        );
    }

    assert_eq!(
        parse_job(&job("a.example"), &none, false).unwrap().asked,
        Request::Value("a.example".into())
    );
    let parameters = Parameters {
        command: Some("misp:sync".into()),
        ..none
    };
    assert_eq!(
        parse_job(&job("misp:event:x"), &parameters, false)
            .unwrap()
            .asked,
        sync(None)
    );
}

#[test]
fn an_address_of_an_event_names_it_and_its_connection() {
    let by_uuid = format!("https://misp.example.org/events/view/{UUID}/#x");
    let partner = [
        "https://misp.example.org/events/view/1337",
        "HTTPS://MISP.example.org:443/events/view/1337/",
        "https://misp.example.org/events/1337#tags",
        "http://misp.example.org./events/view/1337",
        "https://misp.example.org/index.php/Events/view2/1337",
    ];
    let corp = [
        "https://host.example/misp/events/view/1337",
        "https://host.example//misp/events/view/1337",
    ];

    for address in partner {
        assert_eq!(request_of(address), event_1337("partner"), "{address}");
    }
    for address in corp {
        assert_eq!(request_of(address), event_1337("corp"), "{address}");
    }
    assert_eq!(request_of(&by_uuid), event(uuid(), Some("partner")));
}

#[test]
fn an_address_may_go_on_behind_the_event() {
    for behind in [
        &format!("/focus:{UUID}"),
        "/extended:1",
        "/1/50",
        "?x=1",
        "#tags",
        ".json",
        "/",
        "/deleted:1/sort:timestamp?a=b#c",
    ] {
        let address = |name: &str| format!("https://misp.example.org/events/view/{name}{behind}");
        assert_eq!(
            request_of(&address("1337")),
            event_1337("partner"),
            "{behind}"
        );
        assert_eq!(
            request_of(&address(UUID)),
            event(uuid(), Some("partner")),
            "{behind}"
        );
    }
}

#[test]
fn the_parameter_chooses_among_connections_of_one_address() {
    let again = Parameters {
        connection: Some("again".into()),
        ..Parameters::default()
    };
    let address = "https://misp.example.org/events/1337";
    assert_eq!(
        command("other", address, &again).unwrap().asked,
        event_1337("again")
    );
}

#[test]
fn only_the_type_other_carries_commands() {
    let address = "https://misp.example.org/events/view/1337";

    for (data_type, data) in [
        ("url", address),
        ("domain", "misp:sync"),
        ("filename", "misp:event:x"),
    ] {
        let found = command(data_type, data, &Parameters::default()).unwrap();
        assert_eq!(found.asked, Request::Value(data.into()));
    }

    let parameters = |command: &str| Parameters {
        command: Some(command.into()),
        ..Parameters::default()
    };
    assert_eq!(
        command("domain", "scheduled", &parameters("misp:sync:a"))
            .unwrap()
            .requested_connection(),
        Some("a")
    );

    assert!(
        command("other", "misp:sync", &parameters("misp:synch"))
            .unwrap_err()
            .contains("misp:event:<uuid>")
    );
}

#[test]
fn a_command_without_an_event_says_what_is_accepted() {
    for text in [
        "misp:event:",
        "misp:event:x",
        "misp:event:1337",
        &format!("misp:event:{{{UUID}}}"),
    ] {
        let error = command("other", text, &Parameters::default()).unwrap_err();
        assert!(
            error.contains("misp:event:<uuid>") && error.contains("no uuid"),
            "{text}: {error}"
        );
    }
}

#[test]
fn parameters_narrow() {
    let of = |connection: &str| Parameters {
        connection: Some(connection.into()),
        ..Parameters::default()
    };
    assert_eq!(
        command("other", "misp:sync", &of("a"))
            .unwrap()
            .requested_connection(),
        Some("a")
    );

    assert_eq!(
        command("ip", "192.0.2.1", &of("a"))
            .unwrap()
            .requested_connection(),
        Some("a")
    );

    assert!(command("other", "misp:sync:b", &of("a")).is_err());
    let since = |since: &str| Parameters {
        since: Some(since.into()),
        ..Parameters::default()
    };
    assert_eq!(
        command("other", "misp:sync", &since("all")).unwrap().since,
        Some(0)
    );
    assert!(
        command("other", "misp:sync", &since("soon"))
            .unwrap_err()
            .contains("since")
    );

    let limit = |limit| {
        command(
            "other",
            "misp:sync",
            &Parameters {
                limit,
                ..Parameters::default()
            },
        )
        .unwrap()
        .limit
    };

    assert_eq!(
        [limit(None), limit(Some(0)), limit(Some(7))],
        [None, None, Some(7)]
    );
}

#[test]
fn the_parameter_event_narrows_an_import_and_nothing_else() {
    let of = |event: &str| Parameters {
        event: Some(event.into()),
        ..Parameters::default()
    };
    let ask =
        |data: &str, event: &str| command("other", data, &of(event)).map(|command| command.asked);
    assert_eq!(ask("misp:sync", UUID), Ok(event(uuid(), None)));
    assert_eq!(ask("misp:sync:corp", UUID), Ok(event(uuid(), Some("corp"))));
    let address = "https://misp.example.org/events/view/1337";

    assert_eq!(
        ask("misp:sync", address),
        Ok(event(EventRef::Number(1337), Some("partner")))
    );
    assert_eq!(
        ask(&format!("misp:event:{UUID}"), UUID),
        Ok(event(uuid(), None))
    );

    for (data, parameter, part) in [
        ("misp:sync:corp", address, "different connections"),
        (
            "misp:event:00000000-0000-4000-8000-000000000000",
            UUID,
            "different events",
        ),
        ("evil.example", UUID, "looks a value up"),
        ("misp:sync", "1337", "names no event"),
    ] {
        assert!(
            ask(data, parameter).unwrap_err().contains(part),
            "{data} {parameter}"
        );
    }
}
