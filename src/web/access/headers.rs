//! Headers of every response of the admin listener: pages, API, pictures, refusals. They are set only here, so that all
//! pages have the same ones.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

/// Content security policy of pages: only resources of this listener, nothing inline.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Content security policy of every other response opened in a browser: nothing.
const OTHER: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// Adds the headers to a response. Only `cache-control` may be set before.
pub(super) fn complete(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let policy = if is_page(headers) { PAGE } else { OTHER };
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    // With "no-referrer" browsers would send `Origin: null` with the page's forms, which are then refused.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Returns whether an answer is an HTML page.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use axum::response::{Html, IntoResponse as _};

    use super::*;

    #[test]
    fn every_answer_has_them_and_a_page_may_send_its_own_forms() {
        for (answer, policy) in [(Html("x").into_response(), PAGE), ("x".into_response(), OTHER)] {
            let answer = complete(answer);
            let header = |name| answer.headers().get(name).unwrap().to_str().unwrap();
            assert_eq!(header(CONTENT_SECURITY_POLICY), policy);
            assert_eq!(header(REFERRER_POLICY), "same-origin");
            assert_eq!(header(X_CONTENT_TYPE_OPTIONS), "nosniff");
            assert_eq!(header(CACHE_CONTROL), "no-store");
        }
        let kept = complete(([(CACHE_CONTROL, "private")], "x").into_response());
        assert_eq!(kept.headers()[CACHE_CONTROL], "private");
    }
}
