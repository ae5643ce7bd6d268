//! Each exchange goes wrong in every way there is, once or for ever.

use super::{Stage, Start, is_complete, lies};
use crate::proxy::{Answer, How};
use crate::thehive::Version;

const fn said(status: u16, kind: &'static str, body: &'static str, is_done: bool) -> Answer {
    Answer {
        status,
        kind,
        body,
        is_done,
    }
}

const JSON: &str = "application/json";
static BUSY: Answer = said(429, JSON, r#"{"message":"Rate limit exceeded"}"#, false);
static BROKEN: Answer = said(
    500,
    JSON,
    r#"{"type":"InternalError","message":"An internal error has occurred"}"#,
    false,
);
static DOWN: Answer = said(503, "text/html", "<html>Maintenance</html>", false);
static LATE: Answer = said(504, "text/html", "<html>Gateway timeout</html>", true);
static PAGE: Answer = said(200, "text/html", "<html>Sign in</html>", true);
static WALL: Answer = said(200, "text/html", "<html>Sign in</html>", false);
static PAGE_AS_JSON: Answer = said(200, JSON, "<html>Sign in</html>", true);
static OBJECT: Answer = said(200, JSON, "{}", true);
static LIST: Answer = said(200, JSON, "[]", true);
static NOTHING: Answer = said(204, "", "", true);

/// What goes wrong once, in one exchange.
const ONCE: [How; 13] = [
    How::BeforeRequest,
    How::AfterRequest,
    How::InBody,
    How::Instead(&BUSY),
    How::Instead(&BROKEN),
    How::Instead(&DOWN),
    How::Instead(&LATE),
    How::Instead(&PAGE),
    How::Instead(&WALL),
    How::Instead(&PAGE_AS_JSON),
    How::Instead(&OBJECT),
    How::Instead(&LIST),
    How::Instead(&NOTHING),
];

/// What goes wrong from one exchange on until the end of the run.
const FOR_EVER: [How; 5] = [
    How::BeforeRequest,
    How::AfterRequest,
    How::Instead(&BUSY),
    How::Instead(&BROKEN),
    How::Instead(&DOWN),
];

/// So many of the things that are wrong are told.
const WRONG: usize = 40;

/// What a failed connection or a server that lies may make a run believe, without any error to be seen.
fn is_believable(how: How) -> bool {
    [How::Instead(&OBJECT), How::Instead(&LIST)].contains(&how)
}

/// How a fault goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    Once,
    ForEver,
}

/// Whose exchanges are broken; the place among the stage's sides.
#[derive(Clone, Copy, Debug)]
enum With {
    Misp,
    TheHive,
}

/// Breaks one exchange after the other in one way; gives how many runs were complete all the same, and what is wrong.
fn break_each(
    stage: &Stage,
    start: &Start,
    with: With,
    (how, lasts): (How, Lasts),
    wrong: &mut Vec<String>,
) -> usize {
    let (done, asked) = stage.undisturbed(start);
    let (asked, proxy) = (&asked[with as usize], stage.sides()[with as usize]);
    let mut completed = 0;
    for (number, path) in asked.iter().enumerate() {
        if path.contains("checkValue") && is_believable(how) {
            continue;
        }
        stage.reset(start);
        let (before, at) = (stage.state(), proxy.exchanges() + number + 1);
        match lasts {
            Lasts::Once => proxy.cut(at, how),
            Lasts::ForEver => proxy.cut_from(at, how),
        }
        let report = stage.run();
        proxy.heal();
        let place = format!(
            "{with:?} {} of {} {path} {how:?} {lasts:?}",
            number + 1,
            asked.len()
        );
        assert!(proxy.exchanges() >= at, "{place}");
        let now = stage.state();
        if !is_believable(how) {
            wrong.extend(
                lies(&report, &before, &now, &done)
                    .into_iter()
                    .map(|one| format!("{place}: {one}")),
            );
        }
        completed += usize::from(is_complete(&report) && now == done);
        wrong.extend(
            stage
                .completes(&done)
                .err()
                .map(|one| format!("{place}: {one}")),
        );
    }
    completed
}

/// Breaks each exchange in each of these ways. At least so many runs are complete all the same: questions are asked again,
/// and cut writes are looked after.
fn break_all(
    (stage, start): (Stage, Start),
    with: With,
    (ways, lasts): (&[How], Lasts),
    least: usize,
) {
    let mut wrong = Vec::new();
    let each = ways
        .iter()
        .map(|how| break_each(&stage, &start, with, (*how, lasts), &mut wrong));
    let completed: usize = each.sum();
    assert!(
        wrong.is_empty(),
        "{} are wrong: {}",
        wrong.len(),
        wrong[..wrong.len().min(WRONG)].join("\n")
    );
    assert!(completed >= least, "{completed}");
}

fn break_once(stage: (Stage, Start), with: With, least: usize) {
    break_all(stage, with, (&ONCE, Lasts::Once), least);
}

fn break_for_ever(stage: (Stage, Start)) {
    break_all(stage, With::TheHive, (&FOR_EVER, Lasts::ForEver), 0);
}

#[test]
fn a_first_import_into_thehive_4_survives_faults_of_misp() {
    break_once(Stage::first(Version::Four), With::Misp, 75);
}

#[test]
fn a_first_import_into_thehive_4_survives_its_faults() {
    break_once(Stage::first(Version::Four), With::TheHive, 120);
}

#[test]
fn a_first_import_into_thehive_5_survives_its_faults() {
    break_once(Stage::first(Version::Five), With::TheHive, 115);
}

#[test]
fn an_update_in_thehive_5_survives_faults_of_misp() {
    break_once(Stage::changed(Version::Five), With::Misp, 85);
}

#[test]
fn an_update_of_cases_in_thehive_4_survives_its_faults() {
    break_once(Stage::in_case(Version::Four), With::TheHive, 185);
}

#[test]
fn an_update_of_cases_in_thehive_5_survives_its_faults() {
    break_once(Stage::in_case(Version::Five), With::TheHive, 180);
}

#[test]
fn an_import_of_refused_values_survives_faults_of_thehive_4() {
    // Each says that a value was refused, and so does the undisturbed one.
    break_once(Stage::refusing(Version::Four), With::TheHive, 0);
}

#[test]
fn an_import_of_refused_values_survives_faults_of_thehive_5() {
    break_once(Stage::refusing(Version::Five), With::TheHive, 0);
}

/// Events are read and written two at a time: which exchange is cut differs from run to run.
#[test]
fn two_readers_survive_every_cut() {
    const CUTS: &[How] = &[How::BeforeRequest, How::AfterRequest, How::InBody];
    for with in [With::Misp, With::TheHive] {
        let (mut stage, start) = Stage::changed(Version::Five);
        stage.options["max_parallel"] = 2.into();
        break_all((stage, start), with, (CUTS, Lasts::Once), 30);
    }
}

#[test]
fn a_first_import_into_a_thehive_that_stays_down_is_completed_later() {
    break_for_ever(Stage::first(Version::Five));
}

#[test]
fn an_update_in_a_thehive_that_stays_down_is_completed_later() {
    break_for_ever(Stage::changed(Version::Four));
}

#[test]
fn an_import_from_a_misp_that_stays_down_is_completed_later() {
    for stage in [Stage::first(Version::Four), Stage::changed(Version::Five)] {
        break_all(stage, With::Misp, (&FOR_EVER, Lasts::ForEver), 0);
    }
}
