//! The values that stay as they are in an undo, with the reasons.

use intercom_bulk::domain::patch::Target;
use intercom_bulk::domain::run::Run;
use intercom_bulk::domain::undo::StayingUser;
use intercom_bulk::ledger::Ledger;
use serde_json::json;

use super::{CommandError, Which};
use crate::contact_link::contact_link;
use crate::output;
use crate::spreadsheet::text;

/// Reads the users to list behind `shown` others. `show` returns whether to continue. Returns their number.
pub(super) async fn each(
    ledger: &Ledger,
    run: &Run,
    which: &Which,
    shown: u64,
    mut show: impl FnMut(&StayingUser) -> bool,
) -> Result<u64, CommandError> {
    let most = which.most.unwrap_or(u64::MAX).saturating_sub(shown);
    if run.undo.is_none() || !which.all || most == 0 {
        return Ok(0);
    }
    let mut listed = 0;
    let list = |user: StayingUser| {
        if !which.has(&user.user) {
            return true;
        }
        listed += 1;
        show(&user) && listed < most
    };
    ledger.each_staying(&run.id, list).await?;
    Ok(listed)
}

/// Prints the values of a user: a line for each, or one object.
pub(super) fn show(StayingUser { user, stays }: &StayingUser, json: bool) {
    if json {
        return output::json(&json!({"user": user, "stays": stays}));
    }
    for value in stays {
        let target = match &value.target {
            Target::Attribute(name) => format!("{name:?}"),
            Target::Field(name) => name.clone(),
            Target::CompanyName(company) => format!("name of company {company}"),
        };
        output::line(&format!("{user}  {target} stays  ({})", value.why.word()));
    }
}

/// Returns a row of cells for each value.
pub(super) fn rows(run: &Run, StayingUser { user, stays }: &StayingUser) -> Vec<[String; 9]> {
    let link = contact_link(run.workspace.as_ref(), user.as_str()).unwrap_or_default();
    let cells = stays.iter().map(|value| {
        let company = if let Target::CompanyName(company) = &value.target { company.as_str() } else { "" };
        let (target, why) = (text(&value.target.to_string()), text(value.why.word()));
        let (user, company, empty) = (text(user.as_str()), text(company), String::new);
        [user, target, company, empty(), empty(), why, empty(), empty(), text(&link)]
    });
    cells.collect()
}
