//! The template's topology on one machine: queues, event source mappings and schedules.

use std::future::Future;
use std::time::Duration;

use intercom_bulk::queue::QueueUrls;
use jiff::Timestamp;
use serde_json::{Value, json};
use strum::{IntoStaticStr, VariantArray};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::aws::{Queue, QueueError, create_queue};
use crate::event_source_mapping::Mapping;
use crate::schedule;

/// The time-out of submit in the template, also used here for check (two minutes in the template).
pub(crate) const LONG_TIMEOUT: Duration = Duration::from_mins(5);
/// The time-out of control in the template.
pub(crate) const CONTROL_TIMEOUT: Duration = Duration::from_mins(1);
/// Parts per invocation of submit, as in the template.
const BATCH_SIZE: i32 = 10;
/// Maximum deliveries of a message. Steps often return messages by design and send poison messages
/// to the dead-letter queue themselves.
const RECEIVES_MAX: u32 = 200;
/// Maximum deliveries of a part: an outage delivers it again and again.
const PARTS_RECEIVES_MAX: u32 = 1_000;

/// A function, by the name of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Step {
    /// Reads pages of the scroll.
    Scroll,
    /// Creates bulk jobs.
    Submit,
    /// Polls bulk jobs.
    Check,
    /// Pauses, resumes and cancels runs. Nothing invokes it but an operator.
    Control,
}

impl Step {
    /// Returns the function's name, which is also its folder's and its binary's.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The queues, and the time-out of scroll.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// The queue of turns and starts.
    pub pages: QueueUrls,
    /// The queue of parts.
    pub patches: QueueUrls,
    scroll_timeout: Duration,
    mapped: [Queue; 2],
}

impl Wiring {
    /// Creates or finds the queues.
    pub async fn open(
        sqs: &aws_sdk_sqs::Client,
        scroll_timeout: Duration,
        pages_visibility: Duration,
    ) -> Result<Self, QueueError> {
        let (pages, pages_urls) = queue(sqs, "pages", pages_visibility.as_secs() as u32).await?;
        let (patches, patches_urls) = queue(sqs, "patches", 6 * LONG_TIMEOUT.as_secs() as u32).await?;
        Ok(Self { pages: pages_urls, patches: patches_urls, scroll_timeout, mapped: [pages, patches] })
    }

    /// Drives the functions until `stop` turns true, then finishes running invocations.
    ///
    /// `ticks` are the intervals between ticks of scroll and of check, from `now` on.
    pub async fn drive<F, I>(
        &self,
        sqs: &aws_sdk_sqs::Client,
        ticks: (Duration, Duration),
        now: Timestamp,
        invoke: I,
        stop: watch::Receiver<bool>,
    ) where
        F: Future<Output = Result<Value, String>> + Send + 'static,
        I: Fn(Step, Value) -> F + Clone + Send + Sync + 'static,
    {
        let mut tasks = JoinSet::new();
        let [pages, patches] = &self.mapped;
        for (step, mapping) in [
            (Step::Scroll, mapping(pages, 1, self.scroll_timeout)),
            (Step::Submit, mapping(patches, BATCH_SIZE, LONG_TIMEOUT)),
        ] {
            let (sqs, invoke, stopped) = (sqs.clone(), invoke.clone(), stop.clone());
            tasks.spawn(async move { mapping.run(&sqs, |event| invoke(step, event), stopped).await });
        }
        for (step, period) in [(Step::Scroll, ticks.0), (Step::Check, ticks.1)] {
            let (invoke, stopped) = (invoke.clone(), stop.clone());
            let tick = |_| json!({"tick": {}});
            tasks.spawn(async move { schedule::every(period, now, tick, |event| invoke(step, event), stopped).await });
        }
        tasks.join_all().await;
    }
}

fn mapping(queue: &Queue, batch_size: i32, function_timeout: Duration) -> Mapping {
    Mapping {
        queue_url: queue.url.clone(),
        queue_arn: queue.arn.clone(),
        batch_size,
        window: Duration::ZERO,
        concurrency: 2,
        function_timeout,
        report_item_failures: true,
    }
}

async fn queue(sqs: &aws_sdk_sqs::Client, name: &str, visibility_s: u32) -> Result<(Queue, QueueUrls), QueueError> {
    let dead = create_queue(sqs, &format!("{name}-dead-letters"), 30, None, 0).await?;
    let max_receives = if name.ends_with("patches") { PARTS_RECEIVES_MAX } else { RECEIVES_MAX };
    let queue = create_queue(sqs, name, visibility_s, Some(&dead.arn), max_receives).await?;
    let urls = QueueUrls { url: queue.url.clone(), dead_letters: dead.url };
    Ok((queue, urls))
}
