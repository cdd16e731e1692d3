//! The cost of a bulk request, as the rate headers of two answers suggest it.

use crate::domain::api::BulkCharge;
use crate::intercom::Rate;

/// The least users of both requests. With fewer, other requests of the window hide the difference.
const USERS_LEAST: u32 = 10;

/// The last answer to a bulk request.
#[derive(Clone, Copy, Debug, Default)]
pub struct BulkChargeSeen {
    last: Option<(Rate, u32)>,
}

impl BulkChargeSeen {
    /// Adds the answer to a bulk request of so many users. Returns the cost of a bulk request, if this
    /// answer and the one before are of the same window.
    ///
    /// The operations between them are the cost of one of the requests and those of other requests,
    /// such as pages and polls. So a small difference is certain, and a large one is not.
    pub fn add(&mut self, rate: Option<Rate>, users: u32) -> Option<BulkCharge> {
        let before = std::mem::replace(&mut self.last, rate.map(|rate| (rate, users)));
        let ((was, users_before), rate) = (before?, rate?);
        let least = users.min(users_before);
        if least < USERS_LEAST || was.window_end_s() != rate.window_end_s() || was.limit != rate.limit {
            return None;
        }
        let between = rate.used().checked_sub(was.used())?;
        Some(if between < least / 2 { BulkCharge::Request } else { BulkCharge::Item })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "an answer may have no rate")]
    fn rate(remaining: u32, reset_at_s: i64) -> Option<Rate> {
        Some(Rate { limit: 1_667, remaining, reset_at_s })
    }

    #[test]
    fn operations_between_two_answers_tell_the_cost() {
        for (first, second, seen) in [
            ((rate(1_667, 12), 100), (rate(1_567, 12), 100), Some(BulkCharge::Item)),
            ((rate(1_667, 12), 100), (rate(1_666, 12), 100), Some(BulkCharge::Request)),
            ((rate(1_667, 12), 100), (rate(1_640, 12), 100), Some(BulkCharge::Request)),
            ((rate(1_667, 12), 100), (rate(1_664, 12), 5), None),
            ((rate(1_500, 12), 100), (rate(1_666, 22), 100), None),
            ((rate(1_500, 12), 100), (rate(1_600, 12), 100), None),
            ((None, 100), (rate(1_666, 12), 100), None),
            ((rate(1_667, 12), 100), (None, 100), None),
        ] {
            let mut charge = BulkChargeSeen::default();
            assert_eq!(charge.add(first.0, first.1), None);
            assert_eq!(charge.add(second.0, second.1), seen, "{first:?} {second:?}");
        }
    }
}
