//! Accidents of the queues, as chosen by a test.

use std::time::Duration;

use tokio::time::Instant;

use crate::sqs::{Accidents, Copy};

/// A fault of a message. Queues have the names of their URLs; messages are counted from 1 per
/// queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accident {
    /// Each message is sent twice, as by a client's retry: two ids.
    SentTwice,
    /// Each message is delivered twice, as a standard queue may do: one id.
    DeliveredTwice,
    /// The queue delays all messages sent between these times until the later of them.
    Held {
        /// The queue.
        queue: &'static str,
        /// The start.
        from: Instant,
        /// The end.
        until: Instant,
    },
    /// This entry of all batches to send, counted from 1, is refused.
    EntryRefused(u64),
    /// The message is accepted and never delivered.
    Lost {
        /// The queue.
        queue: &'static str,
        /// The message's number.
        number: u64,
    },
}

impl Accidents for Vec<Accident> {
    fn copies(&self, queue: &str, number: u64, _body: &str) -> Vec<Copy> {
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
            Accident::Lost { .. } | Accident::Held { .. } | Accident::EntryRefused(_) => None,
        });
        once.into_iter().chain(more).collect()
    }

    fn refuses_entry(&self, number: u64) -> bool {
        self.contains(&Accident::EntryRefused(number))
    }
}
