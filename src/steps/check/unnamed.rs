//! The users of a bulk job that has ended and does not say whom it refused: each is read by id, and
//! those without the new values are sent again by requests of their own, whose answers say why.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::conclude::{Again, Conclusion, conclude};
use super::look::{AGAIN_ATTEMPTS_MAX, rest_ms};
use super::{CheckOutcome, pay, read_back};
use crate::domain::found::{Found, FoundUser, FoundUsers};
use crate::domain::job::UNKNOWN_AFTER_MS;
use crate::domain::patch::Patch;
use crate::domain::run::Run;
use crate::domain::user::User;
use crate::intercom::{CALL_TIMEOUT, Disposition, Error, NoUser, disposition};
use crate::ledger::{End, ErrorRow, JobRow, NextPoll, ReadUsers};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Users of a job that are read concurrently. Several jobs are handled at once.
const READ_AT_ONCE: usize = 10;
/// Users that could not be read are left to the answers of their own requests after this time, in
/// milliseconds since the job's creation.
const UNREAD_MAX_MS: i64 = 2 * UNKNOWN_AFTER_MS;
/// The last bulk jobs of a run that decide if it sends further ones.
const LAST_JOBS: usize = 50;
/// The most of them that may end with errors: a fifth. A job with errors costs two more requests for
/// each user that it does not write, and one for each other user.
const LAST_WITH_ERRORS_MAX: usize = LAST_JOBS / 5;
/// The code of a user whom a bulk job did not write, if no request of its own follows.
const NOT_WRITTEN: &str = "not_written";
/// The code of a user of such a job who could not be read: the value may be there.
const NOT_READ: &str = "not_read";

/// Reads the users of a job that ended like this, and closes it once all are read. Returns `false` if
/// the time is up or Intercom answers no request.
pub(super) async fn look_at_users(
    clients: &Clients,
    row: &JobRow,
    end: End,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<bool, StepError> {
    let Some(run) = clients.ledger.run(&row.run).await? else {
        // The run has expired, and its patches with it.
        return conclude(clients, row, Conclusion::of(End::Unknown), at, outcome).await.map(|()| true);
    };
    let changes = clients.ledger.changes_of(row).await?;
    let attempts = changes.parts.iter().flat_map(|of| std::iter::repeat_n(of.part.attempt(), of.patches.len()));
    let attempt = attempts.max().unwrap_or(1);
    // Another job decides about the users that are in it, too.
    let own = changes.parts.into_iter().filter(|of| !row.is_decided_elsewhere(&of.part));
    let patches: Vec<Patch> = own.flat_map(|of| of.patches).collect();
    let mut found = row.found.clone().unwrap_or_default().of(&patches);
    let read = read_users(clients, &run, &patches, &mut found, at).await?;
    let unread = !found.unread(&patches).is_empty();
    if unread && at.clock.now_ms() - row.made_ms < UNREAD_MAX_MS {
        // If only the time was up, the next tick goes on.
        let rest_ms = if read.failed { rest_ms(clients, row) } else { 0 };
        let due_ms = read.again_ms.unwrap_or_else(|| at.clock.now_ms() + rest_ms);
        let next = NextPoll { due_ms, not_found_ms: row.not_found_ms };
        clients.ledger.reschedule_found(row, next, Some(&found)).await?;
        return Ok(read.answers > 0);
    }
    // The reads may have taken minutes.
    let run = clients.ledger.run(&row.run).await?.unwrap_or(run);
    let goes_on = !run.state.ended() && run.generation == row.generation;
    let sorted = sort(row, &patches, &found, goes_on && attempt < AGAIN_ATTEMPTS_MAX);
    let lacking = sorted.again.len() + sorted.failed.len();
    // A job that did not say how it ended.
    let end = if end == End::Completed && lacking > 0 { End::CompletedWithErrors } else { end };
    tracing::info!(
        job.id = row.job.as_str(),
        job.users = patches.len(),
        lacking,
        changed_since = sorted.read.changed_since,
        gone = sorted.read.gone,
        "read the users of a job that does not say whom it refused"
    );
    let again = (!sorted.again.is_empty()).then(|| Again { patches: sorted.again, attempt: attempt + 1, after_ms: 0 });
    let conclusion = Conclusion { failed: sorted.failed, again, read: Some(sorted.read), ..Conclusion::of(end) };
    conclude(clients, row, conclusion, at, outcome).await?;
    if end == End::CompletedWithErrors && goes_on && run.no_jobs.is_none() {
        stop_jobs(clients, &run).await?;
    }
    Ok(true)
}

/// Reads so far.
#[derive(Default)]
struct Reads {
    /// Users that Intercom answered about.
    answers: usize,
    /// True if a read failed.
    failed: bool,
    /// The time of the next read, in Unix milliseconds, if a failed one says it.
    again_ms: Option<i64>,
}

/// Reads the users that were not read yet, concurrently. The permit of each read is acquired right
/// before it is sent. Stops when the time is up, or after a group without an answer.
async fn read_users(
    clients: &Clients,
    run: &Run,
    patches: &[Patch],
    found: &mut FoundUsers,
    at: &Invocation,
) -> Result<Reads, StepError> {
    let intercom = clients.of_run(run);
    let mut reads = Reads::default();
    for places in found.unread(patches).chunks(READ_AT_ONCE) {
        let mut group = FuturesUnordered::new();
        let mut is_over = at.is_stopping();
        for (index, place) in places.iter().copied().enumerate() {
            if is_over || !pay(clients, (places.len() - index) as u32, at).await? {
                is_over = true;
                break;
            }
            let (intercom, user) = (intercom.clone(), patches[place].user.clone());
            group.push(async move { (place, intercom.user(&user, CALL_TIMEOUT).await) });
        }
        let (mut answers, mut failed) = (0, 0);
        while let Some((place, answer)) = group.next().await {
            match answer {
                Ok(reply) => {
                    answers += 1;
                    record(run, patches, found, place, &reply.value);
                }
                Err(error) => {
                    failed += 1;
                    reads.fails(clients, run, &error);
                }
            }
        }
        reads.answers += answers;
        if is_over || answers == 0 && failed > 0 {
            break;
        }
    }
    Ok(reads)
}

impl Reads {
    fn fails(&mut self, clients: &Clients, run: &Run, error: &Error) {
        tracing::warn!(run = run.id.as_str(), %error, "cannot read a user of a job that ended with errors");
        self.failed = true;
        if disposition(error) == Disposition::Limited {
            self.again_ms = Some(clients.limiter.closed_until_ms());
        }
    }
}

/// Records Intercom's answer about a user.
fn record(run: &Run, patches: &[Patch], found: &mut FoundUsers, place: usize, answer: &Result<User, NoUser>) {
    found.record(patches, place, |change| match answer {
        // A company that the user has left is not compared.
        Ok(user) => read_back::fate_of(run.api, change, user).map_or(Found::Written, Found::from),
        Err(reason) if reason.is_gone => Found::Gone,
        // Intercom refuses the read of this user. The answer to its own request says more.
        Err(_) => Found::Lacking,
    });
}

struct Sorted {
    again: Vec<Patch>,
    failed: Vec<ErrorRow>,
    read: ReadUsers,
}

/// Sorts the users of a job by what reads showed. Users that lack a value are sent again if that is
/// possible, and otherwise become errors.
fn sort(row: &JobRow, patches: &[Patch], found: &FoundUsers, may_send: bool) -> Sorted {
    let unread = found.unread(patches);
    let mut sorted = Sorted { again: Vec::new(), failed: Vec::new(), read: ReadUsers::default() };
    for place in 0..patches.len() {
        match found.user(patches, place) {
            FoundUser::Written => {}
            FoundUser::Gone => sorted.read.gone += 1,
            FoundUser::ChangedSince => sorted.read.changed_since += 1,
            FoundUser::Lacking(patch) if may_send => sorted.again.push(patch),
            FoundUser::Lacking(patch) => {
                let (code, message) = if unread.contains(&place) {
                    let message = "the bulk job does not say whether it wrote this user, and the user could not be read; \
                                   the run ended before a request for this user alone could";
                    (NOT_READ, message)
                } else {
                    let message = "the bulk job ended without the new value, and does not say why; the run ended before a \
                                   request for this user alone could";
                    (NOT_WRITTEN, message)
                };
                sorted.failed.push(ErrorRow {
                    user: patch.user.to_string(),
                    code: code.to_owned(),
                    message: message.to_owned(),
                    at: format!("job {}", row.job),
                    generation: row.generation,
                });
            }
        }
    }
    sorted
}

/// Makes a run whose bulk jobs often end with errors send no more of them.
async fn stop_jobs(clients: &Clients, run: &Run) -> Result<(), StepError> {
    let with_errors = clients.ledger.last_jobs_with_errors(&run.id, LAST_JOBS).await?;
    if with_errors <= LAST_WITH_ERRORS_MAX {
        return Ok(());
    }
    let why = format!(
        "{with_errors} of the last {LAST_JOBS} bulk jobs ended with errors, so the other users are written one by one"
    );
    if clients.ledger.stop_jobs(&run.id, &why).await? {
        tracing::warn!(run = run.id.as_str(), why, "the run sends no more bulk jobs");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::bucket::{Bucket, Width};
    use crate::domain::job::JobId;
    use crate::domain::patch::{Change, Target};
    use crate::domain::run::RunId;
    use crate::domain::user::UserId;
    use crate::ledger::JobOf;

    #[test]
    fn only_users_that_lack_a_value_are_sent_again() {
        let change = |name: &str| Change { target: Target::Attribute(name.to_owned()), new: json!(1), replaced: None };
        let patch = |user: &str| Patch { user: UserId::new(user).unwrap(), changes: vec![change("x"), change("y")] };
        let patches = ["ann", "bob", "eve", "kim", "zoe"].map(patch);
        let found: FoundUsers = serde_json::from_value("wwwlccggcl".into()).unwrap();
        let of =
            JobOf { run: RunId::of("p", 0), v: 2, generation: 1, users: 5, changes: String::new(), parts: Vec::new() };
        let row = JobRow::open(JobId::new("job_1").unwrap(), Bucket::of(0, Width::MINUTE), of, 0, 0);
        let sorted = sort(&row, &patches, &found, true);
        let lacks = |user: &str| Patch { user: UserId::new(user).unwrap(), changes: vec![change("y")] };
        assert_eq!((sorted.again, sorted.failed.len()), (vec![lacks("bob"), lacks("zoe")], 0));
        assert_eq!(sorted.read, ReadUsers { gone: 1, changed_since: 1 });
        let ended = sort(&row, &patches, &found, false);
        let failed: Vec<&str> = ended.failed.iter().map(|row| row.user.as_str()).collect();
        assert_eq!((ended.again.len(), failed), (0, vec!["bob", "zoe"]));
        assert!(ended.failed.iter().all(|row| row.code == NOT_WRITTEN && row.at == "job job_1"));
        // Kim was not read, and has the value perhaps.
        let unread: FoundUsers = serde_json::from_value("wwwlcc..ll".into()).unwrap();
        let ended = sort(&row, &patches, &unread, false);
        let failed: Vec<_> = ended.failed.iter().map(|row| (row.user.as_str(), row.code.as_str())).collect();
        assert_eq!(failed, [("bob", NOT_WRITTEN), ("kim", NOT_READ), ("zoe", NOT_WRITTEN)]);
        assert_eq!(sort(&row, &patches, &unread, true).again.len(), 3, "the answer to its own request decides");
    }
}
