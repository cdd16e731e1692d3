//! The step from one generation to the next, and its bounds.

use serde::{Deserialize, Serialize};

use super::{Committed, Cursor, ExclusiveReading, Phase};
use crate::domain::stored::is_zero;

/// Consecutive generations that may get no further than the one before.
pub const STALLED_MAX: i32 = 3;
/// The most generations of a run, without those that an operator or a restart began.
pub const GENERATIONS_MAX: u32 = 20;

/// The wait for a generation's parts and jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settling {
    /// Start of the wait, in Unix milliseconds.
    #[serde(rename = "settling_since_ms", default)]
    pub since_ms: i64,
    /// Open parts at the last count.
    #[serde(default)]
    pub parts_left: u64,
    /// Time at which that number last fell, in Unix milliseconds.
    #[serde(default)]
    pub parts_left_ms: i64,
    /// Time at which the run's item voided parts of the generation before that have no end, in Unix
    /// milliseconds; 0 if it did not. The first page of this generation waits for their leases.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub voided_ms: i64,
    /// True if the queue's messages of this generation are lost (a restart of the local engine).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queue_lost: bool,
    /// The time by which all parts and jobs had taken effect, in Unix milliseconds, if it was known when
    /// the wait began; 0 otherwise.
    #[serde(rename = "written_by_ms", default)]
    pub written_by_ms: i64,
}

impl Cursor {
    /// Ends the generation. Another may follow when its parts and jobs have ended.
    pub fn settle(&mut self, now_ms: i64) {
        self.phase = Phase::Settling;
        self.settling.since_ms = now_ms;
        self.waits_until_ms = None;
        self.settling.parts_left = 0;
        self.settling.written_by_ms = 0;
    }

    /// Returns why no further generation may begin, or `None` if one may.
    pub fn exhausted(&self) -> Option<&'static str> {
        if self.excused {
            return None;
        }
        let stalled = if self.page > self.furthest { 0 } else { self.stalled + 1 };
        if stalled >= STALLED_MAX {
            return Some("three generations in a row got no further");
        }
        (self.counted >= GENERATIONS_MAX).then_some("20 generations were begun")
    }

    /// Returns the cursor of the next generation, at the first page.
    #[must_use]
    pub fn next_generation(&self, not_before_ms: i64, counted: bool) -> Self {
        Self {
            v: self.v,
            generation: self.generation + 1,
            turn: self.turn,
            pages_in_all: self.pages_in_all,
            changed_before: self.changed_before,
            stalled: match () {
                () if self.page > self.furthest => 0,
                () => self.stalled + i32::from(counted),
            },
            furthest: self.furthest.max(self.page),
            counted: self.counted + u32::from(counted),
            exclusive: ExclusiveReading { busy_tries: 0, ..self.exclusive },
            // If the next message is lost after this commit, a redelivery of the committed message
            // repairs it.
            committed: Committed { message: self.committed.message.clone(), ..Committed::default() },
            ..Self::first(self.run.clone(), not_before_ms, self.exclusive.life_ms)
        }
    }
}
