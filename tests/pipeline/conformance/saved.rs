//! Runs of a saved preview: they write the changes that it showed, and no others.

use std::collections::BTreeSet;

use intercom_bulk::domain::patch::Patch;
use intercom_bulk::domain::run::{CHANGED_SINCE_PREVIEW, Counted, LIST_ITEM, RunId, SavedPreview, State};
use intercom_bulk::runtime::event::StartEvent;
use intercom_simulator::Options;
use serde_json::{Value, json};

use super::api::{On, workspace};
use crate::pipeline::Pipeline;
use crate::plans::HAS_AVATAR;

super::scenarios! {
    on_each_api: [
        saved_preview_writes_what_it_showed,
        killed_run_of_a_saved_preview_loses_no_user,
    ];
}

/// Returns the changes that a preview shows.
async fn previewed(pipeline: &Pipeline) -> Vec<Patch> {
    let report = pipeline.run(json!({"rails": {"dry_run": true, "keep_changes": true}})).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    let mut patches = Vec::new();
    for page in 1..=report.cursor.page {
        let ledger = &pipeline.engine.clients.ledger;
        patches.extend(ledger.previewed(&report.run.id, report.run.generation, page).await.unwrap());
    }
    assert_eq!(patches.len() as u64, report.cursor.tally.patches);
    patches
}

/// Returns the event and the name of a run of these changes.
fn start(pipeline: &Pipeline, patches: &[Patch]) -> (Value, RunId, SavedPreview) {
    let saved = SavedPreview { digest: "d".to_owned(), users: patches.len() as u64, at_s: 0 };
    let event = pipeline.start_event(&json!({"saved": saved, "limits": {"accept_unseen": true}}));
    let run = StartEvent::read(&event).unwrap().run().unwrap();
    (event, run, saved)
}

/// Starts a run of these changes.
async fn begin(pipeline: &Pipeline, patches: &[Patch]) -> RunId {
    let (event, run, saved) = start(pipeline, patches);
    let (ledger, now_ms) = (&pipeline.engine.clients.ledger, pipeline.engine.now_ms());
    for (page, patches) in (1..).zip(patches.chunks(LIST_ITEM)) {
        ledger.put_approved(&run, page, patches, now_ms).await.unwrap();
    }
    let early = pipeline.engine.scroll(event.clone()).await.unwrap_err();
    assert!(early.contains("the ledger holds 0"), "not all changes may be stored: {early}");
    ledger.put_saved(&run, &saved, now_ms).await.unwrap();
    pipeline.engine.scroll(event).await.unwrap();
    run
}

/// Sets `has avatar` as another program does.
fn set(pipeline: &Pipeline, user: &str, value: &Value) {
    let set = |body: &mut Value| body["custom_attributes"]["has avatar"] = value.clone();
    assert!(pipeline.world.set_user(user, set));
}

/// Returns a value that is neither the old nor the new one of the preview.
fn third(patch: &Patch) -> Value {
    let opposite = json!(patch.changes[0].new != true);
    if patch.changes[0].replaced.as_ref() == Some(&opposite) { Value::Null } else { opposite }
}

async fn saved_preview_writes_what_it_showed(on: On) {
    let options = Options { rate_limit_per_10s: 2_000, ..workspace(5_000) };
    let pipeline = on.pipeline(HAS_AVATAR, options).await;
    let patches = previewed(&pipeline).await;
    assert!(patches.len() > 2_000, "{}", patches.len());
    let (mut changed, mut done) = (BTreeSet::new(), 0);
    for (place, patch) in patches.iter().enumerate() {
        let (user, new) = (patch.user.as_str(), patch.changes[0].new == true);
        match place % 300 {
            // Another old value.
            0 | 150 => set(&pipeline, user, &third(patch)),
            // An input of the plan.
            7 => {
                let picture = json!({"type": "avatar", "image_url": "https://static.intercomassets.com/a.png"});
                let flip = |body: &mut Value| {
                    if new { drop(body.as_object_mut().unwrap().remove("avatar")) } else { body["avatar"] = picture }
                };
                assert!(pipeline.world.set_user(user, flip));
            }
            9 => {
                set(&pipeline, user, &json!(new));
                done += 1;
                continue;
            }
            _ => continue,
        }
        changed.insert(user.to_owned());
    }
    let lists = on.lists(&pipeline.world.state());
    let run = begin(&pipeline, &patches).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.users_in_error(), changed);
    assert!(report.errors.iter().all(|row| row.code == CHANGED_SINCE_PREVIEW), "{:?}", report.errors);
    let Counted { read, written, unchanged, failed, .. } = Counted::of(&report.cursor.tally, &report.accounts.totals);
    let (all, skipped) = (patches.len() as u64, changed.len() as u64);
    assert_eq!((read, written, unchanged, failed), (all, all - skipped - done, done, skipped));
    assert_eq!(report.lacking, changed, "no value of theirs was written");
    assert_eq!(on.lists(&report.world), lists, "only the users of the preview are read");
    assert_eq!((report.run.listed, report.dead.len()), (Some(all), 0));
}

async fn killed_run_of_a_saved_preview_loses_no_user(on: On) {
    let options = Options { latency_ms: 300, rate_limit_per_10s: 80, ..workspace(300) };
    let mut pipeline = on.pipeline(HAS_AVATAR, options).await;
    let patches = previewed(&pipeline).await;
    let changed = &patches[60..62];
    for patch in changed {
        set(&pipeline, patch.user.as_str(), &third(patch));
    }
    let reads = on.reads(&pipeline.world.state());
    let run = begin(&pipeline, &patches).await;
    pipeline.until(|state| on.reads(state) > reads + 50).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    let Counted { read, written, unchanged, failed, .. } = Counted::of(&report.cursor.tally, &report.accounts.totals);
    let all = patches.len() as u64;
    assert_eq!((read, written + unchanged, failed), (all, all - 2, 2));
    assert_eq!(report.lacking, changed.iter().map(|patch| patch.user.to_string()).collect());
}
