//! Options of the workspace where Intercom's documentation of API 2.x is silent: a run ends right either
//! way.

use std::collections::BTreeMap;

use intercom_bulk::domain::run::State;
use intercom_simulator::{Choice, Options};
use serde_json::Value;

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, faults, users, with_attributes};

/// The versions that write contacts.
const VERSIONS: [&str; 2] = ["2.17", "preview"];

/// Sets a value of each type and of each field, and clears some.
const EVERYTHING: &str = r#"
name = "everything"
[set.custom_attributes.flag]
type = "bool"
value = "user.created_at % 2 == 0"
[set.custom_attributes.whole]
type = "int"
value = "user.created_at % 7"
[set.custom_attributes.part]
type = "float"
value = "1.5 if user.created_at % 2 == 0 else 2"
[set.custom_attributes.tier]
type = "string"
value = "'Gold' if user.created_at % 3 == 0 else user.custom_attributes.plan"
otherwise = "clear"
[set.custom_attributes.since]
type = "date"
value = "user.created_at"
[set.name]
type = "string"
value = "'Name ' ~ user.created_at % 5"
[set.unsubscribed_from_emails]
type = "bool"
value = "user.created_at % 2 == 0"
"#;
const ATTRIBUTES: [&str; 5] = ["flag:boolean", "whole:integer", "part:float", "tier:string", "since:date"];

fn workspace(of_users: usize, attributes: &[&str], options: &[&str]) -> Options {
    let choose = |workspace: Options, text: &&str| workspace.with(text.parse::<Choice>().unwrap());
    options.iter().fold(with_attributes(attributes, users(of_users)), choose)
}

/// Returns each user's values that the plan can write.
fn values(pipeline: &Pipeline) -> BTreeMap<String, Vec<Value>> {
    let of = |user: &Value| {
        let attributes = ATTRIBUTES.map(|text| text.split(':').next().unwrap());
        let attributes = attributes.map(|name| user["custom_attributes"][name].clone());
        [&attributes[..], &[user["name"].clone(), user["unsubscribed_from_emails"].clone()]].concat()
    };
    pipeline.world.users().iter().map(|user| (user["id"].as_str().unwrap().to_owned(), of(user))).collect()
}

#[tokio::test(start_paused = true)]
async fn options_that_a_plan_meets_by_its_types_change_no_end() {
    for version in VERSIONS {
        let mut expected = None;
        for option in [
            "email-null=empty",
            "email-null=null",
            "email-taken=accepted",
            "unknown-field=refused",
            "value-type=refused",
            "list-option=accepted",
            "larger-page=accepted",
            "custom-object=Order:of_orders",
            "teammate=7",
            "version-header=missing",
        ] {
            let pipeline = Pipeline::of_version(version, EVERYTHING, workspace(200, &ATTRIBUTES, &[option])).await;
            let report = pipeline.run(Value::Null).await;
            assert_eq!(report.state(), State::Complete, "{version} {option}: {} {:?}", report.reason(), report.errors);
            let ends = (values(&pipeline), report.accounts.totals.written);
            assert!(ends.1 == 200 && *expected.get_or_insert_with(|| ends.clone()) == ends, "{version} {option}");
            let again = pipeline.run(Value::Null).await;
            assert_eq!((again.state(), again.cursor.tally.patches), (State::Complete, 0), "{version} {option}");
        }
    }
}

/// The status of a write to a blocked contact. With 410 it looks like a contact that is gone.
#[tokio::test(start_paused = true)]
async fn blocked_contacts_are_told_whatever_the_status() {
    for version in VERSIONS {
        for (status, is_gone) in [(400, false), (403, false), (404, false), (409, false), (410, true), (422, false)] {
            let option = format!("blocked-status={status}");
            let options = workspace(400, &["has avatar:boolean"], &[option.as_str()]);
            let options = Options { faults: faults(&["gone-contact=blocked:3%"]), ..options };
            let report = Pipeline::of_version(version, HAS_AVATAR, options).await.run(Value::Null).await;
            let (gone, errors) = (report.accounts.totals.gone, &report.errors);
            assert!((gone > 2) == is_gone && (errors.len() > 2) != is_gone, "{version} {status}: {gone} {errors:?}");
            // On Preview, written users are read back, and those do not have the value.
            let is_silent = is_gone && version == "2.17";
            let state = if is_silent { State::Complete } else { State::CompleteWithErrors };
            assert_eq!(report.state(), state, "{version} {status}: {}", report.reason());
            assert!(errors.iter().all(|row| row.code == "not_restorable"), "{version} {status}: {errors:?}");
            if !is_gone {
                report.assert_nobody_lost();
            }
        }
    }
}

/// A computed value may be no option of a list: Intercom refuses it for its user, or adds it.
#[tokio::test(start_paused = true)]
async fn computed_values_of_a_list_fail_for_their_users_at_most() {
    let plan = "name = \"p\"\n[set.custom_attributes.tier]\ntype = \"string\"\n\
                value = \"'T' ~ user.created_at % 9\"\n";
    for version in VERSIONS {
        for (option, is_refused) in [("list-option=refused", true), ("list-option=accepted", false)] {
            let options = workspace(90, &["tier:string:T0|T1|T2|T3|T4|T5|T6|T7"], &[option]);
            let report = Pipeline::of_version(version, plan, options).await.run(Value::Null).await;
            let (errors, written) = (report.errors.len() as u64, report.accounts.totals.written);
            assert_eq!((errors > 0, errors + written), (is_refused, 90), "{version} {option}: {}", report.reason());
            let state = if is_refused { State::CompleteWithErrors } else { State::Complete };
            assert_eq!(report.state(), state, "{version} {option}: {}", report.reason());
        }
    }
}
