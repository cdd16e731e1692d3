//! The weather of a story: draws every random event from the seed, and counts all strikes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::accident::{Accident, Rates};
use crate::await_point::AwaitPoint;
use crate::tally::Tally;

/// The random source, the strikes and the trace.
#[derive(Debug)]
pub(crate) struct Weather {
    rates: Rates,
    began: Instant,
    /// From then on no accident strikes.
    calm_at: Option<Instant>,
    sky: Mutex<Sky>,
}

#[derive(Debug)]
struct Sky {
    rng: SmallRng,
    tally: Tally,
    struck: BTreeMap<Accident, u64>,
    trace: Option<Vec<String>>,
    bugs: Vec<String>,
    /// Until then AWS is down.
    down_until: Instant,
}

/// The duration of an outage of AWS: it may exceed the retries of the SDK and of the steps.
const DOWN_S: std::ops::RangeInclusive<u64> = 2..=40;

impl Weather {
    /// Creates the weather of a seed. With `traced`, it keeps a trace.
    pub(crate) fn new(seed: u64, rates: Rates, calm_after: Option<Duration>, traced: bool) -> Self {
        let began = Instant::now();
        let sky = Sky {
            rng: SmallRng::seed_from_u64(seed ^ 0x57_04_12),
            tally: Tally::default(),
            struck: BTreeMap::new(),
            trace: traced.then(Vec::new),
            bugs: Vec::new(),
            down_until: began,
        };
        Self { rates, began, calm_at: calm_after.map(|after| began + after), sky: Mutex::new(sky) }
    }

    /// Returns whether the accident strikes now.
    pub(crate) fn strikes(&self, accident: Accident) -> bool {
        self.strikes_until(accident, Duration::ZERO)
    }

    /// Returns whether the accident strikes now, also for this time after the calm.
    pub(crate) fn strikes_until(&self, accident: Accident, after: Duration) -> bool {
        let rate = self.rates.per_mille(accident);
        if rate == 0 || self.calm_at.is_some_and(|at| Instant::now() >= at + after) {
            return false;
        }
        let mut sky = self.sky();
        let strikes = sky.rng.random_range(0..1000) < rate;
        if strikes {
            *sky.struck.entry(accident).or_default() += 1;
        }
        strikes
    }

    /// Returns the number of these strikes so far.
    pub(crate) fn struck(&self, accidents: &[Accident]) -> u64 {
        let sky = self.sky();
        accidents.iter().filter_map(|accident| sky.struck.get(accident)).sum()
    }

    /// Returns whether AWS is down now.
    pub(crate) fn aws_is_down(&self) -> bool {
        if self.strikes(Accident::Outage) {
            let until = Instant::now() + Duration::from_secs(self.draw(DOWN_S));
            self.sky().down_until = until;
        }
        Instant::now() < self.sky().down_until
    }

    /// Draws a number of a range.
    pub(crate) fn draw(&self, range: std::ops::RangeInclusive<u64>) -> u64 {
        if range.start() == range.end() { *range.start() } else { self.sky().rng.random_range(range) }
    }

    /// Returns the time since the story began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Counts a pass of an await point, and an accident there.
    pub(crate) fn passes(&self, point: AwaitPoint, strikes: Option<Accident>) {
        self.sky().tally.passes(point, strikes);
    }

    /// Counts a step of the world: an effect, or its absence.
    pub(crate) fn step(&self) {
        self.sky().tally.steps += 1;
    }

    /// Counts the begin of a run, by whether accidents and faults still strike.
    pub(crate) fn run_begins(&self, is_in_the_storm: bool) {
        self.sky().tally.begun[usize::from(is_in_the_storm)] += 1;
    }

    /// Counts the end of a run, and its undisturbed duration.
    pub(crate) fn run_ended(&self, state: &'static str, lasted: Duration) {
        let mut sky = self.sky();
        *sky.tally.ends.entry(state).or_default() += 1;
        sky.tally.longest = sky.tally.longest.max(lasted);
    }

    /// Counts the end of a retry or an undo, or a value that an undo left.
    pub(crate) fn again(&self, what: String) {
        *self.sky().tally.again.entry(what).or_default() += 1;
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn note<T: fmt::Display>(&self, line: impl FnOnce() -> T) {
        let at = self.began.elapsed();
        if let Some(trace) = &mut self.sky().trace {
            let (seconds, millis) = (at.as_secs(), at.subsec_millis());
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            trace.push(format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03}  {}", line()));
        }
    }

    /// Records a broken promise.
    pub(crate) fn bug(&self, text: String) {
        self.note(|| format!("BUG  {text}"));
        self.sky().bugs.push(text);
    }

    /// Returns whether a promise was broken.
    pub(crate) fn has_bug(&self) -> bool {
        !self.sky().bugs.is_empty()
    }

    /// Returns the counts, the trace, and the broken promises.
    pub(crate) fn end(&self) -> (Tally, Vec<String>, Vec<String>) {
        let elapsed = self.elapsed();
        let mut sky = self.sky();
        let mut tally = std::mem::take(&mut sky.tally);
        for (accident, count) in std::mem::take(&mut sky.struck) {
            *tally.accidents.entry(accident.name()).or_default() += count;
        }
        tally.virtual_time += elapsed;
        (tally, sky.trace.take().unwrap_or_default(), std::mem::take(&mut sky.bugs))
    }

    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
