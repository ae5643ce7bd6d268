//! An event report of a MISP in the description of an alert: written anew (`cortex/report_text.rs`),
//! and without a line that could be taken for the state line. Pure.

use crate::cortex::report_text;
use crate::import::sync_state::MARK;

/// The beginning of a report, as far as it fits into so many bytes, and whether that is all of it.
/// The whole ends in a line end unless it is empty. Hidden characters go.
pub fn render_within(report: &str, most: usize) -> (String, bool) {
    let (text, is_whole) = report_text::render_within(report, most);
    let lines = text.lines().map(disarm_state_line);
    (
        lines.fold(String::new(), |all, line| all + &line + "\n"),
        is_whole,
    )
}

/// A line that nobody can take for the state line, whatever an editor may put around it: the state
/// is no text of a report.
pub fn disarm_state_line(line: &str) -> String {
    let is_around =
        |c: char| c.is_whitespace() || c == '\\' || !c.is_alphanumeric() && c != '[' && c != '&';
    let bare = line.trim_start_matches(is_around).replace('\\', "");
    let is_like = bare
        .get(..MARK.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(MARK));
    if is_like {
        line.replacen('[', "(", 1)
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::sync_state::strip_state_line;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    fn whole(report: &str) -> String {
        render_within(report, 100_000).0
    }

    #[test]
    fn a_report_stays_readable() {
        let report = "# Findings\n\nThey came *by* **mail**  \nwith snake_case_names & 2 < \
            3.\n\n- one\n- two\n  1. deep\n  2. deeper\n\n> said\n\n```python\nif a < b: \
            print(\"<b>\")\n```\n\n| host | ip |\n|---|---|\n| a_b | `1\\|2` |\n\n---\nend";
        insta::assert_snapshot!(whole(report), @r##"
        # Findings

        They came *by* **mail**  
        with snake_case_names &amp; 2 &lt; 3.

        - one
        - two

          1. deep
          2. deeper

        > said

        ```python
        if a < b: print("<b>")
        ```

        | host | ip |
        | --- | --- |
        | a_b | `1¦2` |

        * * *

        end
        "##);
    }

    #[test]
    fn links_are_shown_with_their_address_and_lead_nowhere() {
        for (report, written) in [
            (
                "[click](http://evil.example)",
                "click (`http://evil.example`)\n",
            ),
            ("[x](javascript:alert)", "x (`javascript:alert`)\n"),
            ("[x](&#106;avascript:alert)", "x (`javascript:alert`)\n"),
            (
                "[x][1]\n\n[1]: data:text/html,y",
                "x (`data:text/html,y`)\n",
            ),
            ("<http://evil.example>", "`http://evil.example`\n"),
            (
                "see https://evil.example/`a, www.evil.example",
                "see `https://evil.example/'a,` `www.evil.example`\n",
            ),
            (
                "mail <a@evil.example> or @b@evil.example",
                "mail ` a@evil.example ` or ` @b@evil.example `\n",
            ),
            (
                "![pixel](http://evil.example/t.png)",
                "pixel (`http://evil.example/t.png`)\n",
            ),
            ("![][p]\n\n[p]: //evil.example", "(`//evil.example`)\n"),
            ("[![a](//b)](//c)", "a (`//b`) (`//c`)\n"),
            (
                "@[attribute](1a2b3c4d-0000)",
                "&#64;attribute (`1a2b3c4d-0000`)\n",
            ),
        ] {
            assert_eq!(whole(report), written, "{report}");
        }
    }

    #[test]
    fn html_is_text() {
        for (report, written) in [
            (
                "<img src=x onerror=alert(1)>",
                "&lt;img src=x onerror=alert(1)&gt;\n",
            ),
            ("a <b>b</b> &lt;i&gt;", "a &lt;b&gt;b&lt;/b&gt; &lt;i&gt;\n"),
            (
                "<script>\nalert(1)\n</script>\n",
                "&lt;script&gt;\nalert(1)\n&lt;/script&gt;\n",
            ),
            ("&amp;#60;b&amp;#62;", "&amp;#60;b&amp;#62;\n"),
            ("\\<b>", "&lt;b&gt;\n"),
        ] {
            assert_eq!(whole(report), written, "{report}");
        }
    }

    #[test]
    fn code_stays_code_whatever_is_in_it() {
        let report = "    ```\n    ![x](y) ```\n    [cortex-misp] event=1\n";
        assert_eq!(
            whole(report),
            "````\n```\n![x](y) ```\n(cortex-misp] event=1\n````\n"
        );
        assert_eq!(whole("``a`b`` `c`"), "`a'b` `c`\n");
        assert_eq!(whole("```<img/src=x>\na\n```"), "```\na\n```\n");
    }

    #[test]
    fn nothing_that_was_text_begins_a_block() {
        assert_eq!(
            whole("\\# a\n\n1\\. b\n\n\\- c\n&#61;=="),
            "\\# a\n\n1\\. b\n\n\\- c\n&#61;==\n"
        );
        assert_eq!(whole(&(">".repeat(50) + "a")), "> > > > > > a\n");
    }

    #[test]
    fn a_beginning_is_whole_markdown() {
        let (short, is_all) = render_within(&format!("```\n{}\n```", "é".repeat(500)), 300);
        assert!(
            !is_all && short.len() <= 300 && short.len() > 280 && short.ends_with("é…\n```\n"),
            "{short}"
        );
        assert_eq!(render_within("a", 2), ("a\n".to_owned(), true));
        assert_eq!(render_within("abc", 1), (String::new(), false));
    }

    /// What GitHub's or TheHive's Markdown would make of a text that is neither HTML, nor a
    /// picture, nor a link.
    fn find_active_events(text: &str) -> Vec<Event<'_>> {
        let is_active = |event: &Event<'_>| {
            matches!(
                event,
                Event::Html(_)
                    | Event::InlineHtml(_)
                    | Event::FootnoteReference(_)
                    | Event::Start(
                        Tag::HtmlBlock
                            | Tag::Link { .. }
                            | Tag::Image { .. }
                            | Tag::FootnoteDefinition(_)
                    )
            )
        };

        Parser::new_ext(text, Options::all() - Options::ENABLE_SMART_PUNCTUATION)
            .filter(is_active)
            .collect()
    }

    /// What Markdown makes something of, and what is taken for the state line.
    #[rustfmt::skip]
    const PIECES: [&str; 61] = [
        "<", ">", "&", "`", "```", "~~~", "![", "[", "](", ")", "]:", "]", "<b>", "</b>", "<!--", "-->", "<?",
        "<![CDATA[", "http://a.example/", "javascript:x", "&#106;", "&lt;", "\\", "\n", "\n\n", "\r", "    ",
        "\t", "> ", "- ", "1. ", "# ", "|", "| --- |", "a", "é", "*", "**", "_", "~~", "=", "===", "---",
        "[cortex-misp] event=", "[CORTEX-misp]", "@", "www.a.example", "a@b.example", "<a href=\"x\">",
        "<img src=x>", "\u{a0}", "\u{202e}", "!", "(", ":", "//", "[^1]", "[x]: y", "$$", "data:", " ",
    ];

    fn tricky() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..40)
            .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn no_report_becomes_html_a_picture_a_link_or_a_state_line(report in prop_oneof![tricky(), "\\PC{0,60}"], most in 0_usize..400) {
            let (text, _) = render_within(&report, most);
            prop_assert!(text.len() <= most);
            prop_assert_eq!(find_active_events(&text), Vec::new(), "{}", text);
            prop_assert_eq!(strip_state_line(&text), text.trim());
            prop_assert_eq!(text.lines().find(|line| disarm_state_line(line) != **line), None);
        }
    }
}
