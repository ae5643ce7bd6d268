//! Every rule of the parallel lists.

use super::*;
use crate::config::{OptionSource, parse_options};
use serde_json::{Value, json};

fn parse_connections(config: Value) -> Result<(Vec<Connection>, Vec<String>), String> {
    let (lists, _) =
        parse_options::<Connections>(config.as_object().unwrap(), OptionSource::Configuration)
            .map_err(|error| error.to_string())?;
    lists.to_connections(&[]).map_err(|error| error.to_string())
}

#[test]
fn a_null_key_never_moves_another_key_to_its_place() {
    let error = parse_connections(
        json!({"name": ["a", "b"], "url": ["https://a", "https://b"], "key": [null, "canary"]}),
    )
    .unwrap_err();
    insta::assert_snapshot!(error, @r#"configuration item "key": element 1 is empty: give the API key of the MISP user, or "-" if the connection is a feed"#);
}

#[test]
fn feeds_need_no_key_and_servers_do() {
    let (one, _) =
        parse_connections(json!({"name": ["f"], "url": ["file:///feeds/a%20b"], "key": [null]}))
            .unwrap();
    assert!(
        matches!(&one[0].target, Target::Feed { folder, .. } if folder.to_str() == Some("/feeds/a b"))
    );
    assert!(parse_connections(json!({"name": ["f"], "url": ["file:///feeds"]})).is_ok());

    assert!(
        parse_connections(
            json!({"name": ["f", "s"], "url": ["file:///feeds", "https://s"], "key": [null, "k"]})
        )
        .is_ok()
    );

    assert!(
        parse_connections(json!({"name": ["f", "s"], "url": ["file:///feeds", "https://s"]}))
            .is_err()
    );
}

#[test]
fn one_of_several_never_starts_to_export_by_itself() {
    let lists = |purpose: Value| json!({"name": ["a", "b"], "url": ["https://a", "https://b"], "key": ["k", "k"], "purpose": purpose});

    let purposes = |purpose| {
        parse_connections(lists(purpose))
            .unwrap()
            .0
            .iter()
            .map(|c| c.purpose)
            .collect::<Vec<_>>()
    };

    assert_eq!(purposes(json!(null)), [Purpose::ImportOnly; 2]);
    assert_eq!(
        purposes(json!([null, "exportonly"])),
        [Purpose::ImportOnly, Purpose::ExportOnly]
    );
    assert_eq!(
        purposes(json!(["ImportAndExport"])),
        [Purpose::ImportAndExport; 2]
    );
    let (one, _) =
        parse_connections(json!({"name": ["a"], "url": ["https://a"], "key": ["k"]})).unwrap();
    assert_eq!(one[0].purpose, Purpose::ImportAndExport);
}

#[test]
fn a_server_below_a_path_keeps_it() {
    let (one, _) =
        parse_connections(json!({"name": ["a"], "url": ["https://h/misp"], "key": ["k"]})).unwrap();
    assert_eq!(one[0].url().as_str(), "https://h/misp/");
}

#[test]
fn a_feed_on_the_web_is_a_folder_that_is_only_read() {
    for (url, expected) in [
        ("https://h/feed", "https://h/feed/"),
        (" https://h/feed/manifest.json", "https://h/feed/"),
        ("https://h/manifest.json/", "https://h/"),
        ("https://h", "https://h/"),
    ] {
        let (one, warnings) =
            parse_connections(json!({"name": ["f"], "url": [url], "key": ["-"]})).unwrap();
        assert!(
            matches!(&one[0].target, Target::WebFeed { url } if url.as_str() == expected),
            "{:?}",
            one[0]
        );

        assert_eq!((one[0].purpose, warnings.len()), (Purpose::ImportOnly, 0));
    }

    let (_, warnings) = parse_connections(
        json!({"name": ["f"], "url": ["http://h"], "key": ["-"], "cert_check": false}),
    )
    .unwrap();
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    connection "f" is read unencrypted, so that what comes may be changed on the way: use https in "url"
    connection "f": the server's certificate is not checked ("cert_check" is false)
    "#);
}

#[test]
fn every_wrong_list_is_explained() {
    let configs = [
        json!({"name": ["a", "b"], "url": ["https://a"], "key": ["k", "k"]}),
        json!({"name": ["a", "b"], "url": ["https://a", "https://b"], "key": ["k"]}),
        json!({"name": ["a", "a"], "url": ["https://a", "https://b"], "key": ["k", "k"]}),
        json!({"name": ["a", "b", "c"], "url": ["https://a", "https://b", "https://c"], "key": ["k", "k", "k"], "purpose": ["ImportOnly", null]}),
        json!({"name": ["a"], "url": ["misp.example.org"], "key": ["k"]}),
        json!({"name": ["a"], "url": ["ftp://misp.example.org"], "key": ["k"]}),
        json!({"name": ["a"], "url": ["https://user:canary@misp.example.org"], "key": ["k"]}),
        json!({"name": ["a"], "url": ["file:feed"], "key": ["-"]}),
        json!({"name": ["a"], "url": ["https://user:canary@feed.example.org"], "key": ["-"]}),
        json!({"name": ["a"], "url": ["https://feed.example.org/manifest.json?token=canary"], "key": ["-"]}),
        json!({"name": ["a"], "url": ["https://feed.example.org"], "key": ["-"], "purpose": ["ImportAndExport"]}),
        json!({"name": ["a", "b"], "url": ["https://feed.example.org", "https://b"], "key": ["-", "k"], "purpose": ["ExportOnly", null]}),
        json!({"name": ["a"], "url": ["https://misp.example.org"], "key": ["k"], "purpose": ["both"]}),
        json!({"name": [null], "url": ["https://misp.example.org"], "key": ["k"]}),
        json!({}),
    ];

    let messages: Vec<_> = configs
        .into_iter()
        .map(|config| parse_connections(config).unwrap_err())
        .collect();

    insta::assert_snapshot!(messages.join("\n"), @r#"
    configuration items "name" and "url" have 2 and 1 elements: they need the same number, one for each connection
    configuration items "name" and "key" have 2 and 1 elements: they need the same number, one for each connection
    configuration item "name": elements 1 and 2 are both "a": give each connection a name of its own
    configuration items "name" and "purpose" have 3 and 2 elements: give "purpose" none, one for all connections, or one for each
    configuration item "url": element 1 (connection "a") has no scheme: write it as https://host or https://host/path
    configuration item "url": element 1 (connection "a") has the scheme ftp: write it as https://host or https://host/path
    configuration item "url": element 1 (connection "a") carries a user or password: write it as https://host or https://host/path
    configuration item "url": element 1 (connection "a") names no absolute folder: write file:/// and the absolute path of the feed's folder
    configuration item "url": element 1 (connection "a") carries a user or password: write it as https://host or https://host/path
    configuration item "url": element 1 (connection "a") carries a query or fragment: write it as https://host or https://host/path
    configuration item "purpose": connection "a" is a feed over http, which is read only, since its key is "-": make it ImportOnly, and export into the file:/// folder that the web server shows; if a MISP server is meant, give its API key in "key"
    configuration item "purpose": connection "a" is a feed over http, which is read only, since its key is "-": make it ImportOnly, and export into the file:/// folder that the web server shows; if a MISP server is meant, give its API key in "key"
    configuration item "purpose" (element 1) is none of its words: write one of ImportOnly, ExportOnly, ImportAndExport
    configuration item "name": element 1 is empty: give every connection a name
    configuration item "name" is not set: A name of your own for each MISP connection, such as `misp-corp`. It stands in reports, in tags of cases, and is the source of alerts: choose one that lasts.
    "#);
}
