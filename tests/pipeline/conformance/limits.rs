//! Limits of a run, and canaries.

use intercom_bulk::domain::run::State;
use intercom_simulator::Options;
use serde_json::{Value, json};

use super::api::{On, workspace};
use crate::limits::FAILS_FOR_SOME;
use crate::plans::{HAS_AVATAR, MISSPELT, faults};
use crate::report::Report;
use crate::verifying::read_back;

super::scenarios! {
    on_each_api: [
        run_above_max_changes_by_one_user_writes_nothing,
        run_within_max_changes_writes_all,
        max_errors_ends_the_run,
        unseen_attribute_pauses_the_run,
        canary_pauses_and_a_resume_goes_on_with_all_users,
    ];
}

/// The users of a workspace, whose pages no API fills.
const USERS: u64 = 380;

async fn to_change(on: On) -> u64 {
    Report::to_change(&on.pipeline(HAS_AVATAR, workspace(USERS as usize)).await) as u64
}

async fn run_above_max_changes_by_one_user_writes_nothing(on: On) {
    let most = to_change(on).await;
    // The last user exceeds the number, and the percentage at the end.
    let percent = (most * 100 - 1) / USERS;
    for over in [json!({"users": most - 1}), json!({"percent": percent})] {
        let pipeline = on.pipeline(HAS_AVATAR, workspace(USERS as usize)).await;
        let report = pipeline.run(json!({"rails": {"max_changes": over}})).await;
        assert_eq!(report.state(), State::Failed, "{}", report.reason());
        assert!(report.reason().contains("(max_changes); nothing was written"), "{}", report.reason());
        assert_eq!((on.writes(&report.world), on.reads(&report.world)), (0, 0), "{:?}", report.world.requests);
        assert!(on.lists(&report.world) >= USERS.div_ceil(on.page_users), "the last page exceeds the limit");
        report.assert_nobody_lost();
        assert_eq!(report.dead, Vec::<String>::new());
    }
}

async fn run_within_max_changes_writes_all(on: On) {
    let most = to_change(on).await;
    for within in [json!({"users": most}), json!({"percent": (most * 100).div_ceil(USERS)})] {
        let pipeline = on.pipeline(HAS_AVATAR, workspace(USERS as usize)).await;
        let report = pipeline.run(json!({"rails": {"max_changes": within, "max_errors": 0}})).await;
        report.assert_complete();
        assert_eq!((on.written(&report.world), report.run.held_back), (most, false));
    }
}

/// The plan fails for some users, or Intercom refuses them.
async fn max_errors_ends_the_run(on: On) {
    let refusals = &["item-error=30%:parameter_invalid:name is invalid"][..];
    for (plan, texts) in [(FAILS_FOR_SOME, &[][..]), (HAS_AVATAR, refusals)] {
        let pipeline = on.pipeline(plan, Options { faults: faults(texts), ..workspace(500) }).await;
        let report = pipeline.run(json!({"rails": {"max_errors": 4}})).await;
        assert_eq!(report.state(), State::Failed, "{}", report.reason());
        assert!(report.reason().contains("max_errors") && report.errors.len() > 4, "{}", report.reason());
        assert_eq!(on.writes(&report.world) == 0, texts.is_empty(), "{:?}", report.world.requests);
        report.assert_nobody_lost();
        assert_eq!(report.dead, Vec::<String>::new());
    }
}

/// The first page is sent before: one page is too few to know.
async fn unseen_attribute_pauses_the_run(on: On) {
    for count in [80, 350] {
        let pipeline = on.pipeline(MISSPELT, workspace(count)).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!((report.state(), report.cursor.tally.users), (State::Paused, count as u64), "{}", report.reason());
        assert!(report.reason().contains("custom_attributes.plann"), "{}", report.reason());
        assert_eq!(on.written(&report.world) > 0, count > 100, "a workspace of one page is not written to");
        report.assert_nobody_lost();
        let accepted = pipeline.run(json!({"rails": {"accept_unseen": true}})).await;
        accepted.assert_complete();
        assert_eq!(pipeline.state(&report.run.id).await, Some(State::Cancelled), "the paused run gave way");
    }
}

async fn canary_pauses_and_a_resume_goes_on_with_all_users(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, workspace(500)).await;
    let to_change = Report::to_change(&pipeline) as u64;
    let canary = pipeline.run(json!({"rails": {"limit": 100, "then_pause": true}})).await;
    assert_eq!((canary.state(), canary.cursor.tally.users), (State::Paused, 100), "{}", canary.reason());
    let written = on.written(&canary.world);
    assert!((1..=100).contains(&written) && canary.accounts.settled(), "{written}");
    assert_eq!(canary.accounts.totals.written, written, "what was sent is checked");
    let reason = canary.reason();
    assert!(reason.starts_with("the first 100 users are done (then_pause): "), "{reason}");
    let kept = format!("; {written} of {written} read back are as written");
    assert_eq!(
        (reason.contains(&kept), on.reads(&canary.world)),
        (on.reads_back(), if on.reads_back() { written } else { 0 })
    );
    assert!(reason.ends_with("A resume goes on with all users"), "{reason}");
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    let report = pipeline.until_ended(&canary.run.id).await;
    report.assert_complete();
    assert_eq!(on.written(&report.world), to_change, "no user was sent twice");
    assert_eq!((report.run.generation, report.run.canary_ended), (2, Some(1)));
    let checked = if on.reads_back() { (to_change - written).min(100) } else { 0 };
    assert_eq!(u64::from(read_back(&report).kept), checked, "the rest is checked, too");
}
