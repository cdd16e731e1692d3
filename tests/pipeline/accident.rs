//! The accidents of the queues that a test names.

use std::time::Duration;

use tokio::time::Instant;

use crate::sqs::{Accidents, Copy};

/// What goes wrong with a message. A queue is named as in its URL; messages are counted from 1 over a queue's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accident {
    /// Each message is sent twice, as by a client that retried: two ids.
    SentTwice,
    /// Each message is delivered twice, as a standard queue may: one id.
    DeliveredTwice,
    /// The queue delivers nothing that is sent between these times before the later of them.
    Held {
        /// The queue.
        queue: &'static str,
        /// From then on.
        from: Instant,
        /// Until then.
        until: Instant,
    },
    /// The message is taken and never delivered.
    Lost {
        /// The queue.
        queue: &'static str,
        /// Which of its messages.
        number: u64,
    },
}

impl Accidents for Vec<Accident> {
    fn copies(&self, queue: &str, number: u64) -> Vec<Copy> {
        let lost = |accident: &Accident| matches!(accident, Accident::Lost { queue: of, number: n } if *of == queue && *n == number);
        let now = Instant::now();
        let held = |accident: &Accident| match accident {
            Accident::Held { queue: of, from, until } if *of == queue && (*from..*until).contains(&now) => {
                Some(*until - now)
            }
            _ => None,
        };
        let late = self.iter().filter_map(held).max().unwrap_or_default();
        let once = (!self.iter().any(lost)).then(|| Copy { late, ..Copy::default() });
        let more = self.iter().filter_map(|accident| match accident {
            Accident::SentTwice => Some(Copy { own_id: true, late: Duration::ZERO }),
            Accident::DeliveredTwice => Some(Copy::default()),
            Accident::Lost { .. } | Accident::Held { .. } => None,
        });
        once.into_iter().chain(more).collect()
    }
}
