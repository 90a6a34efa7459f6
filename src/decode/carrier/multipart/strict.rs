//! Strict multipart parser, for bodies that need no tolerance.
//!
//! `multer` skips bytes before the first delimiter and after the last one, and does not check announced lengths of
//! parts. So a body counts as well-formed here only if no such bytes exist, its delimiter occurs nowhere else, and
//! every length is right.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream;
use memchr::memmem;
use multer::Multipart;

use super::BodyPart;

/// Maximum bytes of a body given to `multer`, which copies it; parts of the tolerant splitter share the body's
/// memory.
const MAX_BYTES: usize = 2 << 20;

/// Parses a whole body; `None` when it is not well-formed, or too large to be copied.
///
/// All bytes are present, so the futures are ready at the first poll and no executor is needed.
pub(crate) fn parse(body: &Bytes, boundary: &str) -> Option<Vec<BodyPart>> {
    if body.len() > MAX_BYTES || !is_enclosed(body, boundary) {
        return None;
    }
    let source = stream::iter([Ok::<_, Infallible>(body.clone())]);
    let mut multipart = Multipart::new(source, boundary);
    let parts = parts(&mut multipart).now_or_never()??;
    let delimiters = memmem::find_iter(body, format!("--{boundary}").as_bytes()).count();
    (delimiters == parts.len() + 1).then_some(parts)
}

/// Returns whether a body begins with its delimiter and ends with its closing one.
fn is_enclosed(body: &[u8], boundary: &str) -> bool {
    let after = |bytes: &[u8]| {
        let rest = bytes.strip_prefix(b"--")?.strip_prefix(boundary.as_bytes())?;
        rest.starts_with(b"\r\n").then_some(())
    };
    let before = |bytes: &[u8]| bytes.strip_suffix(boundary.as_bytes())?.strip_suffix(b"\r\n--").map(drop);
    let end = body.strip_suffix(b"\r\n").unwrap_or(body);
    after(body).and_then(|()| before(end.strip_suffix(b"--")?)).is_some()
}

/// Every part, in order; `None` when one is malformed.
async fn parts(multipart: &mut Multipart<'_>) -> Option<Vec<BodyPart>> {
    let mut parts = Vec::new();
    while let Some(field) = multipart.next_field().await.ok()? {
        let name = field.name().map(ToOwned::to_owned);
        let file = field.file_name().map(ToOwned::to_owned);
        let content_type = field
            .headers()
            .get("content-type")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
        let length = field.headers().get("content-length").map(|value| value.as_bytes().to_vec());
        let data = field.bytes().await.ok()?;
        if length.is_some_and(|length| length.trim_ascii() != data.len().to_string().as_bytes()) {
            return None;
        }
        parts.push(BodyPart { name, file, content_type, data, whole: true });
    }
    Some(parts)
}
