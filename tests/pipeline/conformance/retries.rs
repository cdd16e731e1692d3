//! Retries: the failed users of an ended run, or those without a known end, are read and evaluated again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use intercom_bulk::domain::api::ApiVersion;
use intercom_bulk::domain::run::{Counted, Retry, State};
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::{On, workspace};
use crate::plans::{HAS_AVATAR, faults};
use crate::report::Report;
use crate::retries::retry;

super::scenarios! {
    on_each_api: [
        retry_writes_the_users_that_are_cured,
        retry_of_one_code_leaves_the_others,
        retry_finishes_a_cancelled_run,
        killed_retry_loses_no_user,
    ];
    retry_writes_the_users_of_a_job_without_a_known_end on [v1_4] not [
        v2_17 "it has no bulk jobs",
        preview "the users of such a job are read by id"
    ];
}

const REFUSES: &str = "item-error=5%:parameter_invalid:the value is invalid";

fn counted(report: &Report) -> Counted {
    Counted::of(&report.cursor.tally, &report.accounts.totals)
}

async fn retry_writes_the_users_that_are_cured(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&[REFUSES]), ..workspace(900) }).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::CompleteWithErrors, "{}", first.reason());
    let failed = first.users_in_error();
    assert!(failed.len() > 25, "more than a page: {}", failed.len());
    let cured: BTreeSet<String> = failed.iter().step_by(2).cloned().collect();
    pipeline.world.cure(&cured);
    let before = pipeline.world.state();
    let report = retry(&pipeline, json!({"retry": first.run.id})).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.dead, Vec::<String>::new());
    let all = Retry { run: first.run.id.clone(), code: None, unknown: false };
    assert_eq!((report.run.retry.as_ref(), report.run.listed), (Some(&all), Some(failed.len() as u64)));
    assert_eq!((report.run.version, &report.run.plan), (first.run.version, &first.run.plan));
    let Counted { read, written, failed: again, .. } = counted(&report);
    assert_eq!((read, written, again), (failed.len() as u64, cured.len() as u64, (failed.len() - cured.len()) as u64));
    assert_eq!(report.users_in_error(), failed.difference(&cured).cloned().collect());
    assert_eq!(on.lists(&report.world), on.lists(&before), "only these users are read");
    let totals = &report.accounts.totals;
    assert_eq!((totals.sent, totals.errors), (read, again));
    let ends: BTreeMap<_, _> = [("completed_with_errors".to_owned(), report.jobs.len() as u64)].into();
    assert_eq!(totals.jobs_by_end, ends, "of each two users one is cured");
    // On Preview, the users of a job that ended with errors are sent alone if they lack the value.
    let alone = if report.run.version == Some(ApiVersion::Preview) { again } else { 0 };
    assert_eq!(report.jobs.iter().map(|job| job.users).sum::<u64>(), read + alone);
    // The errors of the first run stay, and the retry has its own.
    pipeline.world.cure(&failed);
    let last = retry(&pipeline, json!({"retry": report.run.id})).await;
    last.assert_nobody_lost();
    assert_eq!((last.state(), counted(&last).read), (State::Complete, again), "{}", last.reason());
    assert_eq!(last.lacking, BTreeSet::new());
    let once_more = retry(&pipeline, json!({"retry": first.run.id})).await;
    let Counted { read, written, unchanged, .. } = counted(&once_more);
    assert_eq!((read, written, unchanged), (failed.len() as u64, 0, failed.len() as u64), "they are right by now");
    let nobody = pipeline.engine.control(json!({"retry": last.run.id})).await.unwrap_err();
    assert!(nobody.contains("no user of") && nobody.contains("failed"), "{nobody}");
}

async fn retry_of_one_code_leaves_the_others(on: On) {
    let two = faults(&["item-error=6%:parameter_invalid:one", "item-error=6%:data_invalid:other"]);
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults: two, ..workspace(400) }).await;
    let first = pipeline.run(Value::Null).await;
    let of = |code: &str| -> BTreeSet<String> {
        first.errors.iter().filter(|row| row.code == code).map(|row| row.user.clone()).collect()
    };
    let (one, other) = (of("parameter_invalid"), of("data_invalid"));
    assert!(one.len() > 5 && other.len() > 5, "{:?}", first.errors);
    pipeline.world.cure(first.errors.iter().map(|row| &row.user));
    let report = retry(&pipeline, json!({"retry": first.run.id, "code": "data_invalid"})).await;
    assert_eq!(
        (report.state(), counted(&report).written),
        (State::Complete, other.len() as u64),
        "{}",
        report.reason()
    );
    assert_eq!(report.lacking, one.difference(&other).cloned().collect());
    let none = pipeline.engine.control(json!({"retry": first.run.id, "code": "typo"})).await.unwrap_err();
    assert!(none.contains("failed with typo") && none.contains("`errors --run"), "{none}");
}

/// Users that were read and not sent before the cancel have no known end.
async fn retry_finishes_a_cancelled_run(on: On) {
    let options = Options { rate_limit_per_10s: 40, ..workspace(300) };
    let pipeline = on.pipeline(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    while pipeline.state(&run).await != Some(State::Draining) {
        sleep(Duration::from_millis(500)).await;
    }
    pipeline.cancel(&run).await;
    let first = pipeline.until_ended(&run).await;
    let left = counted(&first).pending;
    assert!(left > 100 && counted(&first).written > 0, "{:?}", counted(&first));
    let none = pipeline.engine.control(json!({"retry": run})).await.unwrap_err();
    assert!(none.contains("`--unknown`"), "{none}");
    let report = retry(&pipeline, json!({"retry": run, "unknown": true})).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!((report.run.listed, counted(&report).read, counted(&report).written), (Some(left), left, left));
    assert_eq!((report.lacking.len(), report.dead.len()), (0, 0));
}

async fn killed_retry_loses_no_user(on: On) {
    let options = Options { latency_ms: 300, rate_limit_per_10s: 60, ..workspace(900) };
    let mut pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&[REFUSES]), ..options }).await;
    let first = pipeline.run(Value::Null).await;
    let failed = first.users_in_error();
    pipeline.world.cure(&failed);
    let reads = on.reads(&pipeline.world.state());
    let said = crate::pauses::control(&pipeline, json!({"retry": first.run.id}), "requested").await;
    let run = intercom_bulk::domain::run::RunId::parse(said["run"].as_str().unwrap()).unwrap();
    pipeline.until(|state| on.reads(state) > reads + 22).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    report.assert_nobody_lost();
    let Counted { read, written, unchanged, .. } = counted(&report);
    assert_eq!((read, written + unchanged), (failed.len() as u64, failed.len() as u64));
    assert_eq!(report.lacking, BTreeSet::new());
}

async fn retry_writes_the_users_of_a_job_without_a_known_end(on: On) {
    let lost = Options { faults: faults(&["lose-job=2"]), ..workspace(400) };
    let pipeline = on.pipeline(HAS_AVATAR, lost).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::Incomplete, "{}", first.reason());
    let unknown = first.accounts.totals.unknown;
    assert!(unknown > 10, "{:?}", first.accounts.totals);
    // Intercom carried the job out. Half of its users are changed back by another program.
    let of_job = Retry { run: first.run.id.clone(), code: None, unknown: true };
    let ledger = &pipeline.engine.clients.ledger;
    let found = ledger.retried_users((&first.run, &first.cursor), &of_job, None, usize::MAX).await.unwrap();
    let users = found.users;
    assert_eq!(users.len() as u64, unknown);
    for (user, _) in users.iter().step_by(2) {
        let unset = |body: &mut Value| drop(body["custom_attributes"].as_object_mut().unwrap().remove("has avatar"));
        assert!(pipeline.world.set_user(user.as_str(), unset));
    }
    let report = retry(&pipeline, json!({"retry": first.run.id, "unknown": true})).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!((counted(&report).read, counted(&report).written), (unknown, unknown.div_ceil(2)));
    assert_eq!(report.lacking, BTreeSet::new());
}
