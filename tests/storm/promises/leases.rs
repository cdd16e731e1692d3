//! Promise 4: the leases of parts outlive each request for their users.

use intercom_bulk::intercom::CALL_TIMEOUT;

use crate::asked::Asked;
use crate::functions::LONG_TIMEOUT;
use crate::storm::{Storm, Who};

impl Storm {
    /// Checks a write that begins: it has its answer, or its time-out has passed, before Lambda ends the
    /// invocation. The leases last until then at the least.
    pub(crate) fn ends_before_its_lease(&self, who: Option<Who>, asked: &Asked) {
        let Some(invoked) = self.invoked(who).filter(|_| asked.is_write()) else { return };
        // A request that is repeated with another token is the same call.
        let may_repeat =
            who.is_some_and(|who| self.promises.memory().by.get(&who).is_some_and(|did| did.tokens_refused > 0));
        let left_ms = invoked.began_ms + LONG_TIMEOUT.as_millis() as i64 - self.now_ms();
        if left_ms < CALL_TIMEOUT.as_millis() as i64 && !may_repeat {
            self.weather
                .bug(format!("4: {who:?} begins a write {left_ms} ms before its time-out, and a call may take longer"));
        }
    }
}
