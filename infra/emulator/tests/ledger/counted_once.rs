//! Users of several jobs or error rows count once, and parts of a void reading do not count.

use intercom_bulk::domain::part::{Origin, Part, PartId, ReadingId};
use intercom_bulk::domain::run::Accounts;
use intercom_bulk::ledger::{Closing, End, ErrorRow, JobRow, PartEnd, PartOfJob, PartProgress, ReadUsers};

use crate::counts::{assert_equal, begun, done, job_of};
use crate::{NOW_MS, ledger};

/// A frozen owner's job has a part that another owner took over, and one that no other owner submits.
#[tokio::test]
async fn users_of_a_resubmission_count_once() {
    let (ledger, _account) = ledger().await;
    let (run, cursor, parts) = begun(&ledger, 5, 3).await;
    for part in &parts {
        ledger.lease_part(part, "frozen", NOW_MS, NOW_MS + 100).await.unwrap();
    }
    ledger.lease_part(&parts[0], "awake", NOW_MS + 101, NOW_MS + 200).await.unwrap();
    let of = |part: &Part| PartOfJob { part: part.id.clone(), users: None, repeated: false };
    let both = JobRow { users: 5, parts: parts.iter().map(of).collect(), ..job_of(&parts[0], "both") };
    let progress: Vec<PartProgress> = parts.iter().map(done).collect();
    for _ in 0..2 {
        assert!(ledger.record_job(&both, &progress, "frozen").await.unwrap(), "it is a resubmission");
    }
    assert_eq!(assert_equal(&ledger, &run, &cursor).await.totals.sent, 2);
    let first = job_of(&parts[0], "first");
    assert!(!ledger.record_job(&first, &progress[..1], "awake").await.unwrap());
    let stored = ledger.job(&both).await.unwrap().unwrap();
    assert_eq!(stored.parts.iter().map(|of| of.repeated).collect::<Vec<_>>(), [true, false]);
    for job in [&stored, &first] {
        assert!(ledger.close_job(job, &Closing::with(End::Completed)).await.unwrap());
    }
    let Accounts { parts_open, totals, .. } = assert_equal(&ledger, &run, &cursor).await;
    assert_eq!((parts_open, totals.sent, totals.written, totals.patches), (0, 5, 5, 8));
}

/// A control is sent with a user who is in another job. Its own job may find that the user is gone.
#[tokio::test]
async fn user_of_a_control_counts_once() {
    let (ledger, _account) = ledger().await;
    let (run, cursor, parts) = begun(&ledger, 1, 50).await;
    ledger.lease_part(&parts[0], "one", NOW_MS, NOW_MS + 100).await.unwrap();
    let first = job_of(&parts[0], "first");
    ledger.record_job(&first, &[done(&parts[0])], "one").await.unwrap();
    let control = JobRow { resubmission: true, ..job_of(&parts[0], "control") };
    ledger.record_job(&control, &[], "one").await.unwrap();
    let read = Some(ReadUsers { gone: 1, changed_since: 0 });
    for job in [&first, &control] {
        let closing = Closing { read, ..Closing::with(End::CompletedWithErrors) };
        assert!(ledger.close_job(job, &closing).await.unwrap());
    }
    let totals = assert_equal(&ledger, &run, &cursor).await.totals;
    assert_eq!((totals.sent, totals.written, totals.gone, totals.jobs), (1, 0, 1, 2));
}

/// A user fails in the plan and in its write.
#[tokio::test]
async fn failed_users_count_once() {
    let (ledger, _account) = ledger().await;
    let (run, cursor, _) = begun(&ledger, 1, 50).await;
    let row = |user: &str, at: &str| ErrorRow {
        user: user.to_owned(),
        code: "code".to_owned(),
        message: String::new(),
        at: at.to_owned(),
        generation: 1,
    };
    let rows = [row("u1", "job j"), row("u1", "page 1"), row("u1", "part p"), row("u2", "page 1"), row("u3", "job j")];
    ledger.record_errors(&run.id, &rows, NOW_MS).await.unwrap();
    let totals = ledger.accounts(&run, &cursor).await.unwrap().totals;
    assert_eq!((totals.errors, totals.failed_twice), (3, 1));
}

/// Two readings of a page make parts, and the first one is committed.
#[tokio::test]
async fn part_of_a_void_reading_does_not_count() {
    let (ledger, _account) = ledger().await;
    let (run, cursor, parts) = begun(&ledger, 2, 1).await;
    let origin = Origin::Page { page: 1, part: 0, reading: Some(ReadingId { turn: 0, lease: 2 }) };
    let void = Part { id: PartId { generation: 1, origin }, ..parts[0].clone() };
    for (part, open) in [(&void, 2), (&parts[0], 1)] {
        ledger.lease_part(part, "one", NOW_MS, NOW_MS + 100).await.unwrap();
        ledger.end_part(part, PartEnd::GivenUp, "one", NOW_MS).await.unwrap();
        assert_eq!(ledger.accounts(&run, &cursor).await.unwrap().parts_open, open, "{}", part.id);
    }
}
