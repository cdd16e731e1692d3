//! The source of a request's token: a fixed one, or a service that knows the newest.

use std::error::Error as StdError;

use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::service::TransportError;
use super::token::Token;

/// A request to the token service.
#[derive(Clone, Debug)]
pub enum TokenRequest {
    /// The token to use.
    Current,
    /// Another token, because Intercom refused this one with 401. The same one if there is no
    /// other.
    InsteadOf(Token),
    /// The stored token, because the present one is of another workspace.
    Newest,
}

/// A service that returns a token.
pub type TokenService = BoxCloneSyncService<TokenRequest, Token, Box<dyn StdError + Send + Sync>>;

/// The source of tokens.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// A fixed token.
    One(Token),
    /// A service.
    Service(TokenService),
}

impl From<Token> for Tokens {
    fn from(token: Token) -> Self {
        Self::One(token)
    }
}

impl Tokens {
    /// Returns the token for the next request. On an error, the request is not sent.
    pub(in crate::intercom) async fn current(&self) -> Result<Token, TransportError> {
        match self {
            Self::One(token) => Ok(token.clone()),
            Self::Service(service) => {
                let answer = service.clone().oneshot(TokenRequest::Current).await;
                answer.map_err(|source| TransportError::NotSent { source })
            }
        }
    }

    /// Returns the stored token; `None` if the token is fixed.
    pub(in crate::intercom) async fn newest(&self) -> Result<Option<Token>, TransportError> {
        let Self::Service(service) = self else { return Ok(None) };
        let answer = service.clone().oneshot(TokenRequest::Newest).await;
        answer.map(Some).map_err(|source| TransportError::NotSent { source })
    }

    /// Returns a token other than the refused one, if there is one. If the service fails, the
    /// request counts as not sent: Intercom did nothing for it.
    pub(in crate::intercom) async fn instead_of(&self, refused: &Token) -> Result<Option<Token>, TransportError> {
        let Self::Service(service) = self else { return Ok(None) };
        let answer = service.clone().oneshot(TokenRequest::InsteadOf(refused.clone())).await;
        let token = answer.map_err(|source| TransportError::NotSent { source })?;
        Ok(Some(token).filter(|token| !token.is(refused)))
    }
}
