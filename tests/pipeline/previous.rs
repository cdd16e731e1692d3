//! Ledgers and queues that earlier versions left: this version reads them, and the runs end truthfully.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use intercom_bulk::domain::run::{Run, State};
use intercom_bulk::ledger::End;
use intercom_simulator::Options;
use serde_json::{Value, json};
use strum::VariantArray;
use tokio::time::sleep;

use crate::formats::{Item, in_the_midst, kind, while_a_page_is_read};
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

/// Samples of each format: the items and messages of a moment, and the attribute's values in the workspace.
const FORMAT_1: &str = include_str!("../samples/format-1.json");
const FORMAT_2: &str = include_str!("../samples/format-2.json");

/// Parses `DynamoDB`'s own JSON. Bytes are a list of numbers.
fn from_json(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
        "NULL" => AttributeValue::Null(true),
        "B" => AttributeValue::B(serde_json::from_value::<Vec<u8>>(value.clone()).unwrap().into()),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(from_json).collect()),
        "M" => AttributeValue::M(item_from_json(value)),
        other => panic!("no kind of value: {other}"),
    }
}

fn item_from_json(item: &Value) -> Item {
    item.as_object().unwrap().iter().map(|(name, value)| (name.clone(), from_json(value))).collect()
}

/// Returns the names of an item's attributes and of their fields, prefixed by its kind.
fn names(item: &Item) -> BTreeSet<String> {
    fn collect(prefix: &str, fields: &Item, into: &mut BTreeSet<String>) {
        for (name, value) in fields {
            let path = format!("{prefix} {name}");
            if let AttributeValue::M(inner) = value {
                collect(&path, inner, into);
            }
            into.insert(path);
        }
    }
    let mut found = BTreeSet::new();
    collect(&kind(item), item, &mut found);
    found
}

/// The ends of each moment's runs, the oldest run first: the state, and the begin of the reason.
const ENDS: [(&str, &str, &[&str]); 17] = [
    (
        "1",
        "in_the_midst",
        &["complete_with_errors: 1 user failed", "incomplete: 142 users are in jobs whose end Intercom did not report"],
    ),
    ("1", "while_a_page_is_read", &["complete: "]),
    ("1", "draining", &["incomplete: 327 users are in jobs whose end Intercom did not report"]),
    ("1", "paused", &["complete: "]),
    (
        "1",
        "cancelled",
        &[
            "cancelled: a later start, has-avatar.20161101T172145Z, replaced it while it was paused",
            "paused: the access token belongs to workspace sim1app0 at 127.0.0.1, but this run belongs to",
        ],
    ),
    ("1", "failed", &["failed: more users are in error than max_errors allows; `errors` lists them"]),
    ("1", "incomplete", &["incomplete: 81 users are in jobs whose end Intercom did not report"]),
    ("1", "complete", &["complete: "]),
    (
        "2",
        "in_the_midst",
        &["complete_with_errors: 1 user failed", "incomplete: 142 users are in jobs whose end Intercom did not report"],
    ),
    ("2", "while_a_page_is_read", &["complete: "]),
    ("2", "draining", &["incomplete: 332 users are in jobs whose end Intercom did not report"]),
    ("2", "paused", &["complete: "]),
    (
        "2",
        "cancelled",
        &[
            "cancelled: a later start, has-avatar.20161101T172145Z, replaced it while it was paused",
            "paused: the access token belongs to workspace sim1app0 at 127.0.0.1, but this run belongs to",
        ],
    ),
    ("2", "failed", &["failed: more users are in error than max_errors allows; `errors` lists them"]),
    ("2", "incomplete", &["incomplete: 81 users are in jobs whose end Intercom did not report"]),
    ("2", "complete", &["complete: "]),
    ("2", "verifying", &["complete: "]),
];

/// Returns a pipeline on a moment's items, messages and workspace, at work.
async fn at_moment(sample: &Value) -> Pipeline {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 200, ..users(500) }).await;
    let pipeline = pipeline.ticking(Duration::from_mins(1)).await;
    pipeline.stop().await;
    for (id, value) in sample["values"].as_object().into_iter().flatten() {
        assert!(pipeline.world.set_user(id, |user| user["custom_attributes"]["has avatar"] = value.clone()));
    }
    for item in sample["items"].as_array().unwrap() {
        pipeline.put(item_from_json(item)).await;
    }
    let latest_ms = runs(&pipeline).await.iter().map(|run| run.started_ms).max().unwrap();
    let later_ms = (latest_ms - pipeline.engine.now_ms()).max(0).unsigned_abs();
    sleep(Duration::from_millis(later_ms)).await;
    for queue in ["pages", "patches"] {
        for body in sample[queue].as_array().unwrap() {
            pipeline.send(queue, body.as_str().unwrap()).await;
        }
    }
    pipeline.work();
    pipeline
}

/// The ledger has no patches of a follow-up part of format 1, so an undo reads which users are theirs.
#[tokio::test(start_paused = true)]
async fn changes_of_a_run_of_format_1_are_read() {
    let kept: Value = serde_json::from_str(FORMAT_1).unwrap();
    let pipeline = at_moment(&kept["in_the_midst"]).await;
    let ledger = &pipeline.engine.clients.ledger;
    let mut unsure = 0;
    for run in runs(&pipeline).await {
        pipeline.until_ended(&run.id).await;
        let (mut place, mut users) = (None, Vec::new());
        loop {
            let some = ledger.made_changes(&run, place.as_ref()).await.unwrap();
            users.extend(some.users);
            place = some.reached;
            if place.is_none() {
                break;
            }
        }
        assert!(!users.is_empty(), "{}", run.id);
        unsure += users.iter().filter(|user| user.made.iter().all(|made| !made.is_done)).count();
    }
    assert!(unsure > 0, "users of jobs with a follow-up part");
}

/// A deployment during a run: this version reads the earlier version's items, and each run ends truthfully. A
/// run that had ended is as it was. The next run leaves no user without the value.
///
/// The simulated workspace does not know the sample's jobs. Those without an end are as if Intercom had lost them.
#[tokio::test(start_paused = true)]
async fn runs_of_earlier_versions_end_truthfully() {
    for (format, sample) in [("1", FORMAT_1), ("2", FORMAT_2)] {
        let kept: Value = serde_json::from_str(sample).unwrap();
        let mut states = BTreeSet::new();
        for (moment, sample) in kept.as_object().unwrap() {
            let name = format!("{moment} of format {format}");
            let pipeline = at_moment(sample).await;
            let before = runs(&pipeline).await;
            states.extend(before.iter().map(|run| run.state.to_string()));
            if moment == "paused" {
                pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
            }
            let mut ends = Vec::new();
            for run in before {
                let report = pipeline.until_ended(&run.id).await;
                ends.push(format!("{}: {}", report.state(), report.reason()));
                if run.state.ended() {
                    assert_eq!((&report.run.reason, &report.run.totals), (&run.reason, &run.totals), "{name}");
                    assert_eq!((report.state(), report.run.ended_ms), (run.state, run.ended_ms), "{name}");
                } else {
                    assert_truthful(&name, &report);
                }
            }
            let expected = ENDS.iter().find(|(of, at, _)| (*of, *at) == (format, moment.as_str()));
            let (.., expected) = expected.unwrap();
            assert_eq!(ends.len(), expected.len(), "{name}: {ends:?}");
            assert!(ends.iter().zip(*expected).all(|(end, expected)| end.starts_with(expected)), "{name}: {ends:?}");
            assert_eq!(pipeline.engine.done.failures.load(Ordering::Relaxed), 0, "{name}");
            let next = pipeline.run(Value::Null).await;
            assert_eq!((next.state(), next.lacking.len()), (State::Complete, 0), "{name}: {}", next.reason());
            assert_eq!(next.dead, Vec::<String>::new(), "{name}");
        }
        // Format 1 does not read values back.
        let all = State::VARIANTS.iter().filter(|state| format != "1" || **state != State::Verifying);
        assert_eq!(states, all.map(ToString::to_string).collect(), "a run in each state of format {format}");
    }
}

/// Asserts that the end accounts for each user without the value: an error row, or a job without a known end.
fn assert_truthful(name: &str, report: &Report) {
    let unknown = report.jobs.iter().filter(|job| job.end == Some(End::Unknown)).map(|job| job.users).sum::<u64>();
    let silent = report.lacking.difference(&report.users_in_error()).count() as u64;
    match report.state() {
        State::Complete => assert_eq!((silent, report.errors.len()), (0, 0), "{name}"),
        State::CompleteWithErrors => assert_eq!(silent, 0, "{name}"),
        State::Incomplete => {
            assert!(
                silent <= unknown,
                "{name}: {silent} users lack the value, and {unknown} are in jobs without an end"
            );
            assert!(report.reason().contains(&format!("{unknown} users are in jobs whose end")), "{name}");
        }
        // The simulated token is of another workspace than the run.
        State::Paused => assert_eq!(report.world.items, 0, "{name}: users were sent"),
        end => panic!("{name}: {end}"),
    }
    report.assert_counts_add_up();
}

async fn runs(pipeline: &Pipeline) -> Vec<Run> {
    let ledger = pipeline.ledger();
    let mut found = Vec::new();
    for id in ledger.runs(10).await.unwrap().into_iter().rev() {
        found.push(ledger.run(&id).await.unwrap().unwrap());
    }
    found
}

/// Returns whether format 2 does not store an attribute of format 1: the patches of a part are in
/// its body, not in the changes of each job.
fn is_of_format_1_alone(name: &str) -> bool {
    name.starts_with("CHANGES ") || name == "JOB changes"
}

/// Attributes keep their names, so that both formats are read with the same names.
#[tokio::test(start_paused = true)]
async fn stored_names_match_the_previous_version() {
    let kept: Value = serde_json::from_str(FORMAT_1).unwrap();
    for (moment, pipeline) in
        [("in_the_midst", in_the_midst().await), ("while_a_page_is_read", while_a_page_is_read().await)]
    {
        let items = kept[moment]["items"].as_array().unwrap();
        let before: BTreeSet<String> = items.iter().flat_map(|item| names(&item_from_json(item))).collect();
        let now: BTreeSet<String> = pipeline.items().await.iter().flat_map(names).collect();
        let missing: Vec<&String> = before.difference(&now).filter(|name| !is_of_format_1_alone(name)).collect();
        assert!(missing.is_empty(), "{moment}: {missing:?}");
    }
}
