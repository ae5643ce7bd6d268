//! An event report as Markdown that stays readable and can do nothing: headings, lists, tables,
//! quotations and code are written anew from what a CommonMark parser (pulldown-cmark) understood,
//! everything else is text. HTML is shown as text, no picture is loaded, and of a link the address
//! is shown, in code. Pure.
//!
//! It is written anew, and not altered in place, since TheHive 4 renders with marked 0.3, which
//! reads much differently than CommonMark does: what is written here is so plain that both read the
//! same. So every character of a text that could mean something is escaped, by an entity where the
//! two differ on the backslash.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};

use super::markdown::{code_fence, code_span, is_linkable};
use crate::text;

/// What is nested deeper than this, in quotations and lists, is written as if it were not.
const DEEPEST: usize = 6;
/// The longest name of a programming language.
const LONGEST_LANGUAGE: usize = 20;

/// The beginning of a report, as far as it fits into so many bytes, and whether that is all of it.
/// The whole ends in a line end unless it is empty. Hidden characters go.
pub fn render_within(report: &str, most: usize) -> (String, bool) {
    let report = &*text::clean_lines(report);
    let whole = render(report, most);
    if whole.len() <= most {
        return (whole, true);
    }
    let mut end = report.len();

    loop {
        let least = end.saturating_sub(1 + end / 200);
        end = report.floor_char_boundary(least);
        let short = render(&format!("{}…", report.get(..end).unwrap_or_default()), most);
        if short.len() <= most {
            return (short, false);
        }
        if end == 0 {
            return (String::new(), false);
        }
        // Mostly the text grows evenly while it is written.
        end = end.min(end * most / short.len() + 1 + end / 200);
    }
}

/// The report written anew; once it is longer than so many bytes, some of the rest may be missing.
fn render(report: &str, most: usize) -> String {
    let mut writer = Writer::default();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    for event in TextMergeStream::new(Parser::new_ext(report, options)) {
        if writer.out.len() > most {
            break;
        }
        writer.event(event);
    }

    writer.end_paragraph();
    if !writer.out.is_empty() && !writer.out.ends_with('\n') {
        writer.out.push('\n');
    }

    writer.out
}

/// What is being written.
#[derive(Default)]
struct Writer {
    out: String,
    /// The words of the paragraph, heading or cell in hand, already escaped.
    line: String,
    /// What stands before each line: of every quotation `> `, of every list's item blanks.
    before: Vec<String>,
    /// What stands before the next line instead of the last of these: the mark of an item.
    mark: Option<String>,
    /// The numbers of the lists that are open; none for a list without.
    lists: Vec<Option<u64>>,
    /// Quotations, lists' items that are too deep.
    too_deep: usize,
    /// A block of code in hand.
    code: Option<String>,
    language: String,
    heading: usize,
    is_cell: bool,
    columns: usize,
    /// Where what is emphasised begins in the line.
    emphasised: Vec<usize>,
    /// Addresses of the links and pictures that are open, and what they are called.
    links: Vec<(String, String)>,
    /// True if the next block begins behind an empty line.
    is_apart: bool,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => match &mut self.code
            {
                Some(code) => code.push_str(&text),
                None => self.text(&text),
            },
            Event::Code(text) => self.code(&text),
            Event::SoftBreak => self.line_break("\n"),
            Event::HardBreak => self.line_break("  \n"),
            Event::Rule => {
                self.end_paragraph();
                self.block("* * *");
            }
            // Options that are not asked for.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.text(&text)
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough => {
                self.emphasised.push(self.line.len())
            }
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push((dest_url.into_string(), String::new()));
            }
            Tag::TableCell => self.is_cell = true,
            Tag::Paragraph | Tag::HtmlBlock | Tag::TableHead | Tag::TableRow => {
                self.end_paragraph()
            }
            other => {
                self.end_paragraph();
                self.begin_block(other);
            }
        }
    }

    /// Begins what other blocks may stand in, or what is no text.
    fn begin_block(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => self.heading = level as usize,
            Tag::CodeBlock(kind) => {
                self.code = Some(String::new());
                self.language = match kind {
                    CodeBlockKind::Fenced(info) => language(&info),
                    CodeBlockKind::Indented => String::new(),
                };
            }
            Tag::BlockQuote(_) => {
                self.write_gap();
                self.push_nesting("> ".to_owned(), None);
            }
            Tag::List(first) => {
                self.write_gap();
                self.lists.push(first);
            }
            Tag::Item => {
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number = number.saturating_add(1);
                        format!("{}. ", number.saturating_sub(1))
                    }
                    _ => "- ".to_owned(),
                };

                self.push_nesting(" ".repeat(mark.len()), Some(mark));
            }
            Tag::Table(columns) => {
                self.write_gap();
                self.columns = columns.len();
            }
            _ => {}
        }
    }

    fn push_nesting(&mut self, before: String, mark: Option<String>) {
        if self.before.len() >= DEEPEST {
            self.too_deep += 1;
            return;
        }
        self.flush_mark();
        self.before.push(before);
        self.mark = mark;
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis => self.emphasise("*"),
            TagEnd::Strong => self.emphasise("**"),
            TagEnd::Strikethrough => self.emphasise("~~"),
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::TableCell => self.line.push_str(" | "),
            TagEnd::TableHead => {
                self.row();
                let rule = format!("|{}", " --- |".repeat(self.columns));
                self.write_line(&rule);
            }
            TagEnd::TableRow => self.row(),
            TagEnd::Table => self.is_apart = true,
            TagEnd::CodeBlock => self.code_block(),
            TagEnd::Heading(_) => {
                let words = std::mem::take(&mut self.line).replace('\n', " ");
                let heading = format!("{} {}", "#".repeat(self.heading), words.trim());
                self.block(heading.trim_end());
            }
            TagEnd::BlockQuote(_) | TagEnd::Item => {
                self.end_paragraph();
                self.flush_mark();
                if self.too_deep > 0 {
                    self.too_deep -= 1;
                } else {
                    self.before.pop();
                }

                self.is_apart = matches!(tag, TagEnd::BlockQuote(_));
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.is_apart = true;
            }
            _ => self.end_paragraph(),
        }
    }

    /// A text, a word at a time: what could become a link is code.
    fn text(&mut self, text: &str) {
        if let Some((_, name)) = self.links.last_mut() {
            name.push_str(text);
        }
        for piece in text.split_inclusive(char::is_whitespace) {
            let word = piece.trim_end_matches(char::is_whitespace);
            if is_linkable(word) {
                self.span(word);
            } else {
                escape(word, &mut self.line);
            }

            let gap = piece.get(word.len()..).unwrap_or_default();
            match gap.contains('\n') {
                true => self.line_break("\n"),
                false => self.line.push_str(if gap.is_empty() { "" } else { " " }),
            }
        }
    }

    fn code(&mut self, text: &str) {
        if let Some((_, name)) = self.links.last_mut() {
            name.push_str(text);
        }
        self.span(text);
    }

    /// A span of code, apart from another one.
    fn span(&mut self, text: &str) {
        let text = text::one_line(text);
        if text.is_empty() {
            return;
        }
        if self.line.ends_with('`') {
            self.line.push(' ');
        }
        // A table's cell ends at a `|`, in code as elsewhere.
        self.line.push_str(&code_span(&if self.is_cell {
            text.replace('|', "¦")
        } else {
            text
        }));
    }

    /// The address of a link, unless it is what the link is called.
    fn end_link(&mut self) {
        let Some((address, name)) = self.links.pop() else {
            return;
        };
        if let Some((_, outer)) = self.links.last_mut() {
            outer.push_str(&name);
        }
        if address.is_empty() || address == name || address.strip_prefix("mailto:") == Some(&name) {
            return;
        }
        self.line.push_str(if name.is_empty() { "(" } else { " (" });
        self.span(&address);
        self.line.push(')');
    }

    /// Puts marks around what is emphasised, unless code or other marks are in it, or right before
    /// it: marked looks for the second mark before it looks for code, and finds it there.
    fn emphasise(&mut self, mark: &str) {
        let Some(begin) = self.emphasised.pop() else {
            return;
        };
        let (before, words) = self.line.split_at_checked(begin).unwrap_or_default();
        let is_alone = !before.ends_with(['*', '~']) && !words.contains(['`', '*', '~']);
        if is_alone && !words.trim().is_empty() {
            self.line.insert_str(begin, mark);
            self.line.push_str(mark);
        }
    }

    fn line_break(&mut self, with: &str) {
        self.line.push_str(if self.is_cell || self.heading > 0 {
            " "
        } else {
            with
        });
    }

    fn row(&mut self) {
        let cells = std::mem::take(&mut self.line);
        self.is_cell = false;
        self.write_line(format!("| {cells}").trim_end());
    }

    fn code_block(&mut self) {
        let code = self.code.take().unwrap_or_default();
        let fence = code_fence(&code);
        self.block(&format!(
            "{fence}{}\n{}\n{fence}",
            self.language,
            code.trim_end_matches('\n')
        ));
    }

    /// Ends the paragraph in hand. Nothing at the beginning of its lines may mean something, and no
    /// empty line may end it.
    fn end_paragraph(&mut self) {
        if !self.line.trim().is_empty() {
            let line = std::mem::take(&mut self.line);
            let lines: Vec<_> = line
                .lines()
                .map(escape_line_start)
                .filter(|line| !line.is_empty())
                .collect();

            self.block(&lines.join("\n"));
        }

        self.line.clear();
        self.heading = 0;
    }

    /// An empty line, if a block is before.
    fn write_gap(&mut self) {
        if self.is_apart && self.mark.is_none() {
            self.write_line("");
        }
        self.is_apart = false;
    }

    /// Writes a block, apart from what is before it.
    fn block(&mut self, text: &str) {
        self.write_gap();
        text.lines().for_each(|line| self.write_line(line));
        self.is_apart = true;
        self.heading = 0;
    }

    /// Writes a line behind what stands before each.
    fn write_line(&mut self, line: &str) {
        let mark = self.mark.take();
        let around = self
            .before
            .len()
            .saturating_sub(usize::from(mark.is_some()));
        let mut whole: String = self
            .before
            .iter()
            .take(around)
            .map(String::as_str)
            .collect();

        whole.extend(mark);
        whole.push_str(line);
        self.out.push_str(whole.trim_end_matches(' '));
        // Two blanks at the end are a line break.
        self.out
            .push_str(if line.ends_with("  ") { "  \n" } else { "\n" });
    }

    /// Writes the mark of an item that begins with another list or quotation, or has nothing in it.
    fn flush_mark(&mut self) {
        if self.mark.is_some() {
            self.write_line("");
            self.is_apart = false;
        }
    }
}

/// A text of which no renderer makes anything. A backslash before it would not keep marked from
/// finding a `*` there when it looks for a second one.
fn escape(word: &str, to: &mut String) {
    let mut before = ' ';
    let mut rest = word.chars().peekable();

    while let Some(c) = rest.next() {
        match c {
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '&' => to.push_str("&amp;"),
            '`' => to.push_str("&#96;"),
            '_' if before.is_ascii_alphanumeric()
                && rest.peek().is_some_and(char::is_ascii_alphanumeric) =>
            {
                to.push(c)
            }
            '[' => to.push_str("\\["),
            '\\' | '*' | '_' | '~' | '|' | '@' | '$' => {
                to.push_str(&format!("&#{};", u32::from(c)))
            }
            _ => to.push(c),
        }

        before = c;
    }
}

/// A line of a paragraph, without blanks before it, that begins no other block.
fn escape_line_start(line: &str) -> String {
    let bare = line.trim_start();
    let digits = bare.len() - bare.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = bare.split_at_checked(digits).unwrap_or(("", bare));
    match (rest.chars().next(), digits) {
        (Some('#' | '-' | '+'), 0) => format!("\\{bare}"),
        (Some('='), 0) => format!("&#61;{}", rest.get(1..).unwrap_or_default()),
        (Some('.' | ')'), 1..) => format!("{number}\\{rest}"),
        _ => bare.to_owned(),
    }
}

/// The name of a programming language, if it is one.
fn language(info: &str) -> String {
    let name = info.split_whitespace().next().unwrap_or_default();
    let is_name = name.len() <= LONGEST_LANGUAGE
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-#".contains(c));
    if is_name {
        name.to_owned()
    } else {
        String::new()
    }
}
