//! A client of the admin listener: requests with any header, unprocessed answers.

use super::camera::{Answer, Camera};

/// Sends a request with these header lines (`Host` is added unless given) and an optional body.
pub(crate) async fn ask(url: &str, line: &str, headers: &[&str], body: &str) -> Answer {
    let camera = Camera::new(url);
    let mut request = format!("{line} HTTP/1.1\r\n");
    if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
        request.push_str(&format!("Host: {}\r\n", camera.authority));
    }
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    if !body.is_empty() {
        request.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
    }
    request.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()));
    camera.raw(request.as_bytes()).await
}

/// A GET.
pub(crate) async fn get(url: &str, path: &str, headers: &[&str]) -> Answer {
    ask(url, &format!("GET {path}"), headers, "").await
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
