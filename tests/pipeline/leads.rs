//! Plans about users, leads or both, and the names of API 2.x in plans.

use intercom_bulk::domain::user::User;
use intercom_bulk::plan::Plan;
use intercom_simulator::{Attribute, ContactOptions, Options};
use serde_json::{Value, json};

use crate::contacts::workspace;
use crate::pipeline::Pipeline;
use crate::plans::HAS_AVATAR;

/// Returns the plan for these contacts.
fn about(contacts: &str) -> String {
    format!("contacts = \"{contacts}\"\n{HAS_AVATAR}")
}

/// Returns the number of these contacts that lack the plan's value.
fn lacking(contacts: Vec<Value>) -> usize {
    let plan = Plan::from_toml("plan.toml", HAS_AVATAR).unwrap();
    contacts.into_iter().filter_map(User::new).filter(|user| plan.evaluate(user).patch.is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn plan_chooses_users_leads_or_both() {
    for (contacts, of_users, of_leads) in [("users", true, false), ("leads", false, true), ("all", true, true)] {
        let pipeline = Pipeline::of_version("2.17", &about(contacts), workspace(300)).await;
        let before = (lacking(pipeline.world.users()), lacking(pipeline.world.leads()));
        assert!(before.0 > 50 && before.1 > 5, "{before:?}");
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.state().as_str(), "complete", "{contacts}: {}", report.reason());
        report.assert_counts_add_up();
        let after = (lacking(pipeline.world.users()), lacking(pipeline.world.leads()));
        let expected = (if of_users { 0 } else { before.0 }, if of_leads { 0 } else { before.1 });
        assert_eq!(after, expected, "{contacts}");
        let skipped = &report.cursor.tally.skip_reasons;
        assert_eq!(
            (skipped.get("lead"), skipped.get("user")),
            match contacts {
                "users" => (Some(&37), None),
                "leads" => (None, Some(&300)),
                _ => (None, None),
            }
        );
    }
}

/// API 1.x reads users only.
#[tokio::test(start_paused = true)]
async fn plan_about_leads_is_refused_on_api_1() {
    for contacts in ["leads", "all"] {
        let pipeline = Pipeline::of_version("1.4", &about(contacts), workspace(100)).await;
        let error = pipeline.engine.scroll(pipeline.start_event(&Value::Null)).await.unwrap_err();
        assert!(error.contains(&format!("contacts = \"{contacts}\"")) && error.contains("1.4"), "{error}");
        assert_eq!(pipeline.world.state().pages, 0);
    }
}

/// Each plan reads the same values, by either name and through each API.
#[tokio::test(start_paused = true)]
async fn both_names_of_a_field_give_the_same_value() {
    let plan =
        |value: &str| format!("name = \"p\"\n[set.custom_attributes.who]\ntype = \"string\"\nvalue = \"{value}\"\n");
    let newer = "(user.external_id | default('-')) ~ '/' ~ user.role ~ '/' ~ (user.location.country | default('-')) ~ '/' ~ (user.last_seen_at | string | default('-')) ~ '/' ~ (user.owner_id | string | default('-'))";
    let own = "(user.user_id | default('-')) ~ '/' ~ user.role ~ '/' ~ (user.location_data.country_name | default('-')) ~ '/' ~ (user.last_request_at | string | default('-')) ~ '/' ~ (user.owner_id | string | default('-'))";
    let mut ends = Vec::new();
    for (version, value) in [("1.4", newer), ("1.4", own), ("2.3", newer), ("2.17", newer), ("2.17", own)] {
        let attributes = vec!["who:string".parse::<Attribute>().unwrap()];
        let options =
            Options { contacts: ContactOptions { attributes, ..ContactOptions::default() }, ..workspace(200) };
        let pipeline = Pipeline::of_version(version, &plan(value), options).await;
        let report = pipeline.run(json!({"limits": {"accept_unseen": true}})).await;
        assert_eq!(report.state().as_str(), "complete", "{version}: {}", report.reason());
        let users = pipeline.world.users();
        ends.push(users.iter().map(|user| user["custom_attributes"]["who"].clone()).collect::<Vec<_>>());
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{:?}", ends.iter().map(|end| &end[..2]).collect::<Vec<_>>());
    let first = ends[0][0].as_str().unwrap();
    assert!(first.contains("/user/"), "{first}");
}
