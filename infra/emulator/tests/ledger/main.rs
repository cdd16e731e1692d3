//! The ledger's guarantees, on the emulated DynamoDB behind the real client.
#![expect(clippy::unwrap_used, reason = "what a test sets up by itself may panic")]

mod counted_once;
mod counts;
mod errors;
mod parts;
mod patches;
mod reports;
mod retried;
mod starts;
mod undone;

use intercom_bulk::domain::api::{Api, Way};
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::job::JobId;
use intercom_bulk::domain::part::{Outcomes, PageRead, Part, ReadingId, UserOutcome, cut};
use intercom_bulk::domain::patch::{Change, Patch, Target};
use intercom_bulk::domain::run::{
    Cursor, EXCLUSIVE_LIFE_MS, FORMAT, Lease, Limits, Pause, PausedBy, Run, RunId, Source, Start, State,
};
use intercom_bulk::domain::user::UserId;
use intercom_bulk::ledger::{
    Active, Begin, CompanyName, ErrorRow, JobOf, JobRow, Leased, Ledger, OurPart, PartLease, PartOfJob, PartProgress,
    Reserved, Take, Taken, create,
};
use intercom_bulk_emulator::aws::Account;
use serde_json::json;

const TABLE: &str = "ledger";
const NOW_MS: i64 = 1_479_981_900_000;

async fn ledger() -> (Ledger, Account) {
    let account = Account::open(None).unwrap();
    create(&account.dynamodb, TABLE).await.unwrap();
    (Ledger::new(account.dynamodb.clone(), TABLE), account)
}

fn run(plan: &str) -> Run {
    Run {
        v: FORMAT,
        id: RunId::of(plan, NOW_MS / 1000),
        plan: plan.to_owned(),
        version: None,
        version_reason: None,
        api: Api::V1,
        state: State::Running,
        reason: None,
        paused: None,
        paused_ms: 0,
        resumed_ms: 0,
        generation: 1,
        started_ms: NOW_MS,
        scheduled_at_s: None,
        ended_ms: None,
        deadline_ms: NOW_MS + 1,
        count: None,
        listed: None,
        retry: None,
        saved: None,
        undo: None,
        workspace: None,
        limits: Limits::default(),
        held_back: false,
        no_jobs: None,
        jobs_not_served: false,
        bulk_charge_seen: None,
        canary_ended: None,
        errors: 0,
        totals: None,
    }
}

async fn begin(ledger: &Ledger, run: &Run) -> Begin {
    begin_after(ledger, run, &ledger.active().await.unwrap()).await
}

fn start_of(run: &Run) -> Start {
    Start::new(&run.plan, None, run.started_ms / 1000, Source::All, run.limits.clone())
}

async fn begin_after(ledger: &Ledger, run: &Run, seen: &Active) -> Begin {
    let cursor = Cursor::first(run.id.clone(), 0, EXCLUSIVE_LIFE_MS);
    ledger.begin(run, &json!({}), &start_of(run), &cursor, seen).await.unwrap()
}

fn part(run: &Run) -> Part {
    let change = Change { target: Target::Attribute("a".into()), new: json!(1), replaced: None };
    let patch = Patch { user: UserId::new("u1").unwrap(), changes: vec![change] };
    let read = PageRead { generation: 1, page: 1, reading: Some(ReadingId { turn: 3, lease: 1 }) };
    cut(&run.id, read, vec![patch], 50, |_| Way::Job).remove(0)
}

fn job(part: &Part, id: &str, made_ms: i64) -> JobRow {
    let bucket = Bucket::of(made_ms, Width::MINUTE);
    let parts = vec![PartOfJob { part: part.id.clone(), users: None, repeated: false }];
    let of = JobOf { run: part.run.clone(), v: FORMAT, generation: 1, users: 1, changes: String::new(), parts };
    JobRow::open(JobId::new(id).unwrap(), bucket, of, made_ms, made_ms)
}

/// The lease of a part of one user. In these tests, each earlier attempt was interrupted.
fn ours(attempt: u32) -> PartLease {
    PartLease::Ours(OurPart { attempt, interrupted: attempt > 1, outcomes: Outcomes::open(1) })
}

fn done(part: &Part) -> PartProgress {
    let mut outcomes = Outcomes::open(part.patches.len());
    (0..part.patches.len()).for_each(|place| outcomes.set(place, UserOutcome::InJob));
    PartProgress { id: part.id.clone(), outcomes }
}

#[tokio::test]
async fn one_run_is_active_at_a_time() {
    let (ledger, _account) = ledger().await;
    let (first, second) = (run("a"), run("b"));
    assert_eq!(begin(&ledger, &first).await, Begin::Begun);
    assert_eq!(begin(&ledger, &first).await, Begin::Known);
    assert_eq!(begin(&ledger, &second).await, Begin::Busy);
    let before = ledger.active().await.unwrap();
    let lease = Lease { owner: "one".into(), message: "m".into(), until_ms: NOW_MS + 5 };
    assert!(matches!(ledger.lease(&first.id, 0, &lease, NOW_MS).await.unwrap(), Leased::Ours(_)));
    assert!(ledger.end(&first, State::Failed, Some("why"), None, NOW_MS).await.unwrap());
    assert!(!ledger.end(&first, State::Failed, None, None, NOW_MS).await.unwrap(), "an end is final");
    let free_at_ms = ledger.active().await.unwrap().free_at_ms;
    assert_eq!(free_at_ms, lease.until_ms + EXCLUSIVE_LIFE_MS, "the lease owner may call the scroll until then");
    let late = Lease { until_ms: NOW_MS + 10, ..lease };
    let late = ledger.lease(&first.id, 0, &late, NOW_MS + 6).await.unwrap();
    assert!(matches!(late, Leased::Not(_)), "a turn of an ended run cannot be leased: {late:?}");
    assert_eq!(ledger.run(&first.id).await.unwrap().unwrap().reason.as_deref(), Some("why"));
    let free = Active { run: None, ..before };
    assert_eq!(begin_after(&ledger, &second, &free).await, Begin::Busy, "the first's scroll is unknown to it");
    assert_eq!(begin(&ledger, &second).await, Begin::Begun);
}

/// If the answer to a reservation is lost, the retry must recognise its own row.
#[tokio::test]
async fn company_name_is_sent_for_one_user() {
    let (ledger, _account) = ledger().await;
    let run = run("a").id;
    let [ann, bob] = ["ann", "bob"].map(|id| UserId::new(id).unwrap());
    let mut answers = Vec::new();
    for (generation, name, user) in
        [(1, "Acme", &ann), (1, "Acme", &ann), (1, "Acme", &bob), (1, "Acme Inc", &ann), (2, "Acme", &bob)]
    {
        let name = CompanyName { company: "c1", name };
        answers.push(ledger.reserve_company(&run, generation, name, user).await.unwrap());
    }
    assert_eq!(answers, [Reserved::New, Reserved::New, Reserved::Same, Reserved::Other, Reserved::New]);
}

#[tokio::test]
async fn buckets_are_listed_without_a_scan() {
    let (ledger, account) = ledger().await;
    let run = run("a");
    for minute in 0..3 {
        let row = job(&part(&run), &format!("job_{minute}"), NOW_MS + minute * 60_000);
        ledger.record_job(&row, &[], "x").await.unwrap();
    }
    let first = Bucket::of(NOW_MS, Width::MINUTE);
    let mut found = Vec::new();
    for bucket in first.to(&Bucket::of(NOW_MS + 60_000, Width::MINUTE), Width::MINUTE, 10) {
        found.extend(ledger.jobs(&bucket).await.unwrap().into_iter().map(|job| job.job.to_string()));
    }
    assert_eq!(found, ["job_0", "job_1"]);
    assert_eq!(account.counts.so_far().calls.get("Scan"), None);
    assert_eq!(ledger.due(NOW_MS + 60_000, 10).await.unwrap().len(), 2, "due jobs, of all buckets");
}

#[tokio::test]
async fn budget_never_exceeds_the_window() {
    let (ledger, _account) = ledger().await;
    let (end_ms, reach) = (NOW_MS + 10_000, 97);
    let mut granted = 0;
    while let Some(taken) = ledger.take(end_ms, Take { least: 1, most: 30 }, || reach).await.unwrap() {
        granted += taken.operations;
        assert_eq!(taken.spent, granted);
    }
    assert_eq!(granted, reach);
    let one = Take { least: 1, most: 1 };
    let further = ledger.take(end_ms, one, || reach + 2).await.unwrap();
    assert_eq!(further, Some(Taken { operations: 1, spent: reach + 1 }), "another lane reaches further");
    assert_eq!(
        ledger.take(end_ms, Take { least: 2, most: 2 }, || reach + 2).await.unwrap(),
        None,
        "fewer are left than the least"
    );
    ledger.mark_spent(end_ms).await.unwrap();
    assert_eq!(ledger.take(end_ms, one, || reach + 2).await.unwrap(), None);
}

#[tokio::test]
async fn run_items_expire_after_its_end() {
    let (ledger, account) = ledger().await;
    let run = run("a");
    begin(&ledger, &run).await;
    let part = part(&run);
    ledger.lease_part(&part, "one", 0, 100).await.unwrap();
    let row = job(&part, "job_1", NOW_MS);
    ledger.record_job(&row, &[done(&part)], "one").await.unwrap();
    assert!(!ledger.expire(2).await.unwrap(), "the run continues");
    ledger.end(&run, State::Failed, None, None, NOW_MS).await.unwrap();
    while ledger.expire(2).await.unwrap() {}
    // A job of an ended run goes on, and its end is recorded.
    ledger.note_bucket(&run.id, &Bucket::of(NOW_MS + 60_000, Width::MINUTE), NOW_MS + 60_000).await.unwrap();
    ledger.record_errors(&run.id, &[error("1")], NOW_MS + 60_000).await.unwrap();
    let items = account.dynamodb.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
    let lasting: Vec<_> = items.iter().filter(|item| !item.contains_key("expires_at")).collect();
    let kept: Vec<&String> = lasting.iter().filter_map(|item| item["pk"].as_s().ok()).collect();
    assert_eq!(kept, ["ACTIVE"], "everything else of the run expires");
    let all = "RUN, PLAN, CURSOR, two BUCKETS, PART, its place among the runs, the job, an error, its report";
    assert_eq!(items.len() - 1, 10, "{all}");
}

fn error(user: &str) -> ErrorRow {
    ErrorRow {
        user: user.to_owned(),
        code: "x".to_owned(),
        message: "m".to_owned(),
        at: "page 1".to_owned(),
        generation: 1,
    }
}

/// Reading a whole partition needs memory for all of it: 10,000 parts at a million users.
#[tokio::test]
async fn long_partition_is_read_in_pages() {
    let (ledger, account) = ledger().await;
    let run = run("p");
    let rows: Vec<ErrorRow> = (0..1_200).map(|user| error(&format!("{user:06}"))).collect();
    ledger.record_errors(&run.id, &rows, NOW_MS).await.unwrap();
    let before = account.counts.so_far().calls.get("Query").copied().unwrap_or_default();
    let found = ledger.errors(&run).await.unwrap();
    assert_eq!((found.len(), found[1_199].user.as_str()), (1_200, "001199"));
    let queries = account.counts.so_far().calls["Query"] - before;
    assert!(queries >= 3, "{queries} queries");
}

/// The next invocation finds the cursor as if the lease had never existed.
#[tokio::test]
async fn returned_lease_leaves_no_trace() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    assert_eq!(begin(&ledger, &run).await, Begin::Begun);
    let lease = |owner: &str, until_ms| Lease { owner: owner.into(), message: "m".into(), until_ms };
    let leased = async |owner: &str, now_ms, until_ms| match ledger
        .lease(&run.id, 0, &lease(owner, until_ms), now_ms)
        .await
        .unwrap()
    {
        Leased::Ours(cursor) => *cursor,
        other => panic!("{other:?}"),
    };
    let first = leased("first", NOW_MS, NOW_MS + 5).await;
    ledger.release_lease(&first, "another owner").await.unwrap();
    assert_eq!(ledger.cursor(&run.id).await.unwrap().unwrap().owner(), Some("first"));
    ledger.release_lease(&first, "first").await.unwrap();
    let second = leased("second", NOW_MS, NOW_MS + 5).await;
    assert_eq!((second.lease, second.leases), (None, 0));
    // The second dies, and the third returns the lease it took over. The fourth still sees the
    // death.
    let third = leased("third", NOW_MS + 10, NOW_MS + 15).await;
    ledger.release_lease(&third, "third").await.unwrap();
    let fourth = leased("fourth", NOW_MS + 10, NOW_MS + 15).await;
    assert_eq!((fourth.lease.unwrap().owner.as_str(), fourth.leases), ("second", 1));
}

#[tokio::test]
async fn operator_deadline_is_not_extended() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    assert_eq!(begin(&ledger, &run).await, Begin::Begun);
    ledger.extend_deadline(&run, NOW_MS + 7).await.unwrap();
    assert_eq!(ledger.run(&run.id).await.unwrap().unwrap().deadline_ms, NOW_MS + 7);
    ledger.extend_deadline(&run, NOW_MS + 9).await.unwrap();
    assert_eq!(ledger.run(&run.id).await.unwrap().unwrap().deadline_ms, NOW_MS + 7, "it was read before the change");
}

/// A run may end between the reads of `ACTIVE` and of the run.
#[tokio::test]
async fn ended_run_is_neither_resumed_nor_paused() {
    let (ledger, _account) = ledger().await;
    let run = run("a");
    assert_eq!(begin(&ledger, &run).await, Begin::Begun);
    assert!(ledger.end(&run, State::Cancelled, None, None, NOW_MS).await.unwrap());
    let (run, cursor) = (ledger.run(&run.id).await.unwrap().unwrap(), ledger.cursor(&run.id).await.unwrap().unwrap());
    assert_eq!(ledger.resettle(&run, &cursor, 0, false, NOW_MS).await.unwrap(), None);
    let pause = Pause { by: PausedBy::Operator, from: State::Running, since_ms: NOW_MS };
    assert!(!ledger.pause(&run, pause, "late").await.unwrap());
    assert!(!ledger.unpause(&run, State::Running, NOW_MS).await.unwrap());
    assert_eq!(ledger.run(&run.id).await.unwrap().unwrap().state, State::Cancelled);
}
