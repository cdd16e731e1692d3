//! Plays a story: sets up the world, drives the functions by events only, and ends when the world
//! is quiet, a promise is broken, or the time limit has passed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, SharedHttpClient, StalledStreamProtectionConfig};
use intercom_bulk::aws::timeouts;
use intercom_bulk::domain::run::{RunId, State};
use intercom_bulk::ledger::{self, Ledger};
use intercom_bulk::queue::{QueueUrls, Queues};
use intercom_bulk::runtime::clients::Clients;
use intercom_bulk::runtime::config::Settings;
use intercom_bulk::runtime::event::StartEvent;
use intercom_bulk_emulator::aws::{Account, Queue, create_queue};
use intercom_bulk_emulator::event_source_mapping::Mapping;
use intercom_simulator::{Options, World};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::await_point::Step;
use crate::functions::{Functions, LONG_TIMEOUT};
use crate::seams::aws::Network;
use crate::seams::intercom;
use crate::seams::queue::OfQueues;
use crate::sqs::Sqs;
use crate::storm::{BEGIN_MS, Storm};
use crate::story::Story;
use crate::tally::Tally;
use crate::weather::Weather;
use crate::{again, operator, process, rollback, schedules};

const TABLE: &str = "ledger";
/// Maximum deliveries of a message, as in the template.
const RECEIVES_MAX: u32 = 200;
/// Maximum deliveries of a part: an outage delivers it again and again.
const PARTS_RECEIVES_MAX: u32 = 1_000;
/// The time that a newer version's message stays in the pages queue: 200 receives, 15 minutes
/// apart.
const NEWER_LASTS: Duration = Duration::from_hours(47);
/// The time limit of a run: its deadline is a day after its start, and the next tick ends it.
const A_RUN: Duration = Duration::from_hours(25);
/// The time limit if Intercom does not report jobs' ends: they are unknown after six hours.
const AN_UNREPORTED_RUN: Duration = Duration::from_hours(8);
/// The time limit of other runs, from the start or the last accident. A dead owner's message
/// returns after half an hour, and a generation waits a quarter of an hour for the previous one.
const A_COMMON_RUN: Duration = Duration::from_hours(4);
/// The interval of checks for a quiet world.
const LOOK: Duration = Duration::from_secs(30);

/// The result of a story.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) tally: Tally,
    pub(crate) trace: Vec<String>,
    pub(crate) bugs: Vec<String>,
}

/// Plays a story in its own runtime with a paused clock.
pub(crate) fn tell(told: Story, traced: bool) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
    // The checks may panic, too.
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(told, traced)))).unwrap_or_else(|panic| {
        let bug = format!("the story panics: {}", process::message(&*panic));
        Told { bugs: vec![bug], ..Told::default() }
    })
}

async fn run(told: Story, traced: bool) -> Told {
    let weather = Arc::new(Weather::new(told.seed, told.rates.clone(), told.calm_after, traced));
    let began = Instant::now();
    let now = Arc::new(move || BEGIN_MS + began.elapsed().as_millis() as i64);
    let world = World::new(Options { now, ..told.options.clone() });
    let account = Account::open(None).expect("a ledger in memory");
    let past_the_weather = dynamodb().http_client(rollback::AsBefore(account.dynamodb_network())).build();
    let past_the_weather = aws_sdk_dynamodb::Client::from_conf(past_the_weather);
    ledger::create(&past_the_weather, TABLE).await.expect("a new account has no such table");
    let sqs = Sqs::with(OfQueues(weather.clone(), told.outage));
    let storm = Arc::new(Storm::new(told, weather, world, Ledger::new(past_the_weather, TABLE), sqs));
    let settings = Settings::read(|_| None).expect("every setting has a default");
    let settings = Settings { quota_percent: storm.story.quota_percent, ..settings };
    let raw_sqs = storm.sqs.client();
    let (pages, pages_dead) = queue(&raw_sqs, "pages", settings.pages_visibility().as_secs() as u32).await;
    let (patches, patches_dead) = queue(&raw_sqs, "patches", 1_830).await;
    let (in_the_weather, sqs) = clients(&storm, &account);
    let pollers_sqs = pollers(&storm);
    let ledger = Ledger::new(in_the_weather, TABLE);
    let queues = Queues::new(sqs.clone(), urls(&pages, &pages_dead), urls(&patches, &patches_dead));
    let clients = Clients::new(intercom::client(&storm, &intercom::token(&storm)), ledger, queues, settings.clone());
    let functions = Arc::new(Functions::new(storm.clone(), clients));
    let (stop, stopped) = watch::channel(false);
    for (queue, step, batch_size, concurrency, most) in [
        (pages, Step::Scroll, 1, storm.story.pollers, settings.scroll_timeout()),
        (patches, Step::Submit, 10, 2, LONG_TIMEOUT),
    ] {
        let (functions, sqs, stopped) = (functions.clone(), pollers_sqs.clone(), stopped.clone());
        storm.spawn(async move {
            let mapping = Mapping {
                queue_url: queue.url,
                queue_arn: queue.arn,
                batch_size,
                window: Duration::ZERO,
                concurrency,
                function_timeout: most,
                report_item_failures: true,
            };
            mapping.run(&sqs, |event| functions.invoke(step, event), stopped).await;
        });
    }
    storm.spawn(schedules::ticks(functions.clone(), Step::Scroll));
    storm.spawn(schedules::ticks(functions.clone(), Step::Check));
    let mut begins = Vec::new();
    for start in storm.story.starts.clone() {
        let named = StartEvent::read(&start.event).ok().and_then(|event| event.run());
        if let Some((run, after)) = named.zip(start.goes_on_after) {
            begins.push(storm.spawn(operator::goes_on(functions.clone(), run, after)));
        }
        begins.push(storm.spawn(schedules::start(functions.clone(), raw_sqs.clone(), start)));
    }
    for after in storm.story.resumes.clone() {
        begins.push(storm.spawn(schedules::resume(functions.clone(), after)));
    }
    begins.extend(storm.story.acts.iter().map(|act| storm.spawn(operator::act(functions.clone(), *act))));
    begins.push(storm.spawn(rollback::rolls_back(storm.clone(), dynamodb().http_client(account.dynamodb_network()))));
    for verb in storm.story.verbs.clone() {
        begins.push(storm.spawn(operator::sends(functions.clone(), verb)));
    }
    begins.push(storm.spawn(again::again(functions.clone())));
    storm.spawn(operator::ends_holds(functions.clone()));
    for nonsense in storm.story.nonsense.clone() {
        begins.push(storm.spawn(schedules::nonsense(storm.clone(), raw_sqs.clone(), nonsense)));
    }
    wait(&storm, &begins).await;
    end(&storm).await;
    drop(stop);
    let (mut tally, trace, bugs) = storm.weather.end();
    tally.stories = 1;
    tally.apis.insert(storm.story.api.as_str(), 1);
    tally.invocations = storm.invocations();
    tally.faults = storm.world.0.state().fired;
    Told { tally, trace, bugs }
}

/// Returns a DynamoDB configuration with fake credentials: no signature is checked.
fn dynamodb() -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .allow_no_auth()
        .endpoint_url("http://dynamodb.storm")
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// Returns the SDK's clients behind the weather. Retries have no random delay and no shared bucket.
fn clients(storm: &Arc<Storm>, account: &Account) -> (aws_sdk_dynamodb::Client, aws_sdk_sqs::Client) {
    let retries = || RetryConfig::standard().with_use_static_exponential_base(true);
    let partition = || RetryPartition::custom("storm").build();
    let dynamodb = dynamodb()
        .retry_config(retries())
        .retry_partition(partition())
        .timeout_config(timeouts())
        .http_client(Network { storm: storm.clone(), inner: account.dynamodb_network() });
    let sqs = storm
        .sqs
        .config()
        .retry_config(retries())
        .retry_partition(partition())
        .timeout_config(timeouts())
        .http_client(Network { storm: storm.clone(), inner: SharedHttpClient::new(storm.sqs.clone()) });
    (aws_sdk_dynamodb::Client::from_conf(dynamodb.build()), aws_sdk_sqs::Client::from_conf(sqs.build()))
}

/// Returns the SQS client of Lambda's pollers. No time-out cuts their long polls: an hour is one
/// call.
fn pollers(storm: &Arc<Storm>) -> aws_sdk_sqs::Client {
    let network = Network { storm: storm.clone(), inner: SharedHttpClient::new(storm.sqs.clone()) };
    aws_sdk_sqs::Client::from_conf(storm.sqs.config().http_client(network).build())
}

async fn queue(sqs: &aws_sdk_sqs::Client, name: &str, visibility_s: u32) -> (Queue, Queue) {
    let dead = create_queue(sqs, &format!("{name}-dead-letters"), 30, None, 0).await.expect("a new queue");
    let queue = create_queue(
        sqs,
        name,
        visibility_s,
        Some(&dead.arn),
        if name == "patches" { PARTS_RECEIVES_MAX } else { RECEIVES_MAX },
    )
    .await
    .expect("a new queue");
    (queue, dead)
}

fn urls(queue: &Queue, dead: &Queue) -> QueueUrls {
    QueueUrls { url: queue.url.clone(), dead_letters: dead.url.clone() }
}

/// Waits until the world is quiet.
async fn wait(storm: &Storm, begins: &[tokio::task::JoinHandle<()>]) {
    let (endless, calm_after) = (storm.story.endless, storm.story.calm_after);
    let each = match () {
        () if endless || calm_after.is_none() || storm.story.has_denied_reads() => A_RUN,
        // A generation may have another such user alone, as its users or their values change. Many of them are
        // sent alone one after the other.
        () if storm.story.has_poison() && (storm.story.has_new_patches() || storm.story.refuses_many()) => A_RUN,
        // Users that Intercom always refuses are given up after three hours.
        () if storm.story.is_denied() || storm.story.has_poison() || storm.story.has_slow_jobs() => AN_UNREPORTED_RUN,
        () => A_COMMON_RUN,
    } + storm.story.in_slow_jobs();
    let runs = storm.story.starts.len() as u32 + 2 + storm.story.again.len() as u32;
    let bound = storm.story.quiet_after().unwrap_or_default() + each * runs;
    let late = |since_ms: i64| {
        let since_ms = since_ms.max(storm.calm_ms().unwrap_or_default());
        storm.now_ms() - since_ms > each.as_millis() as i64
    };
    // Reads are expensive, and a world that was not quiet stays so until the next write.
    let mut looked_at = None;
    loop {
        sleep(LOOK).await;
        if storm.weather.has_bug() {
            return;
        }
        let empty =
            ["pages", "patches"].iter().all(|queue| storm.sqs.bodies(queue).iter().all(|body| Story::is_newer(body)));
        let begun = begins.iter().all(tokio::task::JoinHandle::is_finished);
        let writes = Some(storm.promises.writes());
        if empty && begun && storm.is_idle() && looked_at != writes {
            if is_quiet(storm).await {
                return;
            }
            looked_at = writes;
        }
        if let Some((run, _)) = storm.promises.under_way().into_iter().find(|(_, since_ms)| late(*since_ms)) {
            return storm.weather.bug(format!("6: after {each:?} there is no end of {run}"));
        }
        if storm.weather.elapsed() > bound {
            let active = storm.ledger.active().await.ok();
            let pages = storm.sqs.bodies("pages");
            storm.weather.bug(format!("6: after {bound:?} there is no end: {active:?}, {pages:?}"));
            return;
        }
    }
}

/// Returns whether no run is active or waits, and no job is open.
async fn is_quiet(storm: &Storm) -> bool {
    let ledger = &storm.ledger;
    let Ok(active) = ledger.active().await else { return false };
    // Each ended run is settled in the end.
    if !active.unsettled.is_empty() {
        return false;
    }
    if let Some(run) = active.run {
        let state = ledger.run(&run).await.ok().flatten().map(|run| run.state);
        if state != Some(State::Paused) {
            return false;
        }
    }
    // A paused run gives way to a waiting start at the next tick.
    if !ledger.waiting().await.is_ok_and(|waiting| waiting.is_empty()) {
        return false;
    }
    ledger.due(i64::MAX / 2, 1).await.is_ok_and(|due| due.is_empty())
}

/// The final checks.
async fn end(storm: &Storm) {
    if storm.weather.has_bug() {
        return;
    }
    for run in storm.promises.runs() {
        if let Some(run) = RunId::parse(&run) {
            storm.jobs_are_known(&run).await;
        }
    }
    let dead = ["pages", "patches"].map(|queue| storm.sqs.bodies(&format!("{queue}-dead-letters"))).concat();
    for text in storm.promises.starts_without_a_run(&dead) {
        storm.weather.bug(format!("6: a start has neither a run nor a reason: {text}"));
    }
    // The pages queue's receives last for two days.
    let newer_lasts = storm.weather.elapsed() < NEWER_LASTS;
    for body in dead.iter().filter(|body| newer_lasts || !Story::is_newer(body)) {
        if !storm.is_refused_start(body) && (!Story::is_nonsense(body) || Story::is_newer(body)) {
            storm.weather.bug(format!("8: a message of this or a newer version is a dead letter: {body}"));
        }
    }
    let nonsense = storm.story.nonsense.iter().filter(|nonsense| !Story::is_newer(nonsense.body)).count();
    if dead.len() < 2 * nonsense {
        storm.weather.bug(format!("8: of {:?} twice only {dead:?} are dead letters", storm.story.nonsense));
    }
    for queue in ["pages", "patches"] {
        let left = storm.sqs.bodies(queue).iter().filter(|body| Story::is_newer(body)).count();
        if newer_lasts && left < storm.story.nonsense.len() - nonsense {
            storm.weather.bug(format!("8: a newer version's message is not in {queue} any more"));
        }
    }
}
