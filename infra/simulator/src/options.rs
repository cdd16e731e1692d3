//! The options of a world: its users, its limits, its clock and its faults.

use std::fmt;
use std::sync::Arc;

use strum::{EnumString, VariantNames};

use crate::contacts::ContactOptions;
use crate::described::{Quirks, Users};
use crate::fault::Fault;

/// The world's clock: Unix milliseconds.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Users in a page of the scroll, fixed by Intercom (blog of 2016-09, README of Ruby and PHP
/// clients).
pub const PAGE_SIZE: usize = 100;
/// A scroll expires after this time without use (documentation of 1.x: one minute).
pub const SCROLL_TTL_S: u64 = 60;
/// `X-RateLimit-Limit` of a private app in 2026: 10,000 a minute, in windows of ten seconds.
pub const RATE_LIMIT_PER_10S: u32 = 1667;
/// Delay of a job's end after its tasks' end, in the official clients' fixtures: about four hours.
pub const JOB_OBJECT_DELAY_S: u64 = 4 * 3600;

/// The effect of a null on a custom attribute. Intercom does not document it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum NullAttribute {
    /// The attribute stays, and its value is null.
    #[default]
    Stored,
    /// The attribute is removed.
    Removed,
}

/// The place that a scroll occupies. "One scroll per workspace" may mean one of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Slot {
    /// The scrolls of users, leads and companies share the workspace's one place.
    #[default]
    Shared,
    /// Each kind has its own place.
    Own,
}

/// The order of users in a scroll. Intercom does not document it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Order {
    /// Oldest first. Users who are added during the scroll come last.
    #[default]
    Oldest,
    /// Newest first. Users who are added during the scroll are not included.
    Newest,
    /// Shuffled when the scroll opens. Users who are added during the scroll are not included.
    Random,
}

/// The end of the window in `X-RateLimit-Reset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum RateReset {
    /// Two seconds after the window's end, as in each of 525 answers recorded in 2021.
    #[default]
    Late,
    /// At the window's end, as in fixtures of 2017 and 2018.
    Exact,
}

/// The requests that `X-RateLimit-Remaining` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum RateRemaining {
    /// All before the current one, as in answers recorded in 2021: a window's first answer shows
    /// the full limit.
    #[default]
    Before,
    /// The current one, too.
    After,
}

/// The options of a world. Every field has a default, so a test sets only the fields it needs.
#[derive(Clone)]
pub struct Options {
    /// The number of users in the workspace at its start.
    pub users: usize,
    /// The seed of users, ids and accidents.
    pub seed: u64,
    /// Users in a page of the scroll.
    pub page_size: usize,
    /// The latency of an answer, after its effect.
    pub latency_ms: u64,
    /// Operations allowed in each aligned window of ten seconds.
    pub rate_limit_per_10s: u32,
    /// The only valid token. `None`: any non-empty token is valid.
    pub token: Option<String>,
    /// The time after its last successful page at which a scroll expires.
    pub scroll_ttl_s: u64,
    /// Each page has its own `scroll_param` (as in the blog of 2016), or the scroll keeps one.
    pub rotating_scroll_param: bool,
    /// The place that a scroll occupies.
    pub scroll_slot: Slot,
    /// The order of users in a scroll.
    pub scroll_order: Order,
    /// The number of users that a page repeats from the end of the page before.
    pub scroll_overlap: usize,
    /// A bulk request is charged for each of its items after its admission, or as one request.
    pub items_counted: bool,
    /// The items are charged before the request is admitted, so all of them must fit the window.
    pub items_first: bool,
    /// The end of the window in the rate headers.
    pub rate_reset: RateReset,
    /// The requests that the rate headers count.
    pub rate_remaining: RateRemaining,
    /// The time between a POST and the end of its task.
    pub job_delay_s: u64,
    /// The time between the end of a job's last task and the end of the job.
    pub job_object_delay_s: u64,
    /// The time after its creation for which a job can be requested; `None`: always.
    pub job_life_s: Option<u64>,
    /// The time after its creation for which a request for a job returns 404.
    pub job_visible_after_s: u64,
    /// The time for which a read of one user shows the values from before a bulk write.
    pub read_lag_s: u64,
    /// The effect of a null on a custom attribute.
    pub null_attribute: NullAttribute,
    /// The clock.
    pub now: Now,
    /// The clock's time when the world is created; it then advances like `now`. `None`: the time of
    /// `now`.
    pub started_at_s: Option<i64>,
    /// The faults.
    pub faults: Vec<Fault>,
    /// The workspace's id, as `app_id` in users and jobs.
    pub app_id: String,
    /// The quirks of its answers.
    pub quirks: Quirks,
    /// The users of a file, in place of generated users.
    pub given: Option<Users>,
    /// The options of API 2.x.
    pub contacts: ContactOptions,
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
            read_lag_s: 0,
            null_attribute: NullAttribute::default(),
            now: tokio_clock(),
            started_at_s: None,
            faults: Vec::new(),
            app_id: "sim1app0".to_owned(),
            quirks: Quirks::default(),
            given: None,
            contacts: ContactOptions::default(),
        }
    }
}

impl Options {
    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    /// Returns the first setting that `pick` extracts from the faults.
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

/// Returns a clock: wall time read once, plus tokio's clock since then.
///
/// A test that pauses and advances tokio's clock moves the world with it.
fn tokio_clock() -> Now {
    #[expect(clippy::disallowed_methods, reason = "the world's clock has to start somewhere; all else reads the clock")]
    let wall = std::time::SystemTime::now();
    let wall_ms = wall.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let started = tokio::time::Instant::now();
    Arc::new(move || wall_ms + started.elapsed().as_millis() as i64)
}
