//! Files as MISP takes them: the zip of a malware sample, names fit to be sent, and what had better
//! travel encrypted. Bytes in, bytes out; nothing here is stored or run.

use std::fmt;
use std::io::{Cursor, Read, Write};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256};
use zip::unstable::write::FileOptionsExt;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::text::{to_hex, trim_pasted};
use crate::types::replace_astral;

/// The password of every sample in MISP (its `AttachmentTool.php`).
pub const PASSWORD: &str = "infected";
/// The longest file name that is sent, in characters.
const LONGEST_NAME: usize = 200;
/// The longest extension that a cut keeps, in characters.
const LONGEST_EXTENSION: usize = 20;

/// The zip that MISP takes as the data of a `malware-sample`, as its `AttachmentTool.php` makes it:
/// both entries in ZipCrypto under [`PASSWORD`], the file named by its md5 in lower-case hex, and
/// `<md5>.filename.txt` with its name.
///
/// # Errors
/// What the compressor says; the system gives no random bytes.
pub fn pack(name: &str, md5: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    write_zip(&[
        (md5, bytes),
        (&format!("{md5}.filename.txt"), name.as_bytes()),
    ])
}

/// A zip under [`PASSWORD`] with the file alone, by its own name: each entry becomes a file where
/// it is taken apart.
///
/// # Errors
/// What the compressor says; the system gives no random bytes.
pub fn pack_alone(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    write_zip(&[(name, bytes)])
}

fn write_zip(entries: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let options = options.with_deprecated_encryption(PASSWORD.as_bytes())?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (entry, content) in entries {
        zip.start_file(*entry, options)
            .and_then(|()| Ok(zip.write_all(content)?))
            .context("packing the sample")?;
    }

    Ok(zip.finish().context("packing the sample")?.into_inner())
}

/// Says that what is in a zip is larger than so many bytes, which are as many as are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge(pub u64);

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the zip's first entry is larger than {} bytes", self.0)
    }
}

impl std::error::Error for TooLarge {}

/// The first entry of a zip, be it encrypted (ZipCrypto) or plain, with at most `most` bytes.
///
/// # Errors
/// That it is no zip, the password does not fit, or the entry is larger ([`TooLarge`]): what it
/// says of its own size is not believed.
pub fn unpack(zip: &[u8], password: &str, most: u64) -> Result<Vec<u8>> {
    let mut zip = ZipArchive::new(Cursor::new(zip)).context("it is no zip")?;
    let entry = zip
        .by_index_decrypt(0, password.as_bytes())
        .context("opening the zip's first entry")?;
    let mut bytes = Vec::new();
    entry
        // One byte more than is allowed shows that there is more.
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .context("reading the zip's first entry")?;
    ensure!(bytes.len() as u64 <= most, TooLarge(most));

    Ok(bytes)
}

/// The bytes in base64, as MISP takes them in `data`.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The sha256 of the bytes, in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// The md5 of the bytes, in lower-case hex.
pub fn md5(bytes: &[u8]) -> String {
    to_hex(&Md5::digest(bytes))
}

/// How programs begin.
const MAGICS: [&[u8]; 23] = [
    // Windows and DOS
    b"MZ",
    b"ZM",
    // a Windows shortcut
    b"\x4c\x00\x00\x00\x01\x14\x02\x00",
    b"ITSF",
    // encoded VBScript and JScript
    b"#@~^",
    // ELF
    b"\x7fELF",
    // Mach-O: 32 and 64 bits in both byte orders, then several in one, the first of which is Java's
    // too
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\xbe\xba\xfe\xca",
    b"\xca\xfe\xba\xbf",
    b"\xbf\xba\xfe\xca",
    // Java's packed archives
    b"\xca\xfe\xd0\x0d",
    // Android
    b"dex\n",
    b"dey\n",
    b"cdex",
    // WebAssembly
    b"\0asm",
    // scripts, also after a byte order mark
    b"#!",
    b"\xef\xbb\xbf#!",
    b"@echo",
    b"@ECHO",
];

/// Extensions that Windows, or a desktop, runs at a double click or loads as code.
const EXTENSIONS: &str = "\
    apk app appimage application appref-ms appx appxbundle ax bash bat bin chm class cmd com \
    command cpl crx deb desktop dex diagcab dll dmg drv dylib efi elf exe gadget hlp hta inf \
    ins ipa isp jar jnlp js jse ko ksh lnk mde mjs msc msh msi msix msixbundle msp mst o ocx \
    php pif pkg pl prg ps1 ps2 psc1 psd1 psm1 py pyc pyw rb reg rpm run scf scr sct sh so sys \
    url vb vbe vbs vxd wasm ws wsc wsf wsh xll zsh";

/// True if the file is a program, by its beginning or by the end of its name; the doubtful count as
/// programs, since what is packed as a sample loses nothing by it. An office document is none,
/// though it may do harm.
pub fn is_executable(name: &str, bytes: &[u8]) -> bool {
    // Windows passes over dots and blanks at the end of a name, and what stands after a colon is a
    // stream of the file.
    let name = name.to_lowercase();
    let is_run = |name: &str| {
        let name = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace() || c.is_control());
        name.rsplit_once('.')
            .is_some_and(|(_, extension)| EXTENSIONS.split(' ').any(|known| known == extension))
    };

    MAGICS.iter().any(|magic| bytes.starts_with(magic)) || name.split(':').any(is_run)
}

/// A file's name as the value of an attribute, as far as MISP can store it, with a path if it has
/// one: a blank for each control character (MISP refuses a line end in a file name), characters
/// that it cannot store as `?`. None if no name is left.
pub fn stored_name(name: &str) -> Option<String> {
    let name: String = name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let name = replace_astral(trim_pasted(&name)).into_owned();
    (!name.chars().all(|c| matches!(c, '.' | '/' | '\\'))).then_some(name)
}

/// A file name fit to be sent beside a hash and inside a zip: what stands after the last `/` or
/// `\`, without control characters, `|` (which parts name and hash in MISP) as `_`, characters that
/// MISP cannot store as `?`, cut to 200 characters before its extension; `file` if nothing is left.
pub fn plain_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .map(|c| if c == '|' { '_' } else { c })
        .collect();

    let name = replace_astral(name.trim()).into_owned();
    // True of an empty name as well.
    if name.chars().all(|c| c == '.') {
        return "file".to_owned();
    }
    if name.chars().count() <= LONGEST_NAME {
        return name;
    }

    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.chars().count() <= LONGEST_EXTENSION => {
            (stem, format!(".{extension}"))
        }
        Some(_) | None => (name.as_str(), String::new()),
    };

    let stem: String = stem
        .chars()
        .take(LONGEST_NAME - extension.chars().count())
        .collect();

    // The cut may have left a blank at the end.
    format!("{stem}{extension}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MD5: &str = "44d88612fea8a8f36de82e1278abb02f";

    #[test]
    fn a_sample_is_packed_as_misp_packs_it() {
        let bytes = b"MZ\x90\x00 not really a program".repeat(100);
        let packed = pack("evil.exe", MD5, &bytes).unwrap();
        assert!(packed.starts_with(b"PK\x03\x04"));
        let mut zip = ZipArchive::new(Cursor::new(&packed)).unwrap();
        let names: Vec<_> = zip
            .file_names()
            .map(|name| name.unwrap().into_owned())
            .collect();
        assert_eq!(names, [MD5.to_owned(), format!("{MD5}.filename.txt")]);
        assert!(
            zip.by_index_data(0).unwrap().encrypted() && zip.by_index_data(1).unwrap().encrypted()
        );
        let mut name = String::new();
        zip.by_index_decrypt(1, PASSWORD.as_bytes())
            .unwrap()
            .read_to_string(&mut name)
            .unwrap();
        assert_eq!(name, "evil.exe");
        assert_eq!(
            unpack(&packed, PASSWORD, bytes.len() as u64).unwrap(),
            bytes
        );
    }

    #[test]
    fn a_plain_zip_is_opened_with_any_password_and_another_file_with_none() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("a", SimpleFileOptions::default()).unwrap();
        zip.write_all(b"content").unwrap();
        let plain = zip.finish().unwrap().into_inner();
        assert_eq!(unpack(&plain, "malware", 7).unwrap(), b"content");

        assert!(
            unpack(b"<html>", "malware", 7)
                .unwrap_err()
                .to_string()
                .contains("it is no zip")
        );

        assert!(unpack(b"", "malware", 7).is_err());
        let empty = ZipWriter::new(Cursor::new(Vec::new()))
            .finish()
            .unwrap()
            .into_inner();
        assert!(unpack(&empty, "malware", 7).is_err());
    }

    #[test]
    fn a_wrong_password_opens_nothing() {
        let packed = pack("a", MD5, b"content that is long enough").unwrap();
        assert!(unpack(&packed, "malware", 100).is_err());
    }

    #[test]
    fn a_zip_bomb_is_stopped_whatever_it_says_of_its_size() {
        let bytes = vec![0; 1 << 20];
        let mut packed = pack("a", MD5, &bytes).unwrap();
        assert!(packed.len() < 1 << 13);
        let error = unpack(&packed, PASSWORD, 1_000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the zip's first entry is larger than 1000 bytes"
        );
        // The uncompressed size in the local header and in the directory, both 1 MiB, made 1.
        let size = [0, 0, 0x10, 0];
        for at in 0..packed.len() - 4 {
            if packed[at..at + 4] == size {
                packed[at..at + 4].copy_from_slice(&[1, 0, 0, 0]);
            }
        }

        assert!(unpack(&packed, PASSWORD, 1_000).is_err());
    }

    #[test]
    fn programs_are_known_by_their_beginning() {
        let yes: [&[u8]; 8] = [
            b"MZ\x90",
            b"\x7fELF\x02",
            b"\xcf\xfa\xed\xfe\x07",
            b"\xca\xfe\xba\xbe\0\0\0\x34",
            b"dex\n035",
            b"#!/bin/sh",
            b"L\0\0\0\x01\x14\x02\0\0\0\0\0",
            b"\xef\xbb\xbf#!/usr/bin/env python",
        ];

        assert!(yes.iter().all(|bytes| is_executable("report", bytes)));

        let no: [&[u8]; 5] = [
            b"",
            b"%PDF-1.7",
            b"PK\x03\x04",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            b"hello",
        ];

        assert!(no.iter().all(|bytes| !is_executable("report.pdf", bytes)));
    }

    #[test]
    fn programs_are_known_by_their_name() {
        for name in [
            "a.EXE",
            "a.pdf.scr",
            "a.dll. .",
            "a.ps1",
            "a.msi",
            "a.lnk",
            "a.apk",
            "a.exe:stream",
            "x:a.js",
        ] {
            assert!(is_executable(name, b"hello"), "{name}");
        }

        for name in ["", "exe", "a.txt", "exe.txt", "a.docx", "mail.eml", "."] {
            assert!(!is_executable(name, b"hello"), "{name}");
        }
    }

    #[test]
    fn names_are_made_plain() {
        let same = |from: &str, to: &str| assert_eq!(plain_name(from), to);
        same("C:\\Users\\x\\evil.exe", "evil.exe");
        same("/tmp/../evil.sh", "evil.sh");
        same("a|b\r\n\0.txt", "a_b.txt");
        same("\u{1f600}.pdf", "?.pdf");
        same("Übersicht – März.docx", "Übersicht – März.docx");
        for nothing in ["", "/", "a/", "..", " \t", "a/.."] {
            same(nothing, "file");
        }
        same(
            &format!("{}.tar.gz", "x".repeat(300)),
            &format!("{}.gz", "x".repeat(197)),
        );
        same(
            &format!("a.{}", "x".repeat(300)),
            &format!("a.{}", "x".repeat(198)),
        );
    }

    #[test]
    fn texts_of_bytes() {
        assert_eq!(
            (to_base64(b""), to_base64(b"any?")),
            (String::new(), "YW55Pw==".to_owned())
        );
        assert_eq!(
            sha256(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn a_zip_of_another_program_is_opened() {
        // Made by Info-ZIP's `zip -P malware`, which checks the password by the time, as a writer
        // that streams must.
        let zip = "UEsDBAoACQAAAEAgdl2pMMX+EwAAAAcAAAAEABwAZmlsZVVUCQADOGkCazhpAmt1eAsAAQQAAAAABAAAAADZAJdi1/BASHhGKye50zJBGarV\
                   UEsHCKkwxf4TAAAABwAAAFBLAQIeAwoACQAAAEAgdl2pMMX+EwAAAAcAAAAEABgAAAAAAAEAAACkgQAAAABmaWxlVVQFAAM4aQJrdXgLAAEE\
                   AAAAAAQAAAAAUEsFBgAAAAABAAEASgAAAGEAAAAAAA==";
        let zip = STANDARD.decode(zip).unwrap();
        assert_eq!(unpack(&zip, "malware", 7).unwrap(), b"content");
        assert!(unpack(&zip, "infected", 7).is_err());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(name in ".{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let packed = pack(&name, MD5, &bytes).unwrap();
            prop_assert_eq!(&unpack(&packed, PASSWORD, bytes.len() as u64).unwrap(), &bytes);
            prop_assert!(bytes.is_empty() || unpack(&packed, PASSWORD, bytes.len() as u64 - 1).is_err());
        }

        #[test]
        fn nothing_that_is_unpacked_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..400_usize) {
            prop_assert!(unpack(&bytes, PASSWORD, 100).is_err());
            let mut packed = pack("a", MD5, b"content").unwrap();
            let at = at % packed.len();
            packed[at] = packed[at].wrapping_add(1);
            prop_assert!(unpack(&packed, PASSWORD, 100).map_or(true, |found| found.len() <= 100));
        }

        #[test]
        fn a_plain_name_is_plain_and_stays(name in "(.|[/\\\\|. ]){0,260}") {
            let stored = stored_name(&name);
            prop_assert!(stored.is_none_or(|name| !name.is_empty() && !name.contains('\n')));
            let plain = plain_name(&name);
            prop_assert!((1..=LONGEST_NAME).contains(&plain.chars().count()));
            let is_bad = |c: char| c.is_control() || "/\\|".contains(c) || u32::from(c) > 0xffff;
            prop_assert!(!plain.chars().any(is_bad));
            prop_assert_eq!(plain_name(&plain), plain);
        }
    }
}
