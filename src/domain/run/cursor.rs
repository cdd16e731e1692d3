//! The cursor: where a run's pages stand. Each outcome of a turn is one new cursor whose `turn` is one higher.

use serde::{Deserialize, Serialize};

use super::{RunId, Tally};

mod generations;
mod rests;

pub use generations::{GENERATIONS_MAX, STALLED_MAX};
pub use rests::REST_MOST_MS;

/// Holes that one generation may have before it is given up.
pub const GAPS_MAX: usize = 10;
/// Pages in a row that may equal the one before.
pub const REPEATS_MAX: u32 = 3;
/// Turns in a row that may pass without a page.
pub const IDLE_TURNS_MAX: u32 = 50;
/// How long Intercom keeps an unused scroll (60 s), and a margin for the clocks.
pub const SCROLL_LIFE_MS: i64 = 65_000;

fn scroll_life_ms() -> i64 {
    SCROLL_LIFE_MS
}

/// What the cursor's turns do at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Pages are turned.
    Turning,
    /// The generation is over; its parts and jobs are waited for before the next one begins.
    Settling,
    /// No page is left to turn.
    Ended,
}

/// The present turn of a run: what a message of the pages queue names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The run.
    pub run: RunId,
    /// Its turn.
    pub turn: u64,
}

/// Who turns the page at present, and until when that is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The invocation's request id.
    pub owner: String,
    /// The queue's id of the message, the same when it is delivered again.
    pub message: String,
    /// When the owner is surely dead, in Unix milliseconds.
    pub until_ms: i64,
}

/// A run's cursor, under 1 KB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Format version.
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// The attempt at the scroll, from 1.
    pub generation: u32,
    /// Commits so far: what a message must name to be the present one.
    pub turn: u64,
    /// What turns do.
    pub phase: Phase,
    /// Pages of this generation that were taken or passed over.
    pub page: u32,
    /// Pages of all generations, against runaway spend.
    pub pages_in_all: u64,
    /// The latest `scroll_param`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scroll: Option<String>,
    /// Parts sent in this generation.
    pub parts: u64,
    /// Pages that may be lost.
    #[serde(rename = "holes", default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<u32>,
    /// Digest of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<u64>,
    /// Pages in a row that equal the one before.
    #[serde(default)]
    pub repeats: u32,
    /// Before this time (Unix milliseconds) nothing is done.
    pub not_before_ms: i64,
    /// Why `not_before_ms` is in the future, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// When the whole wait for `waits` is over at the latest, in Unix milliseconds, where turns look before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until_ms: Option<i64>,
    /// How long an unused scroll is waited for to expire.
    #[serde(default = "scroll_life_ms")]
    pub scroll_life_ms: i64,
    /// When the scroll was last called.
    #[serde(default)]
    pub called_ms: i64,
    /// `scroll_exists` answers in a row.
    #[serde(default)]
    pub exists_tries: u32,
    /// Turns in a row without a page, not counting those whose request brought no answer.
    #[serde(default)]
    pub idle_turns: u32,
    /// Requests in a row that brought no answer and cost no page: an outage, or another program that uses up the limit. They
    /// are bounded by the run's deadline alone.
    #[serde(default)]
    pub unanswered: u32,
    /// Since when, in Unix milliseconds.
    #[serde(default)]
    pub unanswered_since_ms: i64,
    /// Times the tick sent the present turn's message again.
    #[serde(rename = "nudges", default)]
    pub resends: u32,
    /// When it did so last, in Unix milliseconds.
    #[serde(default)]
    pub resent_ms: i64,
    /// The generation ended because nothing could be sent: it counts neither as stalled nor against the bound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excused: bool,
    /// Generations in a row that got no further.
    #[serde(default)]
    pub stalled: i32,
    /// The furthest page of the generations before.
    #[serde(default)]
    pub furthest: u32,
    /// Generations that count against [`GENERATIONS_MAX`].
    #[serde(default)]
    pub counted: u32,
    /// Since when the generation's parts and jobs are waited for.
    #[serde(default)]
    pub settling_since_ms: i64,
    /// Parts that had no end when they were last counted while the generation settled.
    #[serde(default)]
    pub parts_left: u64,
    /// When that number last fell, in Unix milliseconds.
    #[serde(default)]
    pub parts_left_ms: i64,
    /// Users that earlier generations changed, at most.
    #[serde(default)]
    pub changed_before: u64,
    /// The run before, whose jobs are waited for before the first page is asked for: they may set values yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RunId>,
    /// Pages of the list of users that were read whole, and users that were read of the next.
    #[serde(default)]
    pub list_read: (u32, u32),
    /// Intercom's count of users when the pages ended, where it was asked for then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_at_end: Option<u64>,
    /// Why the last generation did not reach the end of its pages, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
    /// Whether the queue's messages of this generation are lost (a restart of the local engine).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queue_lost: bool,
    /// Which of the paths that the plan reads some user has, a bit for each.
    #[serde(default)]
    pub attributes_seen: u64,
    /// Users by what became of them.
    #[serde(default)]
    pub tally: Tally,
    /// Who made the last commit: its lost answer is recognised by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_by: Option<String>,
    /// The message that it was made for: delivered again, it shows that the next turn's message may not have been sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_message: Option<String>,
    /// When it was made, in Unix milliseconds.
    #[serde(default)]
    pub committed_ms: i64,
    /// Who turns the page.
    #[serde(rename = "claim", default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Leases of this turn: each that expired may have cost a page.
    #[serde(rename = "claims", default)]
    pub leases: u32,
    /// The expired lease that the present one took over: kept, because the answer that tells of it may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<Lease>,
}

/// How a message's turn stands to the cursor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnOrder {
    /// The message of the turn before, which made the last commit: the chain may have broken after it.
    Before,
    /// Older still: somebody carried the chain on.
    Older,
    /// The present turn.
    Present,
    /// Ahead of a read that is older than the send.
    Ahead,
}

impl Cursor {
    /// The first cursor of a run.
    pub fn first(run: RunId, not_before_ms: i64, scroll_life_ms: i64) -> Self {
        Self {
            v: super::FORMAT,
            run,
            generation: 1,
            turn: 0,
            phase: Phase::Turning,
            page: 0,
            pages_in_all: 0,
            scroll: None,
            parts: 0,
            gaps: Vec::new(),
            digest: None,
            repeats: 0,
            not_before_ms,
            waits: None,
            waits_until_ms: None,
            scroll_life_ms,
            called_ms: 0,
            exists_tries: 0,
            idle_turns: 0,
            unanswered: 0,
            unanswered_since_ms: 0,
            resends: 0,
            resent_ms: 0,
            excused: false,
            stalled: 0,
            furthest: 0,
            counted: 1,
            settling_since_ms: 0,
            parts_left: 0,
            parts_left_ms: 0,
            changed_before: 0,
            after: None,
            list_read: (0, 0),
            count_at_end: None,
            cut: None,
            queue_lost: false,
            attributes_seen: 0,
            tally: Tally::default(),
            committed_by: None,
            committed_message: None,
            committed_ms: 0,
            lease: None,
            leases: 0,
            died: None,
        }
    }

    /// How a message of `turn` stands to this cursor.
    pub fn standing(&self, turn: u64) -> TurnOrder {
        match turn.cmp(&self.turn) {
            std::cmp::Ordering::Equal => TurnOrder::Present,
            std::cmp::Ordering::Greater => TurnOrder::Ahead,
            std::cmp::Ordering::Less if turn + 1 == self.turn => TurnOrder::Before,
            std::cmp::Ordering::Less => TurnOrder::Older,
        }
    }

    /// Who holds the lease.
    pub fn owner(&self) -> Option<&str> {
        self.lease.as_ref().map(|lease| lease.owner.as_str())
    }

    /// The message that names the present turn.
    pub fn present(&self) -> Turn {
        Turn { run: self.run.clone(), turn: self.turn }
    }

    /// When somebody else may open a scroll: the last call that may have kept ours alive, and its life.
    pub fn scroll_free_at_ms(&self) -> i64 {
        // Known to be closed, it has no last call. A limit ends the pages and leaves it open.
        let maybe_open = self.called_ms > 0;
        let called_ms = self.lease.as_ref().map_or(self.called_ms, |lease| lease.until_ms.max(self.called_ms));
        if maybe_open || self.lease.is_some() && self.phase == Phase::Turning {
            called_ms + self.scroll_life_ms
        } else {
            0
        }
    }

    /// Records that the next page may be lost: asked for, and no answer that can be trusted.
    pub fn gap(&mut self) {
        self.page += 1;
        self.pages_in_all += 1;
        self.idle_turns += 1;
        self.gaps.push(self.page);
    }
}

#[cfg(test)]
mod tests;
