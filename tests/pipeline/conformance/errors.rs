//! Users that Intercom refuses, loses or changes, and runs that end early.

use std::time::Duration;

use intercom_bulk::domain::run::{ReadBackTotals, State};
use intercom_simulator::{Alteration, Gone, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::{On, workspace};
use crate::intercom::Closed;
use crate::plans::{HAS_AVATAR, faults, with_attributes};
use crate::report::Report;
use crate::verifying::{altered, note, patched, read_back};

super::scenarios! {
    on_each_api: [
        refused_users_have_error_rows_with_the_message,
        users_refused_before_are_refused_again_alone,
        users_deleted_during_the_run_are_counted,
        refusal_of_every_user_stops_the_run,
        list_far_below_the_count_is_incomplete,
        revoked_token_fails_the_run_with_advice,
        values_that_intercom_does_not_keep_are_reported,
        values_of_other_programs_are_no_error,
    ];
    missing_permission_stops_the_run_with_advice on [v2_17, preview] not [
        v1_4 "a revoked token plays it: each request of 1.x needs the same permission"
    ];
}

/// Refuses a share of the users, with an e-mail address in the message.
const REFUSES: &str = "item-error=8%:parameter_invalid:email ann@example.com is invalid";

async fn refused_users_have_error_rows_with_the_message(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&[REFUSES]), ..workspace(400) }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.dead, Vec::<String>::new());
    assert!(report.errors.len() > 10, "{:?}", report.errors);
    assert_eq!((report.users_in_error(), report.errors.len()), (report.lacking.clone(), report.lacking.len()));
    for row in &report.errors {
        assert_eq!(row.code, "parameter_invalid");
        assert!(row.message.contains("is invalid") && !row.message.contains("ann@"), "{}", row.message);
        assert!(row.at.starts_with(on.pick("job job_", "part ", "part ")), "{}", row.at);
    }
    let written = report.cursor.tally.patches - report.errors.len() as u64;
    assert_eq!(report.accounts.totals.written, written);
    let users = if on.reads_back() { 100 } else { 0 };
    let totals = ReadBackTotals { users, kept: users, ..ReadBackTotals::default() };
    assert_eq!(read_back(&report), totals, "users in error are not read back");
}

/// In a second run, the only users to change are those that Intercom always refuses.
async fn users_refused_before_are_refused_again_alone(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&[REFUSES]), ..workspace(300) }).await;
    let first = pipeline.run(Value::Null).await;
    let second = pipeline.run(Value::Null).await;
    assert_eq!(second.state(), State::CompleteWithErrors, "{}", second.reason());
    second.assert_nobody_lost();
    assert_eq!((second.users_in_error(), second.dead.len()), (first.users_in_error(), 0));
    assert_eq!(second.cursor.tally.patches, first.errors.len() as u64);
    let listed = pipeline.run(json!({"users": first.users_in_error()})).await;
    assert_eq!(listed.state(), State::CompleteWithErrors, "{}", listed.reason());
    assert_eq!(listed.users_in_error(), first.users_in_error());
}

/// Users are deleted between their page and their write.
async fn users_deleted_during_the_run_are_counted(on: On) {
    let options = Options { rate_limit_per_10s: 40, ..workspace(300) };
    let pipeline = on.pipeline(HAS_AVATAR, options).await;
    let to_change = Report::to_change(&pipeline) as u64;
    let run = pipeline.start(Value::Null).await;
    while pipeline.state(&run).await != Some(State::Draining) {
        sleep(Duration::from_millis(500)).await;
    }
    let lacking = Report::of(&pipeline, &run).await.lacking;
    let deleted: Vec<String> = lacking.into_iter().rev().take(4).collect();
    assert!(deleted.iter().all(|id| pipeline.world.lose_contact(id, Gone::Deleted)));
    let report = pipeline.until_ended(&run).await;
    report.assert_counts_add_up();
    report.assert_jobs_known();
    report.assert_intercom_respected();
    assert_eq!((report.lacking.len(), report.dead.len()), (0, 0), "all others have the value");
    assert_eq!(report.accounts.totals.written, to_change - 4);
    if on.has_contacts() {
        assert_eq!((report.state(), report.accounts.totals.gone), (State::Complete, 4), "{}", report.reason());
    } else {
        assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
        assert_eq!(report.users_in_error(), deleted.into_iter().collect());
        assert!(report.errors.iter().all(|row| row.code == "not_found"), "{:?}", report.errors);
    }
}

async fn refusal_of_every_user_stops_the_run(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&["bad-item=100%"]), ..workspace(500) }).await;
    let report = pipeline.run(Value::Null).await;
    // A refusal of 50 users one by one may be the fault of an attribute, which can be mended.
    assert_eq!(report.state(), on.pick(State::Failed, State::Paused, State::Failed), "{}", report.reason());
    assert!(report.reason().contains(" alike"), "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!((on.written(&report.world), report.dead.len()), (0, 0));
    assert!(on.writes(&report.world) < 120, "{:?}", report.world.requests);
}

/// Only one kind of request is forbidden.
async fn missing_permission_stops_the_run_with_advice(on: On) {
    let write = on.pick("", "forbid-call=write", "forbid-call=bulk");
    for (fault, by_id) in [("forbid-call=list", false), (write, false), ("forbid-call=read", true)] {
        let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&[fault]), ..workspace(300) }).await;
        let users: Vec<Value> = pipeline.world.users().iter().map(|body| body["id"].clone()).collect();
        let report = pipeline.run(if by_id { json!({"users": users}) } else { Value::Null }).await;
        assert!([State::Failed, State::Paused].contains(&report.state()), "{fault}: {}", report.reason());
        assert!(report.reason().contains("The token lacks a permission"), "{fault}: {}", report.reason());
        assert_eq!((on.written(&report.world), report.dead.len()), (0, 0), "{fault}");
        assert!(on.writes(&report.world) + on.reads(&report.world) < 120, "{fault}: {:?}", report.world.requests);
    }
}

/// A list that ends early is not the whole workspace.
async fn list_far_below_the_count_is_incomplete(on: On) {
    let ends = ["end-list=1", "end-list=2", "end-list=3", "end-list=4", "end-list=5"];
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&ends), ..workspace(450) }).await;
    pipeline.way.disturb("GET /counts", Closed::Counts(5_000));
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    let (count, read) = if on.has_contacts() { (450, 150) } else { (5_000, 450) };
    let reason = report.reason();
    assert!(reason.contains(&format!(" {count} users")) && reason.contains(&format!("after {read}")), "{reason}");
    assert_eq!((report.cursor.tally.users, report.accounts.totals.count), (read, Some(count)));
    report.assert_nobody_lost();
    assert_eq!((on.written(&report.world), report.dead.len()), (report.cursor.tally.patches, 0));
    // A limit does not cover the whole workspace.
    let limited = pipeline.run(json!({"rails": {"limit": 2}})).await;
    assert_eq!((limited.state(), limited.run.totals.unwrap().count), (State::Complete, None));
}

async fn revoked_token_fails_the_run_with_advice(on: On) {
    for requests in [0, 3, 6, 14] {
        let options = Options { latency_ms: 200, ..workspace(700) };
        let revoked = format!("token-revoked-after={requests}");
        let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&[&revoked]), ..options }).await;
        let run = pipeline.start(Value::Null).await;
        while !pipeline.state(&run).await.is_some_and(State::ended) {
            sleep(Duration::from_secs(1)).await;
        }
        // Jobs and their users cannot be read any more. That ends after twelve hours.
        pipeline.rest(Duration::from_hours(13)).await;
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.state(), State::Failed, "{requests}: {}", report.reason());
        assert!(report.reason().contains("token"), "{}", report.reason());
        assert!(report.seconds < 60, "{}", report.seconds);
        report.assert_nobody_lost();
        assert_eq!(report.dead, Vec::<String>::new());
    }
}

async fn values_that_intercom_does_not_keep_are_reported(on: On) {
    for (how, kind, value) in [
        (Alteration::Ignore, "bool", "user.email is present"),
        (Alteration::Null, "int", "7"),
        (Alteration::Trim, "string", "' a '"),
        (Alteration::Cut, "string", "'a long text about this user, and more'"),
        (Alteration::Text, "float", "49.5"),
        (Alteration::Whole, "float", "49.5"),
    ] {
        let data_type = match kind {
            "bool" => "note:boolean",
            "int" => "note:integer",
            "float" => "note:float",
            _ => "note:string",
        };
        let pipeline = on.pipeline(&note(kind, value), with_attributes(&[data_type], altered(how, 30))).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.state(), State::CompleteWithErrors, "{how:?}: {}", report.reason());
        if on.reads_back() {
            let reason = report.reason();
            assert!(reason.starts_with("Intercom did not keep custom_attributes.note as written"), "{how:?}: {reason}");
            assert!(reason.contains(" for 30 of 30 users "), "{how:?}: {reason}");
            assert_eq!(read_back(&report).not_kept, 30);
        } else {
            let named = |row: &intercom_bulk::ledger::ErrorRow| row.message.contains("custom_attributes.note");
            assert!(report.errors.len() == 30 && report.errors.iter().all(named), "{how:?}: {:?}", report.errors);
        }
        assert_eq!(report.dead, Vec::<String>::new());
        report.assert_jobs_known();
        report.assert_counts_add_up();
        report.assert_intercom_respected();
    }
}

async fn values_of_other_programs_are_no_error(on: On) {
    let options = Options { faults: faults(&["others-write=40%"]), ..workspace(60) };
    let report = on.pipeline(HAS_AVATAR, options).await.run(Value::Null).await;
    assert_eq!((report.state(), report.reason()), (State::Complete, ""));
    let ReadBackTotals { users, kept, changed_since, .. } = read_back(&report);
    assert!(report.world.fired["others-write"] > 10 && report.lacking.len() > 10, "{:?}", report.world.fired);
    assert_eq!((changed_since > 10, kept + changed_since), (on.reads_back(), users), "{:?}", read_back(&report));
    assert_eq!(users, if on.reads_back() { patched(&report) } else { 0 });
    assert_eq!((report.errors.len(), report.dead.len()), (0, 0));
    report.assert_counts_add_up();
    report.assert_jobs_known();
}
