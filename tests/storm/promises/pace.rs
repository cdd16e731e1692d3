//! Promise 4, pace: a run with a pace writes at most so many users per minute, over all processes.

use std::collections::BTreeMap;

use intercom_bulk::rate_limit::{MINUTE_MS, minute_end_ms};

use crate::asked::{Asked, Kind};
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

/// Users by run and by the end of the minute.
pub(super) type Minutes = BTreeMap<(String, i64), Minute>;

/// A minute of a run with a pace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minute {
    /// Users that the ledger granted.
    granted: u64,
    /// Users in requests, by the clocks of the processes.
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

    /// Checks a bulk request that a process is about to send: its users are of the process's minute.
    /// A repetition with a newer token uses the permits of the refused request.
    pub(crate) fn keeps_the_pace(&self, who: Option<Who>, asked: &Asked) {
        let Some(who) = who.filter(|_| asked.is_write()) else { return };
        let Some(of) = self.promises.submission(who, asked) else { return };
        let skew_ms = self.invoked(Some(who)).map_or(0, |invoked| invoked.skew_ms);
        let end_ms = minute_end_ms(self.now_ms() + skew_ms);
        let mut memory = self.promises.memory();
        let is_paced = memory.runs.get(&of.run).is_some_and(|seen| seen.limits.max_per_minute.is_some());
        let did = memory.by.entry(who).or_default();
        // Of several requests in flight, any may be the repeated one.
        let is_repeated = match asked.kind {
            Kind::Put => did.tokens_refused > 0,
            _ => did.request.refused,
        };
        if !is_paced || is_repeated {
            did.tokens_refused = did.tokens_refused.saturating_sub(1);
            return;
        }
        let minute = memory.minutes.entry((of.run.clone(), end_ms)).or_default();
        minute.used += asked.items() as u64;
        let Minute { granted, used } = *minute;
        drop(memory);
        if used > granted {
            self.weather
                .bug(format!("4: {} sends {used} users in the minute to {end_ms}, of {granted} granted", of.run));
        }
    }
}
