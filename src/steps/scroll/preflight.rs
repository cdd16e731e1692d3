//! The check of a plan's attributes before a run begins, on an API that creates none by a write, and
//! their creation.

use std::time::Duration;

use super::count::{COUNT_MS, REQUEST_TIMEOUT, may_request};
use crate::domain::attribute::{ListedAttribute, PlannedAttribute, creatable, of_unknown_type, unwritable};
use crate::domain::run::{Source, Start};
use crate::intercom::{Disposition, Reply, disposition};
use crate::plan::Plan;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// The wait between two lists after a creation, in milliseconds.
const LIST_AGAIN_MS: i64 = 2_000;
/// The longest wait for new attributes, in milliseconds. An invocation may have less time.
const LISTED_MOST_MS: i64 = 60_000;

/// The longest time from the first request for a new attribute until Intercom lists it, in milliseconds.
const CREATED_MOST_MS: i64 = 3_600_000;

/// The result of a request that the start may make later.
type Later<T> = Result<T, String>;

/// The attributes of a plan and the workspace.
enum Found {
    /// All of them can be written.
    Writable,
    /// These do not exist and can be created.
    Missing(Vec<PlannedAttribute>),
    /// The token may not list attributes, or their list has an unexpected form. The run begins: many
    /// refusals in a row pause it.
    NotListed,
}

/// Checks that the workspace has the attributes that the plan writes, with the right types, and creates
/// those that it does not have, if the limits say so. Returns why this cannot be done now, if so.
///
/// # Errors
/// [`StepError::Attributes`] if one of them cannot be written, and [`StepError::NotListed`] if Intercom
/// does not list a new one in time.
pub(super) async fn attributes_exist(
    clients: &Clients,
    start: &Start,
    plan: &Plan,
    at: &Invocation,
) -> Result<Later<()>, StepError> {
    let mut planned = plan.attributes();
    if matches!(start.source, Source::Undo(_)) {
        // An undo writes earlier values, and no text of the plan.
        for one in &mut planned {
            one.texts.clear();
        }
    }
    if planned.is_empty() || !clients.intercom.api().capabilities().attributes_must_exist {
        return Ok(Ok(()));
    }
    let create = start.limits.create_attributes;
    let missing = match find(clients, &planned, create, at).await? {
        Ok(Found::Missing(missing)) if !start.limits.dry_run => missing,
        Ok(Found::Missing(_) | Found::Writable | Found::NotListed) => return Ok(Ok(())),
        Err(why) => return Ok(Err(why)),
    };
    for attribute in &missing {
        if let Err(why) = create_one(clients, start, attribute, at).await? {
            return Ok(Err(why));
        }
    }
    let until_ms = at.clock.now_ms() + LISTED_MOST_MS;
    loop {
        match find(clients, &planned, create, at).await? {
            Ok(Found::Missing(_)) if at.clock.now_ms() < until_ms && at.left_ms() > COUNT_MS + LIST_AGAIN_MS => {
                tokio::time::sleep(Duration::from_millis(LIST_AGAIN_MS.unsigned_abs())).await;
            }
            Ok(Found::Missing(missing)) => {
                return Err(StepError::NotListed { names: missing.into_iter().map(|one| one.name).collect() });
            }
            Ok(Found::Writable | Found::NotListed) => return Ok(Ok(())),
            Err(why) => return Ok(Err(why)),
        }
    }
}

/// Lists the attributes and compares them. With `create`, only attributes that cannot be created are
/// an error.
async fn find(
    clients: &Clients,
    planned: &[PlannedAttribute],
    create: bool,
    at: &Invocation,
) -> Result<Later<Found>, StepError> {
    if let Err(reason) = may_request(clients, at).await? {
        return Ok(Err(reason.to_owned()));
    }
    match clients.intercom.attributes(REQUEST_TIMEOUT).await {
        Ok(Reply { value: None, .. }) => {
            tracing::warn!("the list of attributes has an unexpected form; the run begins without the check");
            Ok(Ok(Found::NotListed))
        }
        Ok(Reply { value: Some(listed), .. }) => {
            for ListedAttribute { name, data_type, .. } in of_unknown_type(planned, &listed) {
                tracing::warn!(
                    attribute = name,
                    data_type,
                    "the attribute has an unknown type; the run begins all the same"
                );
            }
            let new = if create { creatable(planned, &listed) } else { Vec::new() };
            let others: Vec<_> = planned.iter().filter(|one| !new.contains(one)).cloned().collect();
            let problems = unwritable(&others, &listed);
            if !problems.is_empty() {
                return Err(StepError::Attributes { problems });
            }
            let missing: Vec<_> = new.into_iter().cloned().collect();
            Ok(Ok(if missing.is_empty() { Found::Writable } else { Found::Missing(missing) }))
        }
        Err(error) if matches!(disposition(&error), Disposition::RunFault | Disposition::NotFound) => {
            tracing::warn!(%error, "cannot list the attributes; the run begins without the check");
            Ok(Ok(Found::NotListed))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Creates an attribute. If the answer is lost, a later list shows whether it exists. A list may not show
/// it for a while, and Intercom then refuses to create it again. Therefore a refusal ends the start only if
/// the start has not asked before, or long ago.
async fn create_one(
    clients: &Clients,
    start: &Start,
    attribute: &PlannedAttribute,
    at: &Invocation,
) -> Result<Later<()>, StepError> {
    if let Err(reason) = may_request(clients, at).await? {
        return Ok(Err(reason.to_owned()));
    }
    let (name, data_type) = (attribute.name.as_str(), attribute.kind.data_type());
    let now_ms = at.clock.now_ms();
    let asked_ms = clients.ledger.note_creation(&start.run(), name, now_ms).await?;
    match clients.intercom.create_attribute(attribute, REQUEST_TIMEOUT).await {
        Ok(_) => {
            tracing::info!(attribute = name, data_type, "attribute created");
            Ok(Ok(()))
        }
        Err(error)
            if matches!(
                disposition(&error),
                Disposition::RunFault | Disposition::NotFound | Disposition::ItemRejected
            ) =>
        {
            if asked_ms.is_some_and(|asked_ms| now_ms - asked_ms < CREATED_MOST_MS) {
                tracing::warn!(attribute = name, %error, "an attribute that was asked for before is waited for");
                return Ok(Ok(()));
            }
            clients.ledger.forget_creation(&start.run(), name).await?;
            let problem = format!(
                "\"{name}\" cannot be created ({error}): create it in Intercom's settings for people data, with the type \
                 {data_type}, or use another attribute"
            );
            Err(StepError::Attributes { problems: vec![problem] })
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}
