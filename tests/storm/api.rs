//! The API of a story, and the changes that make a story of API 1.x one of contacts.
//!
//! A seed draws it, unless `STORM_API` chooses it for all stories: `1.4`, `2.17` or `preview`.

use std::sync::OnceLock;

use intercom_bulk::domain::api::{Api, ApiVersion};
use intercom_simulator::{
    Attribute, BulkErrors, ContactFault, Fault, Gone, ListCursor, ListOrder, MergedWrite, Nth, Operation, Options,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::plans;
use crate::rare;
use crate::story::Story;

/// Attributes that the plans write.
const ATTRIBUTES: [&str; 3] = ["has avatar:boolean", "plan_price:integer", "account:string"];
/// The APIs that seeds draw.
const DRAWN: [Api; 3] = [Api::V1, Api::V2, Api::Preview];
/// The number of requests that an endless fault of all pages strikes.
const FOR_EVER: u64 = 600;

/// The choice of `STORM_API`, if there is one.
fn chosen() -> Option<ApiVersion> {
    static CHOSEN: OnceLock<Option<ApiVersion>> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let version = std::env::var("STORM_API").ok()?;
        Some(ApiVersion::parse(&version).unwrap_or_else(|error| panic!("STORM_API: {error}")))
    })
}

/// Returns the API that a seed draws.
fn drawn(seed: u64) -> ApiVersion {
    let rng = &mut SmallRng::seed_from_u64(seed ^ 0x0000_0A71);
    ApiVersion::newest(DRAWN[rng.random_range(0..DRAWN.len())])
}

/// A story to play: its seed, and the API if the seed does not draw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    pub(crate) number: u64,
    pub(crate) api: Option<ApiVersion>,
}

impl Seed {
    /// A seed that draws its API.
    pub(crate) fn fresh(number: u64) -> Self {
        Self { number, api: None }
    }

    /// Parses a line of `seeds.txt`: a seed, and its API unless that is 1.4.
    pub(crate) fn kept(line: &str) -> Self {
        let (number, api) = line.split_once(' ').unwrap_or((line, "1.4"));
        let number = number.parse().unwrap_or_else(|_| panic!("seeds.txt: {line} begins with a number"));
        let api = ApiVersion::parse(api.trim()).unwrap_or_else(|error| panic!("seeds.txt: {line}: {error}"));
        Self { number, api: Some(api) }
    }

    /// Returns the API of its story.
    pub(crate) fn api(self) -> ApiVersion {
        chosen().or(self.api).unwrap_or_else(|| drawn(self.number))
    }

    pub(crate) fn story(self) -> Story {
        Story::of(self.number, self.api())
    }
}

impl Story {
    /// Returns whether its users are contacts of API 2.x.
    pub(crate) fn has_contacts(&self) -> bool {
        self.api.api() != Api::V1
    }

    /// Returns whether Intercom denies the reads of the users of a job that does not name whom it refused. A
    /// run waits for them for half a day.
    pub(crate) fn has_denied_reads(&self) -> bool {
        self.is_denied() && self.api.api() == Api::Preview
    }
}

/// Makes a story one of its API. It draws from its own source.
pub(crate) fn translated(mut story: Story) -> Story {
    if !story.has_contacts() {
        return story;
    }
    let rng = &mut SmallRng::seed_from_u64(story.seed ^ 0x0002_1700);
    for start in &mut story.starts {
        if plans::name_of(&start.event) == "company-name" {
            start.event["plan"] = plans::json("plan-price");
        }
    }
    // A token that reads contacts counts them, too.
    story.uncounted = false;
    let writes = 2 * story.options.users as u64 + 10;
    let has_jobs = story.api.api() == Api::Preview;
    let faults = std::mem::take(&mut story.options.faults);
    let of_contacts = |fault| match fault {
        fault if has_jobs && is_of_jobs(&fault) => vec![fault],
        fault => of_contacts(rng, fault, story.endless, writes),
    };
    story.options.faults = faults.into_iter().flat_map(of_contacts).collect();
    if story.endless {
        // A start asks the list for the workspace of such a token, and would not begin.
        story.options.faults.retain(|fault| *fault != Fault::DenyMe);
    }
    contacts(rng, &mut story.options);
    more(rng, &mut story.options, writes);
    rare::read_by_id(&mut SmallRng::seed_from_u64(story.seed ^ 0x0002_1722), &mut story);
    if has_jobs {
        of_preview(&mut SmallRng::seed_from_u64(story.seed ^ 0x0002_1711), &mut story);
    }
    story
}

/// Returns whether a fault is one of bulk requests and jobs, which Preview has, too.
fn is_of_jobs(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::LimitBulk(_)
            | Fault::LimitBulkBare(_)
            | Fault::LoseBulk(_)
            | Fault::ErrorBulk(_)
            | Fault::LoseJob(_)
            | Fault::JobFails(_)
            | Fault::JobNeverEnds(_)
            | Fault::SlowJob { .. }
            | Fault::LateJobObject(_)
    )
}

/// Draws bulk jobs of Preview, which say late, in part or never how they ended, and their faults.
fn of_preview(rng: &mut SmallRng, story: &mut Story) {
    let options = &mut story.options;
    options.contacts.bulk_job_delay_s = [0, 0, 0, 45, 400, 100_000][rng.random_range(0..6)];
    if rng.random_ratio(1, 3) {
        options.contacts.bulk_errors = BulkErrors::Job;
    }
    let percent = f64::from(rng.random_range(2..40));
    match rng.random_range(0..8) {
        0 | 1 => options.faults.push(Fault::ItemLimited(percent)),
        2 => options.faults.push(Fault::ItemError {
            percent,
            code: "invalid".into(),
            message: "email ann@example.com invalid".into(),
        }),
        _ => {}
    }
    for _ in 0..[0, 0, 1, 2][rng.random_range(0..4)] {
        let [bulk, poll, read, write] = [6, 12, 30, 20].map(|most| rng.random_range(1..most));
        let of = |operation, number| Nth { operation, number };
        let seconds = rng.random_range(1..40);
        let fault = match rng.random_range(0..16) {
            0 => ContactFault::LoseCall(of(Operation::Bulk, bulk)),
            1 => ContactFault::LateErrorCall(of(Operation::Bulk, bulk)),
            2 => ContactFault::EmptyCall(of(Operation::Bulk, bulk)),
            3 => ContactFault::UnavailableCall(of(Operation::Bulk, bulk)),
            4 | 5 => ContactFault::CloseBulk(bulk),
            6 => ContactFault::SlowCall { nth: of(Operation::Bulk, bulk), seconds },
            7 => ContactFault::LoseCall(of(Operation::Poll, poll)),
            8 => ContactFault::LimitCall(of(Operation::Poll, poll)),
            9 => ContactFault::ErrorCall(of(Operation::Poll, poll)),
            10 => ContactFault::EmptyCall(of(Operation::Poll, poll)),
            11 => ContactFault::LimitCallBare(of(Operation::Read, read)),
            12 => ContactFault::ErrorCall(of(Operation::Read, read)),
            13 => ContactFault::LoseCall(of(Operation::Write, write)),
            14 => ContactFault::ErrorCall(of(Operation::Write, write)),
            _ => ContactFault::SlowCall { nth: of(Operation::Write, write), seconds },
        };
        options.faults.push(Fault::Contacts(fault));
    }
}

/// Draws a workspace of contacts.
fn contacts(rng: &mut SmallRng, options: &mut Options) {
    let contacts = &mut options.contacts;
    contacts.attributes = ATTRIBUTES.iter().map(|text| text.parse::<Attribute>().expect("an attribute")).collect();
    contacts.leads = [0, 0, 3, 9, 30][rng.random_range(0..5)];
    contacts.index_lag_s = [0, 3, 60, 170][rng.random_range(0..4)];
    contacts.archived_listed = rng.random_ratio(1, 4);
    if rng.random_ratio(1, 4) {
        contacts.list_order = ListOrder::Shuffled;
    }
    if rng.random_ratio(1, 6) {
        contacts.list_cursor = ListCursor::Page;
    }
    contacts.merged_write =
        [MergedWrite::Gone, MergedWrite::Gone, MergedWrite::Missing, MergedWrite::Canonical][rng.random_range(0..4)];
}

/// Draws faults that API 1.x does not have.
fn more(rng: &mut SmallRng, options: &mut Options, writes: u64) {
    const GONE: [Gone; 4] = [Gone::Archived, Gone::Deleted, Gone::Merged, Gone::Blocked];
    for _ in 0..[0, 0, 1, 2][rng.random_range(0..4)] {
        let list = rng.random_range(1..10);
        let percent = f64::from(rng.random_range(1..40));
        let attribute = ["has avatar", "plan_price"][rng.random_range(0..2)].to_owned();
        let fault = match rng.random_range(0..20) {
            0..5 => ContactFault::GoneContact { how: GONE[rng.random_range(0..GONE.len())], percent },
            5 | 6 => ContactFault::ShiftList(list),
            7..10 => ContactFault::RepeatCursor(list),
            10..12 => ContactFault::RefuseCursor(list),
            12..14 => ContactFault::EndList(list),
            14 => ContactFault::RemoveAttribute { attribute, after: rng.random_range(0..writes) },
            15 => ContactFault::ForbidCall(Operation::Attributes),
            16 => ContactFault::ErrorCall(Nth { operation: Operation::Attributes, number: rng.random_range(1..3) }),
            17 => ContactFault::LoseCall(Nth { operation: Operation::Read, number: rng.random_range(1..30) }),
            _ => ContactFault::SlowCall {
                nth: Nth { operation: Operation::Write, number: rng.random_range(1..=writes) },
                seconds: rng.random_range(1..40),
            },
        };
        options.faults.push(Fault::Contacts(fault));
    }
}

/// Returns the faults of contacts that correspond to a fault of API 1.x.
fn of_contacts(rng: &mut SmallRng, fault: Fault, endless: bool, writes: u64) -> Vec<Fault> {
    // A user that Intercom limits for ever is sent in each rate window of a day: few stories have that.
    let is_limited = |code: &str| code == "rate_limit_exceeded";
    let fault = match fault {
        Fault::ItemError { percent, code, message } if is_limited(&code) && !rng.random_ratio(1, 8) => {
            Fault::ItemError { percent, code: "invalid".into(), message }
        }
        fault => fault,
    };
    let list = |number: u64| Nth { operation: Operation::List, number };
    // A bulk request holds many users. An endless fault strikes each write.
    let mut write = |number: u64| {
        let number = if endless { number } else { rng.random_range(1..=writes) };
        Nth { operation: Operation::Write, number }
    };
    let faults = match fault {
        Fault::LosePage(page) => vec![ContactFault::LoseCall(list(page))],
        Fault::ErrorPage(page) => vec![ContactFault::LateErrorCall(list(page))],
        Fault::ErrorPageKeeps(page) => vec![ContactFault::ErrorCall(list(page))],
        Fault::EmptyPage(page) => vec![ContactFault::EmptyCall(list(page))],
        Fault::Empty503Page(page) => vec![ContactFault::UnavailableCall(list(page))],
        Fault::ForgetScroll(page) | Fault::StealScroll { page, .. } => vec![ContactFault::RefuseCursor(page)],
        Fault::SlowPage { page, seconds } => vec![ContactFault::SlowCall { nth: list(page), seconds }],
        Fault::SlowPages(seconds) => {
            (1..FOR_EVER).map(|page| ContactFault::SlowCall { nth: list(page), seconds }).collect()
        }
        Fault::RepeatPage(page) => vec![ContactFault::RepeatCursor(page)],
        Fault::LimitPage(page) => vec![ContactFault::LimitCallBare(list(page))],
        Fault::ScrollExistsForever => (1..FOR_EVER).map(|page| ContactFault::DropCall(list(page))).collect(),
        Fault::LimitBulk(number) => vec![ContactFault::LimitCall(write(number))],
        Fault::LimitBulkBare(number) => vec![ContactFault::LimitCallBare(write(number))],
        Fault::LoseBulk(number) => vec![ContactFault::LoseCall(write(number))],
        Fault::ErrorBulk(number) => vec![ContactFault::ErrorCall(write(number))],
        Fault::LoseJob(number) => vec![ContactFault::EmptyCall(write(number))],
        Fault::JobFails(number) => vec![ContactFault::UnavailableCall(write(number))],
        Fault::JobNeverEnds(number) => vec![ContactFault::DropCall(write(number))],
        Fault::SlowJob { job, seconds } => {
            vec![
                ContactFault::SlowCall { nth: write(job), seconds: seconds % 40 },
                ContactFault::LateErrorCall(write(job)),
            ]
        }
        Fault::ForeignScroll(_) | Fault::FeedPageSize(_) | Fault::LateJobObject(_) => Vec::new(),
        fault => return vec![fault],
    };
    faults.into_iter().map(Fault::Contacts).collect()
}
