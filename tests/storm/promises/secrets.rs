//! Promise 7: only ids and the named attributes are stored; the token is in one header only.

use std::collections::BTreeSet;

use intercom_bulk::domain::part::Part;
use intercom_bulk::domain::run::{FORMAT, RunId};
use serde_json::Value;

use super::jobs::part_id;
use crate::seams::intercom::TOKEN;
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

impl Storm {
    /// No plan writes a value with this character, so it indicates an e-mail address.
    pub(super) fn no_secret_in(&self, name: &str, body: &str) {
        if body.contains('@') {
            self.weather.bug(format!("7: personal data in {name}: {}", around(body, '@')));
        }
        if let Some(secret) = self.secrets.iter().find(|secret| body.contains(*secret)) {
            self.weather.bug(format!("7: {secret:?} is in {name}"));
        }
        if body.contains(TOKEN) {
            self.weather.bug(format!("7: the token is in {name}"));
        }
    }

    /// Bodies are compressed; reads them as a resend does.
    pub(super) async fn body_holds_no_secret(&self, who: Option<Who>, run: &RunId, call: &AwsCall) {
        for key in call.sort_keys().filter_map(|sk| sk.strip_prefix("BODY#")) {
            match self.body(run, key).await {
                Some(part) => {
                    self.no_secret_in("BODY", &serde_json::to_string(&part.patches).unwrap_or_default());
                    self.part_has_its_own_name(who, &part);
                    self.learn_part(&part);
                }
                None => self.weather.bug(format!("the patches of {key} of {run} cannot be read")),
            }
        }
    }

    /// Returns a part from the ledger.
    pub(super) async fn body(&self, run: &RunId, part: &str) -> Option<Part> {
        self.ledger.bodies(run, FORMAT, vec![part_id(part)?]).await.ok()?.pop()
    }
}

/// Returns the simulated people's names and phone numbers, except common words.
pub(crate) fn of_people(users: &[Value]) -> Vec<String> {
    let texts = users.iter().flat_map(|user| [user["name"].as_str(), user["phone"].as_str()]).flatten();
    let plain = |text: &&str| text.len() > 6 && !text.contains(char::is_control);
    texts.filter(plain).map(ToOwned::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

fn around(body: &str, sign: char) -> String {
    let at = body.find(sign).unwrap_or_default();
    body.chars().skip(body[..at].chars().count().saturating_sub(80)).take(120).collect()
}
