//! Where figures go: to the terminal row by row, and with `BLESS=1` into `docs/performance.md`, each table between two marks.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/performance.md";

/// A table, written as Markdown: so it can be read at the terminal, too.
pub(crate) struct Table {
    text: String,
}

impl Table {
    /// A table whose first column is text, the others figures.
    pub(crate) fn new(heads: &[&str]) -> Self {
        let mut table = Self {
            text: String::new(),
        };
        println!();
        table.row(heads);
        table.line(&format!("|---|{}", "---:|".repeat(heads.len() - 1)));
        table
    }

    /// Adds a row, and prints it.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let mut line = String::new();
        for (number, cell) in cells.iter().map(AsRef::as_ref).enumerate() {
            line += &if number == 0 {
                format!("| {cell:<56} |")
            } else {
                format!(" {cell:>12} |")
            };
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        self.text += line;
        self.text.push('\n');
    }
}

/// Puts tables, under a line that says on what they were made, between the marks of this name in the page.
pub(crate) fn publish(name: &str, made_on: &str, tables: &[Table]) {
    println!("\n{name}: {made_on}");
    if !is_blessed() {
        return;
    }
    let path = top().join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let parts = page
        .split_once(&begin)
        .and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1)));
    let (head, tail) = parts.unwrap_or_else(|| panic!("{PAGE} has no place for {name}"));
    let tables: Vec<&str> = tables.iter().map(|table| table.text.as_str()).collect();
    let text = format!("{head}{begin}{made_on}\n\n{}{end}{tail}", tables.join("\n"));
    fs::write(path, text).unwrap();
}

/// Writes a picture beside the page, or without `BLESS=1` below `target/`.
pub(crate) fn publish_picture(name: &str, svg: &str) {
    let folder = top().join(if is_blessed() { "docs" } else { "target" });
    let path = folder.join(name);
    fs::create_dir_all(folder).unwrap();
    fs::write(&path, svg).unwrap();
    println!("picture: {}", path.display());
}

/// The machine, the day and the version, as they stand above a table.
pub(crate) fn made_on() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let lines = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = lines
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    let day: String = jiff::Timestamp::now()
        .to_string()
        .chars()
        .take(10)
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    format!("cortex-misp {version} on {day}: {cores} cores of {model}, Linux {kernel}.")
}

fn is_blessed() -> bool {
    std::env::var_os("BLESS").is_some()
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A whole number in groups of three.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
