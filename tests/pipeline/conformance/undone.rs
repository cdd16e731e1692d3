//! The values that an undo would restore, by the rows of a run and the users as they are now. The whole workspace
//! is compared with the one before the run.

use std::collections::{BTreeMap, BTreeSet};

use intercom_bulk::domain::patch::Target;
use intercom_bulk::domain::run::{RetryPlace, Run, State};
use intercom_bulk::domain::undo::{Made, Stays, UndoneUser, undo_user};
use intercom_bulk::domain::user::User;
use intercom_bulk::intercom::shows_alike;
use intercom_bulk::plan::present;
use intercom_simulator::{Gone, Options};
use serde_json::{Value, json};

use super::api::{On, workspace};
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, faults};
use crate::report::Report;
use crate::retries::retry;

super::scenarios! {
    on_each_api: [
        changes_of_a_run_go_back_to_the_values_before,
        changes_of_a_killed_run_and_its_retry_go_back,
    ];
}

/// Returns the changes of these runs by user, oldest first. Each read begins at the place of the one before.
async fn made(pipeline: &Pipeline, runs: &[&Run]) -> BTreeMap<String, Vec<Made>> {
    let mut all = BTreeMap::<String, Vec<(usize, i64, Vec<Made>)>>::new();
    for (order, run) in runs.iter().enumerate() {
        let mut after: Option<RetryPlace> = None;
        loop {
            let some = pipeline.engine.clients.ledger.made_changes(run, after.as_ref()).await.unwrap();
            for of in some.users {
                all.entry(of.user.to_string()).or_default().push((order, of.at_ms, of.made));
            }
            assert!(some.reached.is_none() || some.reached != after, "each read goes on");
            let Some(reached) = some.reached else { break };
            after = Some(reached);
        }
    }
    let sorted = |mut made: Vec<(usize, i64, Vec<Made>)>| {
        made.sort_by_key(|(order, at_ms, _)| (*order, *at_ms));
        made.into_iter().flat_map(|(_, _, made)| made).collect()
    };
    all.into_iter().map(|(user, made)| (user, sorted(made))).collect()
}

fn value(body: &Value) -> Value {
    body["custom_attributes"]["has avatar"].clone()
}

fn values(pipeline: &Pipeline) -> BTreeMap<String, Value> {
    let users = pipeline.world.users().into_iter();
    users.map(|body| (body["id"].as_str().unwrap().to_owned(), value(&body))).collect()
}

/// Decides about each user that the runs changed. Restores the values in the workspace, and returns the users
/// whose values stay, by the reason.
fn restore(
    pipeline: &Pipeline,
    run: &Run,
    made: &BTreeMap<String, Vec<Made>>,
) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut stays = BTreeMap::<&str, BTreeSet<String>>::new();
    for (id, made) in made {
        let Some(body) = pipeline.world.user(id) else {
            stays.entry(Stays::Gone.word()).or_default().insert(id.clone());
            continue;
        };
        let user = User::new(body).unwrap();
        let found = |target: &Target| present(&user, target);
        let alike = |target: &Target, one: &Value, other: &Value| shows_alike(run.api, target, one, other);
        let UndoneUser { patch, stays: why } = undo_user(user.id(), made, found, alike);
        for (_, why) in why {
            stays.entry(why.word()).or_default().insert(id.clone());
        }
        for change in patch.into_iter().flat_map(|patch| patch.changes) {
            let set = |body: &mut Value| body["custom_attributes"]["has avatar"] = change.new.clone();
            assert!(pipeline.world.set_user(id, set));
        }
    }
    stays
}

/// Asserts that each user has the value from before, except those that something else changed.
fn assert_restored(pipeline: &Pipeline, before: &BTreeMap<String, Value>, others: &BTreeSet<String>) {
    for (id, now) in values(pipeline) {
        let expected = if others.contains(&id) { &json!("something else") } else { &before[&id] };
        assert_eq!(now, *expected, "{id}");
    }
}

/// Users are refused, deleted, and changed by another program after the run.
async fn changes_of_a_run_go_back_to_the_values_before(on: On) {
    let faults = faults(&["item-error=5%:parameter_invalid:the value is invalid"]);
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults, ..workspace(600) }).await;
    let before = values(&pipeline);
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    let made = made(&pipeline, &[&report.run]).await;
    let changed: BTreeSet<String> =
        values(&pipeline).into_iter().filter(|(id, now)| before[id] != *now).map(|(id, _)| id).collect();
    let refused = report.users_in_error();
    assert!(changed.len() > 300 && refused.len() > 10, "{} {}", changed.len(), refused.len());
    let done = |made: &[Made]| made.iter().any(|made| made.is_done);
    let certain: BTreeSet<String> = made.iter().filter(|(_, made)| done(made)).map(|(id, _)| id.clone()).collect();
    assert_eq!(certain, changed, "what Intercom reported is what it did");
    if on.version != "preview" {
        assert!(made.keys().all(|id| !refused.contains(id)), "a refused change is not made");
    }
    let others: BTreeSet<String> = changed.iter().step_by(10).cloned().collect();
    for id in &others {
        let set = |body: &mut Value| body["custom_attributes"]["has avatar"] = json!("something else");
        assert!(pipeline.world.set_user(id, set));
    }
    let gone: BTreeSet<String> = changed.iter().skip(1).step_by(50).cloned().collect();
    assert!(gone.iter().all(|id| pipeline.world.lose_contact(id, Gone::Deleted)));
    let stays = restore(&pipeline, &report.run, &made);
    assert_restored(&pipeline, &before, &others);
    assert_eq!((stays.get("changed_since"), stays.get("gone")), (Some(&others), Some(&gone)));
    assert_eq!(stays.get("unsure"), None);
}

/// Answers are lost, the process is killed, and users that failed are retried.
async fn changes_of_a_killed_run_and_its_retry_go_back(on: On) {
    let lost = on.pick("lose-bulk=2", "lose-call=write:3", "lose-bulk=2");
    let faults = faults(&["item-error=5%:parameter_invalid:the value is invalid", lost]);
    let options = Options { faults, rate_limit_per_10s: 120, latency_ms: 200, ..workspace(700) };
    let mut pipeline = on.pipeline(HAS_AVATAR, options).await;
    let before = values(&pipeline);
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| on.written(state) >= 150).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let first: Report = pipeline.until_ended(&run).await;
    assert_eq!(first.state(), State::CompleteWithErrors, "{}", first.reason());
    pipeline.world.cure(first.users_in_error());
    let second = retry(&pipeline, json!({"retry": run})).await;
    assert_eq!(second.state(), State::Complete, "{}", second.reason());
    let made = made(&pipeline, &[&first.run, &second.run]).await;
    let others: BTreeSet<String> = made.keys().step_by(10).cloned().collect();
    for id in &others {
        let set = |body: &mut Value| body["custom_attributes"]["has avatar"] = json!("something else");
        assert!(pipeline.world.set_user(id, set));
    }
    let stays = restore(&pipeline, &first.run, &made);
    assert_restored(&pipeline, &before, &others);
    assert_eq!(stays.keys().collect::<Vec<_>>(), [&"changed_since"], "{stays:?}");
}
