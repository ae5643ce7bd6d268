//! The findings, laid out: as a table for people, as JSON for programs. Pure.

use serde_json::{Value, json};

use super::{Finding, Verdict};
use crate::text::{format_count, reveal_hidden};

/// The longest word of a verdict.
const VERDICT: usize = 7;

/// A table of plain text: a block for each subject, in it a line for each finding. `program` stands
/// in the first line.
pub fn to_text(program: &str, findings: &[Finding]) -> String {
    let mut lines = vec![format!("{program} check: {}", summarise(findings))];
    let width = findings
        .iter()
        .map(|finding| finding.check.chars().count())
        .max()
        .unwrap_or(0);

    let mut subject = None;

    for finding in findings {
        if subject != Some(&finding.subject) {
            lines.extend([String::new(), sanitise(&finding.subject)]);
            subject = Some(&finding.subject);
        }
        let (word, check) = (verdict_word(finding.verdict), finding.check);

        lines.push(
            format!(
                "  {word:<VERDICT$}  {check:<width$}  {}",
                sanitise(&finding.words)
            )
            .trim_end()
            .to_owned(),
        );
    }

    lines.join("\n")
}

/// The same as a value: `program`, `version`, how many `failed` and `warnings`, and the `findings`,
/// each with `subject`, `check`, `verdict` (`ok`, `warning`, `failed`, `skipped`) and `words`.
pub fn to_json(program: &str, findings: &[Finding]) -> Value {
    json!({
        "program": program,
        "version": env!("CARGO_PKG_VERSION"),
        "failed": count_verdict(findings, Verdict::Failed),
        "warnings": count_verdict(findings, Verdict::Warning),
        "findings": findings,
    })
}

fn summarise(findings: &[Finding]) -> String {
    let failed = match count_verdict(findings, Verdict::Failed) {
        0 => "nothing failed".to_owned(),
        number => format_count(number, "failure", "failures"),
    };
    match count_verdict(findings, Verdict::Warning) {
        0 => failed,
        number => format!("{failed}, {}", format_count(number, "warning", "warnings")),
    }
}

fn count_verdict(findings: &[Finding], verdict: Verdict) -> u64 {
    findings
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .count() as u64
}

/// Trouble stands out by its capitals.
fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "WARNING",
        Verdict::Failed => "FAILED",
        Verdict::Skipped => "-",
    }
}

/// A text from outside can neither steer a terminal nor disguise what it says.
fn sanitise(text: &str) -> String {
    reveal_hidden(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_steers_no_terminal() {
        let finding = |subject: &str, check, verdict, words: &str| Finding {
            subject: subject.into(),
            check,
            verdict,
            words: words.into(),
        };

        let findings = [
            finding("a", "key", Verdict::Ok, "good"),
            finding("a", "connection", Verdict::Warning, "\u{1b}[31mred"),
            finding("TheHive", "key", Verdict::Failed, "no"),
            finding("TheHive", "not looked at", Verdict::Skipped, "clock"),
        ];

        insta::assert_snapshot!(to_text("misp-export", &findings), @"
        misp-export check: 1 failure, 1 warning

        a
          ok       key            good
          WARNING  connection     <U+001B>[31mred

        TheHive
          FAILED   key            no
          -        not looked at  clock
        ");
        assert_eq!(to_text("p", &[]), "p check: nothing failed");
        assert_eq!(to_json("p", &findings)["findings"][1]["verdict"], "warning");
    }
}
