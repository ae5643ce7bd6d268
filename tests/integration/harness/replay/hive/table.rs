//! Which exchanges are replayed, what is made before each, and what is known to differ, with the reason.

use super::made::{
    a_case, a_file, after_a_bulk_of_one_unknown, alert_and_case, alert_in_case, alerts,
    alerts_and_those_left_out, an_observable_in_its_place, foreign_case, many, nothing, observable,
    observables, of_path, patched, procedures, tagged_others, ten_iocs, ten_recorded, the_case,
    the_same, thousand, two_cases, two_observables, two_of_three, two_with_former_messages,
    with_an_address,
};
use super::stage::Stage;
use crate::replay::wire::Exchange;

/// One exchange to replay.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Makes what was there before it.
    pub(super) made: fn(&mut Stage, &Exchange),
}

const fn row(name: &'static str, made: fn(&mut Stage, &Exchange)) -> Row {
    Row { name, made }
}

/// What the fake answers otherwise, with the reason; the beginning of a difference.
pub(super) const OF_THE_FAKE: &[(&str, &str, &str)] = &[
    (
        "037-create-alert-bad-json",
        "/message",
        "the words are those of TheHive's parser of JSON",
    ),
    (
        "535-shared-case-extradata-not-owner",
        "/0/extraData",
        "the case is not shared here, and seen by its owner",
    ),
    (
        "536-shared-case-extradata-owner",
        "/0/extraData/shareCount",
        "the case is not shared here",
    ),
];

/// What another real TheHive may answer otherwise, with the reason; the beginning of a difference.
pub(super) const OF_ANOTHER: &[(&str, &str, &str)] = &[
    (
        "036-create-alert-too-large",
        "status 201",
        "how large a body may be is a setting of the server",
    ),
    (
        "053-query-unknown-operation",
        "/message",
        "without a connector to Cortex a query begins with less",
    ),
    ("053-query-unknown-operation", "/errors", "the same"),
    ("532-bad-query", "/message", "the same"),
    ("532-bad-query", "/errors", "the same"),
    (
        "037-create-alert-bad-json",
        "/message",
        "the words are those of the version of the parser",
    ),
    (
        "521-current-user-other-organisation-by-header",
        "/organisation",
        "the recorded organisations were linked",
    ),
    (
        "536-shared-case-extradata-owner",
        "/0/extraData/shareCount",
        "organisations that are not linked share nothing",
    ),
];

/// Exchanges that are not sent to a real TheHive, with the reason.
pub(super) const NOT_FOR_A_REAL_ONE: &[(&str, &str)] = &[
    (
        "016-add-file-207",
        "a race inside TheHive: it loses the file now and then",
    ),
    (
        "535-shared-case-extradata-not-owner",
        "the share is not made",
    ),
    (
        "537-observables-page-of-500",
        "550 observables take a minute and more",
    ),
    ("538-x-total-above-1000", "1,000 observables take minutes"),
];

/// The exchanges.
pub(super) const ROWS: &[Row] = &[
    row("001-status-public-without-key", nothing),
    row("002-status", nothing),
    row("003-user-current", nothing),
    row("004-query-observable-types", nothing),
    row("005-query-alerts-none", nothing),
    row("006-create-alert", nothing),
    row("007-query-alert-by-ref", alerts),
    row("008-patch-alert-description", of_path),
    row("009-query-alerts-since", alerts),
    row("010-query-observables-in", observables),
    row("011-query-observables-page", observables),
    row("012-add-observables", of_path),
    row("013-patch-observable", observable),
    row("014-delete-observable", observable),
    row("015-patch-alert-fields", of_path),
    row("016-add-file-207", of_path),
    row("017-add-file", of_path),
    row("018-wrong-key", nothing),
    row("019-no-key", nothing),
    row("020-wrong-key-query", nothing),
    row("021-organisation-unknown", nothing),
    row("022-merge-cases", two_cases),
    row("023-v1-status-without-key", nothing),
    row("024-unknown-route", nothing),
    row("025-delete-alert-v0", of_path),
    row("026-readonly-create-alert", nothing),
    row("027-admin-create-alert", nothing),
    row("028-create-alert-duplicates-inline", nothing),
    row("029-create-alert-again", the_same),
    row("030-create-alert-unknown-type", nothing),
    row("031-create-alert-unknown-type-look", nothing),
    row("032-create-alert-unknown-template", nothing),
    row("033-create-alert-missing-title", nothing),
    row("034-create-alert-odd-values", nothing),
    row("035-create-alert-long-data", nothing),
    row("036-create-alert-too-large", nothing),
    row("037-create-alert-bad-json", nothing),
    row("038-create-alert-blank-data", nothing),
    row("039-add-observables-207", with_an_address),
    row("040-add-observables-all-there", with_an_address),
    row("041-add-observables-same-twice", of_path),
    row("042-add-observables-unknown-type", of_path),
    row("043-add-observables-unknown-alert", nothing),
    row("044-add-observables-readonly", of_path),
    row("045-add-observables-blank", of_path),
    row("046-add-observables-long", of_path),
    row("047-patch-observable-empty-message", observable),
    row("048-patch-observable-unknown", nothing),
    row("049-delete-observable-unknown", nothing),
    row("050-patch-alert-unknown-field", of_path),
    row("051-patch-alert-unknown", nothing),
    row("052-patch-alert-readonly", of_path),
    row("053-query-unknown-operation", nothing),
    row("054-query-unknown-field", nothing),
    row("055-create-case-of-alert", patched),
    row("056-patch-observables-bulk", two_observables),
    row("057-merge-alert-into-case", alert_and_case),
    row("058-alert-in-case", alert_in_case),
    row("059-delete-alert-v1", of_path),
    row("060-organisation-unknown-query", nothing),
    row("500-status-public-absent", nothing),
    row("501-status", nothing),
    row("502-current-user-read-only", nothing),
    row("503-case-with-extradata", the_case),
    row("504-count-iocs-before", ten_iocs),
    row("505-observables-page-1", ten_recorded),
    row("506-observables-page-2-empty", ten_iocs),
    row("507-count-iocs-after", ten_iocs),
    row("508-alerts-of-case-none", a_case),
    row("509-observables-page-with-file", a_file),
    row("510-attachment-zip-download", a_file),
    row("511-attachment-plain-download", a_file),
    row("512-attachment-head", a_file),
    row("513-attachment-not-found", nothing),
    row("514-attachment-zip-not-found", nothing),
    row("515-attachment-bad-id", nothing),
    row("516-attachment-no-key", a_file),
    row("517-query-case-not-found", nothing),
    row("518-get-case-not-found", nothing),
    row("519-query-case-of-other-organisation", foreign_case),
    row("520-query-other-organisation-by-header", foreign_case),
    row("521-current-user-other-organisation-by-header", nothing),
    row("522-current-user-unknown-organisation", nothing),
    row("523-query-unknown-organisation", a_case),
    row("524-admin-key-sees-no-case", a_case),
    row("525-admin-key-with-organisation", the_case),
    row("526-wrong-key", a_case),
    row("527-no-scheme", a_case),
    row("528-no-key", a_case),
    row("529-no-right-add-observable", a_case),
    row("530-no-right-patch-case", a_case),
    row("531-unknown-route", a_case),
    row("532-bad-query", nothing),
    row("533-bad-page", a_case),
    row("534-count-of-case-not-there", nothing),
    row("535-shared-case-extradata-not-owner", the_case),
    row("536-shared-case-extradata-owner", the_case),
    row("537-observables-page-of-500", many),
    row("538-x-total-above-1000", thousand),
    row("539-alerts-of-case", alerts),
    row(
        "580-query-observable-with-its-case",
        an_observable_in_its_place,
    ),
    row(
        "581-query-observable-of-an-alert",
        an_observable_in_its_place,
    ),
    row(
        "582-query-audits-of-observables-v0",
        two_with_former_messages,
    ),
    row("583-query-alerts-but-for-some", alerts_and_those_left_out),
    row("584-patch-observables-bulk-one-unknown", two_of_three),
    row(
        "585-query-observables-after-bulk-one-unknown",
        after_a_bulk_of_one_unknown,
    ),
    row("586-patch-observables-bulk-odd-value", two_observables),
    row("587-query-observables-by-the-start-of-a-tag", tagged_others),
    row("594-query-case-with-links", the_case),
    row("595-query-procedures-of-case", procedures),
    row("596-query-procedures-of-unknown-case", nothing),
    row("590-query-alert-by-id", alerts),
    row("591-query-iocs-of-an-alert", observables),
    row("592-query-alert-in-a-case", alerts),
    row("593-query-alert-not-found", nothing),
];
