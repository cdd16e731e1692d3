//! What happened in many stories, counted.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use crate::await_point::AwaitPoint;

/// Counts over stories.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Stories told to their end.
    pub(crate) stories: u64,
    /// Effects on the world, each followed by the promises' checks.
    pub(crate) steps: u64,
    pub(crate) invocations: u64,
    pub(crate) virtual_time: Duration,
    /// What struck, by name.
    pub(crate) accidents: BTreeMap<&'static str, u64>,
    /// Faults of the workspace that stories were given.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Runs by how they ended.
    pub(crate) ends: BTreeMap<&'static str, u64>,
    /// Await points: how often passed, how often died at.
    pub(crate) points: BTreeMap<AwaitPoint, (u64, u64)>,
}

impl Tally {
    pub(crate) fn passes(&mut self, point: AwaitPoint, dies: bool) {
        let counts = self.points.entry(point).or_default();
        counts.0 += 1;
        counts.1 += u64::from(dies);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.stories += other.stories;
        self.steps += other.steps;
        self.invocations += other.invocations;
        self.virtual_time += other.virtual_time;
        for (counts, more) in
            [(&mut self.accidents, other.accidents), (&mut self.faults, other.faults), (&mut self.ends, other.ends)]
        {
            for (name, count) in more {
                *counts.entry(name).or_default() += count;
            }
        }
        for (point, (passed, died)) in other.points {
            let counts = self.points.entry(point).or_default();
            counts.0 += passed;
            counts.1 += died;
        }
    }

    /// The table of await points, those first at which nobody died yet.
    pub(crate) fn points_table(&self) -> String {
        let mut rows: Vec<_> = self.points.iter().collect();
        rows.sort_by_key(|(_, (_, died))| *died);
        let mut text = String::from("   died    passed  await point\n");
        for (point, (passed, died)) in rows {
            let _ = writeln!(text, "{died:>7} {passed:>9}  {point}");
        }
        text
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.virtual_time.as_secs() / 3600;
        let died = self.points.values().filter(|(_, died)| *died > 0).count();
        writeln!(f, "stories {}, steps {}, invocations {}", self.stories, self.steps, self.invocations)?;
        writeln!(f, "virtual hours {hours}")?;
        writeln!(f, "await points {} passed, {died} of them died at", self.points.len())?;
        for (title, counts) in
            [("accidents", &self.accidents), ("faults of the workspace", &self.faults), ("runs ended", &self.ends)]
        {
            let all: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(f, "{title} {}: {}", counts.values().sum::<u64>(), all.join(", "))?;
        }
        Ok(())
    }
}
