//! The scroll: one per workspace, its cursor on the server, expired after a minute without a page.

use std::collections::HashSet;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::chance::uuid;
use crate::fault::Fault;
use crate::fired::Fired;
use crate::options::{Options, Order};
use crate::people::People;
use crate::user::Id;
use crate::wire::{Answer, Content, RateHeaders, Refusal};

/// The workspace's one place for a scroll, and the users delivered through it.
#[derive(Default)]
pub(crate) struct Scroll {
    open: Option<Open>,
    /// The end of another client's scroll, in Unix milliseconds.
    stolen_until_ms: i64,
    /// The number of requests that reached the cursor. Faults refer to it.
    pub(crate) pages: u64,
    /// The number of attempts to open a second scroll.
    pub(crate) second_scrolls: u64,
    /// The ids of all users in delivered pages.
    pub(crate) seen: HashSet<Id>,
    /// The number of users in delivered pages. A user in two pages counts twice.
    pub(crate) delivered: u64,
}

#[derive(Clone)]
struct Open {
    param: String,
    /// The start of the next page.
    place: Place,
    /// The previous page.
    page: Vec<Id>,
    /// The ids at the scroll's start, if the order is random.
    shuffled: Vec<Id>,
    used_at_ms: i64,
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// The last user of the previous page, if there is an order.
    after: Option<Id>,
    /// The number of users in the pages before, if the order is random.
    taken: usize,
}

/// The inputs of a page.
pub(crate) struct Scene<'a> {
    pub(crate) people: &'a People,
    pub(crate) rng: &'a mut SmallRng,
    pub(crate) options: &'a Options,
    pub(crate) fired: &'a Fired,
    pub(crate) now_ms: i64,
    /// The world's age.
    pub(crate) age_ms: i64,
    /// A scroll of companies or leads occupies the workspace's place.
    pub(crate) taken: bool,
}

impl Scroll {
    /// Answers one request for a page.
    pub(crate) fn turn(&mut self, param: Option<&str>, scene: &mut Scene<'_>) -> Result<Answer, Refusal> {
        self.is_open(scene.options, scene.now_ms);
        let mut open = self.enter(param, scene)?;
        self.pages += 1;
        let page = self.pages;
        let has = |fault: fn(u64) -> Fault| scene.fired.strikes(scene.options, &fault(page));
        if has(Fault::LimitPage) {
            let limited = Refusal::RateLimited { limit: scene.options.rate_limit_per_10s };
            return Ok(Answer::from(limited).with_rate_headers(RateHeaders::Missing));
        }
        if has(Fault::ForgetScroll) {
            self.open = None;
            return Err(Refusal::ScrollNotFound);
        }
        if let Some(seconds) = stolen(scene.options, page) {
            scene.fired.note(&Fault::StealScroll { page, seconds });
            self.stolen_until_ms = scene.now_ms + seconds as i64 * 1000;
            self.open = None;
            return Err(Refusal::ScrollNotFound);
        }
        if has(Fault::ErrorPageKeeps) {
            self.open = Some(open);
            return Err(Refusal::RestartScroll);
        }
        // Only the end of the scroll has no users.
        let is_there = open.page.iter().any(|id| scene.people.get(*id).is_some());
        let repeated = is_there && has(Fault::RepeatPage);
        if !repeated {
            open.advance(scene);
        }
        let ids = open.page.clone();
        let delay_ms = delay_ms(scene, page);
        let failed = has(Fault::ErrorPage);
        if !failed {
            open.used_at_ms = scene.now_ms + delay_ms as i64;
        }
        if scene.options.rotating_scroll_param {
            open.param = uuid(scene.rng, 4, '-');
        }
        let mut answer = if failed {
            Answer::from(Refusal::RestartScroll)
        } else if has(Fault::LosePage) {
            Answer::lost()
        } else if has(Fault::EmptyPage) {
            Answer::new(200, Content::Empty)
        } else if has(Fault::Empty503Page) {
            Answer::new(503, Content::Empty).with_rate_headers(RateHeaders::Missing)
        } else {
            self.seen.extend(&ids);
            self.delivered += ids.len() as u64;
            Answer::json(200, body(&open.param, &ids, scene.people))
        };
        answer.delay_ms = delay_ms;
        // The empty page ends the scroll and frees the place at once.
        self.open = (!ids.is_empty()).then_some(open);
        Ok(answer)
    }

    /// Returns whether a scroll of users is open. Closes it if it has expired.
    pub(crate) fn is_open(&mut self, options: &Options, now_ms: i64) -> bool {
        let ttl_ms = options.scroll_ttl_s as i64 * 1000;
        self.open.take_if(|open| now_ms - open.used_at_ms > ttl_ms);
        self.open.is_some()
    }

    fn enter(&mut self, param: Option<&str>, scene: &mut Scene<'_>) -> Result<Open, Refusal> {
        match (param, &self.open) {
            (Some(param), Some(open)) if open.param == param => Ok(open.clone()),
            (Some(_), _) => Err(Refusal::ScrollNotFound),
            (None, Some(_)) => {
                self.second_scrolls += 1;
                Err(Refusal::ScrollExists)
            }
            (None, None) if scene.taken || foreign(scene) || scene.now_ms < self.stolen_until_ms => {
                Err(Refusal::ScrollExists)
            }
            (None, None) => {
                let param = uuid(scene.rng, 4, '-');
                let mut shuffled = Vec::new();
                if scene.options.scroll_order == Order::Random {
                    shuffled.extend(scene.people.after(None));
                    shuffled.shuffle(scene.rng);
                }
                Ok(Open { param, place: Place::default(), page: Vec::new(), shuffled, used_at_ms: scene.now_ms })
            }
        }
    }
}

impl Open {
    /// Moves the cursor by a page, minus the overlap.
    fn advance(&mut self, scene: &Scene<'_>) {
        let (options, people) = (scene.options, scene.people);
        let overlap = self.page.len().min(options.scroll_overlap);
        let size = options.page_size.saturating_sub(overlap).max(1);
        let after = self.place.after;
        let new: Vec<Id> = match options.scroll_order {
            Order::Oldest => people.after(after).take(size).collect(),
            Order::Newest => people.before(after).take(size).collect(),
            Order::Random => {
                let left = self.shuffled.iter().enumerate().skip(self.place.taken);
                let there = left.filter(|(_, id)| people.get(**id).is_some()).take(size);
                let (places, ids): (Vec<usize>, Vec<Id>) = there.map(|(place, id)| (place, *id)).unzip();
                self.place.taken = places.last().map_or(self.place.taken, |place| place + 1);
                ids
            }
        };
        self.place.after = new.last().copied().or(after);
        let again = self.page.split_off(self.page.len() - overlap);
        self.page = if new.is_empty() { new } else { [again, new].concat() };
    }
}

/// Returns the seconds for which another client takes the place with this page.
fn stolen(options: &Options, page: u64) -> Option<u64> {
    options.setting(|fault| match fault {
        Fault::StealScroll { page: with, seconds } if *with == page => Some(*seconds),
        _ => None,
    })
}

/// Returns whether another client's scroll occupies the place.
fn foreign(scene: &Scene<'_>) -> bool {
    let holds = |fault: &&Fault| match fault {
        Fault::ForeignScroll(seconds) => scene.age_ms < *seconds as i64 * 1000,
        Fault::ScrollExistsForever => true,
        _ => false,
    };
    let held = scene.options.faults.iter().find(holds);
    held.inspect(|fault| scene.fired.note(fault)).is_some()
}

fn delay_ms(scene: &Scene<'_>, page: u64) -> u64 {
    let mut seconds = 0;
    for fault in &scene.options.faults {
        match fault {
            Fault::SlowPage { page: slow, seconds: more } if *slow == page => seconds += more,
            Fault::SlowPages(more) => seconds += more,
            _ => continue,
        }
        scene.fired.note(fault);
    }
    seconds * 1000
}

fn body(param: &str, ids: &[Id], people: &People) -> Value {
    let users: Vec<Value> = ids.iter().filter_map(|id| people.shown(*id)).collect();
    json!({"type": "user.list", "users": users, "scroll_param": param})
}
