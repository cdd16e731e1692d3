//! IAM in front of the emulated services. Each call of a step needs its function's role, and each
//! permission that no test uses has a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use intercom_bulk_emulator::engine::step_at_work;
use intercom_bulk_emulator::topology::Step;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::accident::Accident;
use crate::contacts::{self, LEADS, workspace};
use crate::pauses::control;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, faults, users};
use crate::preview;
use crate::retries::retry;
use crate::roles::{Access, Roles, needed};

/// An item of the table.
type Item = std::collections::HashMap<String, AttributeValue>;

/// The roles and their use. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    roles: Arc<Roles>,
    used: Arc<Mutex<BTreeMap<&'static str, BTreeSet<Access>>>>,
    denied: Arc<Mutex<BTreeSet<String>>>,
    hung: Arc<Mutex<Option<Hung>>>,
    refused: Arc<Mutex<Option<(&'static str, &'static str)>>>,
}

/// Calls that are carried out late.
#[derive(Clone, Copy, Debug)]
struct Hung {
    step: &'static str,
    operation: &'static str,
    until: Instant,
}

/// A service behind the guard.
#[derive(Clone, Debug)]
struct Guarded<C> {
    guard: Guard,
    inner: C,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self {
            roles: Arc::new(Roles::of_the_template()),
            used: Arc::default(),
            denied: Arc::default(),
            hung: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// Puts the guard in front of a client's service.
    pub(crate) fn before(&self, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Guarded { guard: self.clone(), inner })
    }

    /// Carries out a step's calls of an operation no earlier than after this time.
    pub(crate) fn hang(&self, step: &'static str, operation: &'static str, time: Duration) {
        *self.hung.lock().unwrap() = Some(Hung { step, operation, until: Instant::now() + time });
    }

    /// Refuses a step's next call of an operation.
    pub(crate) fn refuse_once(&self, step: &'static str, operation: &'static str) {
        *self.refused.lock().unwrap() = Some((step, operation));
    }

    /// Returns whether a refused call is still to come.
    pub(crate) fn refuses(&self) -> bool {
        self.refused.lock().unwrap().is_some()
    }

    fn takes_refusal(&self, target: &str) -> bool {
        let step = step_at_work().map(Step::name);
        let mut refused = self.refused.lock().unwrap();
        refused.take_if(|refused| step == Some(refused.0) && target.ends_with(refused.1)).is_some()
    }

    /// Returns the time before which a call of the running step is not carried out.
    fn hung_until(&self, target: &str) -> Option<Instant> {
        let hung = (*self.hung.lock().unwrap())?;
        let is_hung = step_at_work().map(Step::name) == Some(hung.step) && target.ends_with(hung.operation);
        (is_hung && Instant::now() < hung.until).then_some(hung.until)
    }

    /// Returns the calls that a role did not allow, as text.
    pub(crate) fn denied(&self) -> Vec<String> {
        self.denied.lock().unwrap().iter().cloned().collect()
    }

    fn used(&self) -> BTreeMap<&'static str, BTreeSet<Access>> {
        self.used.lock().unwrap().clone()
    }

    /// Returns whether the running step may make this call. A call outside a step is the test's, or
    /// a poller's.
    fn allows(&self, target: &str, body: &[u8]) -> bool {
        let Some(step) = step_at_work().map(Step::name) else { return true };
        let needed = needed(target, body);
        let lacks = self.roles.lacks(step, &needed);
        self.denied.lock().unwrap().extend(lacks.iter().map(|access| format!("{step}: {access}")));
        self.used.lock().unwrap().entry(step).or_default().extend(needed);
        lacks.is_empty()
    }
}

impl HttpClient for Guarded<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Guarded { guard: self.guard.clone(), inner })
    }
}

impl HttpConnector for Guarded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let is_allowed = self.guard.allows(target, request.body().bytes().unwrap_or_default());
        if is_allowed && !self.guard.takes_refusal(target) {
            let Some(until) = self.guard.hung_until(target) else { return self.inner.call(request) };
            let inner = self.inner.clone();
            return HttpConnectorFuture::new(async move {
                sleep_until(until).await;
                inner.call(request).await
            });
        }
        let body = json!({"__type": "AccessDeniedException", "message": "not authorized"}).to_string();
        let answer = HttpResponse::new(StatusCode::try_from(400).unwrap(), SdkBody::from(body));
        HttpConnectorFuture::ready(Ok(answer))
    }
}

/// Returns whether only Lambda uses this action of a role.
fn is_used_by_lambda(access: &Access) -> bool {
    let by_the_mapping = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    let by_the_log = ["logs:CreateLogStream", "logs:PutLogEvents"];
    by_the_mapping.iter().chain(&by_the_log).any(|action| access.action == *action)
}

/// Runs a workspace with an event for every call that a step can make.
async fn eventful(options: Options, further: Value) -> Guard {
    let options = Options { latency_ms: 300, ..options };
    let pipeline = Pipeline::with(HAS_AVATAR, options, settings(), vec![Accident::DeliveredTwice]).await;
    let run = pipeline.start(further).await;
    for queue in ["pages", "patches"] {
        pipeline.send(queue, "not json").await;
    }
    pipeline.until_ended(&run).await;
    pipeline.guard.clone()
}

/// Runs a workspace on API 2.x whose submit is interrupted before the record of results.
async fn interrupted() -> Guard {
    let mut pipeline = contacts::pipeline(workspace(300)).await;
    pipeline.guard.hang("submit", "TransactWriteItems", Duration::from_secs(20));
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_secs(10)).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    pipeline.until_ended(&run).await.assert_complete_with(LEADS);
    pipeline.guard.clone()
}

/// Runs on Preview with users whom its bulk jobs do not write: check reads them by id, and further parts
/// write them. A run with many of them sends no more bulk jobs, a cancelled one reads them only, and a
/// retry writes the errors of both.
async fn on_preview() -> Guard {
    let options =
        Options { faults: faults(&["item-limited=10%"]), rate_limit_per_10s: 300, ..preview::workspace(6_000) };
    let pipeline = preview::pipeline(options).await;
    let complete = pipeline.run(Value::Null).await;
    complete.assert_complete();
    let jobs = preview::jobs(&complete).0;
    assert!(complete.run.no_jobs.is_some() && jobs.iter().any(|job| job.users_read), "{:?}", complete.run.no_jobs);
    let refused = Options { faults: faults(&["item-error=10%:name_invalid:no"]), ..preview::workspace(900) };
    let cancelled = preview::pipeline(Options { rate_limit_per_10s: 200, ..refused }).await;
    let run = cancelled.start(Value::Null).await;
    cancelled.until(|state| state.items >= 300).await;
    control(&cancelled, json!({"cancel": run}), "cancelled").await;
    assert!(!cancelled.until_ended(&run).await.errors.is_empty());
    let retried = retry(&cancelled, json!({"retry": run})).await;
    assert!(retried.run.retry.is_some() && retried.state().ended(), "{}", retried.reason());
    let guards = [pipeline.guard.clone(), cancelled.guard.clone()];
    for guard in &guards {
        assert_eq!(guard.denied(), [""; 0]);
    }
    guards[1].used.lock().unwrap().iter_mut().for_each(|(step, used)| {
        used.extend(guards[0].used().remove(step).into_iter().flatten());
    });
    cancelled.guard.clone()
}

/// Cancels a run that has sent a job, and releases it when that job is over, which settles it.
async fn released() -> Guard {
    let pipeline = Pipeline::new(HAS_AVATAR, users(200)).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    pipeline.stop().await;
    pipeline.engine.control(json!({"cancel": run})).await.unwrap();
    sleep(Duration::from_hours(7)).await;
    let answer = pipeline.engine.control(json!({"release": run})).await.unwrap();
    assert!(answer["hint"].as_str().unwrap().contains("settled"), "{answer}");
    pipeline.guard.clone()
}

/// Pauses, resumes and cancels a run, of this version and of the one before.
async fn controlled() -> Guard {
    let options = Options { rate_limit_per_10s: 83, latency_ms: 300, ..users(900) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    for verbs in [&["pause", "resume", "cancel"][..], &["pause", "version-before", "resume", "cancel"]] {
        let run = pipeline.start(Value::Null).await;
        let before = pipeline.world.state().jobs.len();
        pipeline.until(|state| state.jobs.len() > before + 1).await;
        for &verb in verbs {
            if verb == "version-before" {
                let is_run =
                    |item: &Item| item["sk"].as_s().unwrap() == "RUN" && item["run"].as_s().unwrap() == run.as_str();
                let mut item = pipeline.items().await.into_iter().find(is_run).unwrap();
                item.insert("v".to_owned(), AttributeValue::N("1".to_owned()));
                pipeline.put(item).await;
                continue;
            }
            let answer = pipeline.engine.control(json!({verb: run})).await.unwrap();
            assert_ne!(answer["did"], "nothing", "{verb}: {answer}");
        }
        sleep(Duration::from_mins(5)).await;
    }
    pipeline.guard.clone()
}

#[tokio::test(start_paused = true)]
async fn roles_allow_exactly_what_their_steps_do() {
    let refused = Options { faults: vec![Fault::BadItem(5.0)], ..users(900) };
    let limited =
        Options { faults: vec![Fault::ItemLimited(20.0), Fault::LosePage(3), Fault::LoseBulk(2)], ..users(900) };
    let guards = [
        eventful(refused, json!({"rails": {"max_errors": 4}})).await,
        eventful(limited, json!({"rails": {"max_errors": 900}})).await,
        controlled().await,
        released().await,
        interrupted().await,
        on_preview().await,
    ];
    for step in ["scroll", "submit", "check", "control"] {
        let used: BTreeSet<Access> = guards.iter().filter_map(|guard| guard.used().remove(step)).flatten().collect();
        let allowed = guards[0].roles.of(step);
        let lacking: Vec<String> = used.difference(allowed).map(ToString::to_string).collect();
        assert!(lacking.is_empty(), "the role of {step} in template.yaml lacks {lacking:#?}");
        let idle = allowed.difference(&used).filter(|access| !is_used_by_lambda(access));
        let idle: Vec<String> = idle.map(ToString::to_string).collect();
        assert!(idle.is_empty(), "the role of {step} in template.yaml allows what no test uses: {idle:#?}");
        assert!(used.len() >= 5, "{step} was hardly at work: {used:?}");
    }
}

#[test]
fn calls_map_to_iam_actions() {
    let of = |target: &str, body: Value| -> Vec<String> {
        needed(target, body.to_string().as_bytes()).iter().map(ToString::to_string).collect()
    };
    let written = json!({"TransactItems": [{"Put": {"TableName": "t"}}, {"Update": {"TableName": "t"}}]});
    assert_eq!(
        of("DynamoDB_20120810.TransactWriteItems", written),
        ["dynamodb:PutItem on Ledger", "dynamodb:UpdateItem on Ledger"]
    );
    assert_eq!(
        of("DynamoDB_20120810.Query", json!({"TableName": "t", "IndexName": "due"})),
        ["dynamodb:Query on Ledger/index/due"]
    );
    let dead = json!({"QueueUrl": "http://sqs.model/0/patches-dead-letters"});
    assert_eq!(of("AmazonSQS.SendMessageBatch", dead), ["sqs:SendMessage on PatchesDeadLetters"]);
}
