//! The seven defects of the program of 2016. Each lost users, stopped the run, or reported falsely.

use std::time::Duration;

use intercom_bulk::runtime::config::Settings;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};

use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

async fn with_faults(faults: Vec<Fault>) -> Report {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(450) }).await;
    pipeline.run(Value::Null).await
}

/// D1: the retry of a refused submission requested the next page, and silently skipped 100 users.
#[tokio::test(start_paused = true)]
async fn bulk_request_with_429_loses_no_user() {
    for fault in [Fault::LimitBulk(2), Fault::LimitBulkBare(2)] {
        let report = with_faults(vec![fault]).await;
        report.assert_complete();
        assert_eq!(report.world.given_429, 1);
        assert_eq!(report.world.items, report.cursor.tally.patches, "and no user was submitted twice");
    }
}

/// D2: "three retries" were two attempts.
#[tokio::test(start_paused = true)]
async fn repeated_429_loses_no_user() {
    let report = with_faults((1..=12).map(Fault::LimitBulkBare).collect()).await;
    report.assert_complete();
    assert_eq!(report.world.given_429, 12);
}

/// D3: a pause of half a second never reached the end of a window of ten seconds.
#[tokio::test(start_paused = true)]
async fn limit_of_2016_is_kept_with_items_counted() {
    for quota_percent in [80, 100] {
        let options = Options { rate_limit_per_10s: 83, ..users(450) };
        let settings = Settings { quota_percent, ..settings() };
        let pipeline = Pipeline::with(HAS_AVATAR, options, settings, Vec::new()).await;
        let report = pipeline.run(Value::Null).await;
        report.assert_complete();
        assert_eq!(report.world.given_429, 0);
        let windows = report.cursor.tally.patches.div_ceil(83 * u64::from(quota_percent) / 100);
        assert!((report.seconds as u64) < 10 * (2 * windows + 3), "{} s for {windows} windows", report.seconds);
    }
}

/// D4: day, hour and minute without padding: 1 November 11:01 and 11 November 01:01 shared a key.
#[tokio::test(start_paused = true)]
async fn keys_that_collided_in_2016_are_distinct() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { rate_limit_per_10s: 83, ..users(450) }).await;
    let first = pipeline.run(Value::Null).await;
    first.assert_complete();
    let named = |report: &Report, minute: &str| report.jobs.iter().filter(|job| job.bucket.as_str() == minute).count();
    assert!(
        named(&first, "2016-11-01T11:01Z") > 0,
        "{:?}",
        first.jobs.iter().map(|job| &job.bucket).collect::<Vec<_>>()
    );

    let until = jiff::Timestamp::from_millisecond(pipeline.engine.now_ms()).unwrap();
    let begin: jiff::Timestamp = "2016-11-11T01:00:40Z".parse().unwrap();
    pipeline.rest(Duration::try_from(begin.duration_since(until)).unwrap()).await;
    for user in pipeline.world.users() {
        let id = user["id"].as_str().unwrap();
        assert!(pipeline.world.set_user(id, |body| body["custom_attributes"]["has avatar"] = Value::Null));
    }
    let second = pipeline.run(Value::Null).await;
    second.assert_complete();
    assert!(named(&second, "2016-11-11T01:01Z") > 0);
    assert_eq!(named(&second, "2016-11-01T11:01Z"), 0);
}

/// D5: a null avatar crashed it, and Gravatar's generated pattern counted as a picture.
#[tokio::test(start_paused = true)]
async fn every_form_of_an_avatar_is_recognised() {
    let gravatar = "https://secure.gravatar.com/avatar/0c3c17fd49f45c43f482730782b36d36?s=24&d=identicon";
    let shapes = [
        (Some(Value::Null), false),
        (None, false),
        (Some(json!({"type": "avatar", "image_url": null})), false),
        (Some(json!({"type": "avatar"})), false),
        (Some(json!({"type": "avatar", "image_url": gravatar})), false),
        (Some(json!({"type": "avatar", "image_url": "https://static.intercomassets.com/avatars/1/face.jpg"})), true),
    ];
    let pipeline = Pipeline::new(HAS_AVATAR, users(60)).await;
    let ids: Vec<String> = pipeline.world.users().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    for (id, (shape, _)) in ids.iter().zip(&shapes) {
        pipeline.world.set_user(id, |body| {
            let fields = body.as_object_mut().unwrap();
            fields.remove("avatar");
            fields.extend(shape.clone().map(|avatar| ("avatar".to_owned(), avatar)));
            fields["custom_attributes"].as_object_mut().unwrap().remove("has avatar");
        });
    }
    pipeline.run(Value::Null).await.assert_complete();
    for (id, (shape, has)) in ids.iter().zip(&shapes) {
        let user = pipeline.world.user(id).unwrap();
        assert_eq!(user["custom_attributes"]["has avatar"], *has, "{shape:?}");
    }
}

/// D6: "Please restart the scroll operation" and a load balancer's 503 ended the run. (D7 is in
/// `crash`.)
#[tokio::test(start_paused = true)]
async fn restart_error_restarts_the_scroll() {
    for fault in [Fault::ErrorPage(3), Fault::ErrorPageKeeps(3), Fault::Empty503Page(3), Fault::ErrorBulk(2)] {
        let report = with_faults(vec![fault]).await;
        report.assert_complete();
    }
}
