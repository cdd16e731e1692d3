//! Reads of users that fail, and the end of the check because of them.

use serde::{Deserialize, Serialize};

use super::ReadBack;

/// The check ends if no read has worked for this long, in milliseconds.
const FAILING_MAX_MS: i64 = 3600 * 1000;
/// The check ends if Intercom has refused all reads for this long, in milliseconds,
const REFUSED_MAX_MS: i64 = 3 * 60 * 1000;
/// and so many groups of them.
const REFUSED_MAX: u32 = 4;

/// Groups of reads since the last read that worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failing {
    /// The time of the first one, in Unix milliseconds.
    since_ms: i64,
    /// Those in which Intercom refused each read.
    refused: u32,
    /// The reason why the last one failed, in words.
    why: String,
}

/// A group of reads none of which worked.
#[derive(Clone, Copy, Debug)]
pub struct FailedReads<'a> {
    /// The present time, in Unix milliseconds.
    pub now_ms: i64,
    /// The end of the run's last pause, in Unix milliseconds.
    pub resumed_ms: i64,
    /// The reason, in words.
    pub why: &'a str,
    /// True if Intercom refused each read, and would refuse any other.
    pub refused: bool,
}

impl ReadBack {
    /// Records that a read worked.
    pub fn works(&mut self) {
        self.failing = None;
    }

    /// Records that no read of a group worked. Returns the reason if the check ends because of it.
    pub fn fails(&mut self, FailedReads { now_ms, resumed_ms, why, refused }: FailedReads<'_>) -> Option<String> {
        let first = || Failing { since_ms: now_ms, refused: 0, why: String::new() };
        let failing = self.failing.get_or_insert_with(first);
        failing.since_ms = failing.since_ms.max(resumed_ms);
        failing.refused += u32::from(refused);
        why.clone_into(&mut failing.why);
        let for_ms = now_ms - failing.since_ms;
        if failing.refused >= REFUSED_MAX && for_ms >= REFUSED_MAX_MS {
            return Some(format!("Intercom refused to return users ({why})"));
        }
        (for_ms >= FAILING_MAX_MS).then(|| format!("no read worked for an hour ({why})"))
    }

    /// Returns the reason why reads fail at present, in words.
    pub fn failing(&self) -> Option<&str> {
        self.failing.as_ref().map(|failing| failing.why.as_str())
    }
}
