//! The shipped plans on a workspace without faults.

use intercom_bulk::domain::run::State;
use intercom_simulator::Options;
use serde_json::{Value, json};

use crate::pipeline::Pipeline;

pub(crate) const HAS_AVATAR: &str = include_str!("../../plans/has-avatar.toml");
pub(crate) const PLAN_PRICE: &str = include_str!("../../plans/plan-price.toml");
pub(crate) const ACCOUNT_BY_EMAIL: &str = include_str!("../../plans/account-by-email.toml");
pub(crate) const COMPANY_NAME: &str = include_str!("../../plans/company-name.toml");

/// Returns options with this number of users and no faults.
pub(crate) fn users(users: usize) -> Options {
    Options { users, ..Options::default() }
}

/// A dry run, a run, a dry run and a run: the first predicts the second, and the others change
/// nothing.
async fn settles_in_one_run(plan: &str) {
    let pipeline = Pipeline::new(plan, users(2_000)).await;
    let dry = pipeline.run(json!({"rails": {"dry_run": true}})).await;
    assert_eq!((dry.state(), dry.world.items, dry.world.jobs.len()), (State::Complete, 0, 0));
    assert!(dry.cursor.tally.patches > 100, "{:?}", dry.cursor.tally);

    let first = pipeline.run(Value::Null).await;
    first.assert_complete();
    assert_eq!(first.cursor.tally.patches, dry.cursor.tally.patches);
    assert_eq!(first.world.items, first.cursor.tally.patches, "each change was submitted once");
    assert_eq!(first.accounts.totals.patches, first.world.items);
    assert_eq!(first.world.pages_distinct_users, 2_000);
    assert!(first.jobs.iter().all(|job| !job.resubmission));

    let again = pipeline.run(json!({"rails": {"dry_run": true}})).await;
    assert_eq!(again.cursor.tally.patches, 0);
    let second = pipeline.run(Value::Null).await;
    second.assert_complete();
    assert_eq!((second.world.items, second.jobs.len()), (first.world.items, 0), "nothing was left to send");
}

#[tokio::test(start_paused = true)]
async fn has_avatar_settles_in_one_run() {
    settles_in_one_run(HAS_AVATAR).await;
}

#[tokio::test(start_paused = true)]
async fn plan_price_settles_in_one_run() {
    settles_in_one_run(PLAN_PRICE).await;
}

#[tokio::test(start_paused = true)]
async fn account_by_email_settles_in_one_run() {
    settles_in_one_run(ACCOUNT_BY_EMAIL).await;
}

/// People of one company have e-mail addresses of several domains, so they disagree on its name.
/// The first user names it; the others are errors.
#[tokio::test(start_paused = true)]
async fn second_name_of_a_company_is_an_error() {
    let pipeline = Pipeline::new(COMPANY_NAME, users(2_000)).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::CompleteWithErrors, "{}", first.reason());
    first.assert_nobody_lost();
    assert!(first.errors.iter().all(|row| row.code == "company_named_differently"), "{:?}", first.errors);
    assert_eq!(first.users_in_error().len(), first.errors.len());
}

#[tokio::test(start_paused = true)]
async fn companies_keep_the_name_from_a_run() {
    let pipeline = Pipeline::new(COMPANY_NAME, users(2_000)).await;
    let first = pipeline.run(Value::Null).await;
    let second = pipeline.run(Value::Null).await;
    second.assert_nobody_lost();
    assert_eq!(second.world.items, first.world.items, "a second run renames no company");
    assert_eq!(second.users_in_error(), first.users_in_error());
}
