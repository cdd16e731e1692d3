//! The access token of a function: read from Parameter Store once per environment, again when it is old, and at once when
//! Intercom refuses it, so that replacing it needs no deployment.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::aws::{Parameter, ParameterError};
use crate::intercom::{Ask, Token, TokenService, Tokens};
use crate::invocation::Clock;

/// How long a token is used without asking whether it was replaced.
const FRESH_MS: i64 = 5 * 60 * 1000;
/// The shortest time between two readings: a token that is simply wrong must not ask for each request.
const REST_MS: i64 = 60 * 1000;

/// A token that lies in Parameter Store. Clones share it.
#[derive(Clone, Debug)]
pub struct StoredToken(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    parameter: Parameter,
    clock: Clock,
    token: Option<Token>,
    /// When it was last read, or tried.
    read_ms: i64,
}

impl StoredToken {
    /// The token of this parameter; not read yet.
    pub fn new(parameter: Parameter, clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(Kept { parameter, clock, token: None, read_ms: i64::MIN })))
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

    async fn answer(&self, ask: Ask) -> Result<Token, ParameterError> {
        let mut kept = self.0.lock().await;
        let rested = kept.clock.now_ms().saturating_sub(kept.read_ms) >= REST_MS;
        match (ask, kept.token.clone()) {
            (Ask::InsteadOf(refused), Some(token)) if rested && token.is(&refused) => kept.read().await,
            (_, Some(token)) => Ok(token),
            (_, None) => kept.read().await,
        }
    }
}

impl Kept {
    /// Reads the parameter. A failure counts as a reading where there is a token to go on with.
    async fn read(&mut self) -> Result<Token, ParameterError> {
        let now_ms = self.clock.now_ms();
        if self.token.is_some() {
            self.read_ms = now_ms;
        }
        let token = Token::new(self.parameter.read(now_ms).await?);
        let token = token.map_err(|error| self.parameter.unusable(&error))?;
        tracing::info!(parameter = self.parameter.name(), "the access token was read");
        self.token = Some(token.clone());
        self.read_ms = now_ms;
        Ok(token)
    }
}

#[cfg(test)]
mod tests;
