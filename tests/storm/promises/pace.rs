//! Promise 4, pace: a run with a pace writes at most so many users per minute, over all processes.

use std::collections::BTreeMap;

use intercom_bulk::rate_limit::{MINUTE_MS, minute_end_ms};

use crate::asked::Asked;
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

/// Users by run and by the end of the minute.
pub(super) type Minutes = BTreeMap<(String, i64), Minute>;

/// A minute of a run with a pace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minute {
    /// Users that the ledger granted.
    granted: u64,
    /// Users in requests that may have an effect, by the clocks of the processes.
    used: u64,
}

impl Storm {
    /// Checks a write of a minute's counter: it grants no more than the pace.
    pub(super) fn minute_was_written(&self, call: &AwsCall) {
        let Some(rest) = call.sort_keys().find_map(|sk| sk.strip_prefix("MINUTE#")) else { return };
        let Some((end, run)) = rest.split_once('#') else { return };
        let end_ms: i64 = end.parse().unwrap_or_default();
        let mut memory = self.promises.memory();
        let Some(most) = memory.runs.get(run).and_then(|seen| seen.limits.max_per_minute) else { return };
        let minute = memory.minutes.entry((run.to_owned(), end_ms)).or_default();
        minute.granted += call.number(":operations");
        let granted = minute.granted;
        drop(memory);
        if granted > u64::from(most.get()) || end_ms % MINUTE_MS != 0 {
            self.weather
                .bug(format!("4: {run} gets {granted} users of the minute to {end_ms}, and {most} is its pace"));
        }
    }

    /// Counts the users of a request that a process is about to send: they are of the process's minute.
    /// Returns the minute.
    pub(crate) fn keeps_the_pace(&self, who: Option<Who>, asked: &Asked) -> Option<(String, i64)> {
        let who = who.filter(|_| asked.is_write())?;
        let of = self.promises.submission(who, asked)?;
        let skew_ms = self.invoked(Some(who)).map_or(0, |invoked| invoked.skew_ms);
        let end_ms = minute_end_ms(self.now_ms() + skew_ms);
        let mut memory = self.promises.memory();
        memory.runs.get(&of.run)?.limits.max_per_minute?;
        let key = (of.run, end_ms);
        let minute = memory.minutes.entry(key.clone()).or_default();
        minute.used += asked.items() as u64;
        let Minute { granted, used } = *minute;
        drop(memory);
        if used > granted {
            let run = &key.0;
            self.weather.bug(format!("4: {run} sends {used} users in the minute to {end_ms}, of {granted} granted"));
        }
        Some(key)
    }

    /// Gives the users of a request back to its minute, once its process knows that it had no effect.
    pub(crate) fn had_no_effect(&self, minute: &(String, i64), asked: &Asked) {
        if let Some(minute) = self.promises.memory().minutes.get_mut(minute) {
            minute.used = minute.used.saturating_sub(asked.items() as u64);
        }
    }
}
