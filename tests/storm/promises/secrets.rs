//! Promise 7: only ids and the named attributes are stored; the token is in one header only.

use std::collections::BTreeSet;

use intercom_bulk::domain::run::RunId;
use serde_json::Value;

use crate::seams::intercom::TOKEN;
use crate::seams::names::AwsCall;
use crate::storm::Storm;

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

    /// Changes are compressed; reads them as check does.
    pub(super) async fn changes_hold_no_secret(&self, run: &RunId, call: &AwsCall) {
        let Some(key) = call.sort_keys().find(|sk| sk.starts_with("CHANGES#")) else { return };
        let changes = self.ledger.changes(run, key).await.ok();
        let text = changes.and_then(|changes| serde_json::to_string(&changes).ok());
        match text {
            Some(text) => self.no_secret_in("CHANGES", &text),
            None => self.weather.bug(format!("{key} of {run} cannot be read")),
        }
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
