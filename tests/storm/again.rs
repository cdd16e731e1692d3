//! Retries and undos: an operator has users of an ended run tried again, or its values restored. Before an
//! undo, another program sets some of the values, and some users are deleted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use intercom_bulk::domain::run::{Run, RunId};
use intercom_simulator::{Fault, Gone};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::functions::Functions;
use crate::operator::{self, Act};
use crate::plans;
use crate::storm::Storm;
use crate::story::Story;

/// The number of looks for such a run, and the time between two.
const LOOKS: u32 = 240;
const LOOK: Duration = Duration::from_secs(30);
/// The time after the last start in which its run begins.
const BEGINS: Duration = Duration::from_mins(3);
/// The time in which a request is tried.
const REFUSED: Duration = Duration::from_mins(4);

/// A request for a retry or an undo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    /// The time between the end of the run and the request.
    after: Duration,
    /// The time between the begin of the new run and its cancel.
    pub(crate) cancels_after: Option<Duration>,
    pub(crate) what: What,
}

/// The kind of the new run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A retry of the users without a known end, or of those that failed. The causes of one in so many are
    /// removed before it.
    Retry { unknown: bool, cured: usize },
    /// An undo of the last run, or of the one so many before it. Another program sets the values of one user in
    /// so many, and one in so many is deleted.
    Undo { before: usize, others: Option<usize>, gone: Option<usize> },
}

/// Draws retries and undos, each in about every eighth story.
///
/// They draw from their own source, so that the other seeds repeat their stories.
pub(crate) fn draw(seed: u64) -> Vec<Again> {
    let rng = &mut SmallRng::seed_from_u64(seed ^ 0x000A_6A14);
    let retries = rng.random_ratio(12, 100);
    let undos = rng.random_ratio(if retries { 1 } else { 12 }, if retries { 3 } else { 100 });
    let undoes_again = undos && rng.random_ratio(1, 3);
    let mut all = Vec::new();
    if retries {
        let what = What::Retry { unknown: rng.random_ratio(1, 3), cured: rng.random_range(1..4) };
        all.push(request(rng, what));
    }
    for _ in 0..u32::from(undos) + u32::from(undoes_again) {
        let what = What::Undo {
            before: [0, 0, 0, 1][rng.random_range(0..4)],
            others: rng.random_ratio(3, 4).then(|| rng.random_range(1..10)),
            gone: rng.random_ratio(1, 4).then(|| rng.random_range(4..20)),
        };
        all.push(request(rng, what));
    }
    all
}

/// Returns whether a seed draws a `retry` or an `undo`.
///
/// # Panics
/// If it is asked for anything else.
pub(crate) fn is_drawn(seed: u64, asked: &str) -> bool {
    draw(seed).iter().any(|again| match asked {
        "retry" => matches!(again.what, What::Retry { .. }),
        "undo" => matches!(again.what, What::Undo { .. }),
        other => panic!("STORM_ONLY is retry or undo, not {other:?}"),
    })
}

fn request(rng: &mut SmallRng, what: What) -> Again {
    let most_ms = if rng.random_ratio(1, 2) { 2_000 } else { 300_000 };
    let after = Duration::from_millis(rng.random_range(0..most_ms));
    let cancels_after = Duration::from_millis(rng.random_range(0..20_000));
    Again { after, cancels_after: rng.random_ratio(1, 6).then_some(cancels_after), what }
}

/// Lets accidents strike the new runs, too. Half of the runs to be retried are cancelled amid their writes, or
/// have many users that Intercom refuses: a page of a retry has 20 users.
pub(crate) fn added(mut story: Story) -> Story {
    let rng = &mut SmallRng::seed_from_u64(story.seed ^ 0x000A_6A15);
    let longer = Duration::from_mins(rng.random_range(0..30));
    if !story.again.is_empty() {
        story.calm_after = story.calm_after.map(|calm| calm + longer);
    }
    // An undo takes what a read by id shows for the present value.
    if story.again.iter().any(|again| matches!(again.what, What::Undo { .. })) {
        story.options.read_lag_s = 0;
    }
    let retries = |of_unknown: bool| {
        let is_one = |again: &Again| matches!(again.what, What::Retry { unknown, .. } if unknown == of_unknown);
        story.again.iter().any(is_one)
    };
    if retries(true) && rng.random_ratio(1, 2) {
        let after = Duration::from_millis(rng.random_range(0..8_000));
        story.acts.push(Act { after, amid: true, cancels: true, goes_on_after: None, releases_after: None });
    }
    if retries(false) && !story.endless && rng.random_ratio(1, 2) {
        let percent = f64::from(rng.random_range(10..40));
        let (code, message) = ("invalid".to_owned(), "the value is invalid".to_owned());
        story.options.faults.push(Fault::ItemError { percent, code, message });
    }
    story
}

/// Sends the requests, one after the other.
pub(crate) async fn again(functions: Arc<Functions>) {
    for again in functions.storm.story.again.clone() {
        if !is_requested(&functions, again).await {
            return;
        }
    }
}

/// Requests a new run when there is a run for it, and does so again: a repeated event has no effect.
async fn is_requested(functions: &Functions, again: Again) -> bool {
    let storm = &functions.storm;
    let last_start = storm.story.starts.iter().map(|start| start.after).max().unwrap_or_default();
    for _ in 0..LOOKS {
        sleep(LOOK).await;
        let rests = storm.rests().await;
        let found = match again.what {
            What::Retry { unknown, .. } => storm.to_retry(unknown).await,
            What::Undo { before, .. } if rests => storm.to_undo(before).await,
            What::Undo { .. } => None,
        };
        if let Some(run) = found {
            sleep(again.after).await;
            // Another program sets no value that a run reads or writes now.
            if matches!(again.what, What::Undo { .. }) && !storm.rests().await {
                continue;
            }
            let event = storm.prepares(again.what, &run).await;
            for _ in 0..2 {
                if operator::send(functions, event.clone()).await.is_none() {
                    storm.was_refused(again.what, &run).await;
                }
            }
            if let Some(after) = again.cancels_after {
                operator::cancels(functions, after, |run| run.retry.is_some() || run.undo.is_some()).await;
            }
            return true;
        }
        if rests && storm.weather.elapsed() > last_start + BEGINS {
            return false;
        }
    }
    false
}

impl Storm {
    /// Returns whether no run is active or waits.
    async fn rests(&self) -> bool {
        self.ledger.active().await.is_ok_and(|active| active.run.is_none())
            && self.ledger.waiting().await.is_ok_and(|waiting| waiting.is_empty())
    }

    /// Returns the runs that ended and may have written, by their start.
    async fn ended_runs(&self) -> Vec<Run> {
        let mut ended = Vec::new();
        for id in self.promises.runs().iter().filter_map(|id| RunId::parse(id)) {
            let run = self.ledger.run(&id).await.ok().flatten();
            ended.extend(run.filter(|run| run.state.ended() && !run.limits.dry_run));
        }
        ended.sort_by_key(|run| run.started_ms);
        ended
    }

    /// Returns an ended run with users for a retry.
    async fn to_retry(&self, unknown: bool) -> Option<Run> {
        for run in self.ended_runs().await {
            if run.retry.is_some() || run.undo.is_some() {
                continue;
            }
            let users = if unknown { self.without_end(&run, None).await } else { self.failed(&run).await };
            if !users.is_empty() {
                return Some(run);
            }
        }
        None
    }

    /// Returns the last settled run that wrote users, or the one so many before it.
    async fn to_undo(&self, before: usize) -> Option<Run> {
        let unsettled = self.ledger.active().await.ok()?.unsettled;
        let is_settled = |run: &Run| unsettled.iter().all(|other| other.id != run.id);
        let mut runs = self.ended_runs().await;
        runs.retain(|run| is_settled(run) && !self.promises.users_taken(&run.id).is_empty());
        let last = runs.len().checked_sub(1)?;
        Some(runs.swap_remove(last - before.min(last)))
    }

    /// Checks a refused request: it is none for a retry of a run with such users, unless an accident struck.
    async fn was_refused(&self, what: What, run: &Run) {
        let What::Retry { unknown: true, .. } = what else { return };
        let users = self.without_end(run, None).await;
        let is_calm = self.story.quiet_after().is_some_and(|quiet| self.weather.elapsed() > quiet + REFUSED);
        // Another run may give a company another name.
        if is_calm && plans::agrees(&run.plan) && !users.is_empty() {
            self.weather.bug(format!("15: a retry of {} is refused, and it left {users:?}", run.id));
        }
    }

    /// Does what other programs do before the request. Returns its event.
    async fn prepares(&self, what: What, run: &Run) -> Value {
        match what {
            What::Retry { unknown, cured } => {
                let failed = self.failed(run).await;
                self.world.0.cure(failed.iter().step_by(cured));
                json!({"retry": run.id, "unknown": unknown})
            }
            What::Undo { others, gone, .. } => {
                let users: Vec<(String, String)> = self.promises.values_of(&run.id);
                for (index, (user, attribute)) in users.iter().enumerate().step_by(others.unwrap_or(usize::MAX)) {
                    let value = if index % 2 == 0 { json!("something else") } else { Value::Null };
                    self.world.0.set_user(user, |body| body["custom_attributes"][attribute] = value);
                    self.promises.is_set_before_undo(user, self.now_ms());
                }
                let users: BTreeSet<&String> = users.iter().map(|(user, _)| user).collect();
                for user in users.into_iter().skip(1).step_by(gone.unwrap_or(usize::MAX)).skip(1) {
                    self.world.0.lose_contact(user, Gone::Deleted);
                    self.promises.is_deleted_before_undo(user);
                }
                json!({"undo": run.id})
            }
        }
    }
}
