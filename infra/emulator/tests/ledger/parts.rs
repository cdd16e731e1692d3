//! Leases and ends of parts.

use intercom_bulk::domain::api::Way;
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::part::{Origin, Outcomes, PageRead, Part, PartId, ReadingId, cut};
use intercom_bulk::domain::patch::Patch;
use intercom_bulk::domain::run::RunId;
use intercom_bulk::domain::user::UserId;
use intercom_bulk::ledger::{Closing, End, OurPart, PartEnd, PartLease, PartRest, ReadUsers, Release};

use super::{NOW_MS, TABLE, done, job, ledger, ours, part, run};

#[tokio::test]
async fn racing_submits_end_in_one_recorded_job() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    let part = part(&run);
    assert_eq!(ledger.lease_part(&part, "one", 0, 100).await.unwrap(), ours(1));
    assert_eq!(ledger.lease_part(&part, "two", 50, 200).await.unwrap(), PartLease::Busy);
    assert_eq!(ledger.lease_part(&part, "two", 101, 300).await.unwrap(), ours(2));
    assert_eq!(ledger.part(&run.id, &part.id).await.unwrap().unwrap().lost, 1, "the first may have made a job");
    let done = [done(&part)];
    assert!(!ledger.record_job(&job(&part, "job_2", NOW_MS), &done, "two").await.unwrap());
    assert!(ledger.record_job(&job(&part, "job_1", NOW_MS), &done, "one").await.unwrap(), "recorded as a resubmission");
    let jobs = ledger.jobs(&Bucket::of(NOW_MS, Width::MINUTE)).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.resubmission).collect::<Vec<_>>(), [true, false]);
    let row = ledger.part(&run.id, &part.id).await.unwrap().unwrap();
    assert_eq!((row.end, row.job.unwrap().as_str()), (Some(PartEnd::Done), "job_2"));
    assert_eq!(ledger.lease_part(&part, "three", 400, 500).await.unwrap(), PartLease::Ended(PartEnd::Done));
}

#[tokio::test]
async fn dropped_part_counts_a_possible_job() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    for (owner, lost) in [("one", 0), ("two", 1)] {
        let part = Part { run: RunId::parse(&format!("{}-{owner}", run.id)).unwrap(), ..part(&run) };
        assert_eq!(ledger.lease_part(&part, "one", 0, 100).await.unwrap(), ours(1));
        ledger.end_part(&part, PartEnd::Dropped, owner, NOW_MS).await.unwrap();
        ledger.end_part(&part, PartEnd::Dropped, "three", NOW_MS).await.unwrap();
        let row = ledger.part(&part.run, &part.id).await.unwrap().unwrap();
        assert_eq!((row.end, row.lost), (Some(PartEnd::Dropped), lost), "dropped by {owner}");
    }
}

/// Failed requests last from the first one since Intercom was last not reached.
#[tokio::test]
async fn failing_time_begins_with_a_request_that_was_sent() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    let part = part(&run);
    let open = Outcomes::open(part.patches.len());
    for (now_ms, is_unreached, others_taken, expected) in [
        (100, true, false, (None, false)),
        (200, false, false, (Some(200), false)),
        (300, false, true, (Some(200), true)),
        (400, true, false, (None, true)),
        (500, false, false, (Some(500), true)),
    ] {
        ledger.lease_part(&part, "one", now_ms, now_ms + 50).await.unwrap();
        let rest = PartRest { back: 0, why: "503", is_unreached, others_taken, now_ms };
        ledger.rest_part(&part, "one", &open, rest).await.unwrap();
        let row = ledger.part(&run.id, &part.id).await.unwrap().unwrap();
        assert_eq!((row.since_ms, row.others_taken), expected, "{now_ms}");
        assert_eq!((row.tried_ms, row.lease_owner), (Some(now_ms), None), "{now_ms}");
    }
}

/// A process that dies between this and the errors of the users that are given up gives up no others.
#[tokio::test]
async fn attempts_begin_again_under_a_lease() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    let part = part(&run);
    for attempt in 1..=8 {
        let leased = ledger.lease_part(&part, "one", 0, 100).await.unwrap();
        assert!(matches!(leased, PartLease::Ours(OurPart { attempt: now, .. }) if now == attempt), "{leased:?}");
        if attempt < 8 {
            let open = Outcomes::open(part.patches.len());
            ledger.release_part(&part, "one", &open, Release::Tried).await.unwrap();
        }
    }
    ledger.begin_attempts(&part, "two").await.unwrap();
    ledger.begin_attempts(&part, "one").await.unwrap();
    assert_eq!(ledger.lease_part(&part, "two", 50, 200).await.unwrap(), PartLease::Busy);
    assert_eq!(ledger.lease_part(&part, "two", 101, 300).await.unwrap(), ours(2));
}

/// A part may be dropped weeks after its run ended, when no step reads the run's items any more.
#[tokio::test]
async fn part_row_has_a_time_to_live_from_the_start() {
    let (ledger, account) = ledger().await;
    let run = run("a");
    let unleased = Part { run: RunId::parse("b.20161101T110033Z").unwrap(), ..part(&run) };
    ledger.lease_part(&part(&run), "one", NOW_MS, NOW_MS + 100).await.unwrap();
    ledger.end_part(&unleased, PartEnd::Dropped, "one", NOW_MS).await.unwrap();
    let items = account.dynamodb.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    assert_eq!(items.len(), 3, "two parts, and a count");
    for item in items {
        let expires_s: i64 = item["expires_at"].as_n().unwrap().parse().unwrap();
        assert!(expires_s > NOW_MS / 1000 + 80 * 24 * 3600, "{item:#?}");
    }
}

/// A job holds a part that another owner took over, and one that is still ours.
#[tokio::test]
async fn resubmission_keeps_the_progress_of_its_other_parts() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    let taken = part(&run);
    let read = PageRead { generation: 1, page: 2, reading: Some(ReadingId { turn: 4, lease: 1 }) };
    let other = cut(&run.id, read, taken.patches.clone(), 50, |_| Way::Job).remove(0);
    for part in [&taken, &other] {
        assert_eq!(ledger.lease_part(part, "one", 0, 100).await.unwrap(), ours(1));
    }
    assert_eq!(ledger.lease_part(&taken, "two", 101, 300).await.unwrap(), ours(2));
    let progress = [done(&taken), done(&other)];
    for _ in 0..2 {
        assert!(ledger.record_job(&job(&taken, "job_1", NOW_MS), &progress, "one").await.unwrap());
    }
    let end = async |part: &Part| ledger.part(&run.id, &part.id).await.unwrap().unwrap().end;
    assert_eq!((end(&taken).await, end(&other).await), (None, Some(PartEnd::Done)));
}

/// Two checks of a job find that other users lack the new values.
#[tokio::test]
async fn follow_up_has_the_patches_of_the_check_that_closed_the_job() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    let part = part(&run);
    let [bob, zoe] = ["bob", "zoe"].map(|id| Patch { user: UserId::new(id).unwrap(), ..part.patches[0].clone() });
    let job = job(&part, "job_1", NOW_MS);
    ledger.record_job(&job, &[], "one").await.unwrap();
    let id = PartId { generation: 1, origin: Origin::Job { job: job.job.clone(), attempt: 2 } };
    let follow_up = |patches: Vec<Patch>| Part { id: id.clone(), patches, ..part.clone() };
    let (first, second) = (follow_up(vec![bob, zoe.clone()]), follow_up(vec![zoe]));
    for (body, closes) in [(&first, true), (&second, false)] {
        let again = Some((id.clone(), body.patches.len() as u64));
        let read = Some(ReadUsers::default());
        let closing = Closing { again, read, ..Closing::with(End::CompletedWithErrors) };
        assert_eq!(ledger.close_job_with(&job, &closing, Some((body, NOW_MS))).await.unwrap(), closes);
        let stored = ledger.bodies(&run.id, part.v, vec![id.clone()]).await.unwrap();
        assert_eq!(stored, std::slice::from_ref(&first));
        assert_eq!(ledger.job(&job).await.unwrap().unwrap().again_users, 2);
    }
}
