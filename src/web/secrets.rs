//! Whether who asks may see the secret paths of webhooks.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::WebhookInfo;

/// How the secret paths of webhooks are shown to who asks: an extension of each request, put there by whoever serves
/// the router. Where it is missing they are masked, so that nothing without a login can be read by a GET.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Secrets {
    /// Without their secret part.
    #[default]
    Masked,
    /// As they are.
    Shown,
}

impl Secrets {
    /// Webhooks as they may be shown.
    pub(super) fn of(self, webhooks: Vec<WebhookInfo>) -> Vec<WebhookInfo> {
        match self {
            Self::Shown => webhooks,
            Self::Masked => webhooks
                .into_iter()
                .map(|webhook| WebhookInfo { path: masked(&webhook.path, "***"), ..webhook })
                .collect(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Secrets {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

/// A path with a mask in place of its last part, which is the secret one.
pub(super) fn masked(path: &str, mask: &str) -> String {
    let folder = path.trim_end_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{mask}")
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn the_last_part_is_masked_and_nothing_of_it_stays() {
        for (path, expected) in
            [("/alarm/abc", "/alarm/***"), ("/a/b/c/", "/a/b/***"), ("/abc", "/***"), ("abc", "/***")]
        {
            assert_eq!(masked(path, "***"), expected);
        }
    }
}
