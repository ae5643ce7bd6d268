//! Reading while the server stumbles: what was handed over never comes twice, and nothing is left out.

use anyhow::Result;
use serde_json::json;

use super::paging::smaller_pages;
use super::{asked, big, crowd, read, refusal, row, server, tried};
use crate::http_fake::{Fault, Nth, What};

fn status(status: u16) -> What {
    What::Status(status, "{}".to_owned(), "application/json")
}

#[test]
fn each_request_of_a_paged_event_may_fail_once() {
    let (fake, event) = crowd(700, 5);
    let misp = server(&fake);
    let listed = big(&misp, &event);
    let faults = [status(503), What::CutAfter(0), What::CutAfter(20_000)];
    // The first three are broken by the larger pages.
    let places = [
        ("/objects", 1..=1),
        ("/attributes", 4..=6),
        ("/eventReports", 1..=1),
    ];
    for (on, numbers) in places {
        for (nth, what) in numbers.flat_map(|nth| faults.iter().map(move |what| (nth, what))) {
            fake.heal();
            smaller_pages(&fake);
            fake.fault(Fault {
                on,
                nth: Nth::Only(nth),
                what: what.clone(),
            });
            let came = read(&misp, &event, &listed);
            let told = format!("{on} {nth} {what:?}");
            assert_eq!(came.sizes, [625, 75, 0], "{told}");
            assert_eq!(came.ids(), (1_001..=1_700).collect::<Vec<_>>(), "{told}");
            assert_eq!(came.reports.len(), 1, "{told}");
        }
    }
}

#[test]
fn a_page_that_breaks_down_later_is_halved_where_it_began() {
    let (fake, event) = crowd(6_000, 5);
    let misp = server(&fake);
    let listed = row(&misp, &event);
    fake.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::Only(2),
        what: status(500),
    });
    let came = read(&misp, &event, &listed);
    assert_eq!(
        (came.sizes.clone(), came.ids()),
        (vec![5_000, 1_000, 0], (1_001..=7_000).collect())
    );
    fake.heal();
    fake.fault(Fault {
        on: "/attributes/restSearch",
        nth: Nth::Always,
        what: status(500),
    });
    fake.forget_requests();
    assert!(refusal(&misp, &event, &listed).contains("500"));
    assert_eq!(fake.requests().last().unwrap().body["limit"], 125);
}

#[test]
fn a_page_that_breaks_off_after_a_part_was_handed_over_goes_on_behind_it() {
    let (fake, event) = crowd(26, 200_000);
    let misp = server(&fake);
    let listed = big(&misp, &event);
    for what in [What::CutAfter(4_500_000), What::CutAfter(1_000_000)] {
        fake.heal();
        fake.fault(Fault {
            on: "/attributes/restSearch",
            nth: Nth::Only(1),
            what,
        });
        let came = read(&misp, &event, &listed);
        assert_eq!(came.ids(), (1_001..=1_026).collect::<Vec<_>>());
        assert_eq!(came.sizes, [20, 6, 0]);
    }
}

#[test]
fn a_whole_event_is_asked_for_again_as_long_as_nothing_was_handed_over() {
    let (fake, event) = crowd(26, 200_000);
    let misp = server(&fake);
    let listed = row(&misp, &event);
    for what in [status(503), What::CutAfter(0), What::CutAfter(3_000_000)] {
        fake.heal();
        fake.fault(Fault {
            on: "/events/view",
            nth: Nth::Only(1),
            what,
        });
        let came = read(&misp, &event, &listed);
        assert_eq!(
            (came.sizes.clone(), came.ids()),
            (vec![20, 6], (1_001..=1_026).collect())
        );
        assert_eq!(came.reports.len(), 1);
    }
    fake.heal();
    fake.fault(Fault {
        on: "/events/view",
        nth: Nth::Only(1),
        what: What::CutAfter(4_500_000),
    });
    fake.forget_requests();
    let (came, error) = tried(&misp, &event, &listed);
    assert!(format!("{:#}", error.unwrap_err()).contains("the answer broke off"));
    assert_eq!(
        (came.sizes, asked(&fake)),
        (vec![20], vec![("/events/view".to_owned(), 1)])
    );
}

#[test]
fn an_error_of_the_handler_ends_the_reading_at_once() {
    let (fake, event) = crowd(26, 200_000);
    let misp = server(&fake);
    let (small, large) = (row(&misp, &event), big(&misp, &event));
    fake.fault(Fault {
        on: "/servers/getVersion",
        nth: Nth::Always,
        what: status(503),
    });
    for (listed, path) in [(&small, "/events/view"), (&large, "/attributes/restSearch")] {
        // An error of another server, after which that one would be asked again.
        let failed: Result<()> = misp.version().map(drop);
        fake.forget_requests();
        let mut error = failed.err();
        let mut calls = 0;
        let read = misp.read_chunks(&event, listed, &mut |_| {
            calls += 1;
            error.take().map_or(Ok(()), Err)
        });
        assert!(format!("{:#}", read.unwrap_err()).contains("/servers/getVersion: 503"));
        assert_eq!(
            (calls, asked(&fake).last()),
            (1, Some(&(path.to_owned(), 1)))
        );
    }
}

#[test]
fn refused_reports_are_none_and_lost_ones_an_error() {
    let (fake, event) = crowd(3, 5);
    let misp = server(&fake);
    let listed = big(&misp, &event);
    let with = |what: What| {
        fake.heal();
        fake.fault(Fault {
            on: "/eventReports",
            nth: Nth::Always,
            what,
        });
        let (came, read) = tried(&misp, &event, &listed);
        read.map(|()| (came.rows.len(), came.reports.len()))
    };
    let refused = [
        status(403),
        status(404),
        status(405),
        status(500),
        What::Redirect("https://m.example/".to_owned()),
    ];
    for what in refused {
        assert_eq!(with(what.clone()).unwrap(), (3, 0), "{what:?}");
    }
    for what in [status(503), What::CutAfter(5), What::Body("[{".to_owned())] {
        assert!(with(what.clone()).is_err(), "{what:?}");
    }
    // A server that does not know the filter sends the reports of all events.
    let all = json!([{"EventReport": {"event_id": 7, "name": "ours"}}, {"EventReport": {"event_id": "8"}}, 5]);
    assert_eq!(with(What::Body(all.to_string())).unwrap(), (3, 1));
}
