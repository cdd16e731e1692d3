//! Leads among the users of API 2.x: they are read, and nothing else counts them.

use intercom_bulk::domain::run::State;
use intercom_simulator::{ContactOptions, Gone, Options};
use serde_json::{Value, json};

use crate::contacts::{pipeline, workspace};
use crate::pipeline::Pipeline;

/// Leads before the first user.
const FIRST: usize = 1_200;
/// Users after them.
const USERS: usize = 300;

/// Returns a workspace that lists 1,200 leads before its first user.
async fn leads_first(options: Options) -> Pipeline {
    let contacts = ContactOptions { leads: 1_300, ..options.contacts.clone() };
    let pipeline = pipeline(Options { users: 4_600, contacts, ..options }).await;
    let id = |user: &Value| user["id"].as_str().unwrap().to_owned();
    let last = id(&pipeline.world.leads()[FIRST - 1]);
    let users: Vec<String> = pipeline.world.users().iter().map(id).collect();
    let (before, after): (Vec<String>, Vec<String>) = users.into_iter().partition(|user| *user < last);
    for user in before.iter().chain(after.iter().skip(USERS)) {
        assert!(pipeline.world.lose_contact(user, Gone::Deleted));
    }
    assert_eq!(pipeline.world.users().len(), USERS);
    pipeline
}

#[tokio::test(start_paused = true)]
async fn leads_are_no_sample_of_the_users() {
    let pipeline = leads_first(workspace(0)).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete_with(1_300);
    assert_eq!((report.cursor.tally.users, report.cursor.tally.leads), (1_600, 1_300));
}

/// A path that no user has is found as without leads: before anything is sent.
#[tokio::test(start_paused = true)]
async fn unseen_path_pauses_a_workspace_with_leads() {
    let plan = crate::plans::HAS_AVATAR.replace("user.avatar.image_url", "user.custom_attributes.misspelt");
    let pipeline = Pipeline::of_version("2.17", &plan, workspace(100)).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!((report.state(), report.world.contacts.written), (State::Paused, 0), "{}", report.reason());
    assert!(report.reason().contains("none of the first 100 users"), "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn limit_counts_no_leads() {
    let pipeline = leads_first(workspace(0)).await;
    let report = pipeline.run(json!({"limits": {"limit": 100}})).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    let tally = &report.cursor.tally;
    assert_eq!((tally.users - tally.leads, tally.patches + tally.same), (100, 100), "{tally:?}");
    assert_eq!(report.world.contacts.written, tally.patches);
}

/// The plan changes about half of the 300 users, which is less than a tenth of all contacts with
/// these leads.
#[tokio::test(start_paused = true)]
async fn percentages_are_of_users() {
    let pipeline = leads_first(workspace(0)).await;
    let report = pipeline.run(json!({"limits": {"max_changes": {"percent": 10}}})).await;
    assert_eq!((report.state(), report.world.contacts.written), (State::Failed, 0), "{}", report.reason());
    let patches = report.cursor.tally.patches;
    assert!(patches > 30, "{patches}");
    assert!(report.reason().contains(&format!("it would change {patches} of 300 users")), "{}", report.reason());
}
