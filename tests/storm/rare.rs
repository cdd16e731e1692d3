//! Rare combinations of faults: each fault alone is harmless, or rarely meets the others.

use std::time::Duration;

use intercom_simulator::{Alteration, Fault};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::accident::Accident;
use crate::limits;
use crate::operator::Act;
use crate::outage::{Down, Outage};
use crate::plans;
use crate::starts::careful;
use crate::story::Story;

/// Adds a rare combination to about every fifth story.
///
/// It draws from its own source, so that the kept seeds repeat their stories.
pub(crate) fn added(mut story: Story) -> Story {
    let rng = &mut SmallRng::seed_from_u64(story.seed ^ 0x00C0_4B67);
    match rng.random_range(0..100) {
        0..4 => crowded(rng, &mut story),
        4..8 => seen_early(&mut story),
        8..12 => but_some(rng, &mut story),
        12..22 => followed(rng, &mut story),
        _ => {}
    }
    // Another source, for later additions.
    let later = &mut SmallRng::seed_from_u64(story.seed ^ 0x00CA_4EF1);
    if later.random_ratio(1, 8) {
        careful(&mut story.starts[0], later);
    }
    limits::paced(&mut story);
    // The same.
    let last = &mut SmallRng::seed_from_u64(story.seed ^ 0x000A_7A1D);
    match last.random_range(0..100) {
        0..3 => forgotten(last, &mut story),
        3..7 => stopped(last, &mut story),
        7..11 => released(last, &mut story),
        11..14 => held_up(last, &mut story),
        14..16 => out_of_date(last, &mut story),
        16..19 => unkept(last, &mut story),
        19..22 => lagging(last, &mut story),
        22..24 => set_by_others(last, &mut story),
        24..26 => lengthy(&mut story),
        _ => {}
    }
    story
}

/// Other programs use more than our quota leaves, and the rate limit is low.
fn crowded(rng: &mut SmallRng, story: &mut Story) {
    let options = &mut story.options;
    options.rate_limit_per_10s = [40, 83][rng.random_range(0..2)];
    options.faults.retain(|fault| !matches!(fault, Fault::OthersSpend(_)));
    let limit = u64::from(options.rate_limit_per_10s);
    options.faults.push(Fault::OthersSpend(limit * rng.random_range(3..8) / 10));
}

/// Messages are delivered again during their invocation, and that invocation dies or freezes.
fn seen_early(story: &mut Story) {
    for (accident, least) in [(Accident::Early, 700), (Accident::Death, 10), (Accident::Freeze, 60)] {
        story.rates.raise(accident, least);
    }
}

/// An outage of bulk requests lets some users of one request through. It ends before submit gives
/// up a run's last users (three hours).
fn but_some(rng: &mut SmallRng, story: &mut Story) {
    if story.outage.is_some() || story.endless || story.calm_after.is_none() || story.has_poison() {
        return;
    }
    let from = Duration::from_secs(rng.random_range(0..30));
    let lasts = Duration::from_mins(rng.random_range(30..150));
    story.outage = Some(Outage { from, until: from + lasts, what: Down::BulkButSome });
}

/// A run is followed by one that sets the opposite values. The first is stopped, or its jobs are
/// slow, or Intercom carries out a request late. An operator may release it.
fn followed(rng: &mut SmallRng, story: &mut Story) {
    if story.endless || story.calm_after.is_none() || story.is_denied() {
        return;
    }
    for (accident, least) in [(Accident::LateEffect, 250), (Accident::LostAfter, 100)] {
        if rng.random_ratio(1, 2) {
            story.rates.raise(accident, least);
        }
    }
    if rng.random_ratio(1, 2) {
        let slow = |job| Fault::SlowJob { job, seconds: rng.random_range(600..12_000) };
        let slow: Vec<Fault> = (1..=3).map(slow).collect();
        // The simulated Intercom uses the first of several faults for one job.
        story.options.faults.splice(0..0, slow);
    }
    add_the_opposite(story, Duration::from_secs(rng.random_range(0..300)));
    if rng.random_ratio(2, 3) {
        let after = story.starts[0].after + Duration::from_millis(rng.random_range(500..60_000));
        let releases_after = rng.random_ratio(1, 3).then(|| Duration::from_millis(rng.random_range(0..90_000)));
        story.acts.push(Act { after, amid: false, cancels: true, goes_on_after: None, releases_after });
    }
}

/// Leaves one start, for all users and without limits, and adds one that sets the opposite values
/// this long after it.
fn add_the_opposite(story: &mut Story, after: Duration) {
    let first = &mut story.starts[0];
    first.event["plan"] = plans::json("has-avatar");
    first.event.as_object_mut().expect("an event is an object").remove("rails");
    (first.listed, first.stored) = (0, false);
    let mut second = first.clone();
    second.event["plan"] = plans::json(plans::OPPOSITE);
    second.after = first.after + after;
    story.starts.truncate(1);
    story.starts.push(second);
}

/// The time for which the schedules of a suitable story skip no minute: two runs, one after the other.
const PROMPT: Duration = Duration::from_mins(30);

/// Makes a story suitable for combinations in which nothing else stops a run. Returns whether it is.
fn is_plain(story: &mut Story) -> bool {
    const USERS_LEAST: usize = 8;
    let is_plain = !story.endless && story.calm_after.is_some() && !story.is_denied() && story.tokens.is_empty();
    if is_plain {
        let options = &mut story.options;
        options.users = options.users.max(USERS_LEAST);
        options.job_delay_s = options.job_delay_s.min(5);
        options.faults.retain(|fault| !matches!(fault, Fault::SlowJob { .. } | Fault::LoseBulk(_)));
        story.starts[0].goes_on_after = None;
        story.ticks_all_until = PROMPT;
        (story.acts, story.verbs, story.outage, story.rollback) = (Vec::new(), Vec::new(), None, None);
    }
    is_plain
}

/// A run completes while a job is under way whose id was lost. A run with the opposite values follows.
fn forgotten(rng: &mut SmallRng, story: &mut Story) {
    if is_plain(story) {
        let number = rng.random_range(1..3);
        let seconds = rng.random_range(300..850);
        story.options.faults.extend([Fault::LoseBulk(number), Fault::SlowJob { job: number, seconds }]);
        add_the_opposite(story, Duration::from_secs(rng.random_range(0..60)));
    }
}

/// A run is cancelled after its first bulk request, and its jobs are slow. A run with the opposite
/// values follows.
fn stopped(rng: &mut SmallRng, story: &mut Story) {
    if is_plain(story) {
        let slow = |job| Fault::SlowJob { job, seconds: rng.random_range(60..850) };
        story.options.faults.extend((1..=3).map(slow));
        add_the_opposite(story, Duration::from_secs(rng.random_range(0..60)));
        let after = Duration::from_millis(rng.random_range(0..5_000));
        story.acts.push(Act { after, amid: true, cancels: true, goes_on_after: None, releases_after: None });
    }
}

/// Intercom carries out the requests of a cancelled run late, and an operator releases the run. A run
/// with the opposite values follows.
fn released(rng: &mut SmallRng, story: &mut Story) {
    if is_plain(story) {
        story.rates.raise(Accident::LateEffect, 600);
        add_the_opposite(story, Duration::from_secs(rng.random_range(0..60)));
        let after = Duration::from_millis(rng.random_range(0..3_000));
        let releases_after = Some(Duration::from_millis(rng.random_range(0..20_000)));
        story.acts.push(Act { after, amid: true, cancels: true, goes_on_after: None, releases_after });
    }
}

/// Intercom carries out the writes of a cancelled run late. A run with the opposite values follows for some
/// of its users, which it reads by id: it waits for no list that shows the writes.
pub(crate) fn read_by_id(rng: &mut SmallRng, story: &mut Story) {
    if rng.random_ratio(1, 16) && is_plain(story) {
        story.rates.raise(Accident::LateEffect, 300);
        add_the_opposite(story, Duration::from_secs(rng.random_range(0..40)));
        story.starts[1].listed = rng.random_range(5..60);
        let after = Duration::from_millis(rng.random_range(0..8_000));
        story.acts.push(Act { after, amid: true, cancels: true, goes_on_after: None, releases_after: None });
    }
}

/// An operator pauses a run whose pace lets its parts wait in the queue.
fn held_up(rng: &mut SmallRng, story: &mut Story) {
    if is_plain(story) {
        let users = story.options.users as u64;
        for start in &mut story.starts {
            start.event["rails"]["max_per_minute"] = json!(users / rng.random_range(3..8) + 1);
        }
        let after = Duration::from_millis(rng.random_range(0..60_000));
        let goes_on_after = Some(Duration::from_secs(rng.random_range(60..400)));
        story.acts.push(Act { after, amid: true, cancels: false, goes_on_after, releases_after: None });
    }
}

/// The messages of a generation come when a later one is at work: a generation waits four hours for
/// the parts of the one before.
fn out_of_date(rng: &mut SmallRng, story: &mut Story) {
    if is_plain(story) {
        // The first run ends before: no run begins until submit has recorded its format.
        add_the_opposite(story, Duration::from_mins(15));
        let pages = story.options.users.div_ceil(story.options.page_size) as u64 + 1;
        story.options.faults.push(Fault::LosePage(pages + rng.random_range(2..4)));
        let from = story.starts[1].after;
        let lasts = Duration::from_mins(rng.random_range(245..300));
        story.outage = Some(Outage { from, until: from + lasts, what: Down::Delivery("patches") });
    }
}

/// Intercom stores the values of a plan otherwise than written: most often the old ones stay.
fn unkept(rng: &mut SmallRng, story: &mut Story) {
    const FORMS: [Alteration; 4] = [Alteration::Ignore, Alteration::Ignore, Alteration::Text, Alteration::Whole];
    if is_plain(story) {
        add_the_opposite(story, Duration::from_secs(rng.random_range(0..300)));
        story.starts.truncate(rng.random_range(1..3));
        let how = FORMS[rng.random_range(0..FORMS.len())];
        story.options.faults.push(Fault::AlterAttribute { attribute: "has avatar".to_owned(), how });
    }
}

/// Another program sets values that a generation has written, and Intercom refuses every request
/// with some users. A gap makes a second generation.
fn set_by_others(rng: &mut SmallRng, story: &mut Story) {
    if is_plain(story) && !story.has_poison() {
        let percent = f64::from(rng.random_range(5..20));
        let status = [404, 422, 423, 500, 503][rng.random_range(0..5)];
        let others = f64::from(rng.random_range(1..60));
        story.options.faults.extend([
            Fault::PoisonItem { status, percent },
            Fault::OthersWrite(others),
            Fault::LosePage(rng.random_range(1..6)),
        ]);
    }
}

/// Submit waits for the rate limit until its time-out. Other programs would use all of it.
fn lengthy(story: &mut Story) {
    if is_plain(story) {
        story.options.users = story.options.users.max(250);
        // The jobs of small pages would take hours, and so would the pace of fewer users.
        story.options.page_size = story.options.page_size.max(30);
        story.options.rate_limit_per_10s = 10;
        story.options.faults.retain(|fault| !matches!(fault, Fault::OthersSpend(_)));
        story.starts.truncate(1);
        if let Some(rails) = story.starts[0].event.get_mut("rails").and_then(|rails| rails.as_object_mut()) {
            rails.remove("max_per_minute");
        }
    }
}

/// Reads lag behind writes for longer than a run needs to find its jobs ended.
fn lagging(rng: &mut SmallRng, story: &mut Story) {
    if is_plain(story) {
        let is_kept = |fault: &Fault| !matches!(fault, Fault::AlterAttribute { .. } | Fault::OthersWrite(_));
        story.options.faults.retain(is_kept);
        story.options.read_lag_s = rng.random_range(120..170);
    }
}

impl Story {
    /// Returns whether a later generation may have patches for other users than an earlier one.
    pub(crate) fn has_new_patches(&self) -> bool {
        self.options.faults.iter().any(|fault| matches!(fault, Fault::UsersChange | Fault::OthersWrite(_)))
    }

    /// Returns whether jobs of this story take longer than common runs last.
    pub(crate) fn has_slow_jobs(&self) -> bool {
        !self.in_slow_jobs().is_zero()
    }

    /// Returns the time that slow jobs take in all: each may be waited for by a generation of its own.
    pub(crate) fn in_slow_jobs(&self) -> Duration {
        const SLOW_S: u64 = 500;
        let slow_s = |fault: &Fault| match fault {
            Fault::SlowJob { seconds, .. } if *seconds > SLOW_S => Some(*seconds),
            _ => None,
        };
        Duration::from_secs(self.options.faults.iter().filter_map(slow_s).sum())
    }
}
