//! Plans made again and again, against a MISP that is a list of attributes.

use super::super::case_report::ReportDraft;
use super::*;
use crate::export::draft::Doubts;
use crate::ids::EventRole;
use crate::markings::Tlp;
use crate::misp::wire::Attribute;
use proptest::prelude::*;
use serde_json::{Value, json};

fn draft_of(values: &[String]) -> EventDraft {
    let ids = Ids::new("here", None);
    let uuid = ids.event_uuid("~1", "");

    let attribute = |(index, value): (usize, &String)| AttributeDraft {
        uuid: ids.part_uuid(&uuid, &["domain", value]),
        place: None,
        kind: "domain".into(),
        category: "Network activity".into(),
        value: value.clone(),
        to_ids: true,
        comment: String::new(),
        former: Vec::new(),
        tlp: Tlp::Amber,
        is_stricter: false,
        is_closed: false,
        is_uncorrelated: false,
        tags: Vec::new(),
        from: vec![index],
        file: None,
    };

    EventDraft {
        uuid,
        info: "T".into(),
        date: "2026-01-01".into(),
        threat_level: 2,
        analysis: 0,
        distribution: 0,
        sharing_group: None,
        extends: None,
        tlp: Tlp::Amber,
        pap: None,
        tags: Vec::new(),
        report: ReportDraft::default(),
        organisation: json!({}),
        objects: Vec::new(),
        attributes: values.iter().enumerate().map(attribute).collect(),
        withheld: Vec::new(),
        kept: Vec::new(),
        spared: Vec::new(),
        doubts: Doubts::default(),
        role: EventRole::Own,
        only_tightens: false,
    }
}

/// What a MISP holds after these attributes arrived.
fn content_of<'a>(attributes: impl Iterator<Item = &'a AttributeDraft>) -> EventContent {
    let attribute = |one: &AttributeDraft| {
        attribute(json!({
            "uuid": one.uuid, "type": one.kind, "category": one.category, "value": one.value, "to_ids": one.to_ids,
            "comment": one.comment, "distribution": one.distribution().to_string(),
        }))
    };

    let event = json!({"info": "T", "date": "2026-01-01", "threat_level_id": "2", "analysis": "0", "Tag": [{"name": "TLP:AMBER"}]});
    EventContent {
        event: serde_json::from_value(event).unwrap(),
        attributes: attributes.map(attribute).collect(),
        objects: std::collections::HashMap::new(),
        open_objects: HashSet::new(),
        reports: Vec::new(),
        unreadable: Vec::new(),
    }
}

fn attribute(value: Value) -> Attribute {
    serde_json::from_value(value).unwrap()
}

fn with_rules<T>(
    whole: Result<(), &str>,
    removed: RemovedIocPolicy,
    work: impl FnOnce(&DiffContext<'_>) -> T,
) -> T {
    let (ids, tags) = (Ids::new("here", None), TagResolution::default());
    let whole = whole.map_err(|why| SkipRule::CaseIsNotWhole(why.to_owned()));
    work(&DiffContext {
        ids: &ids,
        removed,
        whole: whole.as_ref().copied(),
        is_case: true,
        is_public: false,
        tags: &tags,
    })
}

fn make_plan(wanted: &EventDraft, held: Option<&EventContent>) -> Plan {
    with_rules(Ok(()), RemovedIocPolicy::Unflag, |rules| {
        Plan::new(wanted, held, rules)
    })
}

fn retractions(plan: &Plan) -> impl Iterator<Item = &Planned> {
    plan.attributes
        .iter()
        .filter(|planned| planned.unwanted().is_some())
}

fn values(number: usize) -> Vec<String> {
    (0..number).map(|n| format!("host-{n}.example")).collect()
}

/// What a MISP makes of a plan's changes.
fn apply_plan(held: &mut EventContent, plan: &Plan, wanted: &EventDraft) {
    for edit in plan.edits() {
        let uuid = edit.uuid.to_string();
        for attribute in held.attributes.iter_mut().filter(|one| one.uuid == uuid) {
            let change = edit.change;
            attribute.to_ids = change.to_ids.or(attribute.to_ids);
            attribute.deleted = change.deleted.or(attribute.deleted);
            attribute.comment = change
                .comment
                .clone()
                .unwrap_or_else(|| attribute.comment.clone());
            attribute.distribution = if change.close {
                Some(0)
            } else {
                attribute.distribution
            };
        }
    }

    held.attributes
        .extend(super::tests::content_of(plan.additions(wanted)).attributes);
}

proptest! {
    #[test]
    fn a_second_plan_is_empty_whatever_arrived_before(
        values in prop::collection::btree_set("[a-z]{1,8}", 0..20),
        arrived in prop::collection::vec(any::<bool>(), 20),
    ) {
        let wanted = draft_of(&values.into_iter().collect::<Vec<_>>());
        // A first run that broke off anywhere, then a second one that finishes.
        let before = wanted.attributes.iter().zip(&arrived).filter(|(_, there)| **there).map(|(attribute, _)| attribute);
        let before = content_of(before);
        let first = make_plan(&wanted, Some(&before));
        let after = content_of(wanted.attributes.iter());
        prop_assert_eq!(first.additions(&wanted).count() + before.attributes.len(), wanted.attributes.len());
        let outcome = with_rules(Ok(()), RemovedIocPolicy::Unflag, |rules| {
            first.results(&wanted, &WriteLog::default(), Some(&Plan::compare(&wanted, Some(&after), rules)))
        });
        prop_assert!(outcome.iter().all(|result| matches!(result.verdict, Verdict::Created | Verdict::Unchanged)));
        let again = make_plan(&wanted, Some(&after));
        prop_assert!(again.is_empty() && again.remarks.is_empty());
    }

    #[test]
    fn iocs_that_come_and_go_end_where_the_case_is(
        steps in prop::collection::vec(prop::collection::vec(any::<bool>(), 12), 1..6),
        delete in any::<bool>(),
    ) {
        let removed = if delete { RemovedIocPolicy::Delete } else { RemovedIocPolicy::Unflag };
        let all = draft_of(&values(12));
        let mut event = content_of([].iter());

        for flags in steps {
            let now: Vec<_> = values(12).into_iter().zip(&flags).filter(|(_, flag)| **flag).map(|(value, _)| value).collect();
            let now = draft_of(&now);
            let (first, again) = with_rules(Ok(()), removed, |rules| {
                let first = Plan::new(&now, Some(&event), rules);
                apply_plan(&mut event, &first, &now);
                (first, Plan::new(&now, Some(&event), rules))
            });

            prop_assert!(again.is_empty(), "{first:?} {again:?}");
            let skipped = retractions(&first).any(|one| matches!(one.action, Action::Skip(_)));
            let live = |uuid: Uuid| {
                let one = event.attributes.iter().find(|one| one.uuid == uuid.to_string());
                one.is_some_and(|one| one.deleted != Some(true) && one.to_ids == Some(true))
            };
            for (attribute, flag) in all.attributes.iter().zip(&flags) {
                prop_assert!(live(attribute.uuid) == *flag || (skipped && !*flag));
            }
        }
    }
}

#[test]
fn without_an_event_all_is_to_be_made() {
    let wanted = draft_of(&values(1));
    let draft = &wanted.attributes[0];
    let plan = make_plan(&wanted, None);

    assert_eq!(
        plan,
        Plan {
            create: true,
            attributes: vec![Planned::wanted(draft, draft.uuid, Action::Add)],
            ..Plan::default()
        }
    );

    assert_eq!(plan.forecast_results(), [Verdict::Created.into()]);
}

#[test]
fn what_is_missing_afterwards_is_refused_lost_not_verified_or_not_sent() {
    let wanted = draft_of(&values(1));
    let first = make_plan(&wanted, None);
    let nothing = content_of([].into_iter());
    let said = |sending: &WriteLog, after: Option<&EventContent>| {
        with_rules(Ok(()), RemovedIocPolicy::Unflag, |rules| {
            let again = after.map(|after| Plan::compare(&wanted, Some(after), rules));
            let outcome = first.results(&wanted, sending, again.as_ref());
            outcome[0].verdict.reason().unwrap().to_owned()
        })
    };

    let uuid = wanted.attributes[0].uuid;
    let mut sending = WriteLog::default();
    assert_eq!(said(&sending, Some(&nothing)), "not sent");
    assert!(!sending.had_effect());
    sending.record_sent([uuid], false);
    assert_eq!(said(&sending, Some(&nothing)), "not verified");
    sending.record_sent([uuid], true);
    sending.is_unseen = true;
    assert_eq!(said(&sending, None), "not verified");
    sending.is_unseen = false;
    assert!(said(&sending, None).starts_with("lost"));
    assert!(said(&sending, Some(&nothing)).starts_with("lost"));
    sending.reasons.insert(uuid, "refused by MISP: bad".into());
    assert_eq!(said(&sending, Some(&nothing)), "refused by MISP: bad");
}

#[test]
fn a_published_event_is_touched_only_for_its_iocs() {
    let mut wanted = draft_of(&values(2));
    let mut event = content_of(wanted.attributes.iter());
    event.event.published = Some(true);
    wanted.info = "Another".into();
    wanted.attributes[0].tags = vec!["new".into()];
    let waiting = make_plan(&wanted, Some(&event));
    assert!(waiting.is_empty());
    assert!(
        waiting.remarks[0].contains("2 differences wait for the next change"),
        "{:?}",
        waiting.remarks
    );

    event.attributes.pop();
    let reason = make_plan(&wanted, Some(&event));

    assert_eq!(
        (
            reason.head.info.as_deref(),
            reason.additions(&wanted).count()
        ),
        (Some("Another"), 1)
    );
    assert_eq!(reason.edits().len(), 1);
    event.attributes = content_of(wanted.attributes.iter()).attributes;
    wanted.attributes[0].tlp = Tlp::Red;
    wanted.attributes[0].is_closed = true;
    assert!(!make_plan(&wanted, Some(&event)).is_empty());
}

#[test]
fn many_at_once_or_a_case_that_is_not_whole_retract_nothing() {
    let all = draft_of(&values(60));
    let event = content_of(all.attributes.iter());
    let retracted = |number: usize, whole: Result<(), &str>, removed: RemovedIocPolicy| {
        let rest = draft_of(&values(60 - number));
        let plan = with_rules(whole, removed, |rules| {
            Plan::new(&rest, Some(&event), rules)
        });
        (
            plan.edits().len(),
            retractions(&plan).count(),
            plan.alarms.len(),
        )
    };
    assert_eq!(retracted(12, Ok(()), RemovedIocPolicy::Unflag), (12, 12, 0));
    assert_eq!(retracted(13, Ok(()), RemovedIocPolicy::Unflag), (0, 13, 1));
    assert_eq!(
        retracted(1, Err("shared"), RemovedIocPolicy::Unflag),
        (0, 1, 0)
    );

    assert_eq!(retracted(1, Ok(()), RemovedIocPolicy::Keep), (0, 1, 0));
}

#[test]
fn attributes_of_others_are_never_retracted_and_a_reviewers_second_thought_stays() {
    let mut event = content_of(draft_of(&values(1)).attributes.iter());
    event.attributes.push(attribute(
        json!({"uuid": Uuid::nil(), "type": "domain", "value": "theirs.example", "to_ids": true}),
    ));
    let nothing = draft_of(&[]);
    let first = make_plan(&nothing, Some(&event));
    assert_eq!(retractions(&first).count(), 1);
    apply_plan(&mut event, &first, &nothing);

    assert_eq!(
        (
            event.attributes[0].to_ids,
            event.attributes[0].comment.as_str()
        ),
        (Some(false), "[retracted by cortex-misp]")
    );

    event.attributes[0].to_ids = Some(true);
    assert!(make_plan(&nothing, Some(&event)).is_empty());
}

#[test]
fn closed_items_stay_with_their_organisation() {
    let mut attribute = draft_of(&values(1)).attributes.remove(0);
    assert_eq!(
        (attribute.distribution(), attribute.all_tags().count()),
        (5, 0)
    );
    (attribute.tlp, attribute.is_stricter, attribute.is_closed) = (Tlp::AmberStrict, true, true);

    assert_eq!(
        (
            attribute.distribution(),
            attribute.all_tags().collect::<Vec<_>>()
        ),
        (0, vec!["tlp:amber+strict"])
    );
}

/// Whoever confirms that an event is his case's, and whoever's it is: what the other case put there
/// stays, title and all.
#[test]
fn in_another_cases_event_nothing_of_that_case_is_changed_retracted_or_named() {
    let theirs = draft_of(&values(3));
    let there = content_of(theirs.attributes.iter());
    let ids = Ids::new("here", None).for_case(("~2", "2"), EventRole::Guest, true);
    let mut mine = draft_of(&["mine.example".to_owned()]);
    (mine.role, mine.info, mine.threat_level, mine.analysis) =
        (EventRole::Guest, "Mine".into(), 1, 2);
    mine.attributes[0].uuid = ids.part_uuid(&mine.uuid, &["domain", "mine.example"]);

    with_rules(Ok(()), RemovedIocPolicy::Delete, |rules| {
        let plan = Plan::new(
            &mine,
            Some(&there),
            &DiffContext {
                ids: &ids,
                ..*rules
            },
        );

        // Nothing beside: neither retracted nor retained.
        let actions: Vec<_> = plan
            .attributes
            .iter()
            .map(|planned| &planned.action)
            .collect();
        assert_eq!(
            (&plan.head, actions),
            (&EventPatch::default(), vec![&Action::Add])
        );
        assert_eq!(plan.brought, 0);
        assert_eq!((plan.remarks, plan.alarms), (vec![], vec![]));
    });
}

/// A case that TheHive shares, as both sides exported it: two values each.
struct SharedCase {
    base: Ids,
    owner: Ids,
    shared: Ids,
    /// What both brought, the owner's first.
    all: EventDraft,
    there: EventContent,
    /// What is left of it: the first value.
    left: EventDraft,
}

impl SharedCase {
    fn new() -> Self {
        let base = Ids::new("here", None);
        let [owner, shared] =
            [true, false].map(|is_owner| base.for_case(("~1", ""), EventRole::Own, is_owner));
        let mut all = draft_of(&values(4));
        name_parts(&mut all, 2, &shared);
        let there = content_of(all.attributes.iter());
        let left = EventDraft {
            uuid: all.uuid,
            ..draft_of(&values(1))
        };

        Self {
            base,
            owner,
            shared,
            all,
            there,
            left,
        }
    }
}

/// Gives the attributes from this one on the uuids that they have by these ids.
fn name_parts(wanted: &mut EventDraft, first: usize, ids: &Ids) {
    for attribute in &mut wanted.attributes[first..] {
        attribute.uuid = ids.part_uuid(&wanted.uuid, &["domain", &attribute.value]);
    }
}

fn attribute_uuids(attributes: &[AttributeDraft]) -> Vec<Uuid> {
    attributes.iter().map(|one| one.uuid).collect()
}

#[test]
fn the_owner_of_a_shared_case_takes_back_its_own_and_the_others_nothing() {
    let case = SharedCase::new();

    with_rules(Ok(()), RemovedIocPolicy::Unflag, |rules| {
        let rules = DiffContext {
            ids: &case.owner,
            ..*rules
        };
        let plan = Plan::new(&case.left, Some(&case.there), &rules);

        let retracted: Vec<_> = retractions(&plan).map(|one| one.uuid).collect();
        assert_eq!(
            (retracted, plan.brought),
            (vec![case.all.attributes[1].uuid], 2)
        );
    });
}

/// A feed shows everything to everyone: nothing of a case that became RED stays there, whoever
/// brought it.
#[test]
fn all_of_a_shared_case_that_became_red_is_taken_out_of_a_feed() {
    let case = SharedCase::new();
    let red = EventDraft {
        tlp: Tlp::Red,
        attributes: Vec::new(),
        ..case.left.clone()
    };

    with_rules(Ok(()), RemovedIocPolicy::Unflag, |rules| {
        let rules = DiffContext {
            ids: &case.owner,
            is_public: true,
            ..*rules
        };
        let plan = Plan::new(&red, Some(&case.there), &rules);

        assert_eq!((retractions(&plan).count(), plan.brought), (4, 0));
    });
}

#[test]
fn who_shares_a_case_of_others_takes_nothing_back() {
    let case = SharedCase::new();

    with_rules(Err("shared"), RemovedIocPolicy::Unflag, |rules| {
        let rules = DiffContext {
            ids: &case.shared,
            ..*rules
        };
        let plan = Plan::new(&case.left, Some(&case.there), &rules);

        assert!(
            retractions(&plan).all(|one| !one.action.needs_write()),
            "{plan:?}"
        );
    });
}

#[test]
fn what_the_other_side_of_a_shared_case_has_is_taken_by_its_uuid() {
    let case = SharedCase::new();
    let mut wanted = draft_of(&values(3));
    name_parts(&mut wanted, 0, &case.shared);

    let joined = wanted.adopt_other_uuids(
        &draft_of(&values(3)),
        &case.there,
        (&case.shared, &case.base),
    );

    assert_eq!(
        attribute_uuids(&joined.attributes),
        attribute_uuids(&case.all.attributes[..3])
    );
}
