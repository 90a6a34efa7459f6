//! An HTTP server that takes notifications, as ntfy or any webhook does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{SOON, eventually, port};

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Notification {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Notification {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII")).unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// An answer to be given: status and headers.
pub(crate) type Canned = (u16, Vec<(&'static str, &'static str)>);

#[derive(Debug, Default)]
struct Shared {
    came: Mutex<Vec<Notification>>,
    answers: Mutex<VecDeque<Canned>>,
    /// Time that a request takes whose body has at least so many bytes.
    delay: Mutex<(Duration, usize)>,
    /// Texts of bodies, and the status that each request with one of them gets; 0: no answer.
    refused: Mutex<Vec<(String, u16)>>,
    /// Body of answers that are no success.
    words: Mutex<Option<String>>,
}

/// The server. It keeps its port over `stop` and `start`.
#[derive(Debug)]
pub(crate) struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let mut this = Self::stopped();
        this.restart().await;
        this
    }

    /// One that does not run yet.
    pub(crate) fn stopped() -> Self {
        Self { port: port::free(), shared: Arc::default(), task: None }
    }

    /// Starts it at its port.
    pub(crate) async fn restart(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the port is free");
        let app = Router::new().fallback(take).with_state(Arc::clone(&self.shared));
        self.task = Some(tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") }));
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers that the next requests get; after them all get 200.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Canned>) {
        self.shared.answers.lock().expect("no panic").extend(answers);
    }

    /// Sets the time that each request takes whose body has at least so many bytes.
    pub(crate) fn delay(&self, delay: Duration, from_bytes: usize) {
        *self.shared.delay.lock().expect("no panic") = (delay, from_bytes);
    }

    /// Sets the status that every request gets whose body contains the text; 0: it never gets an answer.
    pub(crate) fn refuse(&self, text: &str, status: u16) {
        self.shared.refused.lock().expect("no panic").push((text.to_owned(), status));
    }

    /// Sets the body of answers that are no success.
    pub(crate) fn say(&self, words: &str) {
        *self.shared.words.lock().expect("no panic") = Some(words.to_owned());
    }

    /// Everything that came so far.
    pub(crate) fn came(&self) -> Vec<Notification> {
        self.shared.came.lock().expect("no panic").clone()
    }

    /// Waits until so many requests came, and gives them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Notification> {
        eventually(SOON, &format!("{count} notifications"), async || {
            let came = self.came();
            (count <= came.len()).then_some(came)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

async fn take(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 32 << 20).await else { return StatusCode::BAD_REQUEST.into_response() };
    let (delay, from_bytes) = *shared.delay.lock().expect("no panic");
    if from_bytes <= body.len() {
        tokio::time::sleep(delay).await;
    }
    shared.came.lock().expect("no panic").push(Notification {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body,
        at: Instant::now(),
    });
    let refused = shared.refused.lock().expect("no panic").clone();
    let body = shared.came.lock().expect("no panic").last().map(|came| came.body.clone()).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let status = refused.into_iter().find(|(text, _)| body.contains(text)).map(|(_, status)| status);
    if status == Some(0) {
        std::future::pending::<()>().await;
    }
    let canned = shared.answers.lock().expect("no panic").pop_front();
    let Some((status, headers)) = status.map(|status| (status, Vec::new())).or(canned) else {
        return StatusCode::OK.into_response();
    };
    let status = StatusCode::from_u16(status).expect("a status");
    let words = shared.words.lock().expect("no panic").clone();
    let mut response = (status, words.unwrap_or_else(|| "the reason of the server".into())).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}
