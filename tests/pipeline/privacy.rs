//! Secrets and personal data stay inside: the token, and the workspace's people. A whole run with
//! many faults is logged at the most verbose level of all crates, including the AWS SDK's request
//! and response bodies.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use flate2::read::ZlibDecoder;
use intercom_bulk::domain::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tracing::Dispatch;
use tracing::Level;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

use crate::accident::Accident;
use crate::intercom::TOKEN;
use crate::pipeline::{Pipeline, settings};
use crate::plans::users;

/// A part of every e-mail address, name, phone number and avatar of the workspace.
pub(crate) const PERSONAL: [&str; 4] = ["zq7mail", "zq7name", "zq7phone", "zq7avatar"];

/// Reads all personal fields, and writes no personal value. Some users fail because of their name.
pub(crate) const PLAN: &str = r#"
name = "reads-people"
where = "user.email is present or user.name is present or user.phone is present"
tables.account = { "acme.com" = "Acme Inc" }
tables.rank = { unknown = 1 }
[set.custom_attributes."has avatar"]
type = "bool"
value = "user.avatar.image_url is present and 'gravatar.com' not in user.avatar.image_url"
[set.custom_attributes.account]
type = "string"
value = "account[user.email | domain]"
[set.custom_attributes.rank]
type = "int"
value = "rank[user.name | lower] if user.phone is present else user.email"
[set.custom_attributes.length]
type = "int"
value = "user.name | length"
"#;

/// The lines that this thread logs while the guard lives.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Captures the lines of this thread while both guards live.
    ///
    /// With one subscriber in the process, tracing asks the thread that first reaches a log line
    /// whether the line is wanted. Another test's thread, which has no subscriber, would disable the
    /// line for all. With a second subscriber, tracing asks both.
    fn capture() -> (Self, (DefaultGuard, Dispatch)) {
        let lines = Self::default();
        let writer = lines.clone();
        let second = Dispatch::new(NoSubscriber::default());
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(move || writer.clone());
        (lines, (tracing::subscriber::set_default(subscriber.finish()), second))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).to_lowercase()
    }
}

/// Returns the occurrences of `secrets` in a text, with their surroundings.
fn found(text: &str, secrets: &[&str]) -> Vec<String> {
    let text = text.to_lowercase();
    let around = |at: usize| {
        let start = text.floor_char_boundary(at.saturating_sub(300));
        text[start..text.ceil_char_boundary((at + 60).min(text.len()))].to_owned()
    };
    secrets.iter().filter_map(|secret| text.find(&secret.to_lowercase()).map(around)).collect()
}

pub(crate) fn nothing_of(place: &str, text: &str, secrets: &[&str]) {
    let found = found(text, secrets);
    assert!(found.is_empty(), "{place}: {found:#?}");
}

/// Gives the people of a workspace what [`PERSONAL`] lists.
pub(crate) fn people(pipeline: &Pipeline) {
    for (n, user) in pipeline.world.users().iter().enumerate() {
        pipeline.world.set_user(user["id"].as_str().unwrap(), |body| {
            body["email"] = json!(format!("zq7mail{n}@elsewhere.example"));
            body["name"] = json!(format!("Zq7name Number {n}"));
            body["phone"] = if n % 20 == 0 { Value::Null } else { json!(format!("+353 zq7phone {n}")) };
            body["avatar"] = json!({"type": "avatar", "image_url": format!("https://zq7avatar.example/{n}.jpg")});
        });
    }
}

async fn pipeline(faults: Vec<Fault>, accidents: Vec<Accident>) -> Pipeline {
    let options = Options { faults, token: Some(TOKEN.to_owned()), ..users(650) };
    let pipeline = Pipeline::with(PLAN, options, settings(), accidents).await;
    people(&pipeline);
    pipeline
}

/// Returns all items of the ledger as text, with compressed attributes inflated.
pub(crate) async fn dumped(pipeline: &Pipeline) -> String {
    let items = pipeline.items().await;
    let mut dump = format!("{items:?}");
    let mut inflated = 0;
    for blob in items.iter().filter_map(|item| item.get("z")?.as_b().ok()) {
        let mut text = String::new();
        ZlibDecoder::new(blob.as_ref()).read_to_string(&mut text).unwrap();
        inflated += usize::from(text.contains("has avatar"));
        dump += &text;
    }
    assert!(inflated > 3, "the changes were not found");
    dump
}

#[tokio::test(start_paused = true)]
async fn token_and_personal_data_stay_private() {
    let (lines, _guard) = Lines::capture();
    let refused =
        |percent, message: &str| Fault::ItemError { percent, code: "invalid".into(), message: message.into() };
    let faults = vec![
        refused(6.0, "email zq7mail7@elsewhere.example invalid, see mailto:zq7mail7%40elsewhere.example"),
        Fault::BadItem(1.0),
        Fault::ItemLimited(10.0),
        Fault::LosePage(3),
        Fault::ErrorPage(5),
        Fault::LimitBulk(2),
        Fault::LoseBulk(3),
        Fault::ErrorBulk(4),
        Fault::FeedPageSize(3),
    ];
    let pipeline = pipeline(faults, vec![Accident::DeliveredTwice]).await;
    let run = pipeline.start(Value::Null).await;
    for body in ["not json", r#"{"v": 1, "run": "x"}"#, r#"{"plan": {"name": "bad"}}"#] {
        pipeline.send("pages", body).await;
        pipeline.send("patches", body).await;
    }
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    assert!(report.errors.iter().any(|row| row.message.contains("[e-mail]")), "Intercom's words were read");
    assert!(report.cursor.tally.missed.contains_key("rank[…]"), "{:?}", report.cursor.tally);

    let secrets = [&PERSONAL[..], &[TOKEN, "authorization: bearer"]].concat();
    let log = lines.text();
    // The log is complete: it has own lines, and the SDK's requests with their bodies.
    for said in ["bulk job", "a request for a page failed", "transactwriteitems", "sendmessagebatch", "has avatar"] {
        assert!(log.contains(said), "the log does not say {said}");
    }
    assert!(log.len() > 1 << 20, "{} bytes of log", log.len());
    nothing_of("the log", &log, &secrets);
    let sent = pipeline.sqs.ever_sent();
    assert!(sent.iter().any(|body| body.contains("has avatar")));
    nothing_of("a message", &sent.join("\n"), &secrets);
    nothing_of("the ledger", &dumped(&pipeline).await, &secrets);
}

/// Messages of other programs may be personal. The message keeps its body; the reason quotes
/// nothing.
#[tokio::test(start_paused = true)]
async fn unreadable_message_is_not_quoted_in_a_log() {
    let pipeline = pipeline(Vec::new(), Vec::new()).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until_ended(&run).await;
    let (lines, _guard) = Lines::capture();
    for body in [
        r#"{"v": "zq7mail@elsewhere.example", "run": "zq7name one", "turn": 1}"#,
        r#"{"v": 1, "run": "x", "turn": "Zq7name Two"}"#,
        r#"{"v": 1, "run": "x", "generation": 1, "origin": "zq7name three", "patches": []}"#,
        r#"{"plan": "x", "time": "zq7name four"}"#,
        r#"{"plan": "x", "users": "zq7phone 5556712"}"#,
        r#"{"plan": "x", "rails": {"max_changes": "zq7name five"}}"#,
        r#"{"plan": "x", "zq7mail5@elsewhere.example": 1}"#,
    ] {
        pipeline.send("pages", body).await;
        pipeline.send("patches", body).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(400)).await;
    let log = lines.text();
    let ours: Vec<&str> = log.lines().filter(|line| line.contains(" intercom_bulk")).collect();
    assert!(ours.iter().filter(|line| line.contains("message")).count() >= 14, "{ours:#?}");
    nothing_of("our lines", &ours.join("\n"), &PERSONAL);
    assert_eq!(pipeline.sqs.bodies("pages-dead-letters").len() + pipeline.sqs.bodies("patches-dead-letters").len(), 14);
}
