//! `misp-export now`: has TheHive run the responder on cases.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::Value;

use super::{CommonArgs, NowArgs, NowSession, Outcome, RunEnd, explain_no_start, read_end};
use crate::tags;
use crate::thehive::{Action, CaseName, CaseTag, Responder, TheHive};
use crate::time;

/// Has TheHive run the responder on cases, as a click does: each run stands on its case.
#[derive(Debug, Args)]
#[command(after_help = "\
The variables THEHIVE_URL and THEHIVE_KEY hold the address of TheHive and the key of a user who has \
the permission manageAction.")]
pub struct ExportNow {
    /// A case by its number; may be given more than once.
    #[arg(
        long = "case",
        value_name = "NUMBER",
        value_parser = parse_case_number,
        required_unless_present = "changed_since"
    )]
    cases: Vec<u64>,
    /// All cases that carry the tag and changed since then, they or their observables: 1h, 7d,
    /// 2026-01-31, all.
    #[arg(long, value_name = "TIME", conflicts_with = "cases")]
    changed_since: Option<String>,
    /// The tag, if not that of an export, misp:event="…".
    #[arg(long, value_name = "TAG", requires = "changed_since")]
    tag: Option<String>,
    /// The organisation of TheHive's, if not the user's default.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// The responder's name in Cortex, if it is enabled more than once or renamed.
    #[arg(long, value_name = "NAME")]
    responder: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// How the responder is named in Cortex, unless the administrator names it otherwise.
const NAME: &str = "MISPExport_";
/// The longest time between two looks at a run; TheHive 4 itself asks Cortex about as often.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl NowArgs for ExportNow {
    const VARIABLES: [&'static str; 2] = ["THEHIVE_URL", "THEHIVE_KEY"];

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn work(&self, session: &mut NowSession<'_>) -> Result<()> {
        let thehive = TheHive::open(
            &session.url,
            &session.key,
            self.organisation.as_deref(),
            &session.network,
            session.run,
        )
        .context("THEHIVE_KEY")?;
        thehive
            .user()
            .context("asking THEHIVE_URL by THEHIVE_KEY")?;

        let Some(since) = &self.changed_since else {
            for number in &self.cases {
                let found = thehive.case_by_number(*number).and_then(|found| {
                    found
                        .context("there is no such case, or the user of THEHIVE_KEY may not see it")
                });
                self.export_case(&thehive, session, &number.to_string(), found);
            }
            return Ok(());
        };
        let changed = self.find_changed(&thehive, session, since)?;
        if changed.is_empty() {
            let words = format!(
                "no case that carries {} changed since {since}",
                self.tag_name()
            );
            session.take_end("", RunEnd::without_report(Outcome::Complete, words));
        }
        for case in changed {
            let number = case.number.to_string();
            self.export_case(&thehive, session, &number, Ok(case));
        }
        Ok(())
    }
}

impl ExportNow {
    fn tag_name(&self) -> String {
        match &self.tag {
            Some(tag) => format!("the tag {tag}"),
            None => "a tag of an export".to_owned(),
        }
    }

    fn find_changed(
        &self,
        thehive: &TheHive,
        session: &NowSession<'_>,
        since: &str,
    ) -> Result<Vec<CaseName>> {
        let moment = time::parse_since(since, session.network.clock().now).ok_or_else(|| {
            anyhow!("--changed-since {since} is no time: write 1h, 7d, 2026-01-31 or all")
        })?;
        let tag = match &self.tag {
            Some(tag) => CaseTag::Named(tag.clone()),
            None => CaseTag::StartingWith(format!("{}=", tags::EVENT)),
        };
        // TheHive counts in milliseconds.
        thehive.keep_changed(thehive.cases_with_tag(&tag)?, moment.saturating_mul(1_000))
    }

    fn export_case(
        &self,
        thehive: &TheHive,
        session: &mut NowSession<'_>,
        number: &str,
        found: Result<CaseName>,
    ) {
        let started = found.and_then(|case| {
            let responder = choose_responder(
                thehive.responders_for_case(&case.id)?,
                self.responder.as_deref(),
            )?;
            let action = thehive.run_responder(&responder, &case.id)?;
            Ok((case, responder, action))
        });
        let end = match started {
            Ok((case, responder, action)) => {
                let words = format!("case #{number}, {}", responder.name);
                wait_for_end(thehive, session, &case.id, action, &words)
            }
            Err(error) => explain_no_start(&error, "the case"),
        };
        session.take_end(&format!("case #{number}: "), end);
    }
}

/// The number of a case, which people write with a `#`, too.
fn parse_case_number(text: &str) -> Result<u64, &'static str> {
    let number = text.trim().trim_start_matches('#').parse();
    number.map_err(|_| "write the case's number, such as 42")
}

fn choose_responder(all: Vec<Responder>, wanted: Option<&str>) -> Result<Responder> {
    let mut fitting: Vec<_> = all
        .into_iter()
        .filter(|responder| match wanted {
            Some(name) => responder.name == name,
            None => responder.name.starts_with(NAME),
        })
        .collect();
    // One was taken out: if nothing is left, no other fitted.
    match (fitting.pop(), fitting.is_empty(), wanted) {
        (Some(responder), true, _) => Ok(responder),
        (Some(_), false, _) => {
            bail!(
                "MISPExport is enabled more than once: name one by --responder, or disable the older"
            )
        }
        (None, _, Some(name)) => bail!("TheHive lists no responder {name} for this case"),
        (None, _, None) => bail!(
            "TheHive lists no responder MISPExport for this case: it has to be enabled in Cortex, \
             TheHive connected to that Cortex, and the case's TLP and PAP not above the \
             responder's; under another name, give that by --responder"
        ),
    }
}

/// Looks again and again until the run is done, or the time for it over.
fn wait_for_end(
    thehive: &TheHive,
    session: &mut NowSession<'_>,
    case: &str,
    mut action: Action,
    words: &str,
) -> RunEnd {
    let failed = |words: String| RunEnd::without_report(Outcome::Failed, words);
    let started = action.clone();
    let mut pause = Duration::from_millis(100);

    loop {
        let report: Value = serde_json::from_str(&action.report).unwrap_or_default();
        if let Some(end) = read_end(&action.status, &report) {
            return end;
        }
        session.show(&format!("{words}, {}", action.status));
        session.network.clock().pause(pause);
        if session.network.clock().is_over() {
            return failed("it still runs: what comes of it will stand on the case".to_owned());
        }
        pause = LONGEST_PAUSE.min(pause * 2);

        action = match thehive.find_action(case, &started) {
            Ok(Some(action)) => action,
            Ok(None) => {
                return failed("the case does not show the run: nobody knows its end".to_owned());
            }
            Err(error) => {
                let words = "what came of the run is not known, the case may show it";
                return failed(format!("{words}: {error:#}"));
            }
        };
    }
}
