//! The sample of written users: its users, and the comparison with the next run of the plan.

use intercom_bulk::domain::part::Part;
use intercom_bulk::domain::run::State;
use intercom_simulator::{Alteration, Options};
use serde_json::{Value, json};

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::verifying::{READ, altered, note, patched};

#[tokio::test(start_paused = true)]
async fn sample_of_a_large_run_is_bounded() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(5_000)).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    assert_eq!(report.world.requests[READ], 100);
    let sample = pipeline.engine.clients.ledger.sample(&report.run.id, 1, usize::MAX).await.unwrap();
    assert!((850..=1_000).contains(&sample.len()), "{}", sample.len());
    let items = pipeline.items().await;
    let is_of_sample = |sk: &str| sk.starts_with("READBACK#");
    let of_sample: Vec<_> = items.iter().filter(|item| is_of_sample(item["sk"].as_s().unwrap())).collect();
    assert!((1..=8).contains(&of_sample.len()), "{}", of_sample.len());
    assert!(of_sample.iter().all(|item| item.contains_key("expires_at")));
}

/// A frozen invocation may write the parts of a reading at any time.
#[tokio::test(start_paused = true)]
async fn sample_has_no_user_of_a_void_reading() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 300, ..users(300) }).await;
    let ledger = &pipeline.engine.clients.ledger;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.jobs.len() > 1).await;
    let user = &pipeline.world.users()[0]["id"];
    let patch = json!({"u": user, "c": [{"t": {"attribute": "has avatar"}, "n": "void"}]});
    for (page, reading) in [(1, "0.2"), (1, "999.1"), (4, "999.1")] {
        let origin = json!({"page": {"page": page, "part": 0, "reading": reading}});
        let part = json!({"v": 2, "run": run, "generation": 1, "origin": origin, "patches": [patch]});
        let part: Part = serde_json::from_value(part).unwrap();
        ledger.put_bodies(&[part], pipeline.engine.now_ms()).await.unwrap();
    }
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    let sample = ledger.sample(&run, 1, usize::MAX).await.unwrap();
    assert_eq!(sample.len() as u32, patched(&report));
    assert!(sample.iter().all(|patch| patch.changes.iter().all(|change| change.new != "void")));
}

#[tokio::test(start_paused = true)]
async fn values_that_are_set_again_are_counted() {
    let pipeline = Pipeline::new(&note("bool", "user.email is present"), altered(Alteration::Ignore, 30)).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!((first.state(), first.cursor.tally.set_again.users), (State::CompleteWithErrors, 0));
    // A dry run between the runs does not count.
    for rails in [json!({"dry_run": true}), json!({"dry_run": true}), json!({})] {
        let again = pipeline.run(json!({ "rails": rails })).await;
        let most = again.cursor.tally.set_again.most();
        let [often] = &most[..] else { panic!("{:?}", again.cursor.tally) };
        assert_eq!((often.target.as_str(), often.again, often.users), ("custom_attributes.note", 30, 30));
    }
}

#[tokio::test(start_paused = true)]
async fn values_that_are_kept_are_not_set_again() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    pipeline.run(Value::Null).await.assert_complete();
    // Other values are no sign that Intercom keeps none.
    for user in pipeline.world.users().iter().take(200) {
        pipeline.world.set_user(user["id"].as_str().unwrap(), |body| {
            let url = body["avatar"]["image_url"].as_str().filter(|url| !url.contains("gravatar"));
            let avatar = if url.is_some() { json!(null) } else { json!({"image_url": "https://example.com/a.png"}) };
            body["avatar"] = avatar;
        });
    }
    let second = pipeline.run(Value::Null).await;
    second.assert_complete();
    let counted = &second.cursor.tally.set_again;
    assert!(second.cursor.tally.patches >= 200 && counted.users > 200 && counted.by_target.is_empty(), "{counted:?}");
}
