//! A case that the key's user does not see, as a restricted one of TheHive 5.5 and later that does not name the user: the
//! message says so, and nothing of it is taken back.

use super::desk::{Desk, changes};
use crate::program::failure;

#[test]
fn a_case_that_is_not_shown_may_be_restricted_and_keeps_what_is_in_misp() {
    const ADVICE: &str = "; this may be a restricted case: allow the user ";
    for (desk, is_said) in Desk::both().into_iter().zip([false, true]) {
        desk.add_domains(2);
        desk.export();
        let before = desk.event();
        desk.thehive.world().give(&desk.case, "others");

        let report = desk.export();
        let said = failure(&report);
        assert!(
            said.contains("the case does not exist, or the user of"),
            "{said}"
        );
        assert_eq!(said.contains(ADVICE), is_said, "{said}");
        assert_eq!(changes(&before, &desk.event()), [""; 0]);

        let report = desk.run(&desk.click(0));
        assert_eq!(failure(&report).contains(ADVICE), is_said, "{report:#}");
        desk.wrote_nothing();
    }
}
