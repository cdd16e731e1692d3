//! The access token: from the environment, or for a function from Parameter Store.
//!
//! Each execution environment reads the token at its first invocation, again after `FRESH_MS`, and
//! immediately after Intercom refuses it. Therefore an operator can replace the token and revoke
//! the old one during a run.

use std::sync::Arc;

use tokio::sync::Mutex;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::aws::{Parameter, ParameterError};
use crate::domain::clock::Clock;
use crate::intercom::{Token, TokenRequest, TokenService, Tokens};
use crate::runtime::config::ConfigError;
use crate::runtime::settings::{TOKEN, TOKEN_PARAMETER};

/// Time after which an invocation reads the token again, in milliseconds.
const FRESH_MS: i64 = 5 * 60 * 1000;
/// Time between two reads while the stored token is one that Intercom refused, in milliseconds. It
/// prevents one read per request with a wrong token.
///
/// The time starts at a read after the refusal. A read before the refusal starts no wait, because
/// the token may have been replaced in between.
const REFUSED_REST_MS: i64 = 5_000;

/// The source of the access token.
#[derive(Clone, Debug)]
pub enum TokenFrom {
    /// The token itself, from the environment.
    Here(Token),
    /// The name of the Parameter Store parameter that holds the token.
    Parameter(String),
}

impl TokenFrom {
    /// Reads the source from the environment, which must name exactly one.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        match (get(TOKEN.name), get(TOKEN_PARAMETER.name)) {
            (Some(_), Some(_)) => Err(ConfigError::TwoTokens),
            (Some(token), None) => Ok(Self::Here(Token::new(token)?)),
            (None, Some(name)) => Ok(Self::Parameter(name)),
            (None, None) => Err(ConfigError::NoToken),
        }
    }

    /// Returns the token, for programs that do not call Parameter Store.
    ///
    /// # Errors
    /// [`ConfigError::NotHere`] if only the parameter's name is set.
    pub fn here(&self) -> Result<Token, ConfigError> {
        match self {
            Self::Here(token) => Ok(token.clone()),
            Self::Parameter(_) => Err(ConfigError::NotHere),
        }
    }
}

/// Reads the text of the parameter. The request is the present time in Unix milliseconds.
pub type ParameterReading = BoxCloneSyncService<i64, String, ParameterError>;

/// A token in Parameter Store. Clones share its state.
#[derive(Clone, Debug)]
pub struct StoredToken(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    /// The parameter's name.
    name: String,
    reading: ParameterReading,
    clock: Clock,
    token: Option<Token>,
    /// Time of the last read or attempt, in Unix milliseconds.
    read_ms: i64,
    /// Time of a read that returned the refused token unchanged, in Unix milliseconds.
    refused_ms: Option<i64>,
}

impl StoredToken {
    /// Creates the token of this parameter without reading it.
    pub fn new(parameter: Parameter, clock: Clock) -> Self {
        let name = parameter.name().to_owned();
        let reading = tower::service_fn(move |now_ms| {
            let parameter = parameter.clone();
            async move { parameter.read(now_ms).await }
        });
        Self::read_by(name, ParameterReading::new(reading), clock)
    }

    /// Creates the token of the parameter `name`, which `reading` reads instead of Parameter Store.
    pub fn read_by(name: String, reading: ParameterReading, clock: Clock) -> Self {
        let kept = Kept { name, reading, clock, token: None, read_ms: i64::MIN, refused_ms: None };
        Self(Arc::new(Mutex::new(kept)))
    }

    /// Reads the token at the beginning of an invocation, unless it was read within `FRESH_MS`. If
    /// the read fails, the function keeps the previous token.
    ///
    /// # Errors
    /// The error of the read, if there is no previous token.
    pub async fn ready(&self, clock: Clock) -> Result<(), ParameterError> {
        let mut kept = self.0.lock().await;
        kept.clock = clock;
        let age_ms = clock.now_ms().saturating_sub(kept.read_ms);
        if kept.token.is_some() && age_ms < FRESH_MS {
            return Ok(());
        }
        match kept.read().await {
            Err(error) if kept.token.is_some() => {
                tracing::warn!(%error, "could not read the access token again; using the previous one");
                Ok(())
            }
            read => read.map(|_| ()),
        }
    }

    /// Returns the source of tokens for the client.
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
        // Another request may already have read a newer token.
        if rests || !token.is(&refused) {
            return Ok(token);
        }
        let newer = kept.read().await?;
        kept.refused_ms = newer.is(&refused).then_some(now_ms);
        Ok(newer)
    }
}

impl Kept {
    /// Reads the parameter. If there is a previous token, a failed attempt also updates `read_ms`,
    /// so that `ready` retries only after `FRESH_MS`.
    async fn read(&mut self) -> Result<Token, ParameterError> {
        let now_ms = self.clock.now_ms();
        if self.token.is_some() {
            self.read_ms = now_ms;
        }
        let token = Token::new(self.reading.clone().oneshot(now_ms).await?);
        let token = token.map_err(|error| ParameterError::unusable(&self.name, &error))?;
        tracing::info!(parameter = self.name, "read the access token");
        self.token = Some(token.clone());
        self.read_ms = now_ms;
        Ok(token)
    }
}

#[cfg(test)]
mod tests;
