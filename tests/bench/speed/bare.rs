//! Baseline of the benchmark: an axum handler that reads the body and answers.

use std::io::Write as _;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;

/// Serves on a free port, which is printed, until it is killed.
///
/// # Errors
/// When no port is free.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "http://{}/alarm/bare", listener.local_addr()?)?;
    out.flush()?;
    drop(out);
    let answer = |body: Bytes| async move { format!("{{\"ok\":true,\"bytes\":{}}}", body.len()) };
    let router = Router::new().route("/alarm/bare", post(answer)).layer(DefaultBodyLimit::max(32 << 20));
    axum::serve(listener, router).await.map_err(Into::into)
}
