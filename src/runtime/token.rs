//! The access token of a function: read from Parameter Store once per environment, again when it is old, and at once when
//! Intercom refuses it. So a token can be replaced, and the old one revoked at once, while a run is at work.

use std::sync::Arc;

use tokio::sync::Mutex;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::aws::{Parameter, ParameterError};
use crate::domain::clock::Clock;
use crate::intercom::{Token, TokenRequest, TokenService, Tokens};

/// How long a token is used without asking whether it was replaced.
const FRESH_MS: i64 = 5 * 60 * 1000;
/// After a reading that brought a token which Intercom had refused before: the time until the next one. A wrong token must
/// not cost a reading per request. A reading that came before the refusal proves nothing, because the token may have been
/// replaced in between, and is never waited for.
const REFUSED_REST_MS: i64 = 5_000;

/// Reads the text that should be a token, at this time (Unix milliseconds).
pub type Reading = BoxCloneSyncService<i64, String, ParameterError>;

/// A token that lies in Parameter Store. Clones share it.
#[derive(Clone, Debug)]
pub struct StoredToken(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    /// The parameter's name.
    name: String,
    reading: Reading,
    clock: Clock,
    token: Option<Token>,
    /// When it was last read, or tried.
    read_ms: i64,
    /// When it was read although Intercom had refused it, and had not changed.
    refused_ms: Option<i64>,
}

impl StoredToken {
    /// The token of this parameter; not read yet.
    pub fn new(parameter: Parameter, clock: Clock) -> Self {
        let name = parameter.name().to_owned();
        let reading = tower::service_fn(move |now_ms| {
            let parameter = parameter.clone();
            async move { parameter.read(now_ms).await }
        });
        Self::read_by(name, Reading::new(reading), clock)
    }

    /// The token of the parameter of this name, read by other means than a call of Parameter Store.
    pub fn read_by(name: String, reading: Reading, clock: Clock) -> Self {
        let kept = Kept { name, reading, clock, token: None, read_ms: i64::MIN, refused_ms: None };
        Self(Arc::new(Mutex::new(kept)))
    }

    /// Makes sure, at the beginning of an invocation with this clock, that there is a token and that it is fresh. One
    /// that was read before is used on where Parameter Store does not answer.
    pub async fn ready(&self, clock: Clock) -> Result<(), ParameterError> {
        let mut kept = self.0.lock().await;
        kept.clock = clock;
        let age_ms = clock.now_ms().saturating_sub(kept.read_ms);
        if kept.token.is_some() && age_ms < FRESH_MS {
            return Ok(());
        }
        match kept.read().await {
            Err(error) if kept.token.is_some() => {
                tracing::warn!(%error, "the token could not be read anew; the one before is used");
                Ok(())
            }
            read => read.map(|_| ()),
        }
    }

    /// What gives the client its tokens.
    pub fn tokens(&self) -> Tokens {
        let stored = self.clone();
        Tokens::Service(TokenService::new(tower::service_fn(move |ask| {
            let stored = stored.clone();
            async move { stored.answer(ask).await.map_err(Into::into) }
        })))
    }

    async fn answer(&self, ask: TokenRequest) -> Result<Token, ParameterError> {
        let mut kept = self.0.lock().await;
        let Some(token) = kept.token.clone() else { return kept.read().await };
        let refused = match ask {
            TokenRequest::Current => return Ok(token),
            TokenRequest::Newest => return kept.read().await,
            TokenRequest::InsteadOf(refused) => refused,
        };
        let now_ms = kept.clock.now_ms();
        let rests = kept.refused_ms.is_some_and(|read_ms| now_ms.saturating_sub(read_ms) < REFUSED_REST_MS);
        // Another request may have brought a newer one already.
        if rests || !token.is(&refused) {
            return Ok(token);
        }
        let newer = kept.read().await?;
        kept.refused_ms = newer.is(&refused).then_some(now_ms);
        Ok(newer)
    }
}

impl Kept {
    /// Reads the parameter. A failure counts as a reading where there is a token to go on with.
    async fn read(&mut self) -> Result<Token, ParameterError> {
        let now_ms = self.clock.now_ms();
        if self.token.is_some() {
            self.read_ms = now_ms;
        }
        let token = Token::new(self.reading.clone().oneshot(now_ms).await?);
        let token = token.map_err(|error| ParameterError::unusable(&self.name, &error))?;
        tracing::info!(parameter = self.name, "the access token was read");
        self.token = Some(token.clone());
        self.read_ms = now_ms;
        Ok(token)
    }
}

#[cfg(test)]
mod tests;
