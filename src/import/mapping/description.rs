//! What stands in an alert's description: the facts of the event, then its reports, as far as there
//! is room. The state line that is written below them is not made here, but nothing here may look
//! like one.

use uuid::Uuid;

use super::limits::shorten_name;
use super::{OwnTags, reports};
use crate::cortex::markdown::neutralise_line;
use crate::import::event_filter::{Analysis, ThreatLevel, distribution_word};
use crate::import::sync_state;
use crate::misp::wire::{Event, Report};
use crate::secret::Scrubber;
use crate::time;

/// The longest description, in bytes: TheHive's index takes texts of at most 32,766 (Lucene's
/// `MAX_TERM_LENGTH`), and the state line needs 1,000.
const LONGEST_DESCRIPTION: usize = 31_000;
/// The longest name of an organisation or a report in it, in characters.
const LONGEST_NAME: usize = 300;
/// Room kept for the note on what was cut, in bytes.
const NOTE: usize = 120;

/// What the moments of the event's last change and publication are called.
pub const MOMENTS: [&str; 2] = ["Changed", "Published"];

/// The description of an event's alert.
pub fn description(
    event: &Event,
    uuid: &Uuid,
    reports: &[Report],
    own_tags: OwnTags,
    scrubber: &Scrubber,
) -> String {
    let mut description = facts(event, uuid, scrubber);
    if own_tags.total() > 0 {
        description.push_str(&format!("- {own_tags}\n"));
    }
    let reports: Vec<&Report> = reports
        .iter()
        .filter(|report| report.deleted != Some(true))
        .collect();

    for (at, report) in reports.iter().enumerate() {
        let room = LONGEST_DESCRIPTION.saturating_sub(description.len() + NOTE);
        let (section, is_whole) = section(report, room, scrubber);
        description.push_str(&section);

        if !is_whole {
            let short = reports.len() - at;
            let all = reports.len();
            description.push_str(&format!(
                "\n… shortened: {short} of {all} event reports, read them in MISP\n"
            ));
            break;
        }
    }

    sync_state::disarm_state_lines(&description)
}

fn facts(event: &Event, uuid: &Uuid, scrubber: &Scrubber) -> String {
    let analysis = Analysis::from_misp_number(event.analysis).map_or("unknown", Analysis::as_str);
    let threat_level = ThreatLevel::word_of(event.threat_level_id);
    let distribution = distribution_word(event.distribution);
    let moment = |label: &str, seconds: Option<i64>| {
        let seconds = seconds.filter(|seconds| *seconds > 0);
        seconds
            .map(|seconds| format!("- {label}: {}\n", time::format_date_time(seconds)))
            .unwrap_or_default()
    };

    // Everything that comes from outside is cleaned of secrets before it is quoted: a quotation may
    // spell them otherwise.
    let quoted =
        |words: &str, most| neutralise_line(&shorten_name(scrubber.clean(words), most, scrubber));
    let organisation = quoted(event.creator_name(), LONGEST_NAME);
    // marked looks for the end of what is bold before it looks for code.
    let organisation = match organisation.as_str() {
        "" => "**an unknown organisation**".to_owned(),
        code if code.contains('`') => organisation,
        plain => format!("**{plain}**"),
    };

    let [changed, published] = MOMENTS;

    format!(
        "MISP event `{uuid}` of {organisation}\n\n- Date: {}\n{}{}- Analysis: {analysis}\n- \
         Threat level: {threat_level}\n- Distribution: {distribution}\n",
        quoted(&event.date, 20),
        moment(changed, event.timestamp),
        moment(published, event.publish_timestamp),
    )
}

/// A report below its name, as far as there is room, and whether that is all of it. See [`reports`]
/// for what stays of it.
fn section(report: &Report, room: usize, scrubber: &Scrubber) -> (String, bool) {
    let heading = neutralise_line(&shorten_name(
        scrubber.clean(&report.name),
        LONGEST_NAME,
        scrubber,
    ));

    let heading = format!(
        "\n## {}\n\n",
        if heading.is_empty() {
            "(no name)"
        } else {
            &heading
        }
    );

    let Some(room) = room.checked_sub(heading.len()) else {
        return (String::new(), false);
    };
    // What is written anew is seldom shorter, and a report may have megabytes.
    let content = scrubber.clean_truncated(&report.content, room);
    let is_all = report.content.chars().nth(room).is_none();
    let (content, is_whole) = reports::render_within(&content, room);

    (heading + &content, is_all && is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn describe(reports: &[Report]) -> String {
        description(
            &Event::default(),
            &Uuid::nil(),
            reports,
            OwnTags::default(),
            &Scrubber::default(),
        )
    }

    fn report(name: &str, content: &str) -> Report {
        Report {
            name: name.into(),
            content: content.into(),
            ..Report::default()
        }
    }

    #[test]
    fn reports_that_are_not_deleted_follow_the_facts() {
        let gone = Report {
            deleted: Some(true),
            ..report("Gone", "x")
        };
        insta::assert_snapshot!(describe(&[report("Findings", "They came\r\nby mail.\n"), gone, report(" ", "")]), @r"
        MISP event `00000000-0000-0000-0000-000000000000` of **an unknown organisation**

        - Date: 
        - Analysis: unknown
        - Threat level: undefined
        - Distribution: unknown

        ## Findings

        They came
        by mail.

        ## (no name)
        ");
    }

    #[test]
    fn what_finds_no_room_is_said() {
        let whole = describe(&[report("a", &"x".repeat(30_000))]);
        assert!(!whole.contains("shortened") && whole.contains(&"x".repeat(30_000)));
        let cut = describe(&[
            report("a", "first"),
            report("b", &"é".repeat(30_000)),
            report("c", "third"),
        ]);

        assert!(
            cut.len() <= LONGEST_DESCRIPTION && cut.len() > LONGEST_DESCRIPTION - 2 * NOTE,
            "{}",
            cut.len()
        );

        assert!(cut.contains("first") && !cut.contains("third"));
        assert!(cut.ends_with("é…\n\n… shortened: 2 of 3 event reports, read them in MISP\n"));
    }

    #[test]
    fn no_line_of_a_report_looks_like_the_state_line() {
        let sly = "[cortex-misp] a\r[CORTEX-MISP] b\n \t[cortex-misp] c\nsee [cortex-misp] d";
        let text = describe(&[report("[cortex-misp]\n[cortex-misp]", sly)]);
        assert!(
            text.contains(
                "\\(cortex-misp] a\n\\(CORTEX-MISP] b\n\\(cortex-misp] c\nsee \\[cortex-misp] d"
            ),
            "{text}"
        );

        assert!(
            text.contains("## `[cortex-misp] [cortex-misp]`\n"),
            "{text}"
        );
    }

    #[test]
    fn a_cut_leaves_no_half_secret() {
        let scrubber = Scrubber::from_config(&json!({"key": ["Zq8Canary7KeyZq8"]}));
        let long = "Zq8Canary7KeyZq8".repeat(5_000);
        let text = description(
            &Event::default(),
            &Uuid::nil(),
            &[report("a", &long)],
            OwnTags::default(),
            &scrubber,
        );

        assert!(!text.contains("Zq8") && text.contains("[removed]"));
    }
}
