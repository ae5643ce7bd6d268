//! What must never leave a program, and the search for it, however it is spelt. Every job's keys are searched for, the
//! passwords of its proxies, the lines of its private keys, and the password of a proxy that every program finds in its
//! environment.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// The environment of every program: proxies with a password, which nothing goes through.
pub(crate) const ENVIRONMENT: [(&str, &str); 4] = [
    (
        "HTTP_PROXY",
        "http://anybody:canary-Proxy%2FWord@proxy.invalid:3128",
    ),
    (
        "HTTPS_PROXY",
        "http://anybody:canary-Proxy%2FWord@proxy.invalid:3128",
    ),
    (
        "all_proxy",
        "socks5h://anybody:canary-Proxy%2FWord@proxy.invalid:1080",
    ),
    ("NO_PROXY", "*"),
];
const PASSWORD: &str = "canary-Proxy/Word";

/// The job with a private key that is nobody else's, if it names none: a file that every program reads, and whose lines it
/// must not repeat.
pub(crate) fn planted(job: &Value) -> Value {
    static CLIENT: LazyLock<NamedTempFile> = LazyLock::new(|| {
        let file = NamedTempFile::new().unwrap();
        let text = ["server.pem", "server.key"]
            .map(|name| fs::read_to_string(Path::new("fixtures/tls").join(name)).unwrap());
        fs::write(file.path(), text.concat()).unwrap();
        file
    });
    let mut job = job.clone();
    if let Some(config) = job["config"].as_object_mut() {
        config
            .entry("client_cert_path")
            .or_insert_with(|| json!([CLIENT.path()]));
    }
    job
}

/// Breaks if a secret of the job stands in a text.
pub(crate) fn search(job: &Value, text: &str) {
    let text = text.to_lowercase();
    for secret in secrets(job) {
        for form in forms(&secret) {
            assert!(
                !text.contains(&form.to_lowercase()),
                "{secret} stands in this as {form}:\n{text}"
            );
        }
    }
}

/// The same in every file of a folder but the job itself.
pub(crate) fn search_files(job: &Value, folder: &Path) {
    for entry in fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(Result::unwrap)
    {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            search_files(job, &path);
        } else if kind.is_file() && !path.ends_with("input/input.json") {
            search(job, &String::from_utf8_lossy(&fs::read(path).unwrap()));
        }
    }
}

/// The same in every feed of a job.
pub(crate) fn search_feeds(job: &Value) {
    let urls = job["config"]["url"]
        .as_array()
        .into_iter()
        .flatten()
        .chain([&job["config"]["url"]]);
    for folder in urls
        .filter_map(Value::as_str)
        .filter_map(|url| url.strip_prefix("file://"))
    {
        search_files(job, Path::new(folder));
    }
}

/// The secrets of a job, as they are sent.
fn secrets(job: &Value) -> Vec<String> {
    let mut secrets = vec![PASSWORD.to_owned()];
    collect("", &job["config"], &mut secrets);
    // The key of a feed is `-`.
    secrets.retain(|secret| secret.len() > 3);
    secrets.sort();
    secrets.dedup();
    secrets
}

fn collect(name: &str, value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(inner, value)| {
            // `http` and `https` stand below `proxy`.
            collect(if name == "proxy" { name } else { inner }, value, secrets);
        }),
        Value::Array(list) => list.iter().for_each(|value| collect(name, value, secrets)),
        Value::String(text) if name == "connection_settings" => {
            collect(
                name,
                &serde_json::from_str(text).unwrap_or_default(),
                secrets,
            );
        }
        Value::String(text) if ["key", "thehive_key"].contains(&name) => {
            secrets.push(text.trim().to_owned())
        }
        Value::String(text) if name.contains("proxy") => secrets.extend(password(text)),
        Value::String(path) if name == "client_cert_path" => {
            let text = fs::read_to_string(path).unwrap_or_default();
            let keys = text.split("PRIVATE KEY-----").skip(1).step_by(2);
            secrets.extend(
                keys.flat_map(str::lines)
                    .filter(|line| !line.starts_with('-'))
                    .map(ToOwned::to_owned),
            );
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// The password of a URL, decoded.
fn password(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let pair = format!("x={}", url.password()?.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, password)| password.into_owned())
}

/// How a secret may be spelt.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    let each = |spell: &dyn Fn(u8) -> String| secret.bytes().map(spell).collect::<String>();
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let json = |text: &str| Value::from(text).to_string().trim_matches('"').to_owned();
    let html = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let mut forms = vec![
        secret.to_owned(),
        json(secret),
        json(&json(secret)),
        json(secret).replace('/', "\\/"),
        json(&json(secret).replace('/', "\\/")),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        each(&|byte| {
            if unreserved(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        }),
        each(&|byte| {
            if unreserved(byte) {
                char::from(byte).to_string()
            } else {
                format!("%25{byte:02X}")
            }
        }),
        each(&|byte| format!("%{byte:02x}")),
        each(&|byte| format!("&#{byte};")),
        each(&|byte| format!("&#x{byte:x};")),
        each(&|byte| format!("\\u00{byte:02x}")),
        each(&|byte| format!("\\\\u00{byte:02x}")),
        html.replace('\'', "&#39;"),
        html.replace('\'', "&#039;").replace('/', "&#x2f;"),
    ];
    if secret.len() > 5 {
        forms.push(each(&|byte| format!("{byte:02x}")));
        for before in ["", "x", "xy"] {
            let bytes = [before.as_bytes(), secret.as_bytes()].concat();
            let (first, last) = (
                before.len() * 8 / 6 + usize::from(!before.is_empty()),
                bytes.len() * 8 / 6,
            );
            for encoded in [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes)] {
                forms.push(encoded[first..last].replace('/', "\\/"));
                forms.push(encoded[first..last].to_owned());
            }
        }
    }
    forms
}

#[test]
fn the_search_finds_every_kind_of_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        file.path(),
        "-----BEGIN PRIVATE KEY-----\nClientKeyLine\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let settings =
        serde_json::json!({"name": "a", "proxy": "http://user:of-settings@proxy"}).to_string();
    let config = serde_json::json!({
        "key": [" of-misp "], "thehive_key": "of-thehive", "proxy": {"https": "http://user:of%2Fcortex@proxy"},
        "client_cert_path": [file.path()], "connection_settings": [settings],
    });
    let job = serde_json::json!({"config": config});
    let found = secrets(&job);
    assert_eq!(
        found,
        [
            "ClientKeyLine",
            PASSWORD,
            "of-misp",
            "of-settings",
            "of-thehive",
            "of/cortex"
        ]
        .map(ToOwned::to_owned)
    );
    for form in found.iter().flat_map(|secret| forms(secret)) {
        let searched = std::panic::catch_unwind(|| search(&job, &format!("before {form} after")));
        assert!(searched.is_err(), "{form}");
    }
    search(&job, "nothing of that kind");
}
