//! Limits that stop a run if it changes more, or less, than intended.

use intercom_bulk::domain::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, MISSPELT, users};

/// Fails by its own rule for all users without a name.
pub(crate) const FAILS_FOR_SOME: &str = r#"
name = "fails-for-some"
[set.custom_attributes.shout]
type = "string"
value = "(user.custom_attributes.plan | upper)"
otherwise = "error"
"#;

#[tokio::test(start_paused = true)]
async fn plan_errors_of_some_users_do_not_stop_others() {
    let pipeline = Pipeline::new(FAILS_FOR_SOME, users(650)).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert!(report.errors.len() > 50 && report.world.items > 300);
    assert_eq!(report.errors.len() as u64 + report.cursor.tally.patches, 650);
}

#[tokio::test(start_paused = true)]
async fn unseen_attribute_pauses_after_a_thousand_users() {
    let pipeline = Pipeline::new(MISSPELT, users(2_000)).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!((report.state(), report.cursor.tally.users), (State::Paused, 1_000));
    assert!(report.reason().contains("plann"), "{}", report.reason());
    report.assert_nobody_lost();

    let accepted = pipeline.run(json!({"rails": {"accept_unseen": true}})).await;
    accepted.assert_complete();
    let before = pipeline.state(&report.run.id).await;
    assert_eq!(before, Some(State::Cancelled), "the paused run gave way");
}

/// Reads a field that the API omits.
const NO_FIELD: &str = r#"
name = "no-field"
[set.custom_attributes.source]
type = "string"
value = "user.utm_source"
otherwise = "direct"
"#;

#[tokio::test(start_paused = true)]
async fn unseen_field_pauses_the_run() {
    for (count, users_seen) in [(2_000, 1_000), (650, 650), (80, 80)] {
        let pipeline = Pipeline::new(NO_FIELD, users(count)).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!((report.state(), report.cursor.tally.users), (State::Paused, users_seen), "{}", report.reason());
        assert!(report.reason().contains("user.utm_source"), "{}", report.reason());
        assert_eq!(report.world.items > 0, count > 100, "a workspace of one page is not written to");
        pipeline.run(json!({"rails": {"accept_unseen": true}})).await.assert_complete();
    }
}

#[tokio::test(start_paused = true)]
async fn unseen_attribute_of_a_user_list_does_not_pause() {
    let pipeline = Pipeline::new(NO_FIELD, users(650)).await;
    let report = pipeline.run(json!({"rails": {"limit": 250}})).await;
    assert_eq!((report.state(), report.cursor.tally.users), (State::Complete, 250), "{}", report.reason());
    let user = pipeline.world.users()[300]["id"].clone();
    let listed = pipeline.run(json!({"users": [user]})).await;
    assert_eq!((listed.state(), listed.cursor.tally.patches), (State::Complete, 1), "{}", listed.reason());
}

/// Changes its values every day.
const AGE: &str = r#"
name = "age"
[set.custom_attributes.age_days]
type = "int"
value = "user.created_at | days_until(today)"
"#;

#[tokio::test(start_paused = true)]
async fn today_is_constant_within_a_day() {
    let faults = vec![Fault::LosePage(2)];
    let pipeline = Pipeline::new(AGE, Options { faults, ..users(350) }).await;
    let all_are_of = |day: i64| {
        pipeline.world.users().iter().all(|user| {
            let born = user["created_at"].as_i64().unwrap();
            user["custom_attributes"]["age_days"] == day - born.div_euclid(86_400)
        })
    };
    let report = pipeline.run(json!({"time": "2016-11-22T23:59:59Z"})).await;
    assert_eq!((report.state(), report.run.generation), (State::Complete, 2), "{}", report.reason());
    assert!(all_are_of(17_127), "the scheduled time decides, not the clock");
    let again = pipeline.run(json!({"time": "2016-11-22T00:00:01Z"})).await;
    assert_eq!((again.state(), again.world.items), (State::Complete, report.world.items));
    let next = pipeline.run(json!({"time": "2016-11-23T00:00:00Z"})).await;
    assert_eq!((next.state(), next.world.items), (State::Complete, report.world.items + 350));
    assert!(all_are_of(17_128));
}

#[tokio::test(start_paused = true)]
async fn paused_run_resumes() {
    let pipeline = Pipeline::new(MISSPELT, users(1_200)).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Paused);
    for user in pipeline.world.users() {
        let id = user["id"].as_str().unwrap();
        pipeline.world.set_user(id, |body| body["custom_attributes"]["plann"] = json!("there now"));
    }
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    pipeline.until_ended(&report.run.id).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn run_with_too_many_errors_fails() {
    for fault in [Fault::BadItem(5.0), Fault::ItemError { percent: 30.0, code: "invalid".into(), message: "no".into() }]
    {
        let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: vec![fault], ..users(900) }).await;
        let report = pipeline.run(json!({"rails": {"max_errors": 4}})).await;
        assert_eq!(report.state(), State::Failed, "{}", report.reason());
        assert!(report.reason().contains("max_errors"), "{}", report.reason());
        report.assert_nobody_lost();
    }
    let pipeline = Pipeline::new(FAILS_FOR_SOME, users(900)).await;
    let report = pipeline.run(json!({"rails": {"max_errors": 4}})).await;
    assert_eq!((report.state(), report.world.items), (State::Failed, 0));
    assert!(report.errors.len() > 4, "the end says that `errors` lists them");
    report.assert_nobody_lost();
}

/// Of 900 users 5 % may fail; the others are written.
#[tokio::test(start_paused = true)]
async fn max_errors_takes_a_share_of_the_users_read() {
    for (percent, ends) in [(4.0, State::CompleteWithErrors), (30.0, State::Failed)] {
        let fault = Fault::ItemError { percent, code: "invalid".into(), message: "no".into() };
        let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: vec![fault], ..users(900) }).await;
        let report = pipeline.run(json!({"rails": {"max_errors": {"percent": 5}}})).await;
        assert_eq!(report.state(), ends, "{}", report.reason());
        report.assert_nobody_lost();
    }
    let pipeline = Pipeline::new(FAILS_FOR_SOME, users(900)).await;
    let report = pipeline.run(json!({"rails": {"max_errors": {"percent": 1}}})).await;
    assert_eq!((report.state(), report.world.items), (State::Failed, 0));
    assert!(report.reason().contains("more than 1 % (max_errors)"), "{}", report.reason());
}

/// The first error among three users does not stop a run that allows 5 %.
#[tokio::test(start_paused = true)]
async fn share_of_few_users_is_one_of_a_hundred() {
    let fault = Fault::ItemError { percent: 40.0, code: "invalid".into(), message: "no".into() };
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: vec![fault], ..users(8) }).await;
    let report = pipeline.run(json!({"rails": {"max_errors": {"percent": 5}}})).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    assert!((1..=5).contains(&report.errors.len()), "{:?}", report.errors);
}

#[tokio::test(start_paused = true)]
async fn long_list_keeps_the_limit_of_2016() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { rate_limit_per_10s: 83, ..users(300) }).await;
    let ids: Vec<Value> = pipeline.world.users().iter().map(|user| user["id"].clone()).collect();
    let report = pipeline.run(json!({ "users": ids })).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    report.assert_nobody_lost();
}
