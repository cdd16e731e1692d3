//! Users that Intercom refuses: one item in a job's feed, or the whole request because of one user.

use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_bulk::domain::user::User;
use intercom_simulator::{Fault, Options, Quirks};
use serde_json::{Value, json};

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

async fn with_faults(faults: Vec<Fault>) -> Report {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(650) }).await;
    pipeline.run(Value::Null).await
}

fn item_error(percent: f64) -> Fault {
    Fault::ItemError { percent, code: "invalid".into(), message: "email ann@example.com invalid".into() }
}

#[tokio::test(start_paused = true)]
async fn rate_limited_items_are_resent() {
    for percent in [3.0, 60.0, 100.0] {
        let report = with_faults(vec![Fault::ItemLimited(percent)]).await;
        report.assert_complete();
        assert!(report.jobs.iter().any(|job| job.again.is_some()));
        assert!(report.world.items > report.cursor.tally.patches, "{percent} % went twice");
    }
}

/// A 429 between two requests for one part: the part is leased again in the same invocation.
#[tokio::test(start_paused = true)]
async fn requests_around_a_429_keep_their_own_changes() {
    for limited in 2..8 {
        let faults = vec![Fault::BadItem(4.0), Fault::LimitBulkBare(limited), item_error(50.0)];
        let report = Pipeline::new(HAS_AVATAR, Options { faults, ..users(200) }).await.run(Value::Null).await;
        report.assert_jobs_known();
        assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    }
}

/// After three attempts, each user has an error row.
#[tokio::test(start_paused = true)]
async fn always_rate_limited_items_become_errors() {
    let fault = Fault::ItemError {
        percent: 4.0,
        code: "rate_limit_exceeded".into(),
        message: "Exceeded rate limit of 83 in 10_seconds".into(),
    };
    let report = with_faults(vec![fault]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.users_in_error(), report.lacking);
    let tries = report.world.items - (report.cursor.tally.patches - report.errors.len() as u64);
    assert_eq!(tries, 3 * report.errors.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn error_feed_is_read_to_its_last_page() {
    for size in [1, 7] {
        let report = with_faults(vec![item_error(40.0), Fault::FeedPageSize(size)]).await;
        assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
        report.assert_nobody_lost();
        assert_eq!(report.users_in_error(), report.lacking);
    }
}

#[tokio::test(start_paused = true)]
async fn limited_and_invalid_items_are_distinguished() {
    let report = with_faults(vec![item_error(10.0), Fault::ItemLimited(30.0)]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.users_in_error(), report.lacking);
}

#[tokio::test(start_paused = true)]
async fn refused_request_is_halved_to_one_bad_item() {
    let report = with_faults(vec![Fault::BadItem(1.0)]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.users_in_error(), report.lacking);
    assert!((1..=15).contains(&report.errors.len()), "{:?}", report.errors);
}

/// For each error status: the other users succeed and each bad user has a row.
#[tokio::test(start_paused = true)]
async fn poison_user_fails_alone() {
    for status in [404, 409, 410, 422, 423, 500, 503] {
        for percent in [0.5, 4.0] {
            let report = with_faults(vec![Fault::PoisonItem { status, percent }]).await;
            assert_eq!(report.state(), State::CompleteWithErrors, "{status}: {}", report.reason());
            report.assert_nobody_lost();
            assert_eq!(report.users_in_error(), report.lacking, "{status}");
            assert_eq!(report.users_in_error(), report.world.poisoned.iter().cloned().collect(), "{status}");
            assert!(report.errors.iter().all(|row| row.message.contains(&status.to_string())), "{:?}", report.errors);
            let (bad, parts) = (report.errors.len() as u64, report.cursor.parts);
            let posts = report.world.requests["POST /bulk/users"];
            assert!(posts <= parts + 28 * bad, "{status}: {posts} requests for {parts} parts and {bad} bad users");
            assert!(report.seconds < 600, "{status}: {} s", report.seconds);
        }
    }
}

/// The last user cannot tell an outage from its own fault. This ends after hours, before the
/// deadline.
#[tokio::test(start_paused = true)]
async fn last_poison_user_does_not_block_the_run() {
    let poison = Fault::PoisonItem { status: 500, percent: 100.0 };
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: vec![poison], ..users(30) }).await;
    let plan = &pipeline.plan;
    let users = pipeline.world.users().into_iter().filter_map(intercom_bulk::domain::user::User::new);
    let user = users.filter(|user| plan.evaluate(user).patch.is_some()).map(|user| user.id().to_string()).next();
    let report = pipeline.run(json!({ "users": [user.unwrap()] })).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    assert!(report.errors[0].message.contains("500 server_error"), "{:?}", report.errors);
    assert!((3 * 3600..4 * 3600).contains(&report.seconds), "{}", report.seconds);
}

/// Users who lack the value, and one whose requests all fail: in their order, those before it first.
async fn two_and_a_poisoned_one(options: &Options) -> [String; 3] {
    let pipeline = Pipeline::new(HAS_AVATAR, options.clone()).await;
    let all = pipeline.world.users().into_iter().filter_map(User::new);
    let lacks = all.filter(|user| pipeline.plan.evaluate(user).patch.is_some()).map(|user| user.id().to_string());
    let lacks: Vec<String> = lacks.collect();
    let poisoned = pipeline.run(Value::Null).await.world.poisoned;
    let mut good = lacks.into_iter().filter(|user| !poisoned.contains(user));
    [good.next().unwrap(), good.next().unwrap(), poisoned[0].clone()]
}

/// The last request of a job is for the user at fault, so that another user is sent a second time as a control.
#[tokio::test(start_paused = true)]
async fn control_is_no_further_user() {
    let options = Options { faults: vec![Fault::PoisonItem { status: 500, percent: 14.0 }], ..users(60) };
    let listed = two_and_a_poisoned_one(&options).await;
    let report = Pipeline::new(HAS_AVATAR, options).await.run(json!({ "users": listed })).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_counts_add_up();
    let totals = &report.accounts.totals;
    assert_eq!((totals.sent, totals.written, totals.errors), (2, 2, 1));
    assert!(report.world.items > 2, "no user was sent as a control");
}

/// A process dies between the error of a user and the job of the others. Then Intercom accepts the user.
#[tokio::test(start_paused = true)]
async fn accepted_user_of_a_job_has_no_error_of_an_interrupted_attempt() {
    let options = Options { faults: vec![Fault::PoisonItem { status: 422, percent: 14.0 }], ..users(60) };
    let [one, other, poisoned] = two_and_a_poisoned_one(&options).await;
    let mut pipeline = Pipeline::new(HAS_AVATAR, options).await;
    pipeline.guard.hang("submit", "TransactWriteItems", Duration::from_secs(20));
    let run = pipeline.start(json!({ "users": [poisoned, one, other] })).await;
    pipeline.until_an_error_is_recorded().await;
    pipeline.crash().await;
    pipeline.world.cure([&poisoned]);
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.errors, [], "{poisoned}");
    assert_eq!((report.state(), report.accounts.totals.written), (State::Complete, 3));
}

/// A plan's next run changes only the users that Intercom cannot take, in several parts.
#[tokio::test(start_paused = true)]
async fn run_of_users_who_failed_before_ends() {
    let poison = Fault::PoisonItem { status: 500, percent: 14.0 };
    let options = Options { faults: vec![poison], page_size: 53, ..users(260) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::CompleteWithErrors, "{}", first.reason());
    let second = pipeline.run(Value::Null).await;
    assert_eq!(second.state(), State::CompleteWithErrors, "{}", second.reason());
    assert!(second.cursor.parts > 3 && second.cursor.tally.patches >= 20, "{:?}", second.cursor.tally);
    assert_eq!(second.users_in_error(), first.users_in_error());
    assert!(second.seconds < 3600, "{} s", second.seconds);
}

/// A plan whose values are read in another form.
const SAME_NAMES: &str = r#"
    name = "same-names"
    [set.name]
    type = "string"
    value = "\"O'Neil & Sons <3\""
    [set.company.name]
    type = "string"
    company_id = "user.companies.companies | map(attribute='company_id')"
    value = "'Smith & Sons'"
"#;

#[tokio::test(start_paused = true)]
async fn escaped_names_are_sent_once() {
    let quirks = Quirks { escape_names: true, ..Quirks::default() };
    let pipeline = Pipeline::new(SAME_NAMES, Options { quirks, ..users(400) }).await;
    let first = pipeline.run(Value::Null).await;
    first.assert_complete();
    assert!(first.world.items >= 400, "{}", first.world.items);
    let second = pipeline.run(Value::Null).await;
    second.assert_complete();
    assert_eq!(second.world.items, first.world.items, "equal names were sent again");
}

#[tokio::test(start_paused = true)]
async fn lone_surrogate_does_not_lose_a_page() {
    let report = with_faults(vec![Fault::CutName(30.0)]).await;
    report.assert_complete();
    assert_eq!((report.cursor.generation, report.cursor.gaps.len()), (1, 0));
}

/// In a second run, the only users to change are those that Intercom permanently refuses.
#[tokio::test(start_paused = true)]
async fn known_refusals_do_not_fail_a_second_run() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: vec![Fault::BadItem(4.0)], ..users(900) }).await;
    let first = pipeline.run(Value::Null).await;
    assert!(first.errors.len() >= 20, "{} users are refused", first.errors.len());
    for further in [Value::Null, json!({"users": first.users_in_error()})] {
        let again = pipeline.run(further).await;
        assert_eq!(again.state(), State::CompleteWithErrors, "{}", again.reason());
        assert_eq!(again.users_in_error(), first.users_in_error());
    }
}

#[tokio::test(start_paused = true)]
async fn refused_items_are_a_row_for_every_user() {
    let report = with_faults(vec![item_error(100.0)]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.errors.len() as u64, report.cursor.tally.patches);
}

/// Failed users can be run again by their ids. Users that are right by then add no error.
#[tokio::test(start_paused = true)]
async fn failed_users_can_be_run_again_by_id() {
    let faults = vec![Fault::ItemLimited(100.0), Fault::JobFails(1)];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(90) }).await;
    let first = pipeline.run(Value::Null).await;
    first.assert_users_accounted_for();
    let left: Vec<String> = first.lacking.iter().cloned().collect();
    assert!(!left.is_empty());
    let second = pipeline.run(json!({ "users": left })).await;
    assert_eq!(second.state(), State::Complete, "{}", second.reason());
    assert_eq!(second.cursor.tally.users, left.len() as u64);
    assert!(second.lacking.is_empty());
}
