//! Promise 4: the rate limit, and the quota of it, are never knowingly exceeded in any window.

use http::HeaderMap;

use super::Action;
use crate::asked::{Asked, Kind};
use crate::await_point::Step;
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

const WINDOW_MS: i64 = 10_000;
/// The last requests of a window are charged to the next one, too (`ledger::budget`).
const EDGE_MS: i64 = 250;
/// The start of a window is waited out, for clocks that are ahead.
const LEAD_MS: i64 = 50;
/// Operations per window until Intercom reports its limit.
const DEFAULT_LIMIT: u32 = 83;
/// The time until all processes know a new limit: clocks differ by less.
const LEARNT_MS: i64 = 4_000;
/// A header that arrives this shortly before the window's end may not be written to the ledger.
const TOO_LATE_MS: i64 = 500;

/// The windows that a request may be charged to, by their ends, and the time of that decision.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Charged {
    ends_ms: [i64; 2],
    at_ms: i64,
    /// Intercom refused the token of the request that this paid for.
    pub(super) refused: bool,
}

/// The header that an invocation received, and its permits of that window since.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitReported {
    end_ms: i64,
    used: u64,
    since: u64,
}

/// A window's permits and requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    granted: u64,
    used: u64,
    /// Writes of one user, by the clocks of their processes.
    puts: u64,
    /// The minimum use by a header and by the permits since, which the ledger must know.
    known: u64,
}

fn end_of(ms: i64) -> i64 {
    (ms.div_euclid(WINDOW_MS) + 1) * WINDOW_MS
}

impl Storm {
    /// Returns the number of headers that an invocation has received. A request for permits that it sent
    /// before the last one could not heed it.
    pub(crate) fn headers_received(&self, who: Who) -> u32 {
        self.promises.memory().by.get(&who).map_or(0, |did| did.headers)
    }

    /// Checks a write of the budget: new permits, or a new limit.
    pub(super) fn budget_was_written(&self, who: Option<Who>, call: &AwsCall, is_before_header: bool) {
        let now_ms = self.now_ms();
        let mut memory = self.promises.memory();
        if call.sort_keys().any(|sk| sk == "LIMIT") {
            if call.number(":limit") > 0 {
                memory.told_ms.get_or_insert(now_ms);
            }
            return;
        }
        let (operations, window) =
            (call.number(":operations"), call.sort_keys().find_map(|sk| sk.strip_prefix("WINDOW#")));
        let Some(end_ms) = window.and_then(|end| end.parse::<i64>().ok()).filter(|_| operations > 0) else { return };
        memory.paid += operations;
        let window = memory.windows.entry(end_ms).or_default();
        window.granted += operations;
        if window.known > 0 {
            window.known += operations;
        }
        let (granted, known, cap) = (window.granted, window.known, self.cap(memory.told_ms, end_ms));
        let mut told = None;
        if let Some(who) = who {
            let did = memory.by.entry(who).or_default();
            if let Some(limit) = did.limit.as_mut().filter(|limit| limit.end_ms == end_ms) {
                limit.since += if is_before_header { 0 } else { operations };
                // An invocation cannot follow a limit that the ledger did not get.
                told = (!did.troubled && !is_before_header).then_some(*limit);
            }
            // At a window's edge the next one is charged first; a lost answer repeats a charge.
            let next = did.charged.is_some_and(|charged| charged.ends_ms.contains(&(end_ms + WINDOW_MS)));
            let other = if next { end_ms + WINDOW_MS } else { end_ms };
            did.charged = Some(Charged { ends_ms: [end_ms, other], at_ms: now_ms, refused: false });
        }
        drop(memory);
        if granted > cap {
            self.weather.bug(format!("4: {granted} operations are granted in a window whose share is {cap}"));
        }
        // Excess of a fiftieth of the limit, and of one, is ignored.
        let slack = u64::from(self.story.options.rate_limit_per_10s / 50 + 1);
        if known > cap + slack {
            self.weather.bug(format!(
                "4: by headers and later permits, {known} operations of a window are used, and the share is {cap}"
            ));
        }
        if let Some(LimitReported { used, since, .. }) = told
            && used + since > cap + slack
        {
            self.weather.bug(format!(
                "4: a header shows {used} used operations, {since} more are granted, and the share is {cap}"
            ));
        }
    }

    /// Records that an invocation succeeded: by now the ledger knows the last header that it
    /// received.
    pub(super) fn limit_is_known(&self, who: Who) {
        let mut memory = self.promises.memory();
        let Some(did) = memory.by.get(&who).filter(|did| !did.troubled) else { return };
        let Some(LimitReported { end_ms, used, since, .. }) = did.limit else { return };
        let window = memory.windows.entry(end_ms).or_default();
        window.known = window.known.max(used + since);
    }

    /// Records that an invocation's header is not in the ledger: the window is over, or another
    /// invocation wrote to the same window at that moment.
    pub(super) fn limit_is_unknown(&self, who: Option<Who>) {
        if let Some(who) = who {
            self.promises.memory().by.entry(who).or_default().limit = None;
        }
    }

    /// Records an answer's headers that an invocation received.
    pub(crate) fn limit_was_told(&self, who: Option<Who>, headers: &HeaderMap) {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<i64>().ok();
        let (limit, remaining) = (number("x-ratelimit-limit"), number("x-ratelimit-remaining"));
        let Some(((who, limit), (remaining, reset_s))) = who.zip(limit).zip(remaining.zip(number("x-ratelimit-reset")))
        else {
            return;
        };
        let end_ms = reset_s.div_euclid(10) * WINDOW_MS;
        let used = (limit - remaining).max(0).unsigned_abs();
        let skew_ms = self.invoked(Some(who)).map_or(0, |invoked| invoked.skew_ms);
        if self.now_ms() + skew_ms + TOO_LATE_MS >= end_ms {
            return self.limit_is_unknown(Some(who));
        }
        let mut memory = self.promises.memory();
        let did = memory.by.entry(who).or_default();
        did.headers += 1;
        did.limit = Some(LimitReported { end_ms, used, since: 0 });
    }

    /// Returns the own share of a window, by all that can be known in it.
    fn cap(&self, told_ms: Option<i64>, end_ms: i64) -> u64 {
        let percent = self.story.quota_percent;
        let of = |limit| (u64::from(limit) * u64::from(percent) / 100).max(1);
        let told = of(self.story.options.rate_limit_per_10s);
        let all_know = told_ms.is_some_and(|told_ms| told_ms + LEARNT_MS < end_ms - WINDOW_MS);
        if all_know { told } else { told.max(of(DEFAULT_LIMIT)) }
    }

    /// Records the window of a request that is about to be sent, as far as it is known: the
    /// invocation's permits since its last request, or else prepaid ones.
    pub(crate) fn charges(&self, who: Option<Who>, asked: &Asked) {
        let (Some(who), now_ms) = (who, self.now_ms()) else { return };
        let skew_ms = self.invoked(Some(who)).map_or(0, |invoked| invoked.skew_ms);
        let mut memory = self.promises.memory();
        let did = memory.by.entry(who).or_default();
        // A submission is paid for soon after its run is read, or with the previous one.
        let at_ms = if asked.is_write() {
            did.runs_read.values().copied().max().unwrap_or_default().max(did.request.at_ms)
        } else {
            now_ms
        };
        let ahead = Charged { ends_ms: [end_of(at_ms + skew_ms); 2], at_ms, refused: false };
        // A repetition with a newer token reuses the permit of the refused request, which was not
        // charged.
        let ahead = if did.request.refused { Charged { refused: false, ..did.request } } else { ahead };
        did.request = did.charged.take().unwrap_or(ahead);
    }

    /// Counts a write of one user that a process is about to send: a permit of the window that the
    /// process's clock shows pays for it. A repetition with a newer token uses that of the refused request.
    pub(crate) fn is_paid_in_its_window(&self, who: Option<Who>, asked: &Asked) {
        let Some(who) = who.filter(|_| asked.is_write()) else { return };
        let skew_ms = self.invoked(Some(who)).map_or(0, |invoked| invoked.skew_ms);
        let end_ms = end_of(self.now_ms() + skew_ms);
        let mut memory = self.promises.memory();
        let did = memory.by.entry(who).or_default();
        // Of several requests in flight, any may be the repeated one.
        if did.tokens_refused > 0 {
            did.tokens_refused -= 1;
            return;
        }
        if asked.kind != Kind::Put {
            return;
        }
        let window = memory.windows.entry(end_ms).or_default();
        window.puts += 1;
        let Window { granted, used, puts, .. } = *window;
        drop(memory);
        if puts + used > granted {
            let text = format!("4: {puts} users are written in the window to {end_ms}, beside {used} other operations");
            self.weather.bug(format!("{text}, of {granted} granted"));
        }
    }

    /// Records that Intercom refused the token of an invocation's request.
    pub(crate) fn token_was_refused(&self, who: Option<Who>) {
        let Some(who) = who else { return };
        let mut memory = self.promises.memory();
        let did = memory.by.entry(who).or_default();
        did.request.refused = true;
        did.tokens_refused += 1;
    }

    /// Records that the workspace refused the token of a request that it had counted.
    pub(crate) fn refusal_is_not_counted(&self, asked: &Asked) {
        let cost = asked.items() as u64;
        let mut memory = self.promises.memory();
        memory.asked = memory.asked.saturating_sub(cost);
        let window = memory.windows.entry(end_of(self.now_ms())).or_default();
        window.used = window.used.saturating_sub(cost);
    }

    /// Counts a request in the window of its arrival, if it was paid for there.
    ///
    /// Otherwise its transit was longer than the edge, or clocks differ by more than that.
    pub(super) fn counts_request(&self, who: Option<Who>, asked: &Asked) {
        let (cost, name) = (asked.items() as u64, &asked.name);
        let now_ms = self.now_ms();
        let end_ms = end_of(now_ms);
        let invoked = self.invoked(who);
        let skew_ms = invoked.as_ref().map_or(0, |invoked| invoked.skew_ms);
        // Check has several requests in flight, and so have submit with users that it writes one by one and
        // scroll with those of a list. Their permits cannot be matched.
        let many = |step| {
            let one_by_one = [(Step::Submit, Kind::Put), (Step::Scroll, Kind::User)];
            step == Step::Check || one_by_one.contains(&(step, asked.kind))
        };
        let alone = invoked.is_none_or(|invoked| !many(invoked.step));
        let mut memory = self.promises.memory();
        memory.asked += cost;
        let (in_all, paid) = (memory.asked, memory.paid);
        let Action { request, .. } = who.and_then(|who| memory.by.get(&who).cloned()).unwrap_or_default();
        let here = request.ends_ms.contains(&end_ms);
        let window = memory.windows.entry(end_ms).or_default();
        window.used += if here && alone { cost } else { 0 };
        let (Window { granted, used, puts, .. }, cap) = (*window, self.cap(memory.told_ms, end_ms));
        drop(memory);
        if in_all > paid {
            self.weather.bug(format!("4: {in_all} operations were requested, and {paid} are paid for"));
        }
        if used > cap || used + puts > granted {
            self.weather.bug(format!("4: {used} operations in a window whose share is {cap}, {granted} of it granted"));
        }
        let near = now_ms - request.at_ms + skew_ms.abs() <= EDGE_MS && skew_ms <= LEAD_MS;
        if near && alone && !here {
            self.weather
                .bug(format!("4: {name} reaches Intercom in the window to {end_ms}, and was paid for in {request:?}"));
        }
    }
}
