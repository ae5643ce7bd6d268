//! The published page is the table's.

use std::fs;
use std::path::Path;

use cortex_misp::types::{misp_types, render_mapping_page};

#[test]
fn the_published_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mapping.md");
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&path, render_mapping_page()).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == render_mapping_page(),
        "docs/mapping.md differs from the table: BLESS=1 cargo test writes it"
    );
}

#[test]
fn the_page_has_a_line_for_every_type() {
    let page = render_mapping_page();
    for (kind, ..) in misp_types() {
        let line = format!("\n| `{}` | ", kind.replace('|', "\\|"));
        assert!(page.contains(&line), "{kind}");
    }
    let cells = |line: &&str| line.replace("\\|", "").matches('|').count();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("**"))
        .collect();
    assert_eq!(rows.len(), 194);
    assert!(rows.iter().all(|line| cells(line) == 6));
}
