//! A rollback to this version while a run of a newer version is at work: for some minutes the run's items
//! have a newer format. Functions that begin in this time must leave the run as it is.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use intercom_bulk::domain::run::RunId;
use rand::Rng;
use rand::rngs::SmallRng;
use tokio::time::sleep;

use crate::storm::{Storm, Who};

/// Added to the formats of a run's items. No format has as many digits.
const ADDED: u32 = 9000;
/// The items whose formats are newer, by their sort keys.
const KINDS: [&str; 2] = ["RUN", "CURSOR"];

/// A rollback, and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rollback {
    after: Duration,
    lasts: Duration,
}

impl Rollback {
    /// Draws a rollback in about every sixteenth story.
    pub(crate) fn draw(rng: &mut SmallRng) -> Option<Self> {
        let after = Duration::from_millis(rng.random_range(500..90_000));
        let lasts = Duration::from_secs(rng.random_range(60..600));
        rng.random_ratio(1, 16).then_some(Self { after, lasts })
    }

    /// Returns the time of the update that follows it.
    pub(crate) fn until(&self) -> Duration {
        self.after + self.lasts
    }
}

/// A run whose items have a newer format.
#[derive(Clone, Debug)]
pub(crate) struct NewerRun {
    id: RunId,
    /// The last invocation before. Later ones read the newer format.
    last: Who,
}

/// Makes the items of the active run newer, and later as they were.
pub(crate) async fn rolls_back(storm: Arc<Storm>, past_the_weather: aws_sdk_dynamodb::config::Builder) {
    let Some(at) = storm.story.rollback else { return };
    let dynamodb = aws_sdk_dynamodb::Client::from_conf(past_the_weather.build());
    sleep(at.after).await;
    let Some(id) = storm.ledger.active().await.ok().and_then(|active| active.run) else { return };
    add(&dynamodb, &id, "SET v = v + :added", "v < :added").await;
    storm.weather.note(|| format!("{id} is of a newer format"));
    let newer = NewerRun { id: id.clone(), last: storm.invocations() };
    *storm.newer.lock().unwrap_or_else(PoisonError::into_inner) = Some(newer);
    // Those that are under way cannot go on, and leave their leases.
    storm.promises.all_troubled();
    sleep(at.lasts).await;
    *storm.newer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    add(&dynamodb, &id, "SET v = v - :added", "v > :added").await;
    storm.weather.note(|| format!("{id} is of this format"));
}

/// Changes the formats of a run's items, if they satisfy the condition.
async fn add(dynamodb: &aws_sdk_dynamodb::Client, run: &RunId, update: &str, condition: &str) {
    for kind in KINDS {
        let request = dynamodb.update_item().table_name("ledger").update_expression(update);
        let request =
            request.key("pk", AttributeValue::S(format!("RUN#{run}"))).key("sk", AttributeValue::S(kind.to_owned()));
        let request = request.condition_expression(condition);
        // A run that ended has no such item, or it is as it was.
        drop(request.expression_attribute_values(":added", AttributeValue::N(ADDED.to_string())).send().await);
    }
}

impl Storm {
    /// Reports a bug if an invocation does this for a run of a newer format, which it must leave as it is.
    pub(crate) fn leaves_a_newer_run(&self, who: Option<Who>, run: &str, what: &str) {
        let newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if newer.zip(who).is_some_and(|(newer, who)| newer.id.as_str() == run && who > newer.last) {
            self.weather.bug(format!("14: {what} for {run}, which is of a newer format"));
        }
    }

    /// Notes that an invocation writes a run's row. One that was under way at the rollback gives it this format.
    pub(crate) fn may_write_over_a_newer_run(&self, who: Option<Who>, run: &str) {
        let mut newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        if newer.as_ref().zip(who).is_some_and(|(newer, who)| newer.id.as_str() == run && who <= newer.last) {
            *newer = None;
        }
    }
}

/// The network of the storm's own reads: it shows newer items in this version's format.
#[derive(Debug)]
pub(crate) struct AsBefore(pub(crate) SharedHttpClient);

#[derive(Debug)]
struct Line(SharedHttpConnector);

impl HttpClient for AsBefore {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Line(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            let Some(text) = answer.body().bytes().and_then(|body| std::str::from_utf8(body).ok()) else {
                return Ok(answer);
            };
            let text = text.replace(r#""v":{"N":"900"#, r#""v":{"N":""#);
            Ok(HttpResponse::new(answer.status(), SdkBody::from(text)))
        })
    }
}
