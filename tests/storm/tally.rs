//! Counts over many stories.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use intercom_simulator::{ContactFault, Fault};

use crate::accident::{Accident, Rates};
use crate::await_point::AwaitPoint;

/// The number of stories that must show each end of a run.
const SOME: u64 = 500;
/// The number of stories that must show each accident and each fault.
const MANY: u64 = 3_000;
/// The minimum percentage of complete runs.
const COMPLETE_MIN_PERCENT: u64 = 50;

/// Counts over stories.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Stories that ended.
    pub(crate) stories: u64,
    /// Stories by the version of their API.
    pub(crate) apis: BTreeMap<&'static str, u64>,
    /// Effects on the world, each followed by the promises' checks.
    pub(crate) steps: u64,
    pub(crate) invocations: u64,
    pub(crate) virtual_time: Duration,
    /// Strikes of accidents, by name.
    pub(crate) accidents: BTreeMap<&'static str, u64>,
    /// Strikes of the workspace's faults.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Runs that began after the storm, and in it.
    pub(crate) begun: [u64; 2],
    /// Runs by their ends.
    pub(crate) ends: BTreeMap<&'static str, u64>,
    /// Ends of retries and undos, and values that an undo left, by the reason.
    pub(crate) again: BTreeMap<String, u64>,
    /// The longest run without an endless fault, from its start or from the last disturbance.
    pub(crate) longest: Duration,
    /// Await points: passes, deaths, hangs and freezes.
    pub(crate) points: BTreeMap<AwaitPoint, [u64; 4]>,
}

impl Tally {
    pub(crate) fn passes(&mut self, point: AwaitPoint, strikes: Option<Accident>) {
        let counts = self.points.entry(point).or_default();
        counts[0] += 1;
        match strikes {
            Some(Accident::Death) => counts[1] += 1,
            Some(Accident::Hang) => counts[2] += 1,
            Some(_) => counts[3] += 1,
            None => {}
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.stories += other.stories;
        self.steps += other.steps;
        self.invocations += other.invocations;
        self.virtual_time += other.virtual_time;
        add(&mut self.apis, other.apis);
        add(&mut self.accidents, other.accidents);
        add(&mut self.faults, other.faults);
        self.begun.iter_mut().zip(other.begun).for_each(|(count, more)| *count += more);
        add(&mut self.ends, other.ends);
        add(&mut self.again, other.again);
        self.longest = self.longest.max(other.longest);
        for (point, more) in other.points {
            let counts = self.points.entry(point).or_default();
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
    }

    /// Asserts that the storm covers its purpose: enough runs complete, each end occurs, and (in
    /// many stories) every accident strikes.
    pub(crate) fn assert_broad(&self) {
        if self.stories < SOME {
            return;
        }
        let ends = self.ends.values().sum::<u64>();
        let complete = self.ends.get("complete").copied().unwrap_or_default();
        assert!(complete * 100 >= ends * COMPLETE_MIN_PERCENT, "of {ends} runs {complete} are complete");
        for end in ["complete", "complete_with_errors", "incomplete", "failed", "cancelled"] {
            assert!(self.ends.contains_key(end), "no run is {end}: {:?}", self.ends);
        }
        let [after, amid] = self.begun;
        assert!(amid > after, "{after} runs begin after the storm, and {amid} in it");
        if self.stories < MANY {
            return;
        }
        for accident in Rates::names() {
            assert!(self.accidents.contains_key(accident), "{accident} never struck");
        }
        for again in ["retry complete", "undo complete", "changed_since", "not_written", "gone"] {
            assert!(self.again.contains_key(again), "no {again}: {:?}", self.again);
        }
        // Stories of an API have few of the other one's faults.
        let of_1_4 = self.apis.get("1.4").copied().unwrap_or_default();
        if of_1_4 >= MANY {
            self.assert_struck(Fault::NAMES_HELP);
        }
        if self.stories - of_1_4 >= MANY {
            self.assert_struck(ContactFault::NAMES_HELP);
        }
    }

    /// Asserts that each fault of a list struck, except a missing permission: it fails a run before it begins.
    fn assert_struck(&self, names: &str) {
        let names = names.lines().filter(|line| !line.starts_with(' '));
        for fault in names.filter_map(|line| line.split(['=', ' ']).next()).filter(|fault| *fault != "forbid-call") {
            assert!(self.faults.contains_key(fault), "{fault} never struck");
        }
    }

    /// Returns the table of await points, those without a death first.
    pub(crate) fn points_table(&self) -> String {
        let mut rows: Vec<_> = self.points.iter().collect();
        rows.sort_by_key(|(_, counts)| counts[1]);
        let mut text = String::from("   died    hung  frozen    passed  await point\n");
        for (point, [passed, died, hung, frozen]) in rows {
            let _ = writeln!(text, "{died:>7} {hung:>7} {frozen:>7} {passed:>9}  {point}");
        }
        text
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.virtual_time.as_secs() / 3600;
        let [died, hung, frozen] = [1, 2, 3].map(|of| self.points.values().filter(|counts| counts[of] > 0).count());
        writeln!(f, "stories {}, steps {}, invocations {}", self.stories, self.steps, self.invocations)?;
        writeln!(f, "of API {}", list(&self.apis))?;
        writeln!(f, "virtual hours {hours}")?;
        writeln!(f, "longest run {} min", self.longest.as_secs() / 60)?;
        writeln!(f, "await points {}: died at {died}, hung at {hung}, frozen at {frozen}", self.points.len())?;
        writeln!(f, "accidents {}", list(&self.accidents))?;
        writeln!(f, "faults of the workspace that struck {}", list(&self.faults))?;
        writeln!(f, "runs begun {} in the storm, {} after it", self.begun[1], self.begun[0])?;
        writeln!(f, "runs ended {}", list(&self.ends))?;
        writeln!(f, "retries and undos {}", list(&self.again))
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (name, count) in more {
        *counts.entry(name).or_default() += count;
    }
}

fn list<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let all: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{}: {}", counts.values().sum::<u64>(), all.join(", "))
}
