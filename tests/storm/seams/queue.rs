//! The weather's effects on the messages of a standard queue.

use std::sync::Arc;
use std::time::Duration;

use crate::accident::Accident;
use crate::outage::Outage;
use crate::sqs::{Accidents, Copy};
use crate::story::Story;
use crate::weather::Weather;

/// The delay of a late message: it may exceed the 15 minutes that a new generation waits for parts.
const LATE_S: std::ops::RangeInclusive<u64> = 1..=1_200;
/// The longest visibility time-out of an early message.
const SOON_MAX: Duration = Duration::from_secs(100);
/// A poller repeats an empty long poll at once; the model extends the poll to an hour instead.
const LONG_POLL: Duration = Duration::from_hours(1);

/// The weather, as accidents of the model of SQS.
#[derive(Debug)]
pub(crate) struct OfQueues(pub(crate) Arc<Weather>, pub(crate) Option<Outage>);

impl Accidents for OfQueues {
    fn copies(&self, queue: &str, _number: u64, body: &str) -> Vec<Copy> {
        let weather = &self.0;
        let held = self.1.and_then(|outage| outage.holds_back(queue, weather.elapsed()));
        let late = || {
            if let Some(held) = held {
                return held;
            }
            if !weather.strikes(Accident::Late) {
                return Duration::ZERO;
            }
            // Most are some seconds late.
            Duration::from_secs(weather.draw(LATE_S) / weather.draw(1..=60))
        };
        if queue.ends_with("-dead-letters") {
            return vec![Copy::default()];
        }
        if queue == "patches" && !Story::is_nonsense(body) && weather.strikes(Accident::MessageLost) {
            return Vec::new();
        }
        let mut copies = vec![Copy { own_id: false, late: late() }];
        if weather.strikes(Accident::SentTwice) {
            copies.push(Copy { own_id: true, late: late() });
        }
        if weather.strikes(Accident::DeliveredTwice) {
            copies.push(Copy { own_id: false, late: late() });
        }
        copies
    }

    fn refuses_entry(&self, _number: u64) -> bool {
        self.0.strikes(Accident::EntryRefused)
    }

    fn next_of(&self, visible: usize) -> usize {
        if visible > 1 && self.0.strikes(Accident::Reordered) {
            return self.0.draw(0..=visible as u64 - 1) as usize;
        }
        0
    }

    fn hidden(&self, asked: Duration) -> Duration {
        if self.0.strikes(Accident::Early) {
            let early = self.0.draw(1..=99);
            // Half of them are early enough that the message of a running invocation is visible
            // again.
            let soon = Duration::from_secs(early);
            return if early % 2 == 1 && asked > SOON_MAX { soon } else { asked.mul_f64(early as f64 / 100.0) };
        }
        if self.0.strikes(Accident::Overdue) {
            return asked + Duration::from_secs(self.0.draw(1..=300));
        }
        asked
    }

    fn keeps_deleted(&self) -> bool {
        self.0.strikes(Accident::Kept)
    }

    fn long_poll(&self, asked: Duration) -> Duration {
        asked.max(LONG_POLL)
    }
}
