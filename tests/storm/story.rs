//! The story of a seed: the workspace, its faults, the starts, the weather, and the clocks'
//! deviation.

use std::ops::RangeInclusive;
use std::time::Duration;

use intercom_bulk::domain::api::ApiVersion;
use intercom_simulator::{Fault, Options};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::accident::Rates;
use crate::again::{self, Again};
use crate::api;
use crate::faults;
use crate::limits::{self, Replacement};
use crate::operator::{self, Act, Verb, VerbAt};
use crate::outage::Outage;
use crate::plans;
use crate::rare;
use crate::rollback::Rollback;
use crate::shape::Shape;
use crate::starts::{again_in_the_same_second, starts, uncount};

/// One story, drawn from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    /// The version of the API that its functions speak.
    pub(crate) api: ApiVersion,
    /// The workspace, except its clock.
    pub(crate) options: Options,
    /// One of the faults is endless.
    pub(crate) endless: bool,
    pub(crate) rates: Rates,
    /// After this time no accident strikes. The workspace's faults follow their own numbers.
    pub(crate) calm_after: Option<Duration>,
    /// The maximum deviation of a clock.
    pub(crate) skew_ms: i64,
    /// The transit time of a request to Intercom, and of an answer.
    pub(crate) transit_ms: RangeInclusive<u64>,
    /// The same for AWS.
    pub(crate) aws_ms: RangeInclusive<u64>,
    /// `INTERCOM_QUOTA_PERCENT`.
    pub(crate) quota_percent: u32,
    /// Pollers of the pages queue.
    pub(crate) pollers: usize,
    pub(crate) starts: Vec<StartAt>,
    /// The times of external resumes.
    pub(crate) resumes: Vec<Duration>,
    /// The operator's actions on the active run.
    pub(crate) acts: Vec<Act>,
    /// The operator's verbs at any moment.
    pub(crate) verbs: Vec<VerbAt>,
    /// The operator's requests for retries and undos.
    pub(crate) again: Vec<Again>,
    /// Foreign messages in both queues.
    pub(crate) nonsense: Vec<Nonsense>,
    /// Replacements of the token, in the order of time.
    pub(crate) tokens: Vec<Replacement>,
    /// The start and the duration of an outage of Parameter Store.
    pub(crate) store_down: Option<(Duration, Duration)>,
    /// An outage of hours.
    pub(crate) outage: Option<Outage>,
    /// A rollback to this version from a newer one, and the update that follows.
    pub(crate) rollback: Option<Rollback>,
    /// Until then schedules skip no minute, even if nothing happens.
    pub(crate) ticks_all_until: Duration,
    /// The token has no permission to count users.
    pub(crate) uncounted: bool,
}

/// A foreign message in both queues, at once or when there are parts in the queue after that time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nonsense {
    pub(crate) after: Duration,
    pub(crate) body: &'static str,
}

/// A start and its time.
#[derive(Clone, Debug)]
pub(crate) struct StartAt {
    pub(crate) after: Duration,
    pub(crate) event: Value,
    /// The number of listed users; zero for the whole workspace.
    pub(crate) listed: usize,
    /// It comes through the pages queue.
    pub(crate) by_message: bool,
    /// The number of times that the schedule fires.
    pub(crate) times: u32,
    /// The plan is stored, and the start has only its name.
    pub(crate) stored: bool,
    /// The run is a canary, which an operator resumes this long after it paused.
    pub(crate) goes_on_after: Option<Duration>,
}

/// Foreign messages. The one of version 99 is of a newer version of the functions.
const NONSENSE: [&str; 5] = [
    "not json",
    "{}",
    r#"{"v": 1, "run": "../x", "turn": -1}"#,
    r#"{"v": 99, "run": "has-avatar.20161101T110033Z", "turn": 1, "generation": 1, "origin": {"page": {"page": 1, "part": 0}}, "patches": []}"#,
    r#"{"plan": {"name": "bad"}}"#,
];

impl Story {
    /// Returns the story of a seed on an API. Most of it is the same on each API.
    pub(crate) fn of(seed: u64, api: ApiVersion) -> Self {
        let rng = &mut SmallRng::seed_from_u64(seed);
        // Later additions draw from their own source, so that the kept seeds repeat their stories.
        let later = &mut SmallRng::seed_from_u64(seed ^ 0x001A_7E12);
        let shape = Shape::draw(rng);
        let punctual = rng.random_ratio(1, 2);
        let (skew_ms, transit_ms) = if punctual { (40, 5..=150) } else { (2_000, 20..=800) };
        let mut starts = starts(rng, shape);
        for start in &mut starts {
            start.stored = later.random_ratio(1, 6);
        }
        // Changing users and users that disagree on a company's name could not be distinguished.
        let may_change = starts.iter().all(|start| plans::name_of(&start.event) != "company-name");
        let (faults, endless) = faults::draw(rng, shape, may_change);
        let options = Options {
            users: shape.users(rng),
            seed: rng.random(),
            page_size: shape.page_size(rng),
            rate_limit_per_10s: [83, 83, 167, 1667, 40][rng.random_range(0..5)],
            rotating_scroll_param: rng.random_ratio(1, 4),
            job_delay_s: [1, 5, 30, 90, 400][rng.random_range(0..5)],
            job_object_delay_s: 14_400,
            now: std::sync::Arc::new(|| 0),
            faults,
            ..Options::default()
        };
        let options = faults::more(later, options);
        // A third source, for the same reason.
        let third = &mut SmallRng::seed_from_u64(seed ^ 0x0071_1417);
        let options = limits::of_workspace(third, options);
        let (tokens, store_down) = limits::tokens(third);
        let options = faults::values(seed, options, tokens.iter().any(|token| token.is_foreign));
        let back = tokens.windows(2).find(|pair| pair[0].is_foreign).map(|pair| pair[1].after);
        // A fourth source, for later additions.
        let last = &mut SmallRng::seed_from_u64(seed ^ 0x0007_4A6E);
        // A fifth one.
        let fifth = &mut SmallRng::seed_from_u64(seed ^ 0x0005_0BE4);
        if fifth.random_ratio(1, 12) {
            starts.iter_mut().skip(1).for_each(|start| start.event["supersede"] = json!(true));
        }
        let uncounted = last.random_ratio(1, 12) && uncount(&mut starts, last);
        if last.random_ratio(1, 10) {
            again_in_the_same_second(&mut starts, last);
        }
        let strength = [0, 1, 1, 1, 2][rng.random_range(0..5)];
        let rates = if strength == 0 { Rates::calm() } else { Rates::draw(rng, strength) };
        let minutes = rng.random_range(1..15);
        let calm_after = match rng.random_range(0..40) {
            0 if shape == Shape::Long && strength < 2 => None,
            0..4 => Some(Duration::from_mins(minutes * 20)),
            _ => Some(Duration::from_mins(minutes)),
        };
        let nonsense = if rng.random_ratio(1, 10) { Some(NONSENSE[rng.random_range(0..NONSENSE.len())]) } else { None };
        // Half of them in the first minute, when most runs are active.
        let resume_s: u64 = rng.random_range(1..600);
        let resume = Duration::from_secs(if resume_s.is_multiple_of(2) { resume_s / 10 } else { resume_s });
        let outage = if endless || calm_after.is_none() { None } else { Outage::draw(last) };
        api::translated(again::added(rare::added(Self {
            seed,
            api,
            options,
            endless,
            rates,
            calm_after,
            skew_ms,
            transit_ms,
            aws_ms: [0..=0, 1..=8, 1..=40][rng.random_range(0..3)].clone(),
            quota_percent: [80, 80, 100, 50][rng.random_range(0..4)],
            pollers: rng.random_range(2..5),
            starts,
            resumes: {
                let asked = rng.random_ratio(1, 12).then_some(resume);
                // A resume once the token is right again.
                let righted = back.map(|after| after + Duration::from_secs(third.random_range(5..60)));
                asked.into_iter().chain(righted).collect()
            },
            acts: operator::acts(later),
            verbs: operator::verbs(fifth)
                .into_iter()
                .chain(operator::releases(&mut SmallRng::seed_from_u64(seed ^ 0x000E_1EA5)))
                .collect(),
            again: again::draw(seed),
            nonsense: nonsense
                .into_iter()
                .map(|body| Nonsense { after: Duration::ZERO, body })
                .chain(amid(later))
                .collect(),
            tokens,
            store_down,
            outage,
            rollback: Rollback::draw(&mut SmallRng::seed_from_u64(seed ^ 0x0080_11BA)),
            ticks_all_until: Duration::ZERO,
            uncounted,
        })))
    }

    /// Returns the time after which no accident strikes and no outage lasts.
    pub(crate) fn quiet_after(&self) -> Option<Duration> {
        let outage = self.outage.map(|outage| outage.until).unwrap_or_default();
        let rollback = self.rollback.map(|rollback| rollback.until()).unwrap_or_default();
        self.calm_after.map(|calm| calm.max(outage).max(rollback))
    }

    /// Returns whether Intercom denies everything from some request on.
    pub(crate) fn is_denied(&self) -> bool {
        self.options.faults.iter().any(|fault| matches!(fault, Fault::Denied { .. } | Fault::TokenRevokedAfter(_)))
    }

    /// Returns whether Parameter Store gets a token of another workspace.
    pub(crate) fn has_foreign_token(&self) -> bool {
        self.tokens.iter().any(|token| token.is_foreign)
    }

    /// Returns whether Intercom refuses every request with some user.
    pub(crate) fn has_poison(&self) -> bool {
        self.options.faults.iter().any(|fault| matches!(fault, Fault::PoisonItem { .. }))
    }

    /// Returns whether Intercom refuses more than 20 users in each request.
    pub(crate) fn refuses_many(&self) -> bool {
        let percent = |fault: &Fault| if let Fault::PoisonItem { percent, .. } = fault { *percent } else { 0.0 };
        self.options.faults.iter().map(percent).sum::<f64>() * self.options.users as f64 > 2_000.0
    }

    /// Returns whether the story has an external resume.
    pub(crate) fn is_resumed(&self) -> bool {
        let by_act = self.acts.iter().any(|act| act.goes_on_after.is_some());
        let by_verb = self.verbs.iter().any(|at| at.verb == Verb::Resume);
        !self.resumes.is_empty() || by_act || by_verb || self.canaries() > 0
    }

    /// Returns the number of canaries that an operator resumes.
    pub(crate) fn canaries(&self) -> usize {
        self.starts.iter().filter(|start| start.goes_on_after.is_some()).count()
    }

    /// Returns whether an operator stops runs.
    pub(crate) fn has_operator(&self) -> bool {
        let cancels = |again: &Again| again.cancels_after.is_some();
        let by_verb = self.verbs.iter().any(|at| at.verb != Verb::Release);
        !self.acts.is_empty() || by_verb || self.again.iter().any(cancels)
    }

    /// Returns whether a start may end a run that an operator paused.
    pub(crate) fn supersedes(&self) -> bool {
        self.starts.iter().any(|start| start.event["supersede"] == true)
    }

    /// Returns whether a message is of a newer version of the functions: it stays in the queue.
    pub(crate) fn is_newer(body: &str) -> bool {
        body.starts_with(r#"{"v": 99,"#)
    }

    /// Returns whether a message is foreign.
    pub(crate) fn is_nonsense(body: &str) -> bool {
        NONSENSE.contains(&body)
    }

    /// Returns the seconds for which another client may hold the workspace's scroll.
    pub(crate) fn held_for_s(&self) -> u64 {
        let held = self.options.faults.iter().map(|fault| match fault {
            Fault::ForeignScroll(seconds) | Fault::StealScroll { seconds, .. } => *seconds,
            Fault::ScrollExistsForever => u64::MAX / 64,
            _ => 0,
        });
        held.sum()
    }

    /// Returns whether a page's answer can be so late that its minute ends after ours.
    pub(crate) fn has_slow_pages(&self) -> bool {
        self.options.faults.iter().any(|fault| matches!(fault, Fault::SlowPage { .. } | Fault::SlowPages(_)))
    }
}

/// Draws a foreign message among good ones.
fn amid(rng: &mut SmallRng) -> Option<Nonsense> {
    let after = Duration::from_millis(rng.random_range(0..60_000));
    let body = NONSENSE[rng.random_range(0..NONSENSE.len())];
    rng.random_ratio(1, 5).then_some(Nonsense { after, body })
}
