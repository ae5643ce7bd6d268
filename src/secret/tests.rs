//! What the scrubber finds, and what it leaves.

use super::*;
use serde_json::json;

impl Scrubber {
    /// Learns the secrets of a configuration alone.
    pub(crate) fn from_config(config: &Value) -> Self {
        Self::from_job(&json!({ "config": config }), &Environment::default())
    }
}

fn scrubber() -> Scrubber {
    Scrubber::from_config(&json!({
        "key": [null, "Canary/Key+0123\"x", "-"],
        "nested": [{"api_token": 987_654_321}],
        "proxy": {"http": "http://user:pass%21word@proxy:3128"},
        "url": ["https://misp.example.org"],
    }))
}

/// Every byte escaped.
fn escape_bytes(text: &str, escape: impl Fn(u8) -> String) -> String {
    text.bytes().map(escape).collect()
}

fn json(text: &str) -> String {
    Value::from(text).to_string()
}

fn swap_case(text: &str) -> String {
    let swap = |one: char| {
        if one.is_lowercase() {
            one.to_ascii_uppercase()
        } else {
            one.to_ascii_lowercase()
        }
    };

    text.chars().map(swap).collect()
}

fn url_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Breaks if a text that spells the key is not taken out.
fn assert_removed(text: &str) {
    let clean = scrubber().clean(&format!("said \"{text}\", no more"));
    assert!(
        clean.starts_with("said ") && clean.ends_with(", no more"),
        "{clean}"
    );
    // Of base64 stays what is before the key, and what is half a neighbour's.
    let left = clean.replace(REMOVED, "").replace(['"', '\\', '='], "");
    assert!(
        clean.contains(REMOVED) && left.len() <= "said , no more".len() + 14,
        "{text} became {clean}"
    );
}

#[test]
fn secrets_are_removed_in_every_encoding() {
    let key = "Canary/Key+0123\"x";
    let base64 = |text: String| STANDARD.encode(text);
    let html = key
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('/', "&#x2F;");

    for text in [
        key.to_owned(),
        json(key),
        json(&json(key)),
        json(&json(&json(key))),
        json(key).replace('/', "\\/"),
        json(&json(key).replace('/', "\\/")),
        url_encoded(key),
        url_encoded(key).to_lowercase(),
        url_encoded(&url_encoded(key)),
        url_encoded(key).replace("%2F", "/"),
        html.clone(),
        json(&html),
        html.replace('&', "&amp;"),
        escape_bytes(key, |byte| format!("{byte:02x}")),
        escape_bytes(key, |byte| format!("{byte:02X}")),
        escape_bytes(key, |byte| format!("%{byte:02X}")),
        escape_bytes(key, |byte| format!("%{byte:02x}")),
        escape_bytes(key, |byte| format!("&#{byte};")),
        escape_bytes(key, |byte| format!("&#x{byte:02X};")),
        escape_bytes(key, |byte| format!("\\u00{byte:02x}")),
        escape_bytes(key, |byte| format!("\\\\u00{byte:02X}")),
        escape_bytes(key, |byte| format!("\\x{byte:02x}")),
        base64(key.to_owned()),
        base64(format!("a{key}")),
        base64(format!("ab{key}")),
        url_encoded(&base64(format!("name:{key}"))),
        json(&base64(format!("x{key}?~"))).replace('/', "\\/"),
        base64::engine::general_purpose::URL_SAFE.encode(format!("ab{key}??")),
        key.to_uppercase(),
        swap_case(key),
        swap_case(&base64(key.to_owned())),
    ] {
        assert_removed(&text);
    }
}

#[test]
fn secrets_are_removed_as_mails_and_programs_escape_them() {
    let key = "Canary/Key+0123\"x";
    let base64 = |text: String| STANDARD.encode(text);

    for text in [
        escape_bytes(key, |byte| format!("&#{byte}")),
        escape_bytes(key, |byte| format!("&#x{byte:x}")),
        escape_bytes(key, |byte| format!("={byte:02X}")),
        escape_bytes(key, |byte| format!("%u00{byte:02x}")),
        escape_bytes(key, |byte| format!("\\u{{{byte:x}}}")),
        escape_bytes(key, |byte| format!("\\\\x{{{byte:x}}}")),
        escape_bytes(key, |byte| format!("\\U000000{byte:02x}")),
        escape_bytes(key, |byte| format!("\\{byte:03o}")),
        escape_bytes(key, |byte| format!("{byte:02x}:")),
        escape_bytes(key, |byte| format!("0x{byte:02X}, ")),
        escape_bytes(key, |byte| format!("{byte:02x}\n")),
        key.chars()
            .map(|one| char::from_u32(u32::from(one) + 0xfee0).unwrap())
            .collect(),
        key.replace('a', "𝐚").replace('C', "Ⓒ"),
        base64(key.to_owned())
            .as_bytes()
            .chunks(5)
            .map(|line| String::from_utf8_lossy(line) + "\r\n")
            .collect(),
        json(
            &base64(format!("a{key}"))
                .as_bytes()
                .chunks(7)
                .map(|line| String::from_utf8_lossy(line) + "\n")
                .collect::<String>(),
        ),
    ] {
        assert_removed(&text);
    }
}

#[test]
fn letters_of_any_script_are_found_however_they_are_escaped() {
    let scrubber = Scrubber::from_config(&json!({"password": "Pässwört😀 x"}));
    for text in [
        "Pässwört😀 x",
        "pÄSSWÖRT😀 x",
        "P%C3%A4ssw%c3%b6rt%F0%9F%98%80+x",
        "P&#228;ssw&#xf6;rt&#128512;&#32;x",
        "P\\u00e4ssw\\u00f6rt\\ud83d\\ude00 x",
        "Pässwört😀\n  x",
    ] {
        assert_eq!(
            scrubber.clean(&format!("<{text}>")),
            format!("<{REMOVED}>"),
            "{text}"
        );
    }
}

#[test]
fn a_secret_that_looks_escaped_itself_is_found_as_it_is_and_escaped_again() {
    for secret in [
        "pass%41word",
        "pass&lt;word",
        "pass\\u0041word",
        "pass\\\\word",
        "100%25%",
    ] {
        let scrubber = Scrubber::from_config(&json!({"password": secret}));
        let html = secret.replace('&', "&amp;");

        for text in [
            secret.to_owned(),
            json(secret),
            json(&json(secret)),
            url_encoded(secret),
            html.clone(),
            html.replace('&', "&amp;"),
        ] {
            let clean = scrubber.clean(&text);
            assert_eq!(
                clean.trim_matches(['"', '\\']),
                REMOVED,
                "{secret} as {text}"
            );
        }
    }
}

#[test]
fn where_secrets_overlap_nothing_of_either_stays() {
    let scrubber =
        Scrubber::from_config(&json!({"key": ["first-and-second", "second-and-third", "second"]}));
    assert_eq!(
        scrubber.clean("a first-and-second-and-third b"),
        "a [removed] b"
    );
    assert_eq!(
        scrubber.clean("first-and-sec second"),
        "first-and-sec second"
    );
}

#[test]
fn settings_that_are_json_in_a_text_are_looked_into() {
    let settings = json!([
        json!({"name": "partner", "proxy": "http://us%40er:in-a-text@proxy:3128", "key": "key-in-a-text"}).to_string(),
        {"name": "other", "proxy": "socks5h://user:in-an-object@proxy:1080"},
        "{\"name\": \"broken\", \"proxy\": \"http://user:in-broken@proxy:3128\"",
    ]);

    let scrubber = Scrubber::from_config(
        &json!({"connection_settings": settings, "proxy_https": "user:flat-proxy@proxy:1"}),
    );

    for secret in [
        "in-a-text",
        "key-in-a-text",
        "in-an-object",
        "in-broken",
        "flat-proxy",
    ] {
        assert_eq!(scrubber.clean(secret), REMOVED, "{secret}");
    }

    assert_eq!(
        scrubber.clean("us@er:in-a-text partner proxy"),
        "[removed] partner proxy"
    );

    assert_eq!(
        scrubber
            .clean(&STANDARD.encode("us@er:in-a-text"))
            .trim_end_matches('='),
        REMOVED
    );

    let twice = scrubber.clean(&STANDARD.encode(STANDARD.encode("us@er:in-a-text")));
    assert!(
        twice.starts_with(REMOVED) && twice.len() < REMOVED.len() + 4,
        "{twice}"
    );
}

#[test]
fn a_password_that_should_have_been_escaped_is_one_all_the_same() {
    for password in ["pass/word", "pa#ss?word", "pass@word"] {
        let scrubber = Scrubber::from_config(
            &json!({"proxy": {"https": format!("http://user:{password}@proxy:3128/")}}),
        );
        assert_eq!(scrubber.clean(password), REMOVED);
        assert_eq!(scrubber.clean("http://proxy:3128"), "http://proxy:3128");
    }
}

#[test]
fn what_is_pasted_around_a_key_is_no_part_of_it() {
    let scrubber = Scrubber::from_config(&json!({"key": ["  spaced-key\n"]}));
    assert_eq!(scrubber.clean("spaced-key"), REMOVED);
}

#[test]
fn numbers_and_passwords_in_urls_are_secrets_too() {
    let clean = scrubber().clean("987654321 user:pass%21word pass!word https://misp.example.org -");
    assert_eq!(
        clean,
        "[removed] [removed] [removed] https://misp.example.org -"
    );
}

#[test]
fn a_value_is_cleaned_to_its_member_names() {
    let clean = scrubber()
        .clean_report(json!({"skipped_by": {"987654321": 1}, "987654321": ["x 987654321"]}));
    assert_eq!(
        clean,
        json!({"skipped_by": {REMOVED: 1}, "987654321": [format!("x {REMOVED}")]})
    );
}

#[test]
fn a_key_that_is_a_word_of_the_report_does_not_break_it() {
    let scrubber = Scrubber::from_config(&json!({"key": ["success", "AddTagToCase", "domain"]}));
    let report = json!({"success": true, "operations": [{"type": "AddTagToCase", "tag": "x"}], "artifacts": [{"dataType": "domain"}]});
    assert_eq!(scrubber.clean_report(report.clone()), report);
}

#[test]
fn short_keys_and_keys_of_any_signs_are_found() {
    let keys = [
        "a.*b",
        "(?i)x+$",
        "[k]{2}\\d",
        "Zq8x",
        "Zq8xZq8xZq8x",
        "ключ-ß-鍵",
        "a  b",
    ];

    let scrubber = Scrubber::from_config(&json!({"key": keys}));

    for key in keys {
        for text in [
            key.to_owned(),
            json(key),
            url_encoded(key),
            escape_bytes(key, |byte| format!("%{byte:02x}")),
        ] {
            assert_eq!(
                scrubber.clean(&format!("<{text}>")).replace('"', ""),
                format!("<{REMOVED}>"),
                "{text}"
            );
        }
    }

    assert_eq!(
        scrubber.clean("aXXb [removed] xxx kkd"),
        "aXXb [removed] xxx kkd"
    );
}

#[test]
fn an_address_in_a_name_makes_no_secret() {
    let scrubber = Scrubber::from_config(
        &json!({"name": ["misp@cert"], "proxy": {"http": "user:pass-word@proxy:3128"}}),
    );
    assert_eq!(
        scrubber.clean("misp.example pass-word"),
        "misp.example [removed]"
    );
}

#[test]
fn a_long_text_of_secrets_ends_in_none() {
    let key = "Zq8Canary7Key6Zq8Canary7Key6Zq8Canary7Key";
    let scrubber = Scrubber::from_config(&json!({"key": [key]}));
    for before in 0..50 {
        let text = scrubber.clean_truncated(&("x".repeat(before) + &key.repeat(2_000)), 8_000);
        assert!(!text.contains("Zq8"), "{before}");
    }
}

fn proxy_scrubber(password: &str) -> Scrubber {
    Scrubber::from_config(&json!({"proxy": {"http": format!("http://svc:{password}@proxy:3128")}}))
}

#[test]
fn a_word_that_is_a_password_is_removed_where_it_stands_as_one_and_nowhere_else() {
    let scrubber = proxy_scrubber("login");

    for text in [
        "http://svc:login@proxy:3128",
        "http://other:login@proxy",
        "svc:login",
        "password=login",
        "Password: 'login'",
        "{\"password\": \"login\"}",
        "{\\\"proxy_key\\\":\\\"LOGIN\\\"}",
        "Proxy-Authorization: Basic c3ZjOmxvZ2lu",
        "other%3Alogin%40proxy",
    ] {
        let clean = scrubber.clean(text);
        assert!(
            clean.contains(REMOVED) && !clean.to_lowercase().contains("login"),
            "{text} became {clean}"
        );
    }

    for text in [
        "login",
        "the login page",
        "login-microsoft.example",
        "http://evil.example/login.php",
        "login: refused",
        "key login",
        "a login@example.org",
        "http://evil.example/?d=bG9naW4=",
        "password=login-page",
        "bypass=login2",
    ] {
        assert_eq!(scrubber.clean(text), text);
        assert_eq!(scrubber.clean_content_truncated(text, 1_000), text);
        assert!(!scrubber.has_secret_in(text));
    }
}

#[test]
fn a_short_secret_is_removed_from_what_is_said_where_it_stands_alone() {
    let scrubber = proxy_scrubber("login1");

    for text in [
        "wrong password login1.",
        "(login1)",
        "login1, svc",
        "?p=login1&x",
        "%3Alogin1%40",
        "http://login1@proxy",
        "bG9naW4x x",
    ] {
        assert!(scrubber.clean(text).contains(REMOVED), "{text}");
        assert_eq!(scrubber.clean_content_truncated(text, 1_000), text);
    }

    for text in [
        "login1-microsoft.example",
        "http://evil.example/login1.php",
        "evil.example/login1",
        "xlogin1",
        "login1.example",
        "login11",
    ] {
        assert_eq!(scrubber.clean(text), text);
    }
}

#[test]
fn what_came_from_outside_is_withheld_only_for_a_whole_long_secret() {
    let key = "Zq8Canary7KeyZq8Canary7KeyZq8Canary7KeyZ";
    let scrubber = Scrubber::from_config(&json!({"key": [key]}));

    for text in [
        key.to_owned(),
        format!("x{key}y"),
        STANDARD.encode(key),
        url_encoded(&json(key)),
        key.to_lowercase(),
    ] {
        assert!(
            scrubber.has_secret_in(&text)
                && scrubber
                    .clean_content_truncated(&text, 1_000)
                    .contains(REMOVED),
            "{text}"
        );
    }

    assert!(!scrubber.has_secret_in(&key[1..]) && !scrubber.has_secret_in(&key[..39]));
}

#[test]
fn a_report_keeps_what_came_from_outside() {
    let scrubber = Scrubber::from_config(&json!({"password": "login1"}));
    let artifacts =
        json!([{"dataType": "domain", "data": "login1", "message": "login1", "tags": ["login1"]}]);
    let report = json!({"artifacts": artifacts, "full": {"warnings": ["login1"], "connections": [{"events": [{"title": "login1"}]}]}});
    let clean = scrubber.clean_report(report.clone());
    assert_eq!(clean["artifacts"], report["artifacts"]);
    assert_eq!(clean["full"]["connections"], report["full"]["connections"]);
    assert_eq!(clean["full"]["warnings"], json!([REMOVED]));
}

#[test]
fn a_secret_cannot_be_printed() {
    assert_eq!(format!("{:?}", Secret::new(" abc ")), REMOVED);
    assert_eq!(Secret::new(" abc\n").expose(), "abc");
}
