//! Where the token of a request comes from: one for the process's life, or whoever knows the newest.

use std::error::Error as StdError;

use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::token::Token;
use super::transport::TransportError;

/// What is asked before a request, and after one that Intercom refused with 401.
#[derive(Clone, Debug)]
pub enum Ask {
    /// The token to use.
    Current,
    /// Another one, because this one was refused; the same where there is none.
    InsteadOf(Token),
}

/// Answers with a token.
pub type TokenService = BoxCloneSyncService<Ask, Token, Box<dyn StdError + Send + Sync>>;

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
                let answer = service.clone().oneshot(Ask::Current).await;
                answer.map_err(|source| TransportError::NotSent { source })
            }
        }
    }

    /// Another token than the one that was refused, if there is one.
    pub(super) async fn instead_of(&self, refused: &Token) -> Option<Token> {
        let Self::Service(service) = self else { return None };
        match service.clone().oneshot(Ask::InsteadOf(refused.clone())).await {
            Ok(token) => Some(token).filter(|token| !token.is(refused)),
            Err(error) => {
                tracing::warn!(%error, "Intercom refused the token, and it could not be read anew");
                None
            }
        }
    }
}
