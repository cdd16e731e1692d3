//! The workspace behind the routes: one request in, one answer out, at one point in time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use axum::http::HeaderMap;
use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::Value;

use crate::fault::Fault;
use crate::fired::Fired;
use crate::gate;
use crate::jobs::Jobs;
use crate::limit::Limit;
use crate::options::{Options, Slot};
use crate::others::{Kind, Others};
use crate::people::{HALF, People};
use crate::route::Route;
use crate::scroll::{Scene, Scroll};
use crate::user::Id;
use crate::wire::{Answer, Content, RateHeaders, Refusal};

/// The relevant parts of a request.
pub(crate) struct Call<'a> {
    pub(crate) path: &'a str,
    pub(crate) route: Route<'a>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: HashMap<String, String>,
    /// The body; `None` if it exceeds the limit.
    pub(crate) body: Option<Bytes>,
    pub(crate) base_url: String,
}

/// Counters of events.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) requests: BTreeMap<String, u64>,
    pub(crate) authorised: u64,
    pub(crate) bulk_posts: u64,
    pub(crate) items: u64,
    pub(crate) over_limit: u64,
    pub(crate) given_429: u64,
    pub(crate) fired: Fired,
    /// Users for whom `poison-item` refused a request.
    pub(crate) poisoned: BTreeSet<String>,
    /// Ids of changed, deleted and added users.
    pub(crate) lives: [Vec<Id>; 3],
}

/// The mutable state.
pub(crate) struct Workspace {
    pub(crate) people: People,
    pub(crate) scroll: Scroll,
    others: Others,
    pub(crate) jobs: Jobs,
    pub(crate) limit: Limit,
    pub(crate) counts: Counts,
    /// Users who already got "Exceeded rate limit" as an item error.
    pub(crate) limited: HashSet<String>,
    /// Users as before their last bulk write, until this time (Unix milliseconds).
    pub(crate) lagging: HashMap<Id, (i64, Value)>,
    pub(crate) rng: SmallRng,
    started_at_ms: i64,
}

impl Workspace {
    pub(crate) fn new(options: &Options, now_ms: i64) -> Self {
        Self {
            people: People::new(options, now_ms.div_euclid(1000)),
            scroll: Scroll::default(),
            others: Others::default(),
            jobs: Jobs::default(),
            limit: Limit::default(),
            counts: Counts::default(),
            limited: HashSet::new(),
            lagging: HashMap::new(),
            rng: SmallRng::seed_from_u64(options.seed ^ 0x5eed),
            started_at_ms: now_ms,
        }
    }

    /// Answers a request: admits or refuses it, and applies it. The caller has applied all due
    /// items.
    pub(crate) fn answer(&mut self, call: &Call<'_>, options: &Options, now_ms: i64) -> Answer {
        *self.counts.requests.entry(call.route.name().to_owned()).or_default() += 1;
        let answer = match self.let_in(call, options, now_ms) {
            Ok(()) => replaced(self.act(call, options, now_ms).unwrap_or_else(Answer::from), call.route, options),
            Err(refused) => refused,
        };
        self.counts.given_429 += u64::from(answer.status == 429);
        answer
    }

    fn let_in(&mut self, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<(), Answer> {
        gate::acceptable(call.headers)
            .and_then(|()| gate::authorised(call.headers, options.token.as_deref()))
            .and_then(|()| self.not_denied(options))
            .map_err(|refusal| Answer::from(refusal).with_rate_headers(RateHeaders::Missing))?;
        let others = |fault: &Fault| if let Fault::OthersSpend(operations) = fault { Some(*operations) } else { None };
        if let Some(operations) = options.setting(others)
            && self.limit.others_spend(now_ms, operations, options.rate_limit_per_10s)
        {
            self.counts.fired.note(&Fault::OthersSpend(operations));
        }
        if !self.limit.admit(now_ms, options.rate_limit_per_10s) {
            self.counts.over_limit += 1;
            return Err(Refusal::RateLimited { limit: options.rate_limit_per_10s }.into());
        }
        gate::version(call.headers)?;
        match options.quirks.deny_body.get(call.path) {
            Some((status, body)) => Err(Answer::json(*status, body.clone())),
            None => Ok(()),
        }
    }

    fn not_denied(&mut self, options: &Options) -> Result<(), Refusal> {
        self.counts.authorised += 1;
        let before = self.counts.authorised - 1;
        let refuses = |fault: &&Fault| match fault {
            Fault::TokenRevokedAfter(after) | Fault::Denied { after, .. } => before >= *after,
            _ => false,
        };
        let Some(fault) = options.faults.iter().find(refuses) else { return Ok(()) };
        self.counts.fired.note(fault);
        Err(match fault {
            Fault::Denied { status: 400, .. } => Refusal::VersionInvalid,
            Fault::Denied { status: 402, .. } => Refusal::PaymentNeeded,
            Fault::Denied { status: 403, .. } => Refusal::Forbidden,
            Fault::Denied { .. } => Refusal::RouteNotFound,
            _ => Refusal::TokenRevoked,
        })
    }

    fn act(&mut self, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<Answer, Refusal> {
        match call.route {
            Route::Scroll => self.page(call, options, now_ms),
            Route::OtherScroll(kind) => self.other_page(kind, call, options, now_ms),
            Route::User(id) => self.user(id, now_ms),
            Route::Users => self.users(call),
            Route::Upsert => self.upsert(call, options, now_ms),
            Route::Counts => Ok(self.counted(call, options)),
            Route::Bulk => self.bulk(call, options, now_ms),
            Route::Job(id) => self.job(id, call, options, now_ms),
            Route::JobErrors(id) => self.job_errors(id, call, options, now_ms),
            Route::Me if self.counts.fired.strikes(options, &Fault::DenyMe) => Err(Refusal::Forbidden),
            Route::Me => Ok(Self::me(options)),
            Route::Unknown => Err(Refusal::RouteNotFound),
        }
    }

    fn page(&mut self, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<Answer, Refusal> {
        if self.counts.fired.strikes(options, &Fault::UsersChange) {
            let lives = self.people.live(now_ms.div_euclid(1000));
            for (all, new) in self.counts.lives.iter_mut().zip(lives) {
                all.extend(new);
            }
        }
        let taken = options.scroll_slot == Slot::Shared && self.others.are_open(None, options, now_ms);
        let (people, rng, fired) = (&self.people, &mut self.rng, &self.counts.fired);
        let mut scene = Scene { people, rng, options, fired, now_ms, age_ms: now_ms - self.started_at_ms, taken };
        self.scroll.turn(call.query.get("scroll_param").map(String::as_str), &mut scene)
    }

    fn other_page(&mut self, kind: Kind, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<Answer, Refusal> {
        let taken = options.scroll_slot == Slot::Shared && self.scroll.is_open(options, now_ms);
        let param = call.query.get("scroll_param").map(String::as_str);
        self.others.turn(kind, param, taken, (&self.people, &mut self.rng, options, now_ms))
    }
}

/// Applies the options' text replacements to an answer with users.
fn replaced(mut answer: Answer, route: Route<'_>, options: &Options) -> Answer {
    let has_users = matches!(route, Route::Scroll | Route::User(_) | Route::Users);
    let cuts = options.faults.iter().any(|fault| matches!(fault, Fault::CutName(_)));
    if has_users
        && (cuts || !options.quirks.replace.is_empty())
        && let Content::Json(body) = &answer.content
    {
        let replace = |text: String, (from, to): &(String, String)| text.replace(from, to);
        let text = body.to_string().replace(HALF, "\\ud83d");
        answer.content = Content::Text(options.quirks.replace.iter().fold(text, replace));
    }
    answer
}
