//! The strict multipart parser, for bodies that need no tolerance.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream;
use multer::Multipart;

use super::multipart::Part;

/// Parses a whole body; `None` when it is not well-formed for `multer`.
///
/// Everything is there already, so the futures are ready at the first poll and no executor is needed.
pub(super) fn parse(body: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let source = stream::iter([Ok::<_, Infallible>(body.clone())]);
    let mut multipart = Multipart::new(source, boundary);
    parts(&mut multipart).now_or_never()?.ok()
}

/// Every part, in order.
async fn parts(multipart: &mut Multipart<'_>) -> multer::Result<Vec<Part>> {
    let mut parts = Vec::new();
    while let Some(field) = multipart.next_field().await? {
        let name = field.name().map(ToOwned::to_owned);
        let content_type = field
            .headers()
            .get("content-type")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
        parts.push(Part { name, content_type, data: field.bytes().await?, whole: true });
    }
    Ok(parts)
}
