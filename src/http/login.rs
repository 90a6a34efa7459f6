//! The login page of the admin listener.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Limited};

use super::auth::{Access, COOKIE_NAME, cookie};
use super::connection::Arrival;
use super::local::Denied;
use super::{answer, random};

/// The longest form that is read.
const FORM_MAX: usize = 4 << 10;

/// Whether a browser asks for a page.
pub(super) fn wants_page(parts: &Parts) -> bool {
    let accepts = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    parts.method == Method::GET && accepts.contains("text/html")
}

/// Sends a browser to the login page.
pub(super) fn go_there() -> Response {
    redirect("/login")
}

/// The form.
pub(super) async fn page(State(access): State<Access>) -> Response {
    if access.rules.password.is_none() { redirect("/") } else { form(StatusCode::OK, "") }
}

/// A password comes.
pub(super) async fn enter(
    State(access): State<Access>,
    Extension(arrival): Extension<Arrival>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let peer = access.peer(&parts, &arrival);
    if let Err(denied) = access.same_origin(&parts) {
        return denied.into_response();
    }
    let Some(password) = &access.rules.password else { return redirect("/") };
    let Ok(body) = Limited::new(body, FORM_MAX).collect().await else {
        return form(StatusCode::BAD_REQUEST, "The form could not be read.");
    };
    if !access.rules.throttle.may_guess(peer) {
        tracing::warn!(peer = %peer, status = 429, "admin: {}", Denied::TooManyGuesses);
        return form(StatusCode::TOO_MANY_REQUESTS, "Too many attempts. Wait a minute.");
    }
    let body = body.to_bytes();
    let guess = url::form_urlencoded::parse(&body).find(|(name, _)| name == "password");
    let guess = guess.map(|(_, value)| value.into_owned()).unwrap_or_default();
    if !password.is(guess).await {
        tracing::warn!(peer = %peer, status = 401, "admin: a wrong password");
        return form(StatusCode::UNAUTHORIZED, "That is not the password.");
    }
    let Ok(fresh) = random::token() else {
        return form(StatusCode::INTERNAL_SERVER_ERROR, "The system gives no randomness.");
    };
    access.rules.sessions.begin(&fresh);
    tracing::info!(peer = %peer, status = 303, "admin: somebody logged in");
    with_cookie(redirect("/"), &fresh, None, access.is_secure(&parts, &arrival))
}

/// The session ends.
pub(super) async fn leave(
    State(access): State<Access>,
    Extension(arrival): Extension<Arrival>,
    request: Request<Body>,
) -> Response {
    let (parts, _) = request.into_parts();
    if let Err(denied) = access.same_origin(&parts) {
        return denied.into_response();
    }
    if let Some(cookie) = cookie(&parts.headers) {
        access.rules.sessions.end(cookie);
    }
    with_cookie(redirect("/login"), "", Some(0), access.is_secure(&parts, &arrival))
}

/// Sends a browser elsewhere.
fn redirect(to: &'static str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
    response
}

/// Sets the cookie; no script reads it, and no other site sends it.
fn with_cookie(mut response: Response, value: &str, max_age: Option<u64>, secure: bool) -> Response {
    let age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE_NAME}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}

/// The form, with what went wrong.
fn form(status: StatusCode, problem: &'static str) -> Response {
    let mut response = answer::page(format!(
        "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<title>alarmbus: log in</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:22em;margin:15vh auto;padding:0 1em;color-scheme:light dark}}
input,button{{font:inherit;width:100%;padding:.5em;margin:.3em 0;box-sizing:border-box}}</style>
<h1>alarmbus</h1>
<form method=\"post\" action=\"/login\">
<label>Password<input type=\"password\" name=\"password\" autocomplete=\"current-password\" autofocus required></label>
<p role=\"alert\">{problem}</p>
<button>Log in</button>
</form>
"
    ));
    *response.status_mut() = status;
    response
}
