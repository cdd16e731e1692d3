//! Promise 7: ids and the named attributes only; the token in one header.

use crate::seams::intercom::TOKEN;
use crate::storm::Storm;

impl Storm {
    /// No plan of a story writes a value with this sign, so that it stands for an e-mail address.
    pub(super) fn no_secret_in(&self, name: &str, body: &str) {
        if body.contains('@') {
            self.weather.bug(format!("7: personal data in {name}: {}", around(body, '@')));
        }
        if body.contains(TOKEN) {
            self.weather.bug(format!("7: the token is in {name}"));
        }
    }
}

fn around(body: &str, sign: char) -> String {
    let at = body.find(sign).unwrap_or_default();
    body.chars().skip(body[..at].chars().count().saturating_sub(80)).take(120).collect()
}
