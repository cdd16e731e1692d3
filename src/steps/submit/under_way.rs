//! Requests for one user each that are under way. They go on while the caller waits for the ledger.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::writes::Write;
use crate::domain::api::Written;
use crate::domain::clock::Clock;
use crate::intercom::{Error, Intercom, Reply, WRITE_TIMEOUT, route};
use crate::runtime::invocation::Invocation;

/// The most requests that the last ones may be: more are a stall of Intercom, and not slow ones.
const SLOW_MAX: usize = 4;
/// The shortest time after which a request is slow, in milliseconds: seven times Intercom's longest
/// recorded answer.
const SLOW_LEAST_MS: i64 = 2_000;
/// A request is slow after this many times the mean time of an answer.
const SLOW_TIMES: i64 = 16;
/// Answers from which on their mean time is known.
const ANSWERS_LEAST: i64 = 20;

/// A future on the heap. Nested in one another, those of the steps would fill a thread's stack.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request that has ended.
pub(super) struct Answered {
    pub(super) write: Write,
    /// The time of its begin, in Unix milliseconds.
    pub(super) begun_ms: i64,
    pub(super) answer: Result<Reply<Written>, Error>,
    took_ms: i64,
    number: u64,
}

/// The next event of the requests under way.
pub(super) enum Next {
    Answer(Box<Answered>),
    /// One of the times has come.
    Time,
    /// No request is under way, and no permit is waited for.
    Nothing,
}

/// The times that are waited for, in Unix milliseconds.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "a time names its unit")]
pub(super) struct Times {
    /// The rate limit may have permits.
    pub(super) permits_ms: Option<i64>,
    /// Results are recorded.
    pub(super) record_ms: Option<i64>,
    /// A request is slow.
    pub(super) slow_ms: Option<i64>,
}

/// A request without an answer.
struct Begun {
    ms: i64,
    abandon: Arc<Notify>,
    is_abandoned: bool,
}

/// The times of answers so far.
#[derive(Clone, Copy, Debug, Default)]
struct AnswerTimes {
    answers: i64,
    sum_ms: i64,
}

impl AnswerTimes {
    /// Returns the time after which a request is slow, in milliseconds.
    fn slow_ms(self) -> i64 {
        let most_ms = WRITE_TIMEOUT.as_millis() as i64;
        let mean_ms = self.sum_ms.checked_div(self.answers).filter(|_| self.answers >= ANSWERS_LEAST);
        mean_ms.map_or(most_ms, |mean_ms| (SLOW_TIMES * mean_ms).clamp(SLOW_LEAST_MS, most_ms))
    }
}

/// Requests under way, and those whose answers are not handled yet.
pub(super) struct UnderWay {
    clock: Clock,
    requests: FuturesUnordered<Boxed<'static, Answered>>,
    answered: VecDeque<Answered>,
    begun: HashMap<u64, Begun>,
    number: u64,
    times: AnswerTimes,
    stopped: Arc<AtomicBool>,
}

impl UnderWay {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            requests: FuturesUnordered::new(),
            answered: VecDeque::new(),
            begun: HashMap::new(),
            number: 0,
            times: AnswerTimes::default(),
            stopped: Arc::default(),
        }
    }

    /// Returns the number of requests whose answers are not handled yet.
    pub(super) fn count(&self) -> usize {
        self.requests.len() + self.answered.len()
    }

    /// Returns whether an answer waits to be handled.
    pub(super) fn has_answers(&self) -> bool {
        !self.answered.is_empty()
    }

    /// Begins a request by this client, which sends it in time or not at all.
    pub(super) fn begin(&mut self, intercom: Intercom, write: Write) {
        let (clock, stopped) = (self.clock, self.stopped.clone());
        let abandon = Arc::new(Notify::new());
        self.number += 1;
        let number = self.number;
        self.begun.insert(number, Begun { ms: clock.now_ms(), abandon: abandon.clone(), is_abandoned: false });
        self.requests.push(Box::pin(async move {
            let begun_ms = clock.now_ms();
            if stopped.load(Ordering::Relaxed) {
                let answer = Err(Error::TooLate { route: route::SUBMIT });
                return Answered { write, begun_ms, answer, took_ms: 0, number };
            }
            let took_ms = || clock.now_ms() - begun_ms;
            let abandoned = async {
                abandon.notified().await;
                Duration::from_millis(took_ms().unsigned_abs())
            };
            let answer = intercom.write_unless(&write.item.patch, abandoned).await;
            let took_ms = took_ms();
            Answered { write, begun_ms, answer, took_ms, number }
        }));
    }

    /// Begins no request any more: those that have not begun end with [`Error::TooLate`].
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Waits for the next answer, or for the earliest of these times.
    pub(super) async fn next_by(&mut self, at: &Invocation, times: Times) -> Next {
        if let Some(answered) = self.answered.pop_front() {
            return Next::Answer(Box::new(self.ended(answered)));
        }
        if self.requests.is_empty() && times.permits_ms.is_none() {
            return Next::Nothing;
        }
        let Times { permits_ms, record_ms, slow_ms } = times;
        let until_ms = [permits_ms, record_ms, slow_ms].into_iter().flatten().min();
        let wait_ms = until_ms.map(|until_ms| (until_ms - self.clock.now_ms()).max(0));
        let time = async {
            match wait_ms {
                None => std::future::pending().await,
                // A stop ends the wait for permits.
                Some(ms) if permits_ms.is_some() => at.rest(ms).await,
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())).await,
            }
        };
        let next = tokio::select! {
            biased;
            Some(answered) = self.requests.next() => Some(answered),
            () = time => None,
        };
        next.map_or(Next::Time, |answered| Next::Answer(Box::new(self.ended(answered))))
    }

    /// Does other work while the requests go on. A request that waited for its first step would begin
    /// long after it was authorised.
    pub(super) async fn during<T>(&mut self, mut work: Boxed<'_, T>) -> T {
        loop {
            tokio::select! {
                biased;
                Some(answered) = self.requests.next() => self.answered.push_back(answered),
                done = &mut work => return done,
            }
        }
    }

    /// Returns the time at which the oldest of the last requests is slow, in Unix milliseconds. `None` if
    /// they are many.
    pub(super) fn slow_at_ms(&self) -> Option<i64> {
        let oldest_ms = self.begun.values().filter(|begun| !begun.is_abandoned).map(|begun| begun.ms).min()?;
        (self.begun.len() <= SLOW_MAX).then(|| oldest_ms + self.times.slow_ms())
    }

    /// Ends the last requests that are slow, as if their answers were lost. The other users of the
    /// invocation have their results, and would wait for nothing else. An answer that has arrived is kept.
    pub(super) fn end_slow(&mut self) {
        let begun_ms = self.clock.now_ms() - self.times.slow_ms();
        if self.begun.len() > SLOW_MAX {
            return;
        }
        for begun in self.begun.values_mut().filter(|begun| begun.ms <= begun_ms) {
            begun.is_abandoned = true;
            begun.abandon.notify_one();
        }
    }

    /// Notes that a request has ended.
    fn ended(&mut self, answered: Answered) -> Answered {
        self.begun.remove(&answered.number);
        if matches!(answered.answer, Ok(_) | Err(Error::Refused { .. })) {
            self.times.answers += 1;
            self.times.sum_ms += answered.took_ms;
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Request, Response};

    use super::*;
    use crate::domain::api::ApiVersion;
    use crate::domain::patch::{Change, Patch, Target};
    use crate::domain::user::UserId;
    use crate::intercom::{AfterAnswer, BaseUrl, Token, TokenRequest, TokenService, Tokens, Transport};
    use crate::steps::submit::pieces::Item;

    /// Returns a client whose answer takes so many milliseconds, and the work after it.
    fn client(answer_ms: u64, after_ms: u64) -> Intercom {
        let sleep = |ms| tokio::time::sleep(Duration::from_millis(ms));
        let transport = tower::service_fn(move |_: Request<Bytes>| async move {
            sleep(answer_ms).await;
            let body = r#"{"type":"error.list","errors":[{"code":"not_found","message":"User Not Found"}]}"#;
            let mut response = Response::builder().status(404).body(Bytes::from(body)).unwrap();
            response.extensions_mut().insert(AfterAnswer::new(sleep(after_ms)));
            Ok(response)
        });
        let tokens = tower::service_fn(|_: TokenRequest| async { Ok(Token::new("dG9r".to_owned()).unwrap()) });
        let (base_url, tokens) = (BaseUrl::parse("https://api.intercom.io"), TokenService::new(tokens));
        let version = ApiVersion::parse("2.17").unwrap();
        Intercom::new(Transport::new(transport), base_url.unwrap(), Tokens::Service(tokens), version)
    }

    #[tokio::test(start_paused = true)]
    async fn slow_request_ends_unless_its_answer_has_arrived() {
        let clock = Clock::starting_at(0);
        let at = Invocation { clock, request_id: "r".to_owned(), deadline_ms: 600_000, stop: None };
        for (answer_ms, after_ms, is_kept, took_ms) in
            [(100, 0, true, 100), (100, 60_000, true, 60_100), (9_000, 0, false, 2_000)]
        {
            let mut under_way = UnderWay::new(clock);
            under_way.times = AnswerTimes { answers: 100, sum_ms: 100 * 110 };
            let change = Change { target: Target::Attribute("a".into()), new: true.into(), replaced: None };
            let patch = Patch { user: UserId::new("5714dd359a3fd47136000001").unwrap(), changes: vec![change] };
            under_way.begin(client(answer_ms, after_ms), Write::new(Item { part: 0, user: 0, patch }));
            let mut times = 0;
            let answered = loop {
                let slow_ms = under_way.slow_at_ms();
                match under_way.next_by(&at, Times { slow_ms, ..Times::default() }).await {
                    Next::Answer(answered) => break answered,
                    Next::Time => under_way.end_slow(),
                    Next::Nothing => panic!("the request has no end"),
                }
                times += 1;
                assert!(times < 3, "the time of a slow request comes again and again");
            };
            assert_eq!((answered.answer.unwrap_err().status() == Some(404), answered.took_ms), (is_kept, took_ms));
        }
    }

    #[test]
    fn a_request_is_slow_compared_with_the_others() {
        for (answers, mean_ms, slow_ms) in [
            (0, 0, 10_000),
            (19, 110, 10_000),
            (20, 110, 2_000),
            (1_000, 125, 2_000),
            (1_000, 400, 6_400),
            (1_000, 3_000, 10_000),
        ] {
            let times = AnswerTimes { answers, sum_ms: answers * mean_ms };
            assert_eq!(times.slow_ms(), slow_ms, "{answers} {mean_ms}");
        }
    }
}
