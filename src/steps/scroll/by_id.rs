//! The next users of a run that reads them by id: of its own list or saved preview, or of the run that it
//! retries or undoes.

use std::collections::HashMap;

use super::saved::Approved;
use crate::domain::clock::Clock;
use crate::domain::run::{Cursor, LIST_PAGE, Position, Retry, RetryPlace, Run, Undo, UndoPlace};
use crate::domain::undo::Made;
use crate::domain::user::UserId;
use crate::runtime::clients::{Clients, StepError};

/// The action of a run on the users of a page.
#[derive(Default)]
pub(super) enum Task {
    /// It writes what the plan gives.
    #[default]
    Plan,
    /// It writes what the plan gives, if a preview showed the same.
    Approved(Approved),
    /// It undoes these changes, by user.
    Undo(HashMap<UserId, Vec<Made>>),
}

/// The next users, a page at most.
#[derive(Default)]
pub(super) struct NextUsers {
    /// The users, each with the place behind it. Empty at the end, or if no row up to `reached` is about a
    /// user.
    pub(super) users: Vec<(UserId, Position)>,
    /// The user before them.
    pub(super) before: Option<UserId>,
    /// The place behind them, if it is not that of the last user.
    pub(super) reached: Option<Position>,
    /// The action on them.
    pub(super) task: Task,
}

/// Returns the next users from the cursor's place on.
pub(super) async fn next(clients: &Clients, run: &Run, cursor: &Cursor, clock: Clock) -> Result<NextUsers, StepError> {
    match (&run.retry, &run.undo) {
        (Some(retry), _) => of_retry(clients, retry, &cursor.position, clock).await,
        (None, Some(undo)) => of_undo(clients, run, undo, &cursor.position, clock).await,
        (None, None) => of_list(clients, run, &cursor.position).await,
    }
}

async fn of_list(clients: &Clients, run: &Run, position: &Position) -> Result<NextUsers, StepError> {
    let (pages, first) = position.in_list();
    let (ids, task) = match run.saved {
        Some(_) => {
            let patches = clients.ledger.approved(&run.id, pages + 1).await?;
            let ids: Vec<UserId> = patches.iter().map(|patch| patch.user.clone()).collect();
            (ids, Task::Approved(Approved::of(patches.into_iter().skip(first as usize).take(LIST_PAGE))))
        }
        None => (clients.ledger.listed(&run.id, pages + 1).await?, Task::Plan),
    };
    let before = first.checked_sub(1).and_then(|index| ids.get(index as usize).cloned());
    let last = ids.len();
    let place = |read: usize| match read {
        read if read >= last => Position::Ids { pages: pages + 1, users: 0 },
        read => Position::Ids { pages, users: read as u32 },
    };
    let users = ids.into_iter().enumerate().skip(first as usize).take(LIST_PAGE);
    Ok(NextUsers { users: users.map(|(index, id)| (id, place(index + 1))).collect(), before, reached: None, task })
}

async fn of_retry(clients: &Clients, retry: &Retry, position: &Position, clock: Clock) -> Result<NextUsers, StepError> {
    let found = clients.ledger.run(&retry.run).await?.zip(clients.ledger.cursor(&retry.run).await?);
    let refused = retry.refusal(found.as_ref().map(|(run, _)| run), clock.now_ms());
    let Some((first, cursor)) = found else {
        return Err(StepError::NotRetried { why: refused.unwrap_or_default() });
    };
    let after = match position {
        Position::Retry(place) => Some(place),
        _ => None,
    };
    let found = clients.ledger.retried_users((&first, &cursor), retry, after, LIST_PAGE).await?;
    let before = match after {
        Some(RetryPlace::Error(user)) => Some(user.clone()),
        _ => None,
    };
    let users = found.users.into_iter().map(|(user, place)| (user, Position::Retry(place)));
    let reached = found.reached.map(Position::Retry);
    Ok(NextUsers { users: users.collect(), before, reached, ..NextUsers::default() })
}

/// Lists some changes of the undone run by user, or returns the next users with theirs.
async fn of_undo(
    clients: &Clients,
    run: &Run,
    undo: &Undo,
    position: &Position,
    clock: Clock,
) -> Result<NextUsers, StepError> {
    let (ledger, now_ms) = (&clients.ledger, clock.now_ms());
    let after = match position {
        Position::Undo(UndoPlace::Users) => None,
        Position::Undo(UndoPlace::User(user)) => Some(user),
        place => {
            let place = if let Position::Undo(UndoPlace::Changes(place)) = place { Some(place) } else { None };
            let first = ledger.run(&undo.run).await?;
            let refused = undo.refusal(first.as_ref(), now_ms);
            let Some(first) = first else { return Err(StepError::NotUndone { why: refused.unwrap_or_default() }) };
            let some = ledger.made_changes(&first, place).await?;
            ledger.list_made(&run.id, &some.users, now_ms).await?;
            let reached = Some(Position::Undo(some.reached.map_or(UndoPlace::Users, UndoPlace::Changes)));
            return Ok(NextUsers { reached, ..NextUsers::default() });
        }
    };
    let found = ledger.listed_made(&run.id, after, LIST_PAGE).await?;
    let place = |user: &UserId| Position::Undo(UndoPlace::User(user.clone()));
    let users = found.iter().map(|(user, _)| (user.clone(), place(user))).collect();
    Ok(NextUsers { users, before: after.cloned(), reached: None, task: Task::Undo(found.into_iter().collect()) })
}
