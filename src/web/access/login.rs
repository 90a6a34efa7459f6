//! Login and logout at the admin listener.

use std::net::IpAddr;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use http_body_util::{BodyExt as _, Limited};

use super::auth::{Access, COOKIE_NAME};
use super::local::Denied;
use super::{entrance, random};
use crate::http::Arrival;
use crate::web::texts::key;

/// Maximum bytes of a form.
const FORM_MAX: usize = 4 << 10;

/// Login form.
pub(super) async fn page(State(access): State<Access>) -> Response {
    if access.rules.password.is_none() {
        Redirect::to("/").into_response()
    } else {
        entrance::login(StatusCode::OK, "")
    }
}

/// Checks a password and starts a session.
pub(super) async fn log_in(
    State(access): State<Access>,
    Extension(arrival): Extension<Arrival>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let peer = access.peer(&parts, &arrival);
    if let Err(denied) = access.same_origin(&parts) {
        return refused(denied, &parts, peer);
    }
    let Some(password) = &access.rules.password else { return Redirect::to("/").into_response() };
    let Ok(body) = Limited::new(body, FORM_MAX).collect().await else {
        return entrance::login(
            StatusCode::BAD_REQUEST,
            key("The form could not be read. Type the password again."),
        );
    };
    if !access.rules.throttle.may_guess(peer) {
        tracing::warn!(peer = %peer, status = 429, "admin: {}", Denied::TooManyGuesses);
        return entrance::login(
            StatusCode::TOO_MANY_REQUESTS,
            key("Too many attempts. Wait a minute, then try again."),
        );
    }
    let body = body.to_bytes();
    let guess = url::form_urlencoded::parse(&body).find(|(name, _)| name == "password");
    let guess = guess.map(|(_, value)| value.into_owned()).unwrap_or_default();
    if !password.is(guess).await {
        tracing::warn!(peer = %peer, status = 401, "admin: a wrong password");
        return entrance::login(StatusCode::UNAUTHORIZED, key("Wrong password."));
    }
    let Ok(fresh) = random::token() else {
        tracing::error!(peer = %peer, "admin: the system gives no random numbers, so nobody can log in");
        let problem = key("The system has no random numbers for a session. See the log.");
        return entrance::login(StatusCode::INTERNAL_SERVER_ERROR, problem);
    };
    access.rules.sessions.begin(&fresh);
    tracing::info!(peer = %peer, status = 303, "admin: somebody logged in");
    let jar = CookieJar::new().add(session(fresh, access.is_secure(&parts, &arrival)));
    (jar, Redirect::to("/")).into_response()
}

/// Ends the session.
pub(super) async fn log_out(
    State(access): State<Access>,
    Extension(arrival): Extension<Arrival>,
    request: Request<Body>,
) -> Response {
    let (parts, _) = request.into_parts();
    if let Err(denied) = access.same_origin(&parts) {
        return refused(denied, &parts, access.peer(&parts, &arrival));
    }
    if let Some(cookie) = CookieJar::from_headers(&parts.headers).get(COOKIE_NAME) {
        access.rules.sessions.end(cookie.value());
    }
    let ended = session(String::new(), access.is_secure(&parts, &arrival));
    (CookieJar::new().remove(ended), Redirect::to("/login")).into_response()
}

/// Response to a refused form, which is also logged.
fn refused(denied: Denied, parts: &Parts, peer: IpAddr) -> Response {
    tracing::warn!(peer = %peer, status = denied.status().as_u16(), "admin: a login form was refused: {denied}");
    entrance::refused(denied, parts, true)
}

/// Session cookie: scripts cannot read it, and other sites cannot send it.
fn session(value: String, secure: bool) -> Cookie<'static> {
    Cookie::build((COOKIE_NAME, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(secure)
        .build()
}
