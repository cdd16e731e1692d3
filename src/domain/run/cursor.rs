//! The cursor: the position of a run's pages. Each outcome of a turn is a new cursor with a higher
//! `turn`.

use serde::{Deserialize, Serialize};

use super::{ExclusiveReading, Position, RunId, Tally};

mod generations;
mod last_page;
mod rests;

pub use generations::{GENERATIONS_MAX, STALLED_MAX, Settling};
pub use last_page::LastPage;
pub use rests::{REST_MOST_MS, Unanswered};

/// Gaps after which a generation is given up.
pub const GAPS_MAX: usize = 10;
/// Consecutive pages that may equal the page before.
pub const REPEATS_MAX: u32 = 3;
/// Consecutive turns that may pass without a page.
pub const IDLE_TURNS_MAX: u32 = 50;

/// The work of the cursor's turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Turns read pages.
    Turning,
    /// The generation is over; turns wait for its parts and jobs before the next one begins.
    Settling,
    /// No page is left.
    Ended,
}

/// One turn of a run, as a message of the pages queue names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Format version of the run.
    #[serde(default)]
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// The number of the turn.
    pub turn: u64,
}

/// The lease of a turn: owner and expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The invocation's request id.
    pub owner: String,
    /// The id of the message, the same when it is delivered again.
    pub message: String,
    /// Expiry in Unix milliseconds: the owner cannot be running after it.
    pub until_ms: i64,
}

/// The last commit of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The owner of the turn's lease. It identifies a commit whose answer was lost.
    #[serde(rename = "committed_by", default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The message that named the turn. If it is delivered again, the next turn's message may not
    /// have been sent.
    #[serde(rename = "committed_message", default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The time, in Unix milliseconds.
    #[serde(rename = "committed_ms", default)]
    pub at_ms: i64,
}

/// A run's cursor, below 1 KB. Its groups are flat in the stored item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Format version.
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// The attempt at reading all pages, from 1.
    pub generation: u32,
    /// Commits so far. A message must name this number to be the present one.
    pub turn: u64,
    /// The work of its turns.
    pub phase: Phase,
    /// Pages of this generation that were read or became gaps.
    pub page: u32,
    /// Pages of all generations; bounds the spend.
    pub pages_in_all: u64,
    /// The place of the next page.
    #[serde(flatten)]
    pub position: Position,
    /// The workspace's exclusive reading.
    #[serde(flatten)]
    pub exclusive: ExclusiveReading,
    /// Parts of the committed pages of this generation.
    pub parts: u64,
    /// Pages that may be lost.
    #[serde(rename = "holes", default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<u32>,
    /// Digest of the previous page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<u64>,
    /// Consecutive pages that equal the page before.
    #[serde(default)]
    pub repeats: u32,
    /// No turn runs before this time (Unix milliseconds).
    pub not_before_ms: i64,
    /// The reason why `not_before_ms` is in the future, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// Latest end of the wait for `waits`, in Unix milliseconds, if turns poll before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until_ms: Option<i64>,
    /// Consecutive turns without a page, except those whose request got no answer.
    #[serde(default)]
    pub idle_turns: u32,
    /// Requests without an answer that cost no page.
    #[serde(flatten)]
    pub unanswered: Unanswered,
    /// Resends of the present turn's message by the tick.
    #[serde(rename = "nudges", default)]
    pub resends: u32,
    /// Time of the last resend, in Unix milliseconds.
    #[serde(default)]
    pub resent_ms: i64,
    /// The generation ended because nothing could be sent. It counts neither as stalled nor against
    /// the bound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excused: bool,
    /// Consecutive generations that got no further.
    #[serde(default)]
    pub stalled: i32,
    /// The furthest page of the earlier generations.
    #[serde(default)]
    pub furthest: u32,
    /// Generations that count against [`GENERATIONS_MAX`].
    #[serde(default)]
    pub counted: u32,
    /// The wait for the generation's parts and jobs.
    #[serde(flatten)]
    pub settling: Settling,
    /// Upper bound of the users that earlier generations changed.
    #[serde(default)]
    pub changed_before: u64,
    /// No list is read before this time (Unix milliseconds): it may not show what earlier generations
    /// wrote.
    #[serde(default)]
    pub visible_at_ms: i64,
    /// The previous run. The first page waits for its jobs, because they may still set values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RunId>,
    /// Intercom's count of users at the end of the pages, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_at_end: Option<u64>,
    /// The last page, if the list ended before that count and the page is requested again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_page: Option<LastPage>,
    /// The reason why the last generation did not reach the end of its pages, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
    /// The paths of the plan that at least one user has, one bit each.
    #[serde(default)]
    pub attributes_seen: u64,
    /// Users by outcome.
    #[serde(default)]
    pub tally: Tally,
    /// The last commit.
    #[serde(flatten)]
    pub committed: Committed,
    /// The lease of the present turn.
    #[serde(rename = "claim", default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Leases of this turn. Each expired one may have cost a page.
    #[serde(rename = "claims", default)]
    pub leases: u32,
    /// The expired lease that the present one took over. It is stored because the answer that shows
    /// it may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<Lease>,
    /// A reading of the next page was interrupted, in this turn or before it. It may have recorded errors of
    /// users.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// The order of a message's turn and the cursor's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnOrder {
    /// The previous turn, which made the last commit: its next message may be missing.
    Before,
    /// An older turn: another invocation continued the chain.
    Older,
    /// The present turn.
    Present,
    /// A later turn: this read of the cursor is older than the send.
    Ahead,
}

impl Cursor {
    /// Returns the first cursor of a run. `life_ms` is the time after which an exclusive reading has
    /// expired.
    pub fn first(run: RunId, not_before_ms: i64, life_ms: i64) -> Self {
        Self {
            v: super::FORMAT,
            run,
            generation: 1,
            turn: 0,
            phase: Phase::Turning,
            page: 0,
            pages_in_all: 0,
            position: Position::First,
            exclusive: ExclusiveReading::closed(life_ms),
            parts: 0,
            gaps: Vec::new(),
            digest: None,
            repeats: 0,
            not_before_ms,
            waits: None,
            waits_until_ms: None,
            idle_turns: 0,
            unanswered: Unanswered::default(),
            resends: 0,
            resent_ms: 0,
            excused: false,
            stalled: 0,
            furthest: 0,
            counted: 1,
            settling: Settling::default(),
            changed_before: 0,
            visible_at_ms: 0,
            after: None,
            count_at_end: None,
            last_page: None,
            cut: None,
            attributes_seen: 0,
            tally: Tally::default(),
            committed: Committed::default(),
            lease: None,
            leases: 0,
            died: None,
            interrupted: false,
        }
    }

    /// Returns whether errors of a generation count. A later generation that read all users evaluated
    /// them again.
    pub fn counts_errors_of(&self, generation: u32) -> bool {
        generation >= self.generation || self.cut.is_some() || !self.gaps.is_empty()
    }

    /// Compares a message's turn with this cursor's.
    pub fn standing(&self, turn: u64) -> TurnOrder {
        match turn.cmp(&self.turn) {
            std::cmp::Ordering::Equal => TurnOrder::Present,
            std::cmp::Ordering::Greater => TurnOrder::Ahead,
            std::cmp::Ordering::Less if turn + 1 == self.turn => TurnOrder::Before,
            std::cmp::Ordering::Less => TurnOrder::Older,
        }
    }

    /// Returns the owner of the lease.
    pub fn owner(&self) -> Option<&str> {
        self.lease.as_ref().map(|lease| lease.owner.as_str())
    }

    /// Returns the present turn.
    pub fn present(&self) -> Turn {
        Turn { v: self.v, run: self.run.clone(), turn: self.turn }
    }

    /// Returns when another exclusive reading may begin: the last call that may have kept ours open,
    /// plus its life.
    pub fn reading_free_at_ms(&self) -> i64 {
        // A reading that is known to be closed has no last call. A limit ends the pages and leaves
        // the reading open.
        let ExclusiveReading { life_ms, called_ms: last_ms, .. } = self.exclusive;
        let called_ms = self.lease.as_ref().map_or(last_ms, |lease| lease.until_ms.max(last_ms));
        if last_ms > 0 || self.lease.is_some() && self.phase == Phase::Turning { called_ms + life_ms } else { 0 }
    }

    /// Returns the latest end of the present wait, in Unix milliseconds.
    pub fn waits_until_ms(&self) -> i64 {
        self.waits_until_ms.map_or(self.not_before_ms, |until_ms| until_ms.max(self.not_before_ms))
    }

    /// Records a gap: the next page was requested, and there is no trustworthy answer.
    pub fn gap(&mut self) {
        self.page += 1;
        self.interrupted = false;
        self.pages_in_all += 1;
        self.idle_turns += 1;
        self.gaps.push(self.page);
    }
}

#[cfg(test)]
mod tests;
