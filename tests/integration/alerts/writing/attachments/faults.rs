//! Files that MISP does not give, or TheHive does not take.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cortex_misp::sample;
use serde_json::json;

use super::{
    DOWNLOAD, PICTURE, PROGRAM, add, both, downloads, files, files_of, held, is_complete, rename,
    sample_of,
};
use crate::desk::{failures, md5};
use crate::http_fake::{Fault, Nth, What};
use crate::program::{counts, full, of};
use crate::thehive;

/// What a MISP can do that gives no file, and whether it would be the same next time.
fn troubles() -> Vec<(&'static str, What, bool)> {
    vec![
        (
            "MISP does not hold the file",
            What::Status(404, "{}".into(), "application/json"),
            true,
        ),
        ("it is no zip", What::Body("PK something else".into()), true),
        (
            "it is no zip",
            What::Body("<html>log in</html>".into()),
            false,
        ),
        ("the answer broke off", What::CutAfter(20), false),
        (
            "500",
            What::Status(500, "{}".into(), "application/json"),
            false,
        ),
    ]
}

#[test]
fn a_sample_that_misp_does_not_give_is_a_failure_and_comes_later() {
    for (number, (reason, what, is_final)) in
        (0..2).flat_map(|number| troubles().into_iter().map(move |one| (number, one)))
    {
        let [four, five] = both();
        let desk = if number == 0 { four } else { five };
        sample_of(&desk, "evil.exe", PROGRAM);
        desk.misp.fault(Fault {
            on: DOWNLOAD,
            nth: Nth::Always,
            what,
        });
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 1), ("failed", 1)]),
            "{report:#}"
        );
        assert_eq!(
            counts(full(&report), "attributes"),
            of([("fetched", 1), ("created", 1)])
        );
        let told = failures(&report);
        assert!(
            told.contains("evil.exe (the file itself)") && told.contains(reason),
            "{told}"
        );
        assert!(
            full(&report)["message"]
                .as_str()
                .unwrap()
                .starts_with("INCOMPLETE: "),
            "{report:#}"
        );
        assert_eq!(
            (files(&desk).len(), is_complete(&desk)),
            (0, is_final),
            "{reason}"
        );
        desk.misp.heal();
        if is_final {
            rename(&desk);
        }
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 1), ("created", 1)]),
            "{report:#}"
        );
        assert_eq!(
            (held(&desk), is_complete(&desk)),
            (vec![("evil.exe".to_owned(), PROGRAM.to_vec())], true)
        );
    }
}

#[test]
fn a_sample_that_is_another_file_never_arrives() {
    for desk in both() {
        let other = add(
            &desk,
            "malware-sample",
            &format!("evil.exe|{}", md5(b"something else")),
            PROGRAM,
        );
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 1), ("failed", 1)]),
            "{report:#}"
        );
        assert!(
            failures(&report).contains(&format!("its md5 is {}", md5(PROGRAM))),
            "{report:#}"
        );
        assert_eq!(files(&desk).len(), 0);
        // Damaged: a bit of what is encrypted.
        let zip = sample::pack("evil.exe", &md5(PROGRAM), PROGRAM).unwrap();
        let broken: Vec<u8> = zip
            .iter()
            .enumerate()
            .map(|(at, byte)| if at == 80 { byte ^ 1 } else { *byte })
            .collect();
        desk.change("1", |event| {
            let one = event
                .attributes
                .iter_mut()
                .find(|one| one.id == other)
                .unwrap();
            one.value = format!("evil.exe|{}", md5(PROGRAM));
            one.data = Some(STANDARD.encode(broken));
        });
        let report = desk.import();
        assert_eq!(
            (files_of(&report), files(&desk).len()),
            (of([("fetched", 1), ("failed", 1)]), 0),
            "{report:#}"
        );
    }
}

#[test]
fn a_read_that_broke_off_is_asked_again() {
    for desk in both() {
        add(&desk, "attachment", "picture.png", PICTURE);
        desk.misp.fault(Fault {
            on: DOWNLOAD,
            nth: Nth::Only(1),
            what: What::CutAfter(5),
        });
        let report = desk.import();
        assert_eq!(
            (files_of(&report), downloads(&desk).len()),
            (of([("fetched", 1), ("created", 1)]), 2),
            "{report:#}"
        );
        assert_eq!(held(&desk), [("picture.png".to_owned(), PICTURE.to_vec())]);
    }
}

#[test]
fn a_write_whose_answer_is_lost_is_looked_at_first() {
    for (desk, nth) in both().into_iter().chain(both()).zip([
        Nth::Only(1),
        Nth::Only(1),
        Nth::Only(2),
        Nth::Only(2),
    ]) {
        sample_of(&desk, "evil.exe", PROGRAM);
        add(&desk, "attachment", "picture.png", PICTURE);
        let on = if desk.thehive.world().version == thehive::Version::Four {
            "/artifact"
        } else {
            "/observable"
        };
        desk.thehive.fault(Fault {
            on,
            nth,
            what: What::CutAfter(0),
        });
        let report = desk.import();
        assert_eq!(
            files_of(&report),
            of([("fetched", 2), ("created", 2)]),
            "{report:#}"
        );
        assert_eq!(
            (
                files(&desk).len(),
                downloads(&desk).len(),
                is_complete(&desk)
            ),
            (2, 2, true)
        );
        let sent = desk
            .written()
            .into_iter()
            .filter(|one| one.starts_with("POST") && one.contains(on))
            .count();
        assert_eq!(sent, 2, "{:?}", desk.written());
    }
}

#[test]
fn a_thehive_that_does_not_take_a_file_is_told_of() {
    for (what, reason, is_final) in [
        (
            What::Status(
                413,
                json!({"type": "x", "message": "too large"}).to_string(),
                "application/json",
            ),
            "too large",
            true,
        ),
        (
            What::Status(503, "{}".to_owned(), "application/json"),
            "not verified",
            false,
        ),
    ] {
        for desk in both() {
            let on = if desk.thehive.world().version == thehive::Version::Four {
                "/artifact"
            } else {
                "/observable"
            };
            sample_of(&desk, "evil.exe", PROGRAM);
            desk.thehive.fault(Fault {
                on,
                nth: Nth::Always,
                what: what.clone(),
            });
            let report = desk.import();
            assert_eq!(
                files_of(&report),
                of([("fetched", 1), ("failed", 1)]),
                "{report:#}"
            );
            assert!(failures(&report).contains(reason), "{report:#}");
            assert_eq!((is_complete(&desk), downloads(&desk).len()), (is_final, 1));
        }
    }
}

/// It now and then deletes the file that it unpacked before it reads it (`016-add-file-207`): what failed in passing is not
/// refused.
#[test]
fn a_sample_that_thehive_lost_in_passing_is_sent_again_and_never_given_up() {
    for (lost, arrives) in [(1, true), (100, false)] {
        let [desk, _] = both();
        sample_of(&desk, "evil.exe", PROGRAM);
        desk.thehive.world().losing = lost;
        let report = desk.import();
        let became = if arrives { "created" } else { "failed" };
        assert_eq!(
            files_of(&report),
            of([("fetched", 1), (became, 1)]),
            "{report:#}"
        );
        assert_eq!(
            (files(&desk).len(), is_complete(&desk)),
            (usize::from(arrives), arrives)
        );
        desk.thehive.world().losing = 0;
        desk.import();
        assert_eq!((files(&desk).len(), is_complete(&desk)), (1, true));
        desk.rests();
    }
}
