//! Access to the secret paths of webhooks.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::WebhookInfo;
use crate::model::mask;

/// Form in which secret paths of webhooks are shown. The server of the router adds it to each request; where it is
/// missing, paths are masked, so that a GET without a login never reveals one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SecretDisplay {
    /// Without the secret part.
    #[default]
    Masked,
    /// In full.
    Shown,
}

impl SecretDisplay {
    /// Webhooks in the permitted form.
    pub(super) fn of(self, webhooks: Vec<WebhookInfo>) -> Vec<WebhookInfo> {
        match self {
            Self::Shown => webhooks,
            Self::Masked => webhooks
                .into_iter()
                .map(|webhook| WebhookInfo { path: mask::last_part(&webhook.path, "***"), ..webhook })
                .collect(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for SecretDisplay {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}
