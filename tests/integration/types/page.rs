//! The published page of the mapping, `docs/mapping.md`, is what the table says.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use cortex_misp::types::{
    AttributeInput, Check, MISP_TYPES, MispType, OBSERVABLE_TYPES, Observable, ObservableTarget,
    ObservableTypeRow, ObservableTypeSet, TypeRule, to_observables,
};
use uuid::Uuid;

use super::corpus::corpus;

const HEAD: &str = "\
# TheHive observables and MISP attributes

Both workers use this one table. The page is written from the program's own table by
`BLESS=1 cargo test`, and a test fails when the two differ.

Three rules cover most of it:

1. **Say it by tag, and it is so.** `misp:type=\"ip-src\"` on an observable always wins, whatever the
   table says; `misp:category=\"Payload delivery\"` chooses the category where MISP allows it. Several
   types make several attributes. A value that fits none of the types it is tagged with goes as it would
   without the tag, with a warning: the tag may be somebody else's.
2. **Without a tag the administrator's `type_mapping` counts**, one line for an observable type, such
   as `ip=Network activity/ip-src`. A value that does not fit its line goes by the table, with a warning.
3. **Else the table below**, by observable type and by how the value is written.

What MISP would silently drop is not sent: the report names the observable with MISP's own reason, such
as \"IP address has an invalid format.\" What fits no type goes as `other`, with a warning.

## From TheHive to MISP

Upper and lower case and `_` or `-` make no difference in the names of observable types. A type that is
not listed but is called like a MISP type (`imphash`, `email-header`, `cpe`) goes as that type; any
other goes as Other/other with a warning.

| observable type | also called | MISP category / type | why |
|---|---|---|---|
";

const FORMS: &str = "
How a value overrules the type it was given:

| written like | in | goes as |
|---|---|---|
| an address or network | `domain`, `hostname`, `url` | Network activity / ip-dst |
| an address with a port: `1.2.3.4:80`, `[2001:db8::1]:80` | `ip`, `domain`, `hostname`, `url` | Network activity / ip-dst\\|port |
| a name with a port: `evil.example:8080` | `domain`, `hostname` | Network activity / hostname\\|port |
| something with a `/` | `domain`, `hostname` | Network activity / url |
| a bare name | `url` | Network activity / domain |
| a Tor address, version 2 or 3 | `domain`, `hostname` | Network activity / onion-address |
| a name without a dot | `hostname` | Other / other |
| 32, 40, 56, 64, 96, 128 hexadecimal digits | `hash` | Payload delivery / md5, sha1, sha224, sha256, sha384, sha512 |
| `T1` and 70 hexadecimal digits, or 70 | `hash` | Payload delivery / tlsh |
| number, text, text with colons between | `hash` | Payload delivery / ssdeep |
| 62 hexadecimal digits | `hash` | Network activity / jarm-fingerprint |
| 16, 20 or 32 pairs of digits with colons between | `hash`, `certificate` | Network activity / x509-fingerprint-md5, -sha1, -sha256 |
| `SHA256:…` or `MD5:…` of an SSH key | `hash` | Network activity / ssh-fingerprint |
| any other hash | `hash` | Other / other |
| CVE-…, CWE-…, a MAC address | `other` | External analysis / vulnerability, weakness; Network activity / mac-address |

## From MISP to TheHive

The observable type is the one in the table; where TheHive lacks it, a custom type that stands for the
same (in brackets), else one called like the MISP type, else `other`. So nothing is lost: whenever the
way back would give another type or category, the observable gets `misp:type=\"…\"` or
`misp:category=\"…\"`.

Composites are split, and the tag `misp:composite=\"<type>:<event>:<attribute>\"`, both as whole uuids, links
the halves; a port stands behind them: `misp:composite=\"ip-dst|port:<event>:<attribute>:443\"`. Halves that are
both there, each once, go back as that composite; one alone goes as what it is. Observables of one object carry
`misp:object=\"<name>:<event>:<object>\"`. The shorter tags of version 1.0 join nothing any more.

A value that is not what its type says (a feed may hold anything) becomes `other` with its type.

| MISP type | becomes | needs `misp:type` | categories, default first | how MISP stores and checks it |
|---|---|---|---|---|
";

const FOOT: &str = "
## What comes back the same, and what does not

Every attribute of the test event that holds one of each of 189 types comes back with the same type,
category and value: one by one, all together with equal observables merged, through TheHive 4, through a
TheHive with custom types, and through one that knows only `other`. The five types not in that event:
`suricata`, `edge-extension-id` and `uuid` (newer than it) come back too, and so does `integer` on a MISP
newer than 2.5.1. What does not:

| what | why |
|---|---|
| `filename\\|impfuzzy` | MISP lists the type but its validator fails on it: status 500, and half an event is stored. It goes as `filename` and `impfuzzy`, with a warning |
| `malware-sample`, `attachment` | type, category and value come back; the file itself only if it is attached in TheHive |
| a category, where one observable stands for several attributes of several categories | an observable's categories are not told apart by type: each attribute takes the first that MISP allows for it |
| a value that a TheHive without its type holds once as `other`, for an attribute and for a half of a composite | the same tag says both: only the composite comes back |
| blanks where the two halves of a composite meet | kept here, but a TheHive may trim the data of an observable |

## What an older MISP gets

The types and categories are asked of each server (`describeTypes`), the version too (`getVersion`), unless a case becomes nothing but types that every MISP has: addresses, names, URLs, mail, file names, md5, sha1, sha256 and the like.

| what | MISP 2.5.1 and older | newer |
|---|---|---|
| onion addresses of version 3 | `domain`, with a warning | `onion-address` |
| GHSA, RHSA, PYSEC and other ids that are no CVE | `other`, with a warning | `vulnerability` |
| `integer` | `other`, with a warning | `integer` |
| any type the server does not list (`suricata`, `uuid`, `edge-extension-id`) | `other`, with a warning | itself |
| characters above U+FFFF (emoji) | `?`, with a warning | `?`, with a warning |
";

#[test]
fn the_published_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mapping.md");
    let page = render_page();
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&path, &page).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == page,
        "docs/mapping.md differs from the table: BLESS=1 cargo test writes it"
    );
}

#[test]
fn the_page_has_a_line_for_every_type() {
    let page = render_page();
    for row in &MISP_TYPES {
        let line = format!("\n| `{}` | ", escape_cell(row.kind));
        assert!(page.contains(&line), "{}", row.kind);
    }
    let cells = |line: &&str| line.replace("\\|", "").matches('|').count();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("**"))
        .collect();
    assert_eq!(rows.len(), 194);
    assert!(rows.iter().all(|line| cells(line) == 6));
}

/// The page, in Markdown.
fn render_page() -> String {
    let mut page = HEAD.to_owned();
    for line in &OBSERVABLE_TYPES {
        writeln!(page, "{}", choice_line(line)).unwrap();
    }
    page.push_str(FORMS);
    for row in &MISP_TYPES {
        writeln!(page, "{}", type_line(row)).unwrap();
    }
    page.push_str(FOOT);
    page
}

fn choice_line(line: &ObservableTypeRow) -> String {
    let names: Vec<String> = line.names.iter().map(|name| format!("`{name}`")).collect();
    let kind = match line.choice {
        TypeRule::Same(kind) | TypeRule::Sent(kind) | TypeRule::Name(kind) => with_category(kind),
        TypeRule::Address => with_category("ip-dst"),
        TypeRule::Web => with_category("url"),
        TypeRule::Free => with_category("other"),
        TypeRule::Hash => "Payload delivery / by form".to_owned(),
        TypeRule::Fingerprint => "Network activity / by form".to_owned(),
    };
    format!(
        "| `{}` | {} | {kind} | {} |",
        line.fold,
        names.join(", "),
        line.why
    )
}

fn with_category(kind: &str) -> String {
    let row = MISP_TYPES.iter().find(|row| row.kind == kind).unwrap();
    format!("{} / {}", row.default_category(), escape_cell(kind))
}

fn type_line(row: &MispType) -> String {
    let categories = match row.categories {
        [first, rest @ ..] if rest.len() == 15 => format!("**{first}**, all others"),
        [first, rest @ ..] if rest.len() == 14 => {
            format!("**{first}**, all others but Targeting data")
        }
        [first, rest @ ..] => [&[format!("**{first}**").as_str()], rest]
            .concat()
            .join(", "),
        [] => unreachable!("every type has a category"),
    };
    let observables = imported(row);
    format!(
        "| `{}` | {} | {} | {categories} | {} |",
        escape_cell(row.kind),
        observable_cell(row, &observables),
        type_tag_cell(row, &observables),
        form_cell(row),
    )
}

/// What a stored value of a type becomes in TheHive 4. Of types that are not in the corpus any
/// value will do: what is none becomes `other`, as they do.
fn imported(row: &MispType) -> Vec<Observable> {
    let stored = corpus().into_iter().find(|one| one.kind == row.kind);
    let attribute = AttributeInput {
        kind: row.kind,
        category: row.default_category(),
        value: stored.as_ref().map_or("x|y", |stored| &stored.value),
        uuid: "",
        event: Uuid::nil(),
    };
    to_observables(&attribute, &ObservableTypeSet::thehive4()).unwrap()
}

fn observable_cell(row: &MispType, observables: &[Observable]) -> String {
    let names: Vec<String> = observables
        .iter()
        .map(|one| format!("`{}`", one.data_type))
        .collect();
    let custom: Vec<&str> = OBSERVABLE_TYPES
        .iter()
        .filter(|line| {
            row.import == ObservableTarget::Other && line.choice == TypeRule::Same(row.kind)
        })
        .flat_map(|line| std::iter::once(&line.fold).chain(line.names))
        .copied()
        .collect();
    match custom.as_slice() {
        [] => names.join(" + "),
        custom => format!("{} ({})", names.join(" + "), custom.join(", ")),
    }
}

fn type_tag_cell(row: &MispType, observables: &[Observable]) -> &'static str {
    let tags: Vec<&String> = observables.iter().flat_map(|one| &one.tags).collect();
    match row.import {
        ObservableTarget::Halves(..) | ObservableTarget::Ported(_) => "linked",
        _ if tags.iter().any(|tag| tag.starts_with("misp:type")) => "yes",
        _ => "",
    }
}

fn form_cell(row: &MispType) -> String {
    match row.form.check {
        Check::Hex(length) | Check::FileHex(length) => {
            row.form.words.replace("{}", &length.to_string())
        }
        _ => row.form.words.to_owned(),
    }
}

/// A text that may stand in a cell of a Markdown table.
fn escape_cell(text: &str) -> String {
    text.replace('|', "\\|")
}
