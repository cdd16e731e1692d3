//! Outages of hours, which end no run.

use std::sync::PoisonError;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::asked::{Asked, Kind};
use crate::storm::{Storm, Who};

/// An outage of hours. It ends no run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    pub(crate) what: Down,
}

/// The part that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    /// Pages fail in this way.
    Pages(Way),
    /// Bulk requests are not sent.
    Bulk,
    /// Bulk requests get a 503. After the first one with several users, smaller requests of the
    /// same invocation succeed until two users are left. To it, the outage looks like a fault of
    /// these two.
    BulkButSome,
    /// No request to Intercom is sent.
    Names,
    /// A queue does not deliver new messages.
    Delivery(&'static str),
}

/// The failure of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is not sent.
    Unsent,
    /// It is lost.
    Lost,
    /// It gets this status, and has no effect.
    Answered(u16),
}

impl Outage {
    fn is_now(&self, elapsed: Duration) -> bool {
        (self.from..self.until).contains(&elapsed)
    }

    /// Draws an outage of hours in every twelfth story.
    pub(crate) fn draw(rng: &mut SmallRng) -> Option<Self> {
        let from = Duration::from_secs(rng.random_range(1..240));
        let lasts = Duration::from_mins(rng.random_range(30..200));
        let ways = [Way::Unsent, Way::Lost, Way::Answered(429), Way::Answered(503)];
        let what = match rng.random_range(0..8) {
            0..4 => Down::Pages(ways[rng.random_range(0..4)]),
            4 => Down::Bulk,
            5 => Down::Names,
            6 => Down::Delivery("pages"),
            _ => Down::Delivery("patches"),
        };
        rng.random_ratio(1, 12).then_some(Self { from, until: from + lasts, what })
    }

    /// Returns the failure of a request at this moment, if any.
    pub(crate) fn fails(&self, asked: &Asked, elapsed: Duration) -> Option<Way> {
        let of_users = ["GET /users", "GET /contacts"].iter().any(|path| asked.name.starts_with(path));
        let of_users = of_users && !asked.is("GET /contacts/bulk/{id}");
        match self.is_now(elapsed).then_some(self.what)? {
            Down::Pages(way) if of_users => Some(way),
            Down::Bulk if asked.is_write() => Some(Way::Unsent),
            Down::BulkButSome if asked.is_write() => Some(Way::Answered(503)),
            Down::Names => Some(Way::Unsent),
            _ => None,
        }
    }

    /// Returns the time for which a queue delays a message that is sent at this moment.
    pub(crate) fn holds_back(&self, queue: &str, elapsed: Duration) -> Option<Duration> {
        let holds = self.is_now(elapsed) && self.what == Down::Delivery(of(queue));
        holds.then(|| self.until.saturating_sub(elapsed))
    }
}

/// The number of users of a refused request that [`Down::BulkButSome`] does not let through.
const LEFT: usize = 2;

/// The refused request whose users [`Down::BulkButSome`] lets through.
#[derive(Debug, Default)]
pub(crate) struct LetThrough {
    /// The invocation that sent it.
    of: Option<Who>,
    users: usize,
    /// The number of its users that were let through.
    taken: usize,
}

impl LetThrough {
    /// Returns whether a request is let through.
    fn lets(&mut self, who: Option<Who>, asked: &Asked) -> bool {
        let users = asked.items();
        if asked.kind == Kind::Put {
            // Of the users that are written one by one, every other one.
            return asked.digest.is_multiple_of(2);
        }
        let smaller = self.of.is_some() && self.of == who && users < self.users;
        if smaller && self.taken + users + LEFT <= self.users {
            self.taken += users;
            return true;
        }
        if self.taken == 0 && !smaller && users > LEFT + 1 {
            (self.of, self.users) = (who, users);
        }
        false
    }
}

impl Storm {
    /// Returns the failure of a request at this moment, if any.
    pub(crate) fn fails(&self, who: Option<Who>, asked: &Asked) -> Option<Way> {
        let outage = self.story.outage?;
        let way = outage.fails(asked, self.weather.elapsed())?;
        if outage.what != Down::BulkButSome {
            return Some(way);
        }
        let mut let_through = self.let_through.lock().unwrap_or_else(PoisonError::into_inner);
        (!let_through.lets(who, asked)).then_some(way)
    }
}

/// Returns a queue's name in outages.
fn of(queue: &str) -> &'static str {
    if queue == "pages" { "pages" } else { "patches" }
}
