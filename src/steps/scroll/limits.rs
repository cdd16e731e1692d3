//! Rails that a page would break: nothing of it is sent then.

use super::evaluate::Evaluated;
use crate::domain::run::{Cursor, Run};
use crate::runtime::clients::{Clients, StepError};

/// The limit that this page would break, in words.
pub(super) async fn broken(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    page: &Evaluated,
) -> Result<Option<String>, StepError> {
    let changes = cursor.changed_before + cursor.tally.patches + page.tally.patches;
    let most = run.limits.max_changes.and_then(|most| most.users(run.count.or(run.listed)));
    if let Some(most) = most.filter(|most| changes > *most) {
        return Ok(Some(format!(
            "it would change more than {most} users (max_changes); nothing of this page was sent"
        )));
    }
    // Errors are counted as often as they are met; the limit is about users.
    let errors = run.errors + cursor.tally.errors + page.tally.errors;
    let Some(most) = run.limits.max_errors.filter(|most| errors > *most) else { return Ok(None) };
    let mut users = clients.ledger.users_in_error(run).await?;
    users.extend(page.errors.iter().map(|row| row.user.clone()));
    let broken = users.len() as u64 > most;
    Ok(broken.then(|| format!("more than {most} users are in error (max_errors); `errors` lists them")))
}
