//! Attachments: downloading them, as they are or as a zip with a password, and taking apart zips that are uploaded.

use std::io::{Cursor, Read, Write};

use serde_json::Value;
use zip::unstable::write::FileOptionsExt;
use zip::write::SimpleFileOptions;

use super::body::File;
use super::decoded;
use super::refused::Refused;
use super::world::{Version, World};
use crate::http_fake::Reply;

/// Characters that TheHive 4 does not put into a name.
const FORBIDDEN: &str = "/\\\n\r\t\0\u{c}`?*<>|\":;";

/// The content as it is. TheHive 4 tells neither its kind nor its length: it ends where the connection does
/// (`511-attachment-plain-download`).
pub(super) fn download(world: &World, id: &str) -> Result<Reply, Refused> {
    let (_, content) = content(world, id)?;
    let named = |reply: Reply| reply.with("Content-Disposition", "attachment; filename=\"file\"");
    let reply = match world.version {
        Version::Four => {
            let bare = Reply {
                status: 200,
                headers: Vec::new(),
                body: content.to_vec(),
                cut_after: None,
            };
            named(bare)
                .with("Content-Transfer-Encoding", "binary")
                .with("Connection", "close")
        }
        Version::Five => named(Reply::bytes(
            200,
            "application/octet-stream",
            content.to_vec(),
        )),
    };
    Ok(reply)
}

/// The content as the only entry of a zip, encrypted the old way; the entry is called by the query's `name`, or the id.
pub(super) fn zipped(world: &World, id: &str, path: &str) -> Result<Reply, Refused> {
    let (id, content) = content(world, id)?;
    let mut name = named(path).unwrap_or(id);
    if world.version == Version::Four {
        name = name.replace(|c: char| FORBIDDEN.contains(c), "_");
    }
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let options = options
        .with_deprecated_encryption(world.zip_password.as_bytes())
        .expect("a password");
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(name, options).expect("an entry");
    archive.write_all(content).expect("the content");
    let packed = archive.finish().expect("the end of the zip").into_inner();
    let reply = Reply::bytes(200, "application/zip", packed);
    let reply = reply.with("Content-Disposition", "attachment; filename=\"file.zip\"");
    Ok(reply.with("Content-Transfer-Encoding", "binary"))
}

/// The attachment's `id` and content; asked for by its `id`, or on 5 its `_id`.
fn content<'a>(world: &'a World, id: &str) -> Result<(String, &'a [u8]), Refused> {
    let of_record = |record: &Value| {
        (record["attachment"]["_id"] == id).then(|| record["attachment"]["id"].clone())
    };
    let by_id = world
        .observables
        .iter()
        .find_map(|observable| of_record(&observable.record));
    let id = by_id
        .and_then(|id| id.as_str().map(ToOwned::to_owned))
        .unwrap_or_else(|| id.to_owned());
    let content = world
        .attachments
        .get(&id)
        .ok_or_else(|| Refused::not_found("Attachment not found"))?;
    Ok((id, content))
}

/// The value of `name` in the query.
fn named(path: &str) -> Option<String> {
    let (_, query) = path.split_once('?')?;
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("name="))?;
    Some(decoded(&value.replace('+', " "))).filter(|name| !name.is_empty())
}

/// The files of a zip that was uploaded, but not those in folders. That a broken zip and a wrong password are 500 follows
/// from TheHive 4's source; of 5 it is a guess.
pub(super) fn unzipped(zip: &File, password: &str) -> Result<Vec<File>, Refused> {
    let broken = |message: String| Refused::new(500, "ZipException", &message);
    let mut archive = zip::ZipArchive::new(Cursor::new(&zip.content))
        .map_err(|error| broken(error.to_string()))?;
    let mut files = Vec::new();
    for at in 0..archive.len() {
        let mut entry = archive
            .by_index_decrypt(at, password.as_bytes())
            .map_err(|error| broken(error.to_string()))?;
        let name = entry
            .name()
            .map_err(|error| broken(error.to_string()))?
            .into_owned();
        let mut content = Vec::new();
        entry
            .read_to_end(&mut content)
            .map_err(|_| broken("Wrong password!".to_owned()))?;
        if !name.contains('/') {
            let content_type = "application/octet-stream".to_owned();
            files.push(File {
                part: zip.part.clone(),
                name,
                content_type,
                content,
            });
        }
    }
    Ok(files)
}
