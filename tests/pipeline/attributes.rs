//! The attributes of a plan on API 2.x: they are checked before the run, and created on request.

use intercom_bulk::domain::run::{Limits, Source, Start, State};
use intercom_bulk::plan::Plan;
use intercom_simulator::{ContactOptions, CustomObject, Fault, Options};
use serde_json::{Value, json};

use crate::contacts::picture;
use crate::intercom::Closed;
use crate::pipeline::Pipeline;
use crate::plans::{users, with_attributes};

/// Returns a workspace with these attributes, besides those that a user has.
fn with(attributes: &[&str], attribute_after_s: u64) -> Options {
    let contacts = ContactOptions { attribute_after_s, ..ContactOptions::default() };
    with_attributes(attributes, Options { contacts, ..users(120) })
}

fn creating() -> Value {
    json!({"limits": {"create_attributes": true}})
}

#[tokio::test(start_paused = true)]
async fn missing_attribute_is_created_and_waited_for() {
    for (after_s, faults) in
        [(0, &[][..]), (7, &[]), (0, &["lose-call=add-attribute:1"]), (0, &["error-call=add-attribute:1"])]
    {
        let faults: Vec<Fault> = faults.iter().map(|text| text.parse().unwrap()).collect();
        let pipeline = Pipeline::of_version("2.17", &picture(), Options { faults, ..with(&[], after_s) }).await;
        let report = pipeline.run(creating()).await;
        assert_eq!(report.state(), State::Complete, "{after_s}: {}", report.reason());
        assert_eq!((report.lacking.len(), report.world.contacts.refused), (0, 0), "{after_s}");
        let created = report.world.requests.iter().find(|(name, _)| name.starts_with("POST /data_attributes"));
        assert!(created.is_some_and(|(_, count)| *count <= 2), "{after_s}: {:?}", report.world.requests);
        let again = pipeline.run(creating()).await;
        assert_eq!(again.state(), State::Complete, "nothing is missing: {}", again.reason());
    }
}

/// A start is refused, and nothing is created, if an attribute cannot be written as it is.
#[tokio::test(start_paused = true)]
async fn attribute_that_cannot_be_written_is_not_created() {
    for (attribute, says) in [
        ("Has Picture:boolean", "there is \"Has Picture\""),
        ("has picture:boolean:archived", "archived"),
        ("has picture:string", "has the type string"),
    ] {
        let pipeline = Pipeline::of_version("2.17", &picture(), with(&[attribute], 0)).await;
        let error = pipeline.engine.scroll(pipeline.start_event(&creating())).await.unwrap_err();
        assert!(error.contains(says), "{attribute}: {error}");
        let requests = pipeline.world.state().requests;
        assert!(!requests.keys().any(|name| name.starts_with("POST /data_attributes")), "{requests:?}");
    }
    // Intercom itself refuses the name.
    let plan = picture().replace("has picture", "monthly_spend");
    let pipeline = Pipeline::of_version("2.17", &plan, with(&[], 0)).await;
    let error = pipeline.engine.scroll(pipeline.start_event(&creating())).await.unwrap_err();
    assert!(error.contains("cannot be created") && error.contains("in your company data"), "{error}");
}

/// A start asks for an attribute again that Intercom has created and does not list yet.
#[tokio::test(start_paused = true)]
async fn created_attribute_may_be_listed_late() {
    for fault in [None, Some("lose-call=add-attribute:1")] {
        let faults: Vec<Fault> = fault.iter().map(|text| text.parse().unwrap()).collect();
        let pipeline = Pipeline::of_version("2.17", &picture(), Options { faults, ..with(&[], 150) }).await;
        let event = pipeline.start_event(&creating());
        let mut tries = 0;
        while pipeline.engine.clients.ledger.runs(1).await.unwrap().is_empty() {
            tries += 1;
            assert!(tries < 9, "{fault:?}");
            if let Err(error) = pipeline.engine.scroll(event.clone()).await {
                assert!(error.contains("does not list it yet"), "{fault:?}: {error}");
            }
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        }
        let run = pipeline.engine.clients.ledger.runs(1).await.unwrap().remove(0);
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.state(), State::Complete, "{fault:?}: {}", report.reason());
        let created = report.world.requests.iter().filter(|(name, _)| name.starts_with("POST /data_attributes"));
        assert!(created.map(|(_, count)| *count).sum::<u64>() > 1, "{fault:?}: {:?}", report.world.requests);
    }
}

/// A start whose attributes Intercom does not list waits, and the starts behind it begin.
#[tokio::test(start_paused = true)]
async fn start_that_waits_for_its_attributes_lets_others_begin() {
    const NAMES: &str = "name = \"names\"\n[set.name]\ntype = \"string\"\nvalue = \"'Ann'\"\n";
    let pipeline = Pipeline::of_version("2.17", &picture(), with(&["has picture:boolean"], 0)).await;
    pipeline.way.disturb("GET /data_attributes", Closed::Answers(503));
    let names = Plan::from_toml("names.toml", NAMES).unwrap();
    let (ledger, now_ms) = (&pipeline.engine.clients.ledger, pipeline.engine.now_ms());
    let [first, second] = [(&pipeline.plan, 0), (&names, 1)].map(|(plan, after_s)| {
        let scheduled_at_s = now_ms / 1000 + after_s;
        Start::new(plan.name(), Some(plan.to_json()), scheduled_at_s, Source::All, Limits::default())
    });
    for start in [&first, &second] {
        ledger.enqueue(start, now_ms).await.unwrap();
    }
    assert_eq!(pipeline.until_ended(&second.run()).await.state(), State::Complete);
    let waiting = ledger.waiting().await.unwrap();
    assert!(waiting.len() == 1 && waiting[0].tries > 0 && waiting[0].start == first, "{waiting:?}");
    pipeline.way.close(None);
    pipeline.until_ended(&first.run()).await.assert_complete_with(0);
}

/// A new attribute that Intercom does not list ends the start after a minute.
#[tokio::test(start_paused = true)]
async fn wait_for_a_new_attribute_is_bounded() {
    let pipeline = Pipeline::of_version("2.17", &picture(), with(&[], 3_600)).await;
    let began_ms = pipeline.engine.now_ms();
    let error = pipeline.engine.scroll(pipeline.start_event(&creating())).await.unwrap_err();
    assert!(error.contains("does not list it yet"), "{error}");
    assert!(pipeline.engine.now_ms() - began_ms < 90_000);
}

/// A text of the plan must be an option of a list. Other values are refused by Intercom, one by one.
#[tokio::test(start_paused = true)]
async fn options_of_a_list_are_checked() {
    let plan =
        |value: &str| format!("name = \"p\"\n[set.custom_attributes.tier]\ntype = \"string\"\nvalue = \"{value}\"\n");
    for (value, is_refused) in [("'Gold'", false), ("'Gold' if user.email is present else 'Bronze'", true)] {
        let pipeline = Pipeline::of_version("2.17", &plan(value), with(&["tier:string:Gold|Silver"], 0)).await;
        let started = pipeline.engine.scroll(pipeline.start_event(&Value::Null)).await;
        assert_eq!(started.is_err(), is_refused, "{value}: {started:?}");
        assert!(started.err().is_none_or(|error| error.contains("without the option \"Bronze\"")), "{value}");
    }
}

/// A relationship with custom objects has no value. A list of attributes shows it by its type, or else
/// the first user who has it.
#[tokio::test(start_paused = true)]
async fn relationship_is_never_written() {
    let plan = picture().replace("has picture", "Order");
    let with_object = |listed_as: &str, attribute: &[&str]| {
        let object = CustomObject { name: "Order".to_owned(), listed_as: listed_as.to_owned() };
        let mut options = with(attribute, 0);
        options.contacts.custom_object = Some(object);
        options
    };
    let listed = Pipeline::of_version("2.17", &plan, with_object("relationship", &[])).await;
    let error = listed.engine.scroll(listed.start_event(&Value::Null)).await.unwrap_err();
    assert!(error.contains("\"Order\" is a relationship with custom objects"), "{error}");
    assert_eq!(listed.world.state().contacts.listed, 0, "the run did not begin");
    for version in ["2.17", "preview"] {
        let unknown = Pipeline::of_version(version, &plan, with_object("order_list", &[])).await;
        let report = unknown.run(Value::Null).await;
        assert_eq!(report.state(), State::Failed, "{version}: {}", report.reason());
        assert!(report.reason().contains("\"Order\", which is a relationship"), "{version}: {}", report.reason());
        let contacts = &report.world.contacts;
        assert_eq!((contacts.written, contacts.refused, report.errors.len()), (0, 0, 0), "{version}");
        let users = json!({"users": [unknown.world.users()[0]["id"]]});
        let by_id = unknown.run(users).await;
        assert_eq!(by_id.state(), State::Failed, "{version}: {}", by_id.reason());
        // Other attributes of the same users are written.
        let other =
            Pipeline::of_version(version, &picture(), with_object("order_list", &["has picture:boolean"])).await;
        other.run(Value::Null).await.assert_complete_with(0);
    }
}
