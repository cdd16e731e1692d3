//! What a world is made of: its people, its limits, its clock and its faults.

use std::fmt;
use std::sync::Arc;

use crate::described::{Quirks, Users};
use crate::fault::Fault;

/// The world's clock: Unix milliseconds.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Users in a page of the scroll; fixed by Intercom (blog of September 2016, README of the Ruby and PHP clients).
pub const PAGE_SIZE: usize = 100;
/// A scroll that is not used for this long is gone (documentation of 1.x: one minute).
pub const SCROLL_TTL_S: u64 = 60;
/// What `X-RateLimit-Limit` showed to a private app in 2026: 10,000 a minute, in windows of ten seconds.
pub const RATE_LIMIT_PER_10S: u32 = 1667;
/// How much later than its tasks a job ended in the fixtures of the official clients: about four hours.
pub const JOB_OBJECT_DELAY_S: u64 = 4 * 3600;

/// What becomes of a custom attribute that is set to null. Intercom does not say, so a world can be either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullAttribute {
    /// The attribute is there, and its value is null.
    #[default]
    Stored,
    /// The attribute is gone.
    Removed,
}

/// Whose place a scroll takes. "One scroll per workspace" may mean each kind, so a world can be either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// The scrolls of users, leads and companies share the workspace's one place.
    #[default]
    Shared,
    /// Each has a place of its own.
    Own,
}

/// In which order a scroll shows the users. Intercom does not say, so a world can have any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Who was made first comes first; who is added meanwhile comes last.
    #[default]
    Oldest,
    /// Who was made last comes first; who is added meanwhile does not come.
    Newest,
    /// As it was shuffled when the scroll was opened; who is added meanwhile does not come.
    Random,
}

/// When `X-RateLimit-Reset` says that the window is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateReset {
    /// Two seconds after the window's end, as in each of 525 answers recorded in 2021.
    #[default]
    Late,
    /// At the window's end, as in fixtures of 2017 and 2018.
    Exact,
}

/// What `X-RateLimit-Remaining` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateRemaining {
    /// The requests before the one that is answered, as in answers recorded in 2021: the first of a window shows the whole
    /// limit.
    #[default]
    Before,
    /// The request that is answered, too.
    After,
}

/// How a world is made. Every field has a default, so name only what a test is about.
#[derive(Clone)]
pub struct Options {
    /// How many users live in the workspace at its start.
    pub users: usize,
    /// The same seed makes the same people, ids and accidents.
    pub seed: u64,
    /// Users in a page of the scroll.
    pub page_size: usize,
    /// How long an answer takes, after its effect.
    pub latency_ms: u64,
    /// Operations allowed in each aligned window of ten seconds.
    pub rate_limit_per_10s: u32,
    /// The only token that is let in; without one any token that is not empty will do.
    pub token: Option<String>,
    /// How long a scroll lives after its last successful page.
    pub scroll_ttl_s: u64,
    /// Whether each page has a `scroll_param` of its own (the blog of 2016 shows that) or the scroll keeps one.
    pub rotating_scroll_param: bool,
    /// Whose place a scroll takes.
    pub scroll_slot: Slot,
    /// In which order a scroll shows the users.
    pub scroll_order: Order,
    /// How many users of a page are those that the page before ended with.
    pub scroll_overlap: usize,
    /// Whether a bulk request is charged for each of its items, after it was let in, or as one request.
    pub items_counted: bool,
    /// Whether the items are charged before the request is let in: then all of them must fit the window.
    pub items_first: bool,
    /// When the rate headers say that the window is over.
    pub rate_reset: RateReset,
    /// Which requests the rate headers count.
    pub rate_remaining: RateRemaining,
    /// How long after its POST a task ends.
    pub job_delay_s: u64,
    /// How long after its last task the job itself ends.
    pub job_object_delay_s: u64,
    /// How long after its making a job can be asked for; `None`: always.
    pub job_life_s: Option<u64>,
    /// How long after its making a job cannot be asked for yet (404).
    pub job_visible_after_s: u64,
    /// What a null does to a custom attribute.
    pub null_attribute: NullAttribute,
    /// The clock.
    pub now: Now,
    /// What the clock shows when the world is made; from there it goes on as `now` does. `None`: what `now` shows.
    pub started_at_s: Option<i64>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// The workspace's id, as `app_id` in users and jobs.
    pub app_id: String,
    /// The oddities of its answers.
    pub quirks: Quirks,
    /// The users of a file, in place of users made from the seed.
    pub given: Option<Users>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            users: 500,
            seed: 1,
            page_size: PAGE_SIZE,
            latency_ms: 0,
            rate_limit_per_10s: RATE_LIMIT_PER_10S,
            token: None,
            scroll_ttl_s: SCROLL_TTL_S,
            rotating_scroll_param: false,
            scroll_slot: Slot::default(),
            scroll_order: Order::default(),
            scroll_overlap: 0,
            items_counted: true,
            items_first: false,
            rate_reset: RateReset::default(),
            rate_remaining: RateRemaining::default(),
            job_delay_s: 2,
            job_object_delay_s: JOB_OBJECT_DELAY_S,
            job_life_s: None,
            job_visible_after_s: 0,
            null_attribute: NullAttribute::default(),
            now: tokio_clock(),
            started_at_s: None,
            faults: Vec::new(),
            app_id: "sim1app0".to_owned(),
            quirks: Quirks::default(),
            given: None,
        }
    }
}

impl Options {
    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    /// The first fault that `pick` knows, for those that carry a setting.
    pub(crate) fn setting<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.faults.iter().find_map(pick)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("users", &self.users)
            .field("seed", &self.seed)
            .field("page_size", &self.page_size)
            .field("latency_ms", &self.latency_ms)
            .field("rate_limit_per_10s", &self.rate_limit_per_10s)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("scroll_ttl_s", &self.scroll_ttl_s)
            .field("items_counted", &self.items_counted)
            .field("job_delay_s", &self.job_delay_s)
            .field("started_at_s", &self.started_at_s)
            .field("faults", &self.faults)
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}

/// Wall time read once, and tokio's clock since: a test that pauses and advances tokio's clock moves the world with it.
fn tokio_clock() -> Now {
    #[expect(clippy::disallowed_methods, reason = "the world's clock has to start somewhere; all else reads the clock")]
    let wall = std::time::SystemTime::now();
    let wall_ms = wall.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let started = tokio::time::Instant::now();
    Arc::new(move || wall_ms + started.elapsed().as_millis() as i64)
}
