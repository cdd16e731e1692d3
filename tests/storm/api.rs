//! The API of a story, and the changes that make a story of API 1.x one of contacts.
//!
//! `STORM_API` chooses it for all stories: `1.4` (the default), `2.17`, `preview`, or `all`, which
//! draws it from the seed.

use std::sync::OnceLock;

use intercom_bulk::domain::api::{Api, ApiVersion};
use intercom_simulator::{
    Attribute, ContactFault, Fault, Gone, ListCursor, ListOrder, MergedWrite, Nth, Operation, Options,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::plans;
use crate::story::Story;

/// Attributes that the plans write.
const ATTRIBUTES: [&str; 3] = ["has avatar:boolean", "plan_price:integer", "account:string"];
/// The number of requests that an endless fault of all pages strikes.
const FOR_EVER: u64 = 600;

/// The choice of `STORM_API`; `None` for all of them.
fn chosen() -> Option<ApiVersion> {
    static CHOSEN: OnceLock<Option<ApiVersion>> = OnceLock::new();
    *CHOSEN.get_or_init(|| match std::env::var("STORM_API").as_deref() {
        Err(_) => Some(ApiVersion::newest(Api::V1)),
        Ok("all") => None,
        Ok(version) => Some(ApiVersion::parse(version).unwrap_or_else(|error| panic!("STORM_API: {error}"))),
    })
}

/// Returns the API of a seed's story.
pub(crate) fn of(seed: u64) -> ApiVersion {
    let rng = &mut SmallRng::seed_from_u64(seed ^ 0x0000_0A71);
    let drawn = Api::ALL[rng.random_range(0..Api::ALL.len())];
    chosen().unwrap_or_else(|| ApiVersion::newest(drawn))
}

impl Story {
    /// Returns whether its users are contacts of API 2.x.
    pub(crate) fn has_contacts(&self) -> bool {
        self.api.api() != Api::V1
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
    let faults = std::mem::take(&mut story.options.faults);
    story.options.faults =
        faults.into_iter().flat_map(|fault| of_contacts(rng, fault, story.endless, writes)).collect();
    if story.endless {
        // A start asks the list for the workspace of such a token, and would not begin.
        story.options.faults.retain(|fault| *fault != Fault::DenyMe);
    }
    contacts(rng, &mut story.options);
    more(rng, &mut story.options, writes);
    story
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
