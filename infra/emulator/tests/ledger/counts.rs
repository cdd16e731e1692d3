//! Counts beside rows: they equal the rows after each write.

use aws_sdk_dynamodb::types::AttributeValue;
use intercom_bulk::domain::api::{BulkCharge, Way};
use intercom_bulk::domain::found::FoundUsers;
use intercom_bulk::domain::part::{Origin, Outcomes, PageRead, Part, PartId, ReadingId, UserOutcome, cut};
use intercom_bulk::domain::patch::Patch;
use intercom_bulk::domain::run::decide::Commit;
use intercom_bulk::domain::run::{Accounts, Cursor, Lease, Run, Totals};
use intercom_bulk::domain::user::UserId;
use intercom_bulk::ledger::{
    AnswerCounts, Closing, Committing, Consistency, End, JobOf, JobRow, Leased, Ledger, NextPoll, PageRow, PartEnd,
    PartProgress, ReadUsers,
};

use super::{NOW_MS, TABLE, begin, job, ledger, run};

/// A run with a committed page of so many users, in parts of `size`.
pub(crate) async fn begun(ledger: &Ledger, users: u32, size: usize) -> (Run, Cursor, Vec<Part>) {
    let run = run("a");
    begin(ledger, &run).await;
    let read = PageRead { generation: 1, page: 1, reading: Some(ReadingId { turn: 0, lease: 1 }) };
    let patch = |n: u32| Patch { user: UserId::new(format!("u{n}")).unwrap(), changes: Vec::new() };
    let parts = cut(&run.id, read, (1..=users).map(patch).collect(), size, |_| Way::Job);
    let lease = Lease { owner: "scroll".into(), message: "m".into(), until_ms: NOW_MS + 5 };
    let Leased::Ours(mut next) = ledger.lease(&run.id, 0, &lease, NOW_MS).await.unwrap() else { panic!("it is free") };
    (next.page, next.parts) = (1, parts.len() as u64);
    let page = PageRow::of(&parts, NOW_MS);
    let committing = Committing { commit: &Commit::Turn, page: page.as_ref() };
    let cursor = ledger.commit(&run, *next, "scroll", committing, NOW_MS).await.unwrap().unwrap();
    (run, cursor, parts)
}

pub(crate) fn done(part: &Part) -> PartProgress {
    let mut outcomes = Outcomes::open(part.patches.len());
    (0..part.patches.len()).for_each(|user| outcomes.set(user, UserOutcome::InJob));
    PartProgress { id: part.id.clone(), outcomes }
}

pub(crate) fn job_of(part: &Part, id: &str) -> JobRow {
    JobRow { users: part.patches.len() as u64, ..job(part, id, NOW_MS) }
}

/// Asserts that the counts equal the rows. Returns both, which agree in the parts and jobs that are open.
pub(crate) async fn assert_equal(ledger: &Ledger, run: &Run, cursor: &Cursor) -> Accounts {
    let rows = ledger.accounts_by_rows(run, cursor).await.unwrap();
    assert_eq!(ledger.accounts(run, cursor).await.unwrap(), rows, "with the counts of closed jobs");
    let counted = ledger.accounts_counted(run, cursor, Consistency::Strong).await.unwrap();
    let leased = rows.leases_until_ms.len() as u64;
    // The time of a request without an answer is in the rows alone.
    let jobs_possibly_lost = rows.totals.jobs_possibly_lost - leased;
    let of_rows = Totals { jobs_possibly_lost, unknown_sent_ms: 0, ..rows.totals.clone() };
    assert_eq!(counted.totals, of_rows);
    assert_eq!(
        (counted.parts_open, counted.jobs_open(), counted.sent_now),
        (rows.parts_open, rows.jobs_open(), rows.sent_now)
    );
    let unfinished = ledger.unfinished(run, cursor).await.unwrap();
    let sample_parts = rows.sample_parts.clone();
    assert_eq!(Accounts { sample_parts, ..unfinished }, rows, "with the times of rows that are not over");
    rows
}

#[tokio::test]
async fn counts_equal_the_rows_after_each_write() {
    let (ledger, _account) = ledger().await;
    let (run, cursor, parts) = begun(&ledger, 5, 3).await;
    let [first, second] = &parts[..] else { panic!("two parts") };
    assert_eq!(assert_equal(&ledger, &run, &cursor).await.parts_open, 2);

    // A job of the first part, one user of which is sent again, and one of which fails.
    ledger.lease_part(first, "one", NOW_MS, NOW_MS + 100).await.unwrap();
    assert_equal(&ledger, &run, &cursor).await;
    let made = job_of(first, "job_1");
    assert!(!ledger.record_job(&made, &[done(first)], "one").await.unwrap());
    assert!(!ledger.record_job(&made, &[done(first)], "one").await.unwrap(), "the call is idempotent");
    let rows = assert_equal(&ledger, &run, &cursor).await;
    assert_eq!((rows.parts_open, rows.jobs_open(), rows.sent_now), (1, 1, 3));
    let origin = Origin::Job { job: made.job.clone(), attempt: 2 };
    let again = Part { id: PartId { generation: 1, origin }, patches: vec![first.patches[0].clone()], ..first.clone() };
    let closing = Closing { failed: 1, again: Some((again.id.clone(), 1)), ..Closing::with(End::CompletedWithErrors) };
    assert!(ledger.close_job(&made, &closing).await.unwrap());
    assert!(!ledger.close_job(&made, &closing).await.unwrap(), "it is closed once");
    let rows = assert_equal(&ledger, &run, &cursor).await;
    assert_eq!((rows.parts_open, rows.jobs_open(), rows.sent_now, rows.totals.written), (2, 0, 2, 1));

    // The second part: a lease expires, another owner takes over and gives it up.
    ledger.lease_part(second, "one", NOW_MS, NOW_MS + 100).await.unwrap();
    ledger.lease_part(second, "two", NOW_MS + 200, NOW_MS + 300).await.unwrap();
    assert_eq!(assert_equal(&ledger, &run, &cursor).await.totals.jobs_possibly_lost, 2, "one of them is leased");
    ledger.end_part(second, PartEnd::GivenUp, "two", NOW_MS).await.unwrap();
    ledger.end_part(second, PartEnd::GivenUp, "two", NOW_MS).await.unwrap();
    // The first owner made a job, too.
    let late = job_of(second, "job_2");
    assert!(ledger.record_job(&late, &[done(second)], "one").await.unwrap(), "a resubmission");
    assert_equal(&ledger, &run, &cursor).await;
    let late = ledger.job(&late).await.unwrap().unwrap();
    assert!(ledger.close_job(&late, &Closing::with(End::Unknown)).await.unwrap());
    assert_eq!(assert_equal(&ledger, &run, &cursor).await.totals.unknown, 2);

    // The follow-up part, with an answer that was lost before the one that brought a job.
    ledger.lease_part(&again, "one", NOW_MS, NOW_MS + 100).await.unwrap();
    ledger.possibly_lost(&again, "one", NOW_MS).await.unwrap();
    let last = job_of(&again, "job_3");
    ledger.record_job(&last, &[done(&again)], "one").await.unwrap();
    assert!(ledger.close_job(&last, &Closing::with(End::Completed)).await.unwrap());
    let rows = assert_equal(&ledger, &run, &cursor).await;
    assert!(rows.settled(), "{rows:?}");
    assert_eq!((rows.totals.jobs, rows.totals.sent, rows.totals.written), (3, 3, 2));
    let (mut after, mut slices) = (None, 0);
    while let Some(unended) = ledger.unended_parts(&run, 1, after.as_ref()).await.unwrap() {
        assert_eq!(unended.parts, [], "each part has ended");
        (after, slices) = (Some(unended.to), slices + 1);
    }
    assert_eq!((after, slices), (Some(again.id), 2), "the parts of the page, and the follow-up part");
}

/// The rows of a bucket are one query, and its counts are one item of a query for all buckets. A run of
/// 40 days has 57,600 buckets.
#[tokio::test]
async fn verdict_reads_no_bucket_whose_jobs_are_closed() {
    const BUCKETS: u64 = 50;
    let (ledger, account) = ledger().await;
    let (run, cursor, parts) = begun(&ledger, BUCKETS as u32, 1).await;
    for (minute, part) in (0..).zip(&parts) {
        ledger.lease_part(part, "one", NOW_MS, NOW_MS + 100).await.unwrap();
        let made = job(part, &format!("job_{minute}"), NOW_MS + minute * 60_000);
        ledger.record_job(&made, &[done(part)], "one").await.unwrap();
        if minute > 0 {
            ledger.close_job(&made, &Closing::with(End::Completed)).await.unwrap();
        }
    }
    let queries = || account.counts.so_far().calls["Query"];
    let before = queries();
    let shown = ledger.accounts_counted(&run, &cursor, Consistency::Eventual).await.unwrap();
    assert_eq!((shown.jobs_open(), shown.totals.jobs, queries() - before), (1, BUCKETS, 1));
    let before = queries();
    ledger.unfinished(&run, &cursor).await.unwrap();
    assert_eq!(queries() - before, 3, "parts, counts, and the bucket with an open job");
    let before = queries();
    let counted = ledger.accounts_to_end(&run, &cursor).await.unwrap();
    assert_eq!((counted.settled(), queries() - before), (false, 1), "the counts show an open job");
    let before = queries();
    let accounts = ledger.accounts(&run, &cursor).await.unwrap();
    assert_eq!(queries() - before, 6, "pages, parts, errors, the counts twice, and the bucket with an open job");
    let before = queries();
    assert_eq!(ledger.accounts_by_rows(&run, &cursor).await.unwrap(), accounts);
    assert_eq!(queries() - before, BUCKETS + 4, "pages, parts, buckets, errors, and each bucket");

    let open = ledger.job(&job(&parts[0], "job_0", NOW_MS)).await.unwrap().unwrap();
    ledger.close_job(&open, &Closing::with(End::Completed)).await.unwrap();
    let before = queries();
    assert!(ledger.unfinished(&run, &cursor).await.unwrap().settled());
    assert_eq!(queries() - before, 3, "parts, and the counts twice");
    let before = queries();
    let accounts = ledger.accounts_to_end(&run, &cursor).await.unwrap();
    assert_eq!(queries() - before, 5, "pages, parts, errors, and the counts twice");
    assert!(accounts.settled(), "{accounts:?}");
    assert_eq!(accounts, assert_equal(&ledger, &run, &cursor).await);
}

/// Such counts are a fault, or the state of a ledger that a version without counts wrote in part.
#[tokio::test]
async fn rows_decide_where_the_counts_do_not_agree() {
    let (ledger, account) = ledger().await;
    let (run, cursor, parts) = begun(&ledger, 2, 1).await;
    ledger.lease_part(&parts[0], "one", NOW_MS, NOW_MS + 100).await.unwrap();
    let made = job_of(&parts[0], "job_1");
    ledger.record_job(&made, &[done(&parts[0])], "one").await.unwrap();
    ledger.close_job(&made, &Closing::with(End::Completed)).await.unwrap();
    let rows = assert_equal(&ledger, &run, &cursor).await;
    assert_eq!(rows.parts_open, 1);

    // Counts of a part that has not ended.
    let s = |text: String| AttributeValue::S(text);
    let (pk, bucket) = (format!("RUN#{}", run.id), made.bucket.to_string());
    let counts = account.dynamodb.update_item().table_name(TABLE).key("pk", s(pk.clone()));
    let counts = counts.key("sk", s(format!("BUCKETS#{bucket}#0001"))).update_expression("ADD parts_ended :one");
    counts.expression_attribute_values(":one", AttributeValue::N("1".to_owned())).send().await.unwrap();
    assert!(ledger.accounts_counted(&run, &cursor, Consistency::Strong).await.unwrap().settled());
    assert_eq!(ledger.accounts_to_end(&run, &cursor).await.unwrap(), rows);

    // A bucket whose jobs are not counted.
    let put = account.dynamodb.put_item().table_name(TABLE).item("pk", s(pk)).item("bucket", s(bucket.clone()));
    put.item("sk", s(format!("BUCKETS#{bucket}"))).send().await.unwrap();
    assert_eq!(ledger.accounts_counted(&run, &cursor, Consistency::Strong).await.unwrap(), rows);
    assert_eq!(ledger.unfinished(&run, &cursor).await.unwrap(), rows);
    assert_eq!(ledger.accounts(&run, &cursor).await.unwrap(), rows);
}

/// If a process crashes after the end, `max_errors` must know its errors.
#[tokio::test]
async fn errors_are_counted_with_the_end_of_their_job_or_part() {
    let (ledger, _account) = ledger().await;
    let (run, _, parts) = begun(&ledger, 5, 3).await;
    let [first, second] = &parts[..] else { panic!("two parts") };
    let errors = async || ledger.run(&run.id).await.unwrap().unwrap().errors;
    ledger.lease_part(first, "one", NOW_MS, NOW_MS + 100).await.unwrap();
    let made = job_of(first, "job_1");
    ledger.record_job(&made, &[done(first)], "one").await.unwrap();
    let closing = Closing { failed: 2, ..Closing::with(End::CompletedWithErrors) };
    assert!(ledger.close_job(&made, &closing).await.unwrap());
    assert_eq!(errors().await, 2);
    assert!(!ledger.close_job(&made, &closing).await.unwrap(), "it is closed once");
    for _ in 0..2 {
        ledger.give_up_part(second, 2, "one", NOW_MS).await.unwrap();
    }
    assert_eq!(errors().await, 4, "the part ends once");
}

/// Requests whose answers are the results: their job is closed when it is recorded.
#[tokio::test]
async fn answered_job_is_counted_as_closed() {
    let (ledger, _account) = ledger().await;
    let (run, cursor, parts) = begun(&ledger, 4, 4).await;
    ledger.lease_part(&parts[0], "one", NOW_MS, NOW_MS + 100).await.unwrap();
    let JobRow { job, bucket, v, .. } = job_of(&parts[0], "put_1");
    let of = JobOf { run: run.id.clone(), v, generation: 1, users: 4, changes: String::new(), parts: Vec::new() };
    let row = JobRow::answered(job, bucket, of, NOW_MS, AnswerCounts { failed: 1, gone: 1 });
    ledger.record_job(&row, &[done(&parts[0])], "one").await.unwrap();
    let rows = assert_equal(&ledger, &run, &cursor).await;
    assert_eq!((rows.settled(), rows.totals.written, rows.totals.gone), (true, 2, 1));
}

/// The users of two jobs that do not say whom they refused, or whose end is unknown, were read.
#[tokio::test]
async fn job_whose_users_were_read_is_counted_by_them() {
    let (ledger, _account) = ledger().await;
    let (run, cursor, parts) = begun(&ledger, 10, 5).await;
    let ends = [End::CompletedWithErrors, End::Unknown];
    for ((part, end), id) in parts.iter().zip(ends).zip(["job_1", "job_2"]) {
        ledger.lease_part(part, "one", NOW_MS, NOW_MS + 100).await.unwrap();
        let made = job_of(part, id);
        ledger.record_job(&made, &[done(part)], "one").await.unwrap();
        // The time of a check ended in between.
        let found: FoundUsers = serde_json::from_value("wlc..".into()).unwrap();
        ledger
            .reschedule_found(&made, NextPoll { due_ms: NOW_MS + 1, not_found_ms: None }, Some(&found))
            .await
            .unwrap();
        let stored = ledger.job(&made).await.unwrap().unwrap();
        assert_eq!((stored.found.as_ref(), stored.due_ms), (Some(&found), Some(NOW_MS + 1)));
        let origin = Origin::Job { job: made.job.clone(), attempt: 2 };
        let again = Some((PartId { generation: 1, origin }, 1));
        let read = Some(ReadUsers { gone: 1, changed_since: 1 });
        let closing = Closing { failed: 1, again, read, ..Closing::with(end) };
        assert!(ledger.close_job(&stored, &closing).await.unwrap());
        let closed = ledger.job(&made).await.unwrap().unwrap();
        assert_eq!((closed.found, closed.users_read, closed.gone, closed.changed_since), (None, true, 1, 1));
        assert_equal(&ledger, &run, &cursor).await;
    }
    let totals = assert_equal(&ledger, &run, &cursor).await.totals;
    assert_eq!((totals.sent, totals.written, totals.gone, totals.changed_since, totals.unknown), (8, 2, 2, 2, 0));
}

#[tokio::test]
async fn last_bulk_jobs_decide_if_a_run_sends_more() {
    let (ledger, _account) = ledger().await;
    let (run, _, parts) = begun(&ledger, 6, 1).await;
    let (with_errors, well) = (End::CompletedWithErrors, End::Completed);
    for ((minute, part), end) in (0..).zip(&parts).zip([with_errors, well, well, with_errors, with_errors, well]) {
        ledger.lease_part(part, "one", NOW_MS, NOW_MS + 100).await.unwrap();
        // The fifth is the result of single requests, and two jobs are in each bucket.
        let id = if minute == 4 { "put_1".to_owned() } else { format!("job_{minute}") };
        let made = job(part, &id, NOW_MS + minute / 2 * 60_000 + minute % 2);
        ledger.record_job(&made, &[done(part)], "one").await.unwrap();
        ledger.close_job(&made, &Closing::with(end)).await.unwrap();
    }
    for (most, expected) in [(1, 0), (2, 1), (4, 1), (5, 2), (50, 2)] {
        assert_eq!(ledger.last_jobs_with_errors(&run.id, most).await.unwrap(), expected, "{most}");
    }
    assert!(ledger.stop_jobs(&run.id, "first").await.unwrap());
    assert!(!ledger.stop_jobs(&run.id, "second").await.unwrap(), "the first reason stays");
    assert_eq!(ledger.run(&run.id).await.unwrap().unwrap().no_jobs.as_deref(), Some("first"));
}

/// A small difference between two rate headers is certain, and a large one may be of other requests.
#[tokio::test]
async fn one_operation_is_the_last_word_on_the_cost_of_a_bulk_request() {
    let (ledger, _account) = ledger().await;
    let (run, _, _) = begun(&ledger, 1, 1).await;
    let (item, request) = (BulkCharge::Item, BulkCharge::Request);
    for (seen, is_new, noted) in
        [(item, true, item), (item, false, item), (request, true, request), (item, false, request)]
    {
        assert_eq!(ledger.note_bulk_charge(&run.id, seen).await.unwrap(), is_new, "{seen:?}");
        assert_eq!(ledger.run(&run.id).await.unwrap().unwrap().bulk_charge_seen, Some(noted));
    }
}
