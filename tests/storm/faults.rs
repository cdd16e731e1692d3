//! The workspace's faults in a story, by page, request and job.

use intercom_simulator::{Alteration, Fault, Options, World};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::shape::Shape;

/// The last page, request or job of an endless fault.
const FOR_EVER: u64 = 600;

/// Draws the faults of one story. Returns whether one of them is endless.
pub(crate) fn draw(rng: &mut SmallRng, shape: Shape, may_change: bool) -> (Vec<Fault>, bool) {
    let mut faults = Vec::new();
    let endless = shape == Shape::Long;
    if endless {
        faults.extend(without_end(rng));
    }
    let count = [0, 0, 1, 1, 2, 3, 4][rng.random_range(0..7)];
    for _ in 0..count {
        let fault = one(rng);
        if may_change || fault != Fault::UsersChange {
            faults.push(fault);
        }
    }
    (faults, endless)
}

/// Draws rare faults: a refused user, a name that is not text, or a permanent denial of all
/// requests.
pub(crate) fn more(rng: &mut SmallRng, mut options: Options) -> Options {
    match rng.random_range(0..60) {
        0 => {
            let status = [400, 402, 403, 404][rng.random_range(0..4)];
            options.faults.push(Fault::Denied { status, after: rng.random_range(0..12) });
        }
        1 => options.faults.push(Fault::TokenRevokedAfter(rng.random_range(0..12))),
        2 | 3 => {
            // Users depend on the seed only, not on other options.
            let people = World::new(Options { users: options.users, seed: options.seed, ..Options::default() }).users();
            let id = |user: &serde_json::Value| Some(user["id"].as_str()?.to_owned());
            let rejected = people.get(rng.random_range(0..people.len().max(1))).and_then(id);
            options.faults.extend(rejected.map(Fault::RejectUser));
        }
        _ => {}
    }
    bad_users(&mut SmallRng::seed_from_u64(options.seed ^ 0x00BA_D05E), options)
}

/// Draws users whose requests are always refused, and names that are not plain text.
fn bad_users(rng: &mut SmallRng, mut options: Options) -> Options {
    match rng.random_range(0..20) {
        0 => {
            let status = [404, 409, 410, 422, 423, 500, 503][rng.random_range(0..7)];
            let percent = f64::from(rng.random_range(1..20));
            options.faults.push(Fault::PoisonItem { status, percent });
        }
        1 => options.faults.push(Fault::CutName(f64::from(rng.random_range(1..60)))),
        _ => {}
    }
    options.quirks.escape_names = rng.random_ratio(1, 2);
    options
}

/// Draws values that Intercom does not keep, values of other programs, reads that lag behind writes,
/// and tokens that may not read their workspace.
///
/// It draws from its own source, so that the kept seeds repeat their stories.
pub(crate) fn values(seed: u64, mut options: Options, is_foreign: bool) -> Options {
    const ATTRIBUTES: [&str; 4] = ["has avatar", "has avatar", "plan_price", "account"];
    const FORMS: [Alteration; 7] = [
        Alteration::Ignore,
        Alteration::Null,
        Alteration::Trim,
        Alteration::Cut,
        Alteration::Escape,
        Alteration::Text,
        Alteration::Whole,
    ];
    let rng = &mut SmallRng::seed_from_u64(seed ^ 0x0076_A1E5);
    match rng.random_range(0..24) {
        0 => {
            let attribute = ATTRIBUTES[rng.random_range(0..ATTRIBUTES.len())].to_owned();
            options.faults.push(Fault::AlterAttribute { attribute, how: FORMS[rng.random_range(0..FORMS.len())] });
        }
        1 | 2 => options.faults.push(Fault::OthersWrite(f64::from(rng.random_range(1..60)))),
        _ => {}
    }
    if rng.random_ratio(1, 12) {
        options.read_lag_s = rng.random_range(1..170);
    }
    if rng.random_ratio(1, if is_foreign { 2 } else { 30 }) {
        options.faults.push(Fault::DenyMe);
    }
    options
}

fn one(rng: &mut SmallRng) -> Fault {
    let page = rng.random_range(1..14);
    let request = rng.random_range(1..8);
    let seconds = rng.random_range(1..300);
    let percent = f64::from(rng.random_range(1..40));
    match rng.random_range(0..28) {
        0 | 1 => Fault::LosePage(page),
        2 => Fault::ErrorPage(page),
        3 => Fault::ErrorPageKeeps(page),
        4 => Fault::EmptyPage(page),
        5 => Fault::Empty503Page(page),
        6 => Fault::ForgetScroll(page),
        7 => Fault::ForeignScroll(seconds),
        8 => Fault::StealScroll { page, seconds },
        9 => Fault::SlowPage { page, seconds: rng.random_range(5..80) },
        10 => Fault::RepeatPage(page),
        11 => Fault::LimitPage(page),
        12 => Fault::LimitBulk(request),
        13 => Fault::LimitBulkBare(request),
        14 | 15 => Fault::LoseBulk(request),
        16 => Fault::ErrorBulk(request),
        17 => Fault::LoseJob(request),
        18 => Fault::JobFails(request),
        19 | 20 => Fault::SlowJob { job: request, seconds: rng.random_range(30..450) },
        21 => Fault::ItemLimited(percent),
        22 => Fault::ItemError { percent, code: "invalid".into(), message: "email ann@example.com invalid".into() },
        23 => Fault::BadItem(percent / 4.0),
        24 => Fault::FeedPageSize(rng.random_range(1..5)),
        25 | 26 => Fault::UsersChange,
        _ => Fault::LateJobObject(86_400),
    }
}

fn without_end(rng: &mut SmallRng) -> Vec<Fault> {
    let from = rng.random_range(1..9);
    let every = |fault: fn(u64) -> Fault| (from..FOR_EVER).map(fault).collect();
    let each = rng.random_range(2..5);
    match rng.random_range(0..16) {
        0 => every(Fault::LosePage),
        1 => every(Fault::ErrorPage),
        2 => every(Fault::RepeatPage),
        3 => every(Fault::LimitPage),
        4 => every(Fault::EmptyPage),
        5 => (from..FOR_EVER).step_by(each).map(Fault::ForgetScroll).collect(),
        6 => vec![Fault::ScrollExistsForever],
        7 => vec![Fault::ForeignScroll(86_400)],
        8 => vec![Fault::SlowPages([6, 16, 45][rng.random_range(0..3)])],
        9 => every(Fault::LoseBulk),
        10 => every(Fault::ErrorBulk),
        // Each attempt of hours is one more step, so such stories are rare.
        11 if rng.random_range(0..5) == 0 => every(Fault::LimitBulkBare),
        11 => (from..from + 40).map(Fault::LimitBulkBare).collect(),
        12 => vec![Fault::TokenRevokedAfter(rng.random_range(1..40))],
        13 => vec![Fault::BadItem(100.0)],
        14 => vec![Fault::JobNeverEnds(rng.random_range(1..5)), Fault::LoseJob(rng.random_range(1..5))],
        _ => vec![Fault::ItemError { percent: 100.0, code: "rate_limit_exceeded".into(), message: "again".into() }],
    }
}
