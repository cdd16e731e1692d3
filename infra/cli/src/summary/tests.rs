use intercom_bulk::domain::run::RunId;
use intercom_bulk::ledger::ErrorRow;

use super::*;
use crate::error_kinds::by_code;

fn summary(state: State) -> Summary {
    Summary {
        run: "p.1".to_owned(),
        state,
        users: 5,
        count: None,
        counted: Counted { written: 4, unchanged: 1, ..Counted::default() },
        sent: 4,
        patches: 4,
        jobs: 1,
        jobs_open: 0,
        errors: 0,
        errors_by_code: BTreeMap::new(),
        jobs_possibly_lost: 0,
        generations: 1,
        seconds: 1,
        buckets: BTreeMap::new(),
        read_back: None,
        set_again: Vec::new(),
        reason: None,
        tally: Tally::default(),
        stopped_by: None,
        held: false,
        dry_run: false,
        api: None,
        api_reason: None,
        retries: None,
        saved: None,
        undoes: None,
        sent_in: " in 1 bulk job".to_owned(),
    }
}

#[test]
fn complete_run_is_short() {
    let expected = [
        "Run p.1 ended complete after 1 s.",
        "  5 users read: 4 written, 1 unchanged, 0 skipped, 0 failed",
        "  4 users sent in 1 bulk job",
        "  `intercom-bulk undo p.1` shows first what it can restore.",
    ];
    assert_eq!(summary(State::Complete).words(Some("")), expected);
}

#[test]
fn jobs_that_may_be_lost_are_reported() {
    let summary = Summary { jobs_possibly_lost: 2, ..summary(State::Complete) };
    assert_eq!(serde_json::to_value(&summary).unwrap()["jobs_possibly_lost"], 2);
    assert!(summary.words(None).iter().any(|line| line.contains("2 bulk jobs may exist")));
}

#[test]
fn summary_names_the_next_step() {
    // Behind it is only the way back.
    let last = |summary: &Summary| {
        let lines = summary.words(Some(" --state x"));
        lines.into_iter().rfind(|line| !line.contains("intercom-bulk undo p.1 --state x` shows")).unwrap()
    };
    let row = ErrorRow {
        user: "1".to_owned(),
        code: "type".to_owned(),
        message: "must be a number".to_owned(),
        at: "page 1".to_owned(),
        generation: 1,
    };
    let errors_by_code = by_code(&[row.clone(), ErrorRow { user: "2".to_owned(), ..row }]);
    let counted = Counted { written: 2, failed: 2, unchanged: 1, ..Counted::default() };
    let failed = Summary { counted, errors: 2, errors_by_code, ..summary(State::CompleteWithErrors) };
    let words = failed.words(None);
    assert!(words.contains(&"    2 users type, for example 1: must be a number".to_owned()), "{words:?}");
    assert!(last(&failed).contains("`intercom-bulk retry p.1 --state x`"));
    let words = failed.words(Some(""));
    assert!(words.iter().any(|line| line.contains("`intercom-bulk errors --run p.1`")), "{words:?}");
    let paused = Summary { state: State::Paused, ..failed.clone() };
    assert!(!paused.words(Some("")).iter().any(|line| line.contains("retry")), "a run that has not ended");
    let undo = Some(Undo { run: RunId::of("p", 0) });
    let undone = Summary { undoes: undo, ..failed.clone() };
    assert!(last(&undone).contains("`intercom-bulk undo p.19700101T000000Z --state x` restores the others"));
    let saved = Some(SavedPreview { digest: String::new(), users: 1, at_s: 0 });
    assert!(last(&Summary { saved: saved.clone(), ..failed.clone() }).contains("the same command"));
    let pending = Counted { pending: 3, ..Counted::default() };
    let cancelled = last(&Summary { saved, counted: pending, ..summary(State::Cancelled) });
    assert!(cancelled.contains("the same command with --saved") && !cancelled.contains("retry"), "{cancelled}");
    let incomplete = Summary { reason: Some("83 users…".to_owned()), ..summary(State::Incomplete) };
    assert!(last(&incomplete).contains("run the same command again"));
    let unseen = Summary { stopped_by: Some("--accept-unseen"), ..summary(State::Paused) };
    assert!(last(&unseen).contains("--accept-unseen"));
    let cause = last(&summary(State::Paused));
    assert!(cause.contains("`intercom-bulk resume` continues it") && !cause.contains("--accept-unseen"), "{cause}");
    assert!(last(&summary(State::Cancelled)).contains("run the plan again"));
    assert!(
        last(&Summary { counted: pending, ..summary(State::Cancelled) }).contains("retry p.1 --unknown --state x`")
    );
    let stopped = Summary { stopped_by: Some("--max-changes"), jobs_open: 1, ..summary(State::Failed) };
    assert!(last(&stopped).contains("preview"));
    let words = stopped.words(None).join("\n");
    assert!(words.contains("4 users were sent to Intercom; 4 of them are written so far"), "{words}");
    assert!(words.contains("1 job still open"), "{words}");
}

#[test]
fn next_step_of_a_retry_or_an_undo_names_its_run() {
    let of = RunId::of("p", 0);
    let undoes = Some(Undo { run: of.clone() });
    let retries = Some(Retry { run: of, code: Some("x".to_owned()), unknown: false });
    let (undo, retry) = ("undo p.19700101T000000Z --state x`", "retry p.19700101T000000Z --code x --state x`");
    for state in [State::Incomplete, State::Failed, State::Cancelled] {
        let undone = Summary { undoes: undoes.clone(), ..summary(state) }.words(Some(" --state x")).join(" ");
        assert!(undone.contains(&format!("run `intercom-bulk {undo}")), "{undone}");
        let again = Summary { retries: retries.clone(), ..summary(state) }.words(Some(" --state x")).join(" ");
        assert!(again.contains(&format!("run `intercom-bulk {retry}")), "{again}");
    }
    let preview = Summary { undoes: undoes.clone(), dry_run: true, ..summary(State::Complete) }.words(None).join(" ");
    assert!(preview.contains("it would restore the values"), "{preview}");
    let paused = Summary { undoes, ..summary(State::Paused) }.words(Some("")).join(" ");
    assert!(paused.contains("`intercom-bulk resume` continues it") && !paused.contains("--accept-unseen"), "{paused}");
}

#[test]
fn ended_run_that_wrote_names_the_way_back() {
    let undo = Some(Undo { run: RunId::of("p", 0) });
    let written = |written| Counted { written, ..Counted::default() };
    for (of, has_way_back) in [
        (Summary { counted: written(1), ..summary(State::Cancelled) }, true),
        (Summary { counted: written(1), ..summary(State::Complete) }, true),
        (Summary { counted: written(0), ..summary(State::Complete) }, false),
        (Summary { counted: written(1), ..summary(State::Paused) }, false),
        (Summary { counted: written(1), undoes: undo, ..summary(State::Complete) }, false),
    ] {
        let lines = of.words(Some(""));
        assert_eq!(lines.iter().any(|line| line.contains("`intercom-bulk undo p.1`")), has_way_back, "{lines:?}");
        assert!(!of.words(None).iter().any(|line| line.contains("undo")), "a ledger that is gone");
    }
}

#[test]
fn incomplete_run_does_not_add_up_two_passes() {
    let summary = Summary { generations: 2, users: 100, ..summary(State::Failed) };
    assert_eq!(summary.outcomes(), "pass 2 read 100 users; in all 4 written, 0 failed");
}

#[test]
fn run_that_stopped_by_itself_blames_no_deleted_users() {
    let counted = Counted { failed: 100, ..Counted::default() };
    let failed = Summary { users: 0, count: Some(3_000), counted, ..summary(State::Failed) };
    let words = failed.words(None);
    assert!(words.contains(&"  100 users read: 0 written, 0 unchanged, 0 skipped, 100 failed".to_owned()), "{words:?}");
    assert!(!words.iter().any(|line| line.contains("deleted in between")), "{words:?}");
    let complete = Summary { count: Some(3_000), ..summary(State::Complete) };
    assert!(complete.words(None).iter().any(|line| line.contains("deleted in between")));
}

#[test]
fn check_of_written_values_is_one_line() {
    let all = ReadBackTotals { users: 100, kept: 100, ..ReadBackTotals::default() };
    let some = ReadBackTotals { users: 98, kept: 90, not_kept: 5, changed_since: 2, gone: 1, unread: 2 };
    let lines = [all, some].map(|totals| {
        let checked = Summary { read_back: Some(totals), ..summary(State::Complete) };
        checked.words(None).into_iter().find(|line| line.contains("read back")).unwrap()
    });
    assert_eq!(lines[0], "  100 users read back: 100 as written");
    let more = "5 not kept as written, 2 changed since by something else, 1 deleted or merged since, 2 not read";
    assert_eq!(lines[1], format!("  98 users read back: 90 as written, {more}"));
}

#[test]
fn values_that_were_set_again_are_a_warning() {
    let often = OftenAgain { target: "custom_attributes.active".to_owned(), again: 5, users: 5 };
    let again = Summary { set_again: vec![often], ..summary(State::Complete) };
    let lines = again.words(None);
    let warning = lines.iter().find(|line| line.contains("Warning")).unwrap();
    assert!(warning.contains("were set again") && warning.contains("custom_attributes.active"), "{warning}");
}
