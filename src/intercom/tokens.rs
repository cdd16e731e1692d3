//! Where the token of a request comes from: one for the process's life, or a service that knows the newest.

use std::error::Error as StdError;

use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::token::Token;
use super::transport::TransportError;

/// What is asked before a request, and after one that Intercom refused with 401.
#[derive(Clone, Debug)]
pub enum TokenRequest {
    /// The token to use.
    Current,
    /// Another one, because this one was refused; the same where there is none.
    InsteadOf(Token),
    /// The one that is stored now, because the present one is of another workspace.
    Newest,
}

/// Answers with a token.
pub type TokenService = BoxCloneSyncService<TokenRequest, Token, Box<dyn StdError + Send + Sync>>;

/// The token of each request.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// Always this one.
    One(Token),
    /// What the service says.
    Service(TokenService),
}

impl From<Token> for Tokens {
    fn from(token: Token) -> Self {
        Self::One(token)
    }
}

impl Tokens {
    /// The token for the next request, which without one is not sent.
    pub(super) async fn current(&self) -> Result<Token, TransportError> {
        match self {
            Self::One(token) => Ok(token.clone()),
            Self::Service(service) => {
                let answer = service.clone().oneshot(TokenRequest::Current).await;
                answer.map_err(|source| TransportError::NotSent { source })
            }
        }
    }

    /// The token that is stored now; none where there is only one.
    pub(super) async fn newest(&self) -> Result<Option<Token>, TransportError> {
        let Self::Service(service) = self else { return Ok(None) };
        let answer = service.clone().oneshot(TokenRequest::Newest).await;
        answer.map(Some).map_err(|source| TransportError::NotSent { source })
    }

    /// Another token than the one that was refused, if there is one. If the service fails, it is unknown whether there is
    /// one. Intercom did nothing for the refused request, so the request counts as not sent.
    pub(super) async fn instead_of(&self, refused: &Token) -> Result<Option<Token>, TransportError> {
        let Self::Service(service) = self else { return Ok(None) };
        let answer = service.clone().oneshot(TokenRequest::InsteadOf(refused.clone())).await;
        let token = answer.map_err(|source| TransportError::NotSent { source })?;
        Ok(Some(token).filter(|token| !token.is(refused)))
    }
}
