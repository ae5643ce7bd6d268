//! The URLs of a configuration: of servers, of TheHive, and of feeds in folders and on the web.

use std::path::PathBuf;

use anyhow::{Result, anyhow, ensure};
use url::Url;

/// True for the URL of a folder.
pub fn is_file(url: &str) -> bool {
    url.get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"))
}

/// Reads the URL of a folder: its path, and the URL for messages.
pub fn parse_folder(text: &str) -> Result<(PathBuf, Url)> {
    const REMEDY: &str = "write file:/// and the absolute path of the feed's folder";
    ensure!(
        text.get(5..8) == Some("///"),
        "names no absolute folder: {REMEDY}"
    );

    let url = Url::parse(text).map_err(|_| anyhow!("is no URL: {REMEDY}"))?;
    let folder = url
        .to_file_path()
        .map_err(|()| anyhow!("names no folder of this machine: {REMEDY}"))?;
    Ok((folder, url))
}

/// Reads the base URL of a server. MISP may live below a path.
///
/// # Errors
/// What is wrong with it, without showing it: it may contain a password.
pub fn parse_server(text: &str) -> Result<Url> {
    const REMEDY: &str = "write it as https://host or https://host/path";

    ensure!(text.contains("://"), "has no scheme: {REMEDY}");
    let mut url =
        Url::parse(text.trim()).map_err(|problem| anyhow!("is no URL ({problem}): {REMEDY}"))?;
    ensure!(
        ["http", "https"].contains(&url.scheme()),
        "has the scheme {}: {REMEDY}",
        url.scheme()
    );

    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "carries a user or password: {REMEDY}"
    );
    ensure!(
        url.query().is_none() && url.fragment().is_none(),
        "carries a query or fragment: {REMEDY}"
    );
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);

    Ok(url)
}

/// Reads the URL of a feed on the web; that of its `manifest.json` means its folder.
pub fn parse_web_feed(text: &str) -> Result<Url> {
    let mut url = parse_server(text)?;
    if let Some(folder) = url.path().strip_suffix("/manifest.json/") {
        let folder = format!("{folder}/");
        url.set_path(&folder);
    }
    Ok(url)
}

/// Reads the option `thehive_url`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_thehive(text: &str) -> Result<Url> {
    parse_server(text).map_err(|problem| anyhow!("configuration item \"thehive_url\" {problem}"))
}
