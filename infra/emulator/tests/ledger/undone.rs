//! The changes of a run by user, and the users whose values stay, as an undo keeps them.

use intercom_bulk::domain::part::PartId;
use intercom_bulk::domain::run::Undo;
use intercom_bulk::domain::undo::{Made, StayingUser, StayingValue, Stays};
use intercom_bulk::ledger::{AnswerCounts, MadeOfUser, PartEnd};

use super::*;

fn target() -> Target {
    Target::Attribute("plan".to_owned())
}

fn made(user: &str, at_ms: i64, part: &str, new: serde_json::Value) -> MadeOfUser {
    let change = Change { target: target(), new, replaced: Some(json!(49.0)) };
    let made = vec![Made { change, is_done: true }];
    let part = PartId::parse(part).unwrap();
    MadeOfUser { user: UserId::new(user).unwrap(), at_ms, part, job: None, made }
}

/// A part whose users all became errors is done. If one of its requests has no known outcome, that request may
/// have been carried out.
#[tokio::test]
async fn request_without_a_known_outcome_may_have_made_its_changes() {
    let (ledger, _) = ledger().await;
    let run = Run { api: Api::V2, ..run("p") };
    assert_eq!(begin(&ledger, &run).await, Begin::Begun);
    let of = async |page: u32, user: &str| {
        let part = patches::part(&run, page, &[user]);
        patches::store(&ledger, &run, &part).await;
        part
    };
    let leased = async |page: u32, user: &str| {
        let part = of(page, user).await;
        ledger.lease_part(&part, "one", NOW_MS, NOW_MS + 1_000).await.unwrap();
        part
    };
    let written = patches::part(&run, 1, &["written"]);
    let answered = |part: &Part, failed: u64| {
        let open = job(part, "unused", NOW_MS);
        let id = JobId::of_answers(part.patches[0].user.as_str()).unwrap();
        let of = JobOf {
            run: run.id.clone(),
            v: FORMAT,
            generation: 1,
            users: 1,
            changes: String::new(),
            parts: open.parts.clone(),
        };
        JobRow::answered(id, open.bucket, of, NOW_MS, AnswerCounts { failed, ..AnswerCounts::default() })
    };
    patches::sent(&ledger, &run, &written, &answered(&written, 0), None).await;
    let alone = leased(2, "failed-alone-after-a-lost-answer").await;
    ledger.possibly_lost(&alone, "one", NOW_MS).await.unwrap();
    ledger.end_part(&alone, PartEnd::Done, "one", NOW_MS).await.unwrap();
    let refused = leased(3, "refused").await;
    ledger.end_part(&refused, PartEnd::Done, "one", NOW_MS).await.unwrap();
    let later = leased(4, "refused-after-a-lost-answer").await;
    ledger.answers_lost(&later, "one", NOW_MS).await.unwrap();
    let at = format!("part {}", later.id);
    let error = ErrorRow { at, ..error("refused-after-a-lost-answer") };
    ledger.record_errors(&run.id, &[error], NOW_MS).await.unwrap();
    let mut outcomes = Outcomes::open(1);
    outcomes.set(0, UserOutcome::Refused);
    let progress = PartProgress { id: later.id.clone(), outcomes };
    assert!(!ledger.record_job(&answered(&later, 1), &[progress], "one").await.unwrap());
    of(5, "never-leased").await;
    let made = ledger.made_changes(&run, None).await.unwrap();
    let users: Vec<(&str, bool)> = made.users.iter().map(|made| (made.user.as_str(), made.made[0].is_done)).collect();
    assert_eq!(
        users,
        [("written", true), ("failed-alone-after-a-lost-answer", false), ("refused-after-a-lost-answer", false)]
    );
}

/// A bucket of an hour can have hundreds of thousands of users, and a turn lists a few thousand.
#[tokio::test]
async fn changes_of_a_full_bucket_are_read_in_several_turns() {
    let (ledger, account) = ledger().await;
    let run = run("p");
    assert_eq!(begin(&ledger, &run).await, Begin::Begun);
    for page in 1..=47 {
        let part = patches::part(&run, page, &[&format!("u{page}")]);
        patches::sent(&ledger, &run, &part, &job(&part, &format!("job_{page}"), NOW_MS), None).await;
    }
    let (mut place, mut users, mut turns) = (None, Vec::new(), 0);
    loop {
        let before = account.counts.so_far().calls["GetItem"];
        let some = ledger.made_changes(&run, place.as_ref()).await.unwrap();
        assert!(some.users.len() <= 20 && account.counts.so_far().calls["GetItem"] - before <= 40);
        users.extend(some.users.into_iter().map(|made| made.user.to_string()));
        turns += 1;
        place = some.reached;
        if place.is_none() {
            break;
        }
    }
    let distinct: std::collections::BTreeSet<&String> = users.iter().collect();
    assert_eq!((users.len(), distinct.len(), turns), (47, 47, 3));
}

#[tokio::test]
async fn changes_of_a_user_are_read_together_oldest_first() {
    let (ledger, _) = ledger().await;
    let undo = run("p").id;
    let (early, late) = ("0001#0000002#03#7.1", "0002#0000001#00#9.1");
    let some = [
        made("b", 9, late, json!("b2")),
        made("a-b", 9, late, json!("x")),
        made("a", i64::MAX, late, json!("a3")),
        made("aB", 9, late, json!("y")),
    ];
    let others =
        [made("b", 8, early, json!("b1")), made("a", 10, early, json!("a2")), made("a", 9, early, json!("a1"))];
    for users in [&some[..], &others, &some] {
        ledger.list_made(&undo, users, NOW_MS).await.unwrap();
    }
    for most in 1..6 {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = ledger.listed_made(&undo, after.as_ref(), most).await.unwrap();
            assert!(page.len() <= most);
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            all.extend(page);
        }
        all.sort_by_key(|(user, _)| user.to_string());
        let values = |made: &[Made]| made.iter().map(|made| made.change.new.as_str().unwrap().to_owned()).collect();
        let all: Vec<(String, Vec<String>)> = all.iter().map(|(user, made)| (user.to_string(), values(made))).collect();
        let of = |user: &str, values: &[&str]| (user.to_owned(), values.iter().map(ToString::to_string).collect());
        let expected = [of("a", &["a1", "a2", "a3"]), of("a-b", &["x"]), of("aB", &["y"]), of("b", &["b1", "b2"])];
        assert_eq!(all, expected, "pages of {most}");
    }
    let page = ledger.listed_made(&undo, None, 1).await.unwrap();
    assert_eq!(serde_json::to_string(&page[0].1[0].change.replaced).unwrap(), "49.0", "a number keeps its form");
}

#[tokio::test]
async fn staying_users_are_listed_until_they_are_forgotten() {
    let (ledger, _) = ledger().await;
    let undo = run("p").id;
    let user = |id: &str| UserId::new(id).unwrap();
    let stays = |id: &str, why| StayingUser { user: user(id), stays: vec![StayingValue { target: target(), why }] };
    let all = [stays("a", Stays::Gone), stays("b", Stays::ChangedSince)];
    ledger.record_staying(&undo, &all, NOW_MS).await.unwrap();
    let listed = async || {
        let mut found = Vec::new();
        let each = |user| {
            found.push(user);
            true
        };
        ledger.each_staying(&undo, each).await.unwrap();
        found
    };
    assert_eq!(listed().await, all);
    ledger.forget_staying(&undo, &[user("a")]).await.unwrap();
    assert_eq!(listed().await, all[1..]);
}

#[tokio::test]
async fn hold_of_a_plan_ends_when_it_is_stored_again() {
    let (ledger, _) = ledger().await;
    let of = run("q").id;
    let undo = |number: i64| Run { id: RunId::of("p", number), undo: Some(Undo { run: of.clone() }), ..run("p") };
    let held = async || ledger.stored_plan("p").await.unwrap().map(|stored| stored.held);
    let begun = async |run: &Run| {
        assert_eq!(begin(&ledger, run).await, Begin::Begun);
        assert!(ledger.end(run, State::Cancelled, None, None, NOW_MS).await.unwrap());
    };
    // A preview does not end a hold.
    let unholds = async || {
        for dry_run in [true, false] {
            let before = held().await;
            let limits = Limits { dry_run, ..Limits::default() };
            let run = Run { id: RunId::of("p", 1_000 + i64::from(dry_run)), limits, ..run("p") };
            let (mut start, seen) = (start_of(&run), ledger.active().await.unwrap());
            start.unhold = true;
            let cursor = Cursor::first(run.id.clone(), 0, EXCLUSIVE_LIFE_MS);
            let begun = ledger.begin(&run, &json!({}), &start, &cursor, &seen).await.unwrap();
            assert_eq!((begun, held().await == before), (Begin::Begun, dry_run));
            assert!(ledger.end(&run, State::Cancelled, None, None, NOW_MS).await.unwrap());
        }
    };
    begun(&undo(1)).await;
    assert_eq!(held().await, None, "a plan that is not stored is not held");
    for (number, end) in [(2, "put"), (3, "unhold")] {
        ledger.put_plan("p", &json!({"name": "p"})).await.unwrap();
        let preview = Run { limits: Limits { dry_run: true, ..Limits::default() }, ..undo(10 * number) };
        begun(&preview).await;
        assert_eq!(held().await, Some(None), "a preview holds nothing");
        begun(&undo(number)).await;
        assert_eq!(held().await, Some(Some(undo(number).id)));
        // Another undo cannot begin, and changes nothing.
        let active = Run { id: RunId::of("r", number), ..run("r") };
        assert_eq!(begin(&ledger, &active).await, Begin::Begun);
        assert_eq!(begin(&ledger, &undo(100 * number)).await, Begin::Busy);
        assert!(ledger.end(&active, State::Cancelled, None, None, NOW_MS).await.unwrap());
        assert_eq!(held().await, Some(Some(undo(number).id)));
        match end {
            "put" => ledger.put_plan("p", &json!({"name": "p"})).await.unwrap(),
            _ => unholds().await,
        }
        assert_eq!(held().await, Some(None), "{end}");
    }
}

#[tokio::test]
async fn runs_after_one_are_listed_by_their_start() {
    let (ledger, _) = ledger().await;
    let mut ids = Vec::new();
    for (plan, started_ms) in [("a", 5), ("c", 7), ("b", 6)] {
        let run = Run { started_ms, ..run(plan) };
        assert_eq!(begin(&ledger, &run).await, Begin::Begun);
        assert!(ledger.end(&run, State::Cancelled, None, None, NOW_MS).await.unwrap());
        ids.push(run);
    }
    let after = async |run: &Run| ledger.runs_after(run).await.unwrap();
    assert_eq!(after(&ids[0]).await, [ids[2].id.clone(), ids[1].id.clone()]);
    assert_eq!(after(&ids[1]).await, []);
}
