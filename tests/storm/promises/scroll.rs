//! Promise 2: no page is requested under an expired lease, and no second scroll is opened.

use http::StatusCode;
use intercom_bulk::domain::run::RunId;

use super::Promises;
use crate::storm::{Storm, Who};

/// With this much time left an invocation retries.
const TIME_LEFT_MS: i64 = 2_500;

/// A request that an invocation waits for.
pub(crate) struct InFlight<'a> {
    pub(super) promises: &'a Promises,
    pub(super) page: Option<Who>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(who) = self.page {
            self.promises.memory().pages_asked.remove(&who);
        }
    }
}

impl Storm {
    /// Checks that the requesting invocation has the lease of the run's cursor, or that the cursor
    /// counts its call.
    pub(super) async fn page_is_leased(&self, who: Option<Who>) {
        let Some(invoked) = self.invoked(who) else { return };
        let Some(run) = invoked.run.as_deref().and_then(RunId::parse) else {
            return self.weather.bug("2: an invocation without a turn requests a page".to_owned());
        };
        let cursor = self.ledger.cursor(&run).await.ok().flatten();
        // An operator may take a run from the invocation that reads its page. The cursor then
        // counts its call.
        let counted_with = self.story.is_resumed()
            && cursor.as_ref().is_some_and(|cursor| cursor.exclusive.called_ms + self.story.skew_ms >= self.now_ms());
        let lease = cursor.and_then(|cursor| cursor.lease);
        let ours = lease
            .as_ref()
            .is_some_and(|lease| lease.owner == invoked.owner && lease.until_ms + self.story.skew_ms >= self.now_ms());
        if !ours && !counted_with {
            self.weather.bug(format!("2: {} requests a page of {run} under a stale lease: {lease:?}", invoked.owner));
        }
        self.run_turns(who, &run).await;
    }

    /// Checks an invocation that failed with time left: it requested no page, and returned its
    /// lease. Otherwise it would have retried.
    pub(crate) async fn turn_failed(&self, who: Who, left_ms: i64) {
        let (Some(invoked), true) = (self.invoked(Some(who)), left_ms >= TIME_LEFT_MS) else { return };
        let Some(run) = invoked.run.as_deref().and_then(RunId::parse) else { return };
        let did = self.promises.memory().by.get(&who).cloned().unwrap_or_default();
        if did.asked_for_page {
            let text = format!("2: {} gives a page of {run} up with {left_ms} ms left", invoked.owner);
            return self.weather.bug(text);
        }
        let works = self.ledger.run(&run).await.ok().flatten().is_some_and(|run| run.state.works());
        let lease = self.ledger.cursor(&run).await.ok().flatten().and_then(|cursor| cursor.lease);
        // A pause or a cancel has taken the cursor from it.
        if works && !did.troubled_at_cursor && lease.is_some_and(|lease| lease.owner == invoked.owner) {
            self.weather.bug(format!("2: {} requested no page of {run} and keeps its lease", invoked.owner));
        }
    }

    /// Checks that no invocation tries to open a scroll while our own is open.
    pub(super) fn opens_one_scroll(&self, status: StatusCode) {
        if !status.is_client_error() {
            return;
        }
        let second = self.world.0.second_scrolls();
        if std::mem::replace(&mut self.promises.memory().second_scrolls, second) < second
            && !self.story.has_slow_pages()
        {
            self.weather.bug("2: a scroll is opened while our own is open".to_owned());
        }
    }
}
