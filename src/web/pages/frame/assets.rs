//! Style sheets, scripts and icons: part of the program, so that nothing is fetched from elsewhere.

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::get;

use crate::web::Web;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const PNG: &str = "image/png";

/// Each file: its address, its type, its bytes.
static ASSETS: &[(&str, &str, &[u8])] = &[
    ("/assets/style.css", CSS, include_bytes!("../../assets/style.css")),
    ("/assets/dark.css", CSS, include_bytes!("../../assets/dark.css")),
    ("/assets/script.js", SCRIPT, include_bytes!("../../assets/script.js")),
    ("/assets/notify.js", SCRIPT, include_bytes!("../../assets/notify.js")),
    ("/assets/history.js", SCRIPT, include_bytes!("../../assets/history.js")),
    ("/assets/entrance.js", SCRIPT, include_bytes!("../../assets/entrance.js")),
    ("/assets/enlarge.js", SCRIPT, include_bytes!("../../assets/enlarge.js")),
    ("/assets/table.js", SCRIPT, include_bytes!("../../assets/table.js")),
    (
        "/assets/manifest.webmanifest",
        "application/manifest+json",
        include_bytes!("../../assets/manifest.webmanifest"),
    ),
    ("/assets/icon.svg", SVG, include_bytes!("../../assets/icons/icon.svg")),
    ("/assets/icon-192.png", PNG, include_bytes!("../../assets/icons/icon-192.png")),
    ("/assets/icon-512.png", PNG, include_bytes!("../../assets/icons/icon-512.png")),
    ("/assets/icon-maskable.png", PNG, include_bytes!("../../assets/icons/icon-maskable.png")),
    ("/favicon.ico", PNG, include_bytes!("../../assets/icons/icon-32.png")),
];

/// The routes of all files.
pub(in crate::web::pages) fn router() -> Router<Web> {
    let route = |router: Router<Web>, (path, kind, bytes): &(&'static str, &'static str, &'static [u8])| {
        let (kind, bytes) = (*kind, *bytes);
        router.route(path, get(async move || asset(kind, bytes)))
    };
    ASSETS.iter().fold(Router::new(), route)
}

fn asset(kind: &'static str, bytes: &'static [u8]) -> Response {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
