//! The workspace behind the routes: one request in, one answer out, at one point in time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use axum::http::HeaderMap;
use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::Value;

use crate::contacts::Contacts;
use crate::contacts::body::company_page;
use crate::contacts::options::Region;
use crate::contacts::route::{ContactRoute, Operation};
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
use crate::version::{Family, Version};
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
    /// The version that serves it.
    pub(crate) version: Result<Version, Refusal>,
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
    pub(crate) contacts: Contacts,
    pub(crate) jobs: Jobs,
    pub(crate) limit: Limit,
    pub(crate) counts: Counts,
    /// Users who already got "Exceeded rate limit" as an item error.
    pub(crate) limited: HashSet<String>,
    /// Users of whom no write is refused any more.
    pub(crate) cured: HashSet<String>,
    /// Users as before their last bulk write, until this time (Unix milliseconds).
    pub(crate) lagging: HashMap<Id, (i64, Value)>,
    pub(crate) rng: SmallRng,
    started_at_ms: i64,
}

impl Workspace {
    pub(crate) fn new(options: &Options, now_ms: i64) -> Self {
        let mut people = People::new(options, now_ms.div_euclid(1000));
        people.remember(options.contacts.index_lag_s);
        Self {
            people,
            contacts: Contacts::new(options, now_ms),
            scroll: Scroll::default(),
            others: Others::default(),
            jobs: Jobs::default(),
            limit: Limit::default(),
            counts: Counts::default(),
            limited: HashSet::new(),
            cured: HashSet::new(),
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
        self.stamp(now_ms);
        self.counts.given_429 += u64::from(answer.status == 429);
        answer
    }

    fn let_in(&mut self, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<(), Answer> {
        gate::acceptable(call.headers)
            .and_then(|()| gate::authorised(call.headers, options.token.as_deref()))
            .and_then(|()| hosted_here(options))
            .and_then(|()| self.not_denied(options))
            .map_err(|refusal| Answer::from(in_family(refusal, call)).with_rate_headers(RateHeaders::Missing))?;
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
        call.version.clone()?.check(call.route, options)?;
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
            Route::Me => {
                let version = call.version.clone()?;
                self.struck(Operation::Me, options, |_, _| Ok(Self::me(options, version)))
            }
            Route::Contact(route) => self.contact_call(route, call, options, call.version.clone()?, now_ms),
            Route::Unknown => Err(Refusal::RouteNotFound),
        }
    }

    fn page(&mut self, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<Answer, Refusal> {
        self.users_change(options, now_ms);
        let taken = options.scroll_slot == Slot::Shared && self.others.are_open(None, options, now_ms);
        let (people, rng, fired) = (&self.people, &mut self.rng, &self.counts.fired);
        let mut scene = Scene { people, rng, options, fired, now_ms, age_ms: now_ms - self.started_at_ms, taken };
        self.scroll.turn(call.query.get("scroll_param").map(String::as_str), &mut scene)
    }

    /// Changes, deletes and adds users if `users-change` is on.
    pub(crate) fn users_change(&mut self, options: &Options, now_ms: i64) {
        if self.counts.fired.strikes(options, &Fault::UsersChange) {
            let lives = self.people.live(now_ms.div_euclid(1000));
            for (all, new) in self.counts.lives.iter_mut().zip(lives) {
                all.extend(new);
            }
            self.stamp(now_ms);
        }
    }

    fn other_page(&mut self, kind: Kind, call: &Call<'_>, options: &Options, now_ms: i64) -> Result<Answer, Refusal> {
        let taken = options.scroll_slot == Slot::Shared && self.scroll.is_open(options, now_ms);
        let param = call.query.get("scroll_param").map(String::as_str);
        let mut answer = self.others.turn(kind, param, taken, (&self.people, &mut self.rng, options, now_ms))?;
        if call.version.as_ref().is_ok_and(|version| version.family() == Family::New)
            && let Content::Json(body) = &mut answer.content
        {
            *body = company_page(body.take());
        }
        Ok(answer)
    }
}

/// Refuses a token whose workspace is hosted in another region.
fn hosted_here(options: &Options) -> Result<(), Refusal> {
    let refused = |status, code, message: &str| Err(Refusal::Other { status, code, message: message.to_owned() });
    match options.contacts.hosted {
        Region::Own => Ok(()),
        Region::Unauthorized => Err(Refusal::TokenUnauthorized),
        Region::Forbidden => refused(403, "forbidden", "This app is hosted in Europe"),
        Region::Missing => Err(Refusal::RouteNotFound),
        Region::Redirected => refused(307, "temporary_redirect", "This app is hosted in another region"),
    }
}

/// Returns the refusal of credentials in the form of the request's family.
fn in_family(refusal: Refusal, call: &Call<'_>) -> Refusal {
    let new = call.version.as_ref().is_ok_and(|version| version.family() == Family::New);
    match refusal {
        Refusal::TokenUnauthorized if new => {
            Refusal::Other { status: 401, code: "unauthorized", message: "Access Token Invalid".to_owned() }
        }
        refusal => refusal,
    }
}

/// Applies the options' text replacements to an answer with users.
fn replaced(mut answer: Answer, route: Route<'_>, options: &Options) -> Answer {
    let has_users = match route {
        Route::Contact(route) => {
            !matches!(route, ContactRoute::Attributes | ContactRoute::AddAttribute | ContactRoute::ChangeAttribute(_))
        }
        other => matches!(other, Route::Scroll | Route::User(_) | Route::Users),
    };
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
