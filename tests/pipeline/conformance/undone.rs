//! The undo of a run. The whole workspace is compared with the one before the run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use intercom_bulk::domain::run::{Counted, RunId, State};
use intercom_simulator::{Alteration, Gone, Options};
use serde_json::{Map, Value, json};

use super::api::{On, workspace};
use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::{COMPANY_NAME, HAS_AVATAR, faults, with_attributes};
use crate::report::Report;
use crate::retries::retry;
use crate::undos::{refused, undo};
use crate::verifying::{altered, note};

super::scenarios! {
    on_each_api: [
        undo_restores_what_nothing_else_changed,
        undo_after_a_kill_and_a_retry_restores_all,
        undo_of_an_undo_writes_the_values_again,
        killed_undo_restores_every_user,
        undo_restores_fields_and_cleared_values,
        undo_restores_values_that_intercom_kept_otherwise,
    ];
    undo_restores_the_names_of_companies on [v1_4] not [
        v2_17 "companies are not written",
        preview "companies are not written"
    ];
}

/// The plan sets fields, clears an attribute, and sets one that no user has.
const FIELDS: &str = "name = \"fields\"
[set.name]
type = \"string\"
value = \"user.email\"
[set.unsubscribed_from_emails]
type = \"bool\"
value = \"true\"
[set.custom_attributes.plan]
type = \"string\"
value = \"none\"
otherwise = \"clear\"
[set.custom_attributes.tier]
type = \"string\"
value = \"'gold'\"
";

const REFUSES: &str = "item-error=5%:parameter_invalid:the value is invalid";

/// The attributes of each user.
type Values = BTreeMap<String, Map<String, Value>>;

/// Returns all attributes of each user. A null is absent.
fn values(pipeline: &Pipeline) -> Values {
    let attributes = |body: &Value| {
        let mut attributes = body["custom_attributes"].as_object().unwrap().clone();
        attributes.retain(|_, value| !value.is_null());
        attributes
    };
    pipeline.world.users().iter().map(|body| (body["id"].as_str().unwrap().to_owned(), attributes(body))).collect()
}

/// Returns the users whose attributes differ.
fn changed(before: &Values, now: &Values) -> BTreeSet<String> {
    now.iter().filter(|(id, attributes)| before[*id] != **attributes).map(|(id, _)| id.clone()).collect()
}

/// Something else sets the value of these users.
fn set_otherwise<'u>(pipeline: &Pipeline, users: impl IntoIterator<Item = &'u String>) {
    for id in users {
        let set = |body: &mut Value| body["custom_attributes"]["has avatar"] = json!("something else");
        assert!(pipeline.world.set_user(id, set));
    }
}

/// Asserts that each user has the attributes from before, except the value that something else set.
fn assert_restored(pipeline: &Pipeline, before: &Values, others: &BTreeSet<String>) {
    for (id, now) in values(pipeline) {
        let mut expected = before[&id].clone();
        if others.contains(&id) {
            expected.insert("has avatar".to_owned(), json!("something else"));
        }
        assert_eq!(now, expected, "{id}");
    }
}

/// Returns the users of an undo whose value stays, by the reason.
async fn staying(pipeline: &Pipeline, report: &Report) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut all = BTreeMap::<&str, BTreeSet<String>>::new();
    let each = |user: intercom_bulk::domain::undo::StayingUser| {
        for value in user.stays {
            all.entry(value.why.word()).or_default().insert(user.user.to_string());
        }
        true
    };
    pipeline.engine.clients.ledger.each_staying(&report.run.id, each).await.unwrap();
    let reasons = &report.cursor.tally.skip_reasons;
    let listed: BTreeMap<String, u64> = all.iter().map(|(why, of)| ((*why).to_owned(), of.len() as u64)).collect();
    assert_eq!(*reasons, listed, "what is counted is listed");
    all
}

fn assert_complete(report: &Report) {
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    report.assert_counts_add_up();
    report.assert_intercom_respected();
    assert_eq!(report.dead, Vec::<String>::new());
}

/// Users are refused, deleted, and changed by another program after the run.
async fn undo_restores_what_nothing_else_changed(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&[REFUSES]), ..workspace(5_000) }).await;
    let before = values(&pipeline);
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::CompleteWithErrors, "{}", first.reason());
    let written = changed(&before, &values(&pipeline));
    let failed = first.users_in_error();
    assert!(written.len() > 3_000 && failed.len() > 100, "{} {}", written.len(), failed.len());
    let others: BTreeSet<String> = written.iter().step_by(10).cloned().collect();
    set_otherwise(&pipeline, &others);
    let gone: BTreeSet<String> = written.iter().skip(1).step_by(50).cloned().collect();
    assert!(gone.iter().all(|id| pipeline.world.lose_contact(id, Gone::Deleted)));
    let now = values(&pipeline);
    let seen = pipeline.world.state();
    let preview = undo(&pipeline, json!({"undo": first.run.id, "dry_run": true})).await;
    assert_eq!((preview.state(), values(&pipeline)), (State::Complete, now), "{}", preview.reason());
    let report = undo(&pipeline, json!({"undo": first.run.id})).await;
    assert_complete(&report);
    assert_restored(&pipeline, &before, &others);
    let stays = staying(&pipeline, &report).await;
    assert_eq!((stays.get("changed_since"), stays.get("gone")), (Some(&others), Some(&gone)));
    // A bulk job of the Preview does not tell which of its users it refused.
    let not_written = stays.get("not_written").cloned().unwrap_or_default();
    assert!(not_written.is_subset(&failed) && (on.version == "preview" || not_written.is_empty()), "{not_written:?}");
    assert_eq!(stays.get("unsure"), None);
    let restored = (written.len() - others.len() - gone.len()) as u64;
    assert_eq!(Counted::of(&report.cursor.tally, &report.accounts.totals).written, restored);
    assert_eq!(preview.cursor.tally, report.cursor.tally, "the preview counts alike");
    assert_eq!(on.lists(&report.world), on.lists(&seen), "only these users are read");
    assert_eq!((report.run.version, &report.run.plan), (first.run.version, &first.run.plan));
}

/// Answers are lost, the process is killed, and users that failed are retried. The retry is undone first.
async fn undo_after_a_kill_and_a_retry_restores_all(on: On) {
    let lost = on.pick("lose-bulk=2", "lose-call=write:3", "lose-bulk=2");
    let options =
        Options { faults: faults(&[REFUSES, lost]), rate_limit_per_10s: 840, latency_ms: 200, ..workspace(5_000) };
    let mut pipeline = on.pipeline(HAS_AVATAR, options).await;
    let before = values(&pipeline);
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| on.written(state) >= 1_000).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let first = pipeline.until_ended(&run).await;
    assert_eq!(first.state(), State::CompleteWithErrors, "{}", first.reason());
    pipeline.world.cure(first.users_in_error());
    let second = retry(&pipeline, json!({"retry": run})).await;
    assert_eq!(second.state(), State::Complete, "{}", second.reason());
    let why = refused(&pipeline, json!({"undo": run})).await;
    assert!(why.contains(second.run.id.as_str()) && why.contains("Undo the latest one first"), "{why}");
    let others: BTreeSet<String> = changed(&before, &values(&pipeline)).iter().step_by(10).cloned().collect();
    set_otherwise(&pipeline, &others);
    let mut stayed = BTreeSet::new();
    for run in [&second.run.id, &first.run.id] {
        let report = undo(&pipeline, json!({"undo": run})).await;
        assert_complete(&report);
        let stays = staying(&pipeline, &report).await;
        assert_eq!(stays.get("unsure"), None, "{stays:?}");
        stayed.extend(stays.get("changed_since").into_iter().flatten().cloned());
    }
    assert_restored(&pipeline, &before, &others);
    assert_eq!(stayed, others);
}

async fn undo_of_an_undo_writes_the_values_again(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, workspace(300)).await;
    let before = values(&pipeline);
    let first = pipeline.run(Value::Null).await;
    let after = values(&pipeline);
    let undone = undo(&pipeline, json!({"undo": first.run.id})).await;
    assert_complete(&undone);
    assert_eq!(values(&pipeline), before);
    let again = undo(&pipeline, json!({"undo": undone.run.id})).await;
    assert_complete(&again);
    let none = BTreeSet::new();
    assert_eq!(changed(&after, &values(&pipeline)), none, "the run's values are back");
    // The run may be undone again. Then nothing is left to restore.
    for restored in [first.accounts.totals.written, 0] {
        let report = undo(&pipeline, json!({"undo": first.run.id})).await;
        assert_complete(&report);
        assert_eq!(report.accounts.totals.written, restored);
        assert_eq!(values(&pipeline), before);
    }
    // The undo of a later run counts, too, if it finds nothing to restore.
    let later = pipeline.run(Value::Null).await;
    set_otherwise(&pipeline, before.keys());
    for run in [later.run.id, first.run.id] {
        let report = undo(&pipeline, json!({"undo": run})).await;
        assert_complete(&report);
        assert_eq!(report.accounts.totals.written, 0);
    }
}

async fn killed_undo_restores_every_user(on: On) {
    let options = Options { latency_ms: 300, rate_limit_per_10s: 60, ..workspace(300) };
    let mut pipeline = on.pipeline(HAS_AVATAR, options).await;
    let before = values(&pipeline);
    let first = pipeline.run(Value::Null).await;
    let (reads, writes) = (on.reads(&pipeline.world.state()), on.written(&pipeline.world.state()));
    let said = control(&pipeline, json!({"undo": first.run.id}), "requested").await;
    let run = RunId::parse(said["run"].as_str().unwrap()).unwrap();
    pipeline.until(|state| on.reads(state) > reads + 22).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    pipeline.until(|state| on.written(state) > writes + 40).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    assert_complete(&report);
    assert_eq!(values(&pipeline), before);
}

/// The fields of each user that [`FIELDS`] writes.
fn fields(pipeline: &Pipeline) -> BTreeMap<String, [Value; 2]> {
    let of = |body: &Value| ["name", "unsubscribed_from_emails"].map(|field| body[field].clone());
    pipeline.world.users().iter().map(|body| (body["id"].as_str().unwrap().to_owned(), of(body))).collect()
}

async fn undo_restores_fields_and_cleared_values(on: On) {
    let pipeline = on.pipeline(FIELDS, workspace(1_000)).await;
    let before = (values(&pipeline), fields(&pipeline));
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::Complete, "{}", first.reason());
    let had_plan = before.0.values().filter(|attributes| attributes.contains_key("plan")).count();
    let now = values(&pipeline);
    assert!(had_plan > 800 && now.values().all(|attributes| !attributes.contains_key("plan")), "{had_plan}");
    assert!(now.values().all(|attributes| attributes["tier"] == "gold"));
    let renamed = fields(&pipeline).into_iter().filter(|(id, [name, _])| before.1[id][0] != *name).count();
    assert!(renamed > 900, "{renamed}");
    let report = undo(&pipeline, json!({"undo": first.run.id})).await;
    assert_complete(&report);
    assert_eq!((values(&pipeline), fields(&pipeline)), before);
    assert_eq!(staying(&pipeline, &report).await, BTreeMap::new());
}

/// With API 2.x, each of these users is an error of the run, which counts no user as written.
async fn undo_restores_values_that_intercom_kept_otherwise(on: On) {
    let options = with_attributes(&["note:string"], altered(Alteration::Trim, 30));
    let pipeline = on.pipeline(&note("string", "' a '"), options).await;
    let before = values(&pipeline);
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    assert_ne!(values(&pipeline), before);
    pipeline.rest(Duration::from_hours(1)).await;
    let undone = undo(&pipeline, json!({"undo": report.run.id})).await;
    assert_eq!((undone.state(), undone.accounts.totals.written), (State::Complete, 30), "{}", undone.reason());
    assert_eq!(values(&pipeline), before);
}

async fn undo_restores_the_names_of_companies(on: On) {
    let pipeline = on.pipeline(COMPANY_NAME, workspace(1_000)).await;
    let companies = || -> BTreeMap<String, Value> {
        let of_user = |body: &Value| body["companies"]["companies"].as_array().cloned().unwrap_or_default();
        let all = pipeline.world.users().iter().flat_map(of_user).collect::<Vec<Value>>();
        all.into_iter().map(|company| (company["company_id"].to_string(), company["name"].clone())).collect()
    };
    let before = companies();
    let first = pipeline.run(Value::Null).await;
    let renamed = companies().into_iter().filter(|(id, name)| before[id] != *name).count();
    assert!(renamed > 10, "{renamed}: {}", first.reason());
    let report = undo(&pipeline, json!({"undo": first.run.id})).await;
    assert_complete(&report);
    assert_eq!(companies(), before);
}
