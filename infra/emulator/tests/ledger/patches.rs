//! The patches of a run with their outcomes.

use intercom_bulk::domain::api::Way;
use intercom_bulk::domain::job::JobId;
use intercom_bulk::domain::part::{Origin, PageRead, Part, PartId, ReadingId, cut};
use intercom_bulk::domain::patch::{Change, Patch, Target};
use intercom_bulk::domain::run::decide::Commit;
use intercom_bulk::domain::run::{Lease, Run, State};
use intercom_bulk::domain::user::UserId;
use intercom_bulk::ledger::{
    Begin, Closing, Committing, End, ErrorRow, JobRow, Leased, Ledger, PageRow, PartEnd, PartOfJob, ReadUsers,
    SeenPatch,
};
use serde_json::json;

use super::{NOW_MS, begin, done, error, job, ledger, run};

/// A part of a page with these users, each with two changes.
pub(super) fn part(run: &Run, page: u32, users: &[&str]) -> Part {
    let change = |name: &str| Change { target: Target::Attribute(name.to_owned()), new: json!(1), replaced: None };
    let patch = |id: &&str| Patch { user: UserId::new(*id).unwrap(), changes: vec![change("a"), change("b")] };
    let read = PageRead { generation: 1, page, reading: Some(ReadingId { turn: page.into(), lease: 1 }) };
    cut(&run.id, read, users.iter().map(patch).collect(), 50, |_| Way::Job).remove(0)
}

/// Commits the page of a part.
pub(super) async fn store(ledger: &Ledger, run: &Run, part: &Part) {
    ledger.put_bodies(std::slice::from_ref(part), NOW_MS).await.unwrap();
    let page = PageRow::of(std::slice::from_ref(part), NOW_MS);
    let turn = ledger.cursor(&run.id).await.unwrap().unwrap().turn;
    let lease = Lease { owner: "scroll".to_owned(), message: "m".to_owned(), until_ms: NOW_MS + 100 };
    let Leased::Ours(next) = ledger.lease(&run.id, turn, &lease, NOW_MS).await.unwrap() else { panic!("no lease") };
    let committing = Committing { commit: &Commit::Turn, page: page.as_ref() };
    assert!(ledger.commit(run, *next, "scroll", committing, NOW_MS).await.unwrap().is_some());
}

/// Stores a part that is done with this job, which is closed with an end if there is one.
pub(super) async fn sent(ledger: &Ledger, run: &Run, part: &Part, job: &JobRow, closing: Option<Closing>) {
    store(ledger, run, part).await;
    ledger.lease_part(part, "one", NOW_MS, NOW_MS + 1_000).await.unwrap();
    assert!(!ledger.record_job(job, &[done(part)], "one").await.unwrap());
    if let Some(closing) = closing {
        assert!(ledger.close_job(job, &closing).await.unwrap());
    }
}

/// Returns `user:changes outcome` of each patch.
async fn seen(ledger: &Ledger, run: &Run, all: bool, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    let each = |SeenPatch { patch, outcome, .. }: SeenPatch| {
        let names = patch.changes.iter().map(|change| change.target.to_string().replace("custom_attributes.", ""));
        let outcome: &str = outcome.into();
        found.push(format!("{}:{} {outcome}", patch.user, names.collect::<String>()));
        found.len() < most
    };
    ledger.each_patch(run, all, each).await.unwrap();
    found
}

#[tokio::test]
async fn patch_has_the_outcome_of_its_job_or_part() {
    let (ledger, account) = ledger().await;
    let run = run("p");
    assert_eq!(begin(&ledger, &run).await, Begin::Begun);
    let of = |page: u32, users: &[&str], made_ms: i64| {
        let part = part(&run, page, users);
        let job = JobRow { users: users.len() as u64, ..job(&part, &format!("job_{page}"), made_ms) };
        (part, job)
    };
    let failed = |user: &str, at: String| ErrorRow { at, ..error(user) };
    // One refused by its job, one refused alone before it, one to be sent again with one change.
    let (first, job_1) = of(1, &["ann", "bob", "cat", "dan"], NOW_MS);
    let follow_up = Part {
        id: PartId { generation: 1, origin: Origin::Job { job: job_1.job.clone(), attempt: 2 } },
        patches: vec![Patch { changes: first.patches[2].changes[1..].to_vec(), ..first.patches[2].clone() }],
        ..first.clone()
    };
    let job_1 = JobRow {
        parts: vec![PartOfJob { part: first.id.clone(), users: Some(vec![0, 1, 2]), repeated: false }],
        ..job_1
    };
    let errors = [failed("ann", "job job_1".to_owned()), failed("dan", format!("part {}", first.id))];
    ledger.record_errors(&run.id, &errors, NOW_MS).await.unwrap();
    let again = Some((follow_up.id.clone(), 1));
    let closing = Closing { failed: 1, again, ..Closing::with(End::CompletedWithErrors) };
    ledger.put_bodies(std::slice::from_ref(&follow_up), NOW_MS).await.unwrap();
    sent(&ledger, &run, &first, &job_1, Some(closing)).await;
    // A resubmission of a part that another job has.
    let second = JobRow { job: JobId::new("job_9").unwrap(), ..job_1.clone() };
    assert!(ledger.record_job(&second, &[done(&first)], "one").await.unwrap());
    let (gone, job_2) = of(2, &["eve"], NOW_MS + 60_000);
    let read = Some(ReadUsers { gone: 1, changed_since: 0 });
    sent(&ledger, &run, &gone, &job_2, Some(Closing { read, ..Closing::with(End::CompletedWithErrors) })).await;
    let (unknown, job_3) = of(3, &["fay"], NOW_MS + 120_000);
    sent(&ledger, &run, &unknown, &job_3, Some(Closing::with(End::Unknown))).await;
    let (open, job_4) = of(4, &["gus"], NOW_MS + 180_000);
    sent(&ledger, &run, &open, &job_4, None).await;
    let (dropped, _) = of(5, &["hal"], NOW_MS);
    store(&ledger, &run, &dropped).await;
    ledger.end_part(&dropped, PartEnd::Dropped, "one", NOW_MS).await.unwrap();
    store(&ledger, &run, &part(&run, 60, &["ida"])).await;

    let in_jobs =
        ["ann:ab failed", "bob:ab written", "cat:a written", "eve:ab unsure", "fay:ab unknown", "gus:ab open"];
    let outside = |left: &str| {
        ["dan:ab failed", "hal:ab not_sent", &format!("ida:ab {left}"), &format!("cat:b {left}")].map(ToOwned::to_owned)
    };
    assert_eq!(seen(&ledger, &run, false, 99).await, in_jobs);
    let all = [&in_jobs.map(ToOwned::to_owned)[..], &outside("pending")].concat();
    assert_eq!(seen(&ledger, &run, true, 99).await, all);
    let ended = Run { state: State::Cancelled, ..run.clone() };
    assert_eq!(seen(&ledger, &ended, true, 99).await[6..], outside("not_sent"));
    let calls = || account.counts.so_far().calls["GetItem"];
    let before = calls();
    assert_eq!(seen(&ledger, &run, true, 2).await, ["ann:ab failed", "bob:ab written"]);
    assert!(calls() - before <= 2, "the rest is not read");
}
