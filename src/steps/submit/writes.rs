//! Writes the users of leased parts one by one, in a family whose answer is the result. The results
//! of a part are recorded as one job, which is closed from the start.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::Round;
use super::answers::{PartAnswers, TriedUser, not_kept_as_text, sent_by_ms};
use super::begin::MayBegin;
use super::leased::LeasedParts;
use super::permits::Permits;
use super::pieces::{Item, Piece};
use super::send::{Accusation, Fault, Stop};
use super::streak::{OnlyGone, Streak, Streaks};
use super::under_way::{Answered, Next, Times, UnderWay};
use crate::domain::api::Written;
use crate::domain::part::UserOutcome;
use crate::domain::run::Run;
use crate::intercom::{Disposition, Error, advice, disposition, says_gone};
use crate::ledger::NOT_KEPT;
use crate::runtime::clients::StepError;

/// Requests of one invocation that wait for their answers. At 0.11 s per answer (the median of the
/// recorded ones) they use a limit of 1,667 per 10 s with a margin for slow answers.
pub(super) const AT_ONCE: usize = 32;
/// Results that are recorded together. If the process dies, the requests of those that are not recorded
/// are made again.
const RECORD_RESULTS: usize = 32;
/// The longest time until a result is recorded, in milliseconds.
const RECORD_AFTER_MS: i64 = 1_000;
/// Tries of one user within an invocation. Intercom asks to retry a 5xx once.
const TRIES_MAX: u32 = 2;
/// Failed requests in a row after which the parts wait: an outage.
const FAILED_IN_A_ROW_MAX: u32 = 10;

/// The message of a user in whose place Intercom returned another one.
const OTHER_CONTACT: &str = "Intercom answered with another contact, which may have the values now: this contact may be \
                             merged into it";

/// A user that is to be written.
pub(super) struct Write {
    pub(super) item: Item,
    /// Requests without a result so far.
    tries: u32,
    /// The permit of the last request.
    permit: Option<Permits>,
}

impl Write {
    pub(super) fn new(item: Item) -> Self {
        Self { item, tries: 0, permit: None }
    }

    /// Returns the user of a request with a result.
    fn tried(self, begun_ms: i64) -> TriedUser {
        TriedUser { item: self.item, begun_ms }
    }
}

/// The writes of an invocation.
pub(super) struct Writes {
    waiting: VecDeque<Write>,
    pub(super) answers: HashMap<usize, PartAnswers>,
    pub(super) streaks: Streaks,
    pub(super) gone: OnlyGone,
    /// Users whose requests failed, by part and place, and by the last one.
    failed: BTreeMap<(usize, usize), TriedUser>,
    /// Parts by the time of their first failed request, in Unix milliseconds.
    failed_ms: BTreeMap<usize, i64>,
    /// Parts after whose failed request another one began that Intercom accepted. Those that were under
    /// way when an outage began do not count.
    pub(super) outlived: BTreeSet<usize>,
    /// Parts of which a user got its result.
    pub(super) settled: BTreeSet<usize>,
    failed_in_a_row: u32,
    /// The time since which results are not recorded, in Unix milliseconds.
    pub(super) since_ms: Option<i64>,
    /// The last failure without a result.
    pub(super) why: Option<String>,
}

impl LeasedParts {
    /// Writes all open users. Returns parts that can be retried within this invocation.
    pub(super) async fn write(mut self, round: &mut Round<'_>, mut run: Run) -> Result<Vec<super::Work>, StepError> {
        let items = Piece::stack(&self.parts, usize::MAX).into_iter().flat_map(|piece| piece.0);
        let mut writes = Writes {
            waiting: items.map(Write::new).collect(),
            answers: HashMap::new(),
            streaks: self.streaks(round, &run).await?,
            gone: OnlyGone::default(),
            failed: BTreeMap::new(),
            failed_ms: BTreeMap::new(),
            outlived: BTreeSet::new(),
            settled: BTreeSet::new(),
            failed_in_a_row: 0,
            since_ms: None,
            why: None,
        };
        let mut under_way = UnderWay::new(round.at.clock);
        let (mut stop, mut failure, mut permits_ms) = (None, None, 0);
        loop {
            // Answers come first: each may say that no other request may begin.
            let has_room = under_way.count() < AT_ONCE && !under_way.has_answers();
            let begins = stop.is_none() && has_room && !writes.waiting.is_empty();
            if begins && (round.at.clock.now_ms() >= permits_ms || round.at.is_stopping()) {
                let waiting = writes.waiting.len();
                match under_way.during(Box::pin(self.may_begin(round, &mut run, waiting))).await {
                    Ok(MayBegin::Yes) if under_way.has_answers() => continue,
                    Ok(MayBegin::Yes) => {
                        let Some(mut write) = writes.waiting.pop_front() else { continue };
                        write.permit = Some(self.permits.take(1));
                        self.sent += 1;
                        under_way.begin(round.writer(&run, &self.permits), write);
                        continue;
                    }
                    Ok(MayBegin::At(at_ms)) => permits_ms = at_ms,
                    Ok(MayBegin::No(why)) => stop = Some(why),
                    Err(error) => {
                        stop = Some(Stop::Later(round.at.clock.now_ms()));
                        failure = Some(error);
                    }
                }
            }
            if stop.is_some() {
                under_way.stop();
            }
            let is_last = stop.is_some() || writes.waiting.is_empty();
            let times = Times {
                permits_ms: (begins && stop.is_none()).then_some(permits_ms),
                record_ms: writes.since_ms.filter(|_| failure.is_none()).map(|since_ms| since_ms + RECORD_AFTER_MS),
                slow_ms: if is_last { under_way.slow_at_ms() } else { None },
            };
            match under_way.next_by(round.at, times).await {
                Next::Answer(answered) => {
                    if let Some(why) = self.answered(&mut writes, round, &run, *answered) {
                        Stop::note(&mut stop, why);
                    }
                }
                Next::Time if is_last => under_way.end_slow(),
                Next::Time => {}
                Next::Nothing => break,
            }
            let now_ms = round.at.clock.now_ms();
            if failure.is_none() && writes.must_be_recorded(now_ms) {
                failure = under_way.during(Box::pin(self.record_results(round, &run, &mut writes))).await.err();
            }
            if failure.is_some() {
                // Requests under way have effects: their results are recorded before the parts go back.
                Stop::note(&mut stop, Stop::Later(now_ms));
            }
        }
        let rest = self.finish(round, &run, writes, stop).await?;
        if let Some(error) = failure {
            // Nothing of the results is lost, and the parts are delivered again.
            tracing::error!(run = run.id.as_str(), %error, "the ledger failed while users were written");
            round.outcome.held = Some(error.to_string());
        }
        Ok(rest)
    }

    /// Notes the result of a request. Returns the reason if no other request may begin.
    fn answered(
        &mut self,
        writes: &mut Writes,
        round: &Round<'_>,
        run: &Run,
        Answered { write, begun_ms, answer, .. }: Answered,
    ) -> Option<Stop> {
        let now_ms = round.at.clock.now_ms();
        let error = match answer {
            Ok(reply) => {
                (self.taken_at, writes.failed_in_a_row) = (self.sent, 0);
                let is_before = |(_, failed_ms): &(&usize, &i64)| **failed_ms <= begun_ms;
                writes.outlived.extend(writes.failed_ms.iter().filter(is_before).map(|(part, _)| *part));
                let Written { not_kept, is_other } = reply.value;
                let ended = writes.streaks.end();
                self.refuse_users(writes, ended);
                self.note_gone(writes);
                let user = write.tried(begun_ms);
                if is_other {
                    let row = self.error_row(&user.item, "other_contact", OTHER_CONTACT.to_owned());
                    self.refuse_user(writes, user, row);
                } else if not_kept.is_empty() {
                    self.settle(writes, user, UserOutcome::Written);
                } else {
                    let row = self.error_row(&user.item, NOT_KEPT, not_kept_as_text(&not_kept));
                    self.refuse_user(writes, user, row);
                }
                return None;
            }
            Err(error) => error,
        };
        tracing::debug!(run = run.id.as_str(), %error, "a request for one user failed");
        match disposition(&error) {
            Disposition::Limited => {
                // The window is spent.
                self.permits.until_ms = 0;
                writes.had_no_effect(round, run, write);
                None
            }
            Disposition::TooLate => {
                writes.had_no_effect(round, run, write);
                None
            }
            Disposition::NotSent => {
                writes.had_no_effect(round, run, write);
                Some(Stop::Rest { why: error.said(), sent: false })
            }
            Disposition::Later | Disposition::OtherJob => writes.failed(write, begun_ms, now_ms, &error),
            // A 404 or 410 about a user has a code. A gateway's has none.
            Disposition::Ambiguous | Disposition::NotFound => {
                self.lose_answer(&write.item, sent_by_ms(begun_ms, now_ms));
                writes.failed(write, begun_ms, now_ms, &error)
            }
            Disposition::ItemRejected if says_gone(&error) => {
                writes.failed_in_a_row = 0;
                for user in writes.gone.add(write.tried(begun_ms)) {
                    self.settle(writes, user, UserOutcome::Gone);
                }
                // The end of the invocation decides by the users of earlier ones.
                writes.gone.are_many().then_some(Stop::Later(now_ms))
            }
            Disposition::ItemRejected => {
                writes.failed_in_a_row = 0;
                self.note_gone(writes);
                let row = self.error_row(&write.item, &super::refused::code_of(&error), error.said());
                match writes.streaks.add(write.tried(begun_ms), row, &error, advice(run.api, &error)) {
                    Streak::Goes => None,
                    Streak::Over(users) => {
                        self.refuse_users(writes, users);
                        None
                    }
                    Streak::Full(users) => {
                        let reason = writes.streaks.reason(users);
                        Some(Stop::Pause(Accusation { reason, all_gone: false }))
                    }
                }
            }
            Disposition::RunFault => Some(Stop::Fault(Fault::of(run, "", &error))),
        }
    }
}

impl Writes {
    /// Returns whether users wait for their results, because these accuse the run.
    pub(super) fn holds_users(&self) -> bool {
        self.streaks.holds_users() || self.gone.is_all()
    }

    /// Notes that a user gets its result.
    pub(super) fn has_result(&mut self, item: &Item) {
        self.failed.remove(&(item.part, item.user));
        self.settled.insert(item.part);
    }

    /// Returns the users of a part whose requests failed, and that have no result.
    pub(super) fn failed_of(&self, part: usize) -> Vec<TriedUser> {
        self.failed.range((part, 0)..(part + 1, 0)).map(|(_, user)| user.clone()).collect()
    }

    /// Notes the time of results that are not recorded, and returns whether they must be now.
    fn must_be_recorded(&mut self, now_ms: i64) -> bool {
        let results: usize = self.answers.values().map(|answers| answers.items.len()).sum();
        if results == 0 {
            self.since_ms = None;
            return false;
        }
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        results >= RECORD_RESULTS || now_ms - since_ms >= RECORD_AFTER_MS
    }

    /// Handles a request that had no effect: the user is written by another one, and counts once in the
    /// minute of a run's pace.
    fn had_no_effect(&mut self, round: &Round<'_>, run: &Run, mut write: Write) {
        if let Some(mut permit) = write.permit.take() {
            round.give_back_minute(run, &mut permit);
        }
        self.waiting.push_front(write);
    }

    /// Handles a request without a result. The user is tried again, the last time by a later
    /// delivery. Returns the reason if no other request may begin.
    fn failed(&mut self, mut write: Write, begun_ms: i64, now_ms: i64, error: &Error) -> Option<Stop> {
        let item = write.item.clone();
        self.failed_ms.entry(item.part).or_insert(now_ms);
        self.failed.insert((item.part, item.user), TriedUser { item, begun_ms });
        self.failed_in_a_row += 1;
        write.tries += 1;
        let why = error.said();
        if self.failed_in_a_row > FAILED_IN_A_ROW_MAX {
            return Some(Stop::Rest { why, sent: true });
        }
        self.why = Some(why);
        if write.tries < TRIES_MAX {
            self.waiting.push_back(write);
        }
        None
    }
}
