//! The style sheet, the script and the icon: part of the program, so that nothing is fetched from elsewhere.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;

/// The style sheet.
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../assets/style.css"))
}

/// The script.
pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../assets/script.js"))
}

/// The icon.
pub(super) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("../assets/icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
