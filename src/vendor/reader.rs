//! Reads a body into a report: multipart, JSON, a JPEG or a form, told apart by content first and header second.

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::boundary::{announced, parameter, sniffed};
use super::content::{Content, is_type, sniff};
use super::error::{DecodeError, head};
use super::multipart::{Part, Split, split};
use super::report::{Image, Report, digits};
use super::{Body, End, Hints, charset, json, json_value, strict};
use crate::model::Picture;
use crate::model::jpeg::starts_as_jpeg;
use crate::model::record::SnapshotProblem;

/// How a JPEG begins, and how it ends.
const JPEG: (&[u8], &[u8]) = (b"\xff\xd8\xff", b"\xff\xd9");
/// Bytes of junk tolerated before a JPEG: one receiver in the field looks behind NULs (WIRE 1.5).
const JUNK: usize = 512;
/// The longest body given to the strict parser, which copies it; our own parts share the body's memory.
const STRICT_MOST: usize = 64 << 10;

/// A body being read.
struct Reader<'b> {
    body: &'b Body,
    report: Report,
    /// Complete JSON was there, if only an empty list.
    json: bool,
    /// JSON began that does not end.
    unfinished: bool,
    /// A JPEG began.
    jpeg: bool,
    /// How many JSON values are kept.
    values: usize,
}

/// Reads a body.
pub(super) fn read(body: &Body, hints: &Hints) -> Result<Report, DecodeError> {
    let report = Report { pointers: hints.pointers.clone(), ..Report::default() };
    let mut reader = Reader { body, report, json: false, unfinished: false, jpeg: false, values: 0 };
    let form = if reader.multipart() {
        "multipart"
    } else if reader.bare() {
        if reader.json { "JSON" } else { "a JPEG" }
    } else if reader.form() {
        "a form"
    } else {
        return Err(reader.error());
    };
    reader.check_header(form);
    reader.check_end();
    reader.embedded();
    Ok(reader.report)
}

impl Reader<'_> {
    /// Whether there is anything an alarm can be made of.
    fn found(&self) -> bool {
        self.json || self.jpeg
    }

    /// The header, if there is one.
    fn header(&self) -> Option<&str> {
        self.body.content_type.as_deref()
    }

    /// Reads a multipart body, at the announced boundary or else at the one that is there.
    fn multipart(&mut self) -> bool {
        let bytes = &self.body.bytes;
        let announced = announced(self.header());
        let content = sniff(bytes);
        if content != Content::Other && !is_type(self.header(), "multipart/") {
            return false;
        }
        if let Some(boundary) = &announced
            && let Some(split) = split(bytes, boundary)
        {
            self.parts(split, boundary);
        }
        self.forget_unless_found();
        if !self.found()
            && content == Content::Other
            && let Some(boundary) = sniffed(bytes)
            && let Some(split) = split(bytes, &boundary)
        {
            self.parts(split, &boundary);
            if self.found() && is_type(self.header(), "multipart/") {
                let said = announced.unwrap_or_else(|| "none".into());
                let detail = format!("the header's boundary is {said:?}, the body's is {boundary:?}");
                self.report.problem("boundary_mismatch", detail);
            }
        }
        self.forget_unless_found();
        self.found()
    }

    /// Drops what an attempt left behind that found no alarm: the next one reads the same bytes in another way.
    fn forget_unless_found(&mut self) {
        if !self.found() {
            self.report.images.clear();
            self.report.problems.clear();
        }
    }

    /// Takes the parts of a body. The strict parser reads what is well-formed for it.
    fn parts(&mut self, mut split: Split, boundary: &str) {
        if split.strict
            && self.body.bytes.len() <= STRICT_MOST
            && let Some(parts) = strict::parse(&self.body.bytes, boundary)
            && parts.len() == split.parts.len()
        {
            split.parts = parts;
        }
        let cut_off = self.body.end != End::Complete && !split.closed;
        let in_picture = split.parts.last().is_some_and(|part| kind(part) == Content::Jpeg);
        for part in std::mem::take(&mut split.parts) {
            self.part(&part);
        }
        let lost = |image: &Image| image.picture.problem.is_some();
        if cut_off && !in_picture && self.json && !self.report.images.last().is_some_and(lost) {
            self.image("", &Bytes::new(), false);
        }
        if self.found() && !split.repairs.is_empty() {
            self.report.problem("multipart_repaired", split.repairs.join("; "));
        }
    }

    /// Takes one part.
    fn part(&mut self, part: &Part) {
        let charset = part.content_type.as_deref().and_then(|value| parameter(value, "charset"));
        match kind(part) {
            Content::Json | Content::Other => {
                self.json_and_picture(&part.data, charset.as_deref(), part.whole)
            }
            Content::Jpeg => {
                let data = without_junk(&part.data);
                self.image(part.name.as_deref().unwrap_or_default(), &data, part.whole);
            }
        }
    }

    /// Reads a body without parts: JSON, JSON with a JPEG after it, or a JPEG.
    fn bare(&mut self) -> bool {
        let bytes = &self.body.bytes;
        if is_type(self.header(), "application/x-www-form-urlencoded") && sniff(bytes) == Content::Other {
            return false;
        }
        let charset = self.header().and_then(|header| parameter(header, "charset"));
        self.json_and_picture(&bytes.clone(), charset.as_deref(), self.body.end == End::Complete);
        self.found()
    }

    /// Takes JSON, a JPEG, or JSON with a JPEG behind it: the delimiter between them may be damaged or missing.
    fn json_and_picture(&mut self, bytes: &Bytes, charset: Option<&str>, whole: bool) {
        let utf16 = sniff(bytes) == Content::Json && bytes.get(..4).is_some_and(|head| head.contains(&0));
        let picture = if utf16 { None } else { memmem::find(bytes, JPEG.0) };
        let (text, data) =
            picture.map_or((bytes.clone(), None), |at| (bytes.slice(..at), Some(bytes.slice(at..))));
        self.json(&text, charset);
        let picture = data.filter(|_| self.json || text.len() <= JUNK || is_type(self.header(), "image/"));
        if let Some(data) = picture {
            self.image("", &data, whole);
        }
    }

    /// Reads a form: a field that holds JSON, or else the fields as an object.
    fn form(&mut self) -> bool {
        let bytes = &self.body.bytes;
        let is_form = is_type(self.header(), "application/x-www-form-urlencoded") && bytes.contains(&b'=');
        if !is_form || self.body.end != End::Complete {
            return false;
        }
        let mut fields = serde_json::Map::new();
        for (key, value) in url::form_urlencoded::parse(bytes.trim_ascii()).take(1_024) {
            if sniff(value.as_bytes()) == Content::Json {
                self.json(&Bytes::from(value.into_owned().into_bytes()), None);
            } else {
                fields.insert(key.into_owned(), value.into_owned().into());
            }
        }
        if !self.json {
            self.json = true;
            self.report.documents.push(fields.into());
        }
        true
    }

    /// Takes the JSON in some bytes.
    fn json(&mut self, bytes: &Bytes, charset: Option<&str>) {
        if self.values >= json_value::MOST_VALUES {
            return self.report.problem("json_repaired", json::CUT.into());
        }
        let text = charset::read(bytes, charset);
        let parsed = json::parse(&text.text);
        self.unfinished |= parsed.unfinished;
        if parsed.documents.is_empty() {
            return;
        }
        self.json = true;
        self.values += parsed.values;
        if let Some(encoding) = text.repaired {
            self.report.problem("charset_repaired", format!("the JSON was read as {encoding}"));
        }
        if !parsed.repairs.is_empty() {
            self.report.problem("json_repaired", parsed.repairs.join("; "));
        }
        for document in parsed.documents {
            match document {
                // Several reports in a list.
                Value::Array(list) if list.iter().all(Value::is_object) => self.report.documents.extend(list),
                other => self.report.documents.push(other),
            }
        }
    }

    /// Takes a picture; `whole` is false if the body ended in it.
    fn image(&mut self, name: &str, data: &Bytes, whole: bool) {
        self.jpeg |= starts_as_jpeg(data);
        let ended = data.trim_ascii_end().ends_with(JPEG.1);
        let size = data.len() as u64;
        let picture = match self.body.end {
            End::Truncated if !whole && !ended => Picture::missing(size, SnapshotProblem::Truncated),
            // Of a picture that does not fit, the first bytes may be kept without its end, and parts behind it.
            End::TooLarge if !whole || !ended => {
                Picture::missing(size.saturating_add(self.body.skipped), SnapshotProblem::TooLarge)
            }
            End::Complete | End::Truncated | End::TooLarge => Picture::checked(data.clone()),
        };
        if picture.problem == Some(SnapshotProblem::NotAJpeg) {
            let detail = format!("{} bytes beginning with \"{}\"", data.len(), head(data));
            self.report.problem("not_a_jpeg", detail);
        }
        self.report.images.push(Image { digits: digits(name), picture });
    }

    /// Takes the pictures that are base64 inside JSON, out of it.
    fn embedded(&mut self) {
        let Some(pointer) = self.report.pointers.picture.clone() else { return };
        let mut texts = Vec::new();
        for document in &mut self.report.documents {
            if let Some(Value::String(text)) = document.pointer_mut(&pointer).map(Value::take) {
                texts.push(text);
            }
        }
        for text in texts {
            self.image("", &super::base64::decode(&text).unwrap_or_default(), true);
        }
    }

    /// Notes a header that says something else than the content.
    fn check_header(&mut self, form: &str) {
        let fits = match form {
            "multipart" => is_type(self.header(), "multipart/"),
            "JSON" => is_type(self.header(), "application/json") || is_type(self.header(), "text/json"),
            "a JPEG" => is_type(self.header(), "image/"),
            _ => true,
        };
        if let Some(header) = self.body.content_type.as_deref().filter(|_| !fits) {
            let detail = format!("the header says {:?}, the body is {form}", super::fields::cut(header));
            self.report.problem("content_type_wrong", detail);
        }
    }

    /// Notes how the body ended.
    fn check_end(&mut self) {
        let bytes = self.body.bytes.len();
        match self.body.end {
            End::Complete => {}
            End::Truncated => {
                self.report.problem("body_truncated", format!("the body ended after {bytes} bytes"));
            }
            End::TooLarge => {
                let detail = format!("{bytes} bytes were kept and {} thrown away", self.body.skipped);
                self.report.problem("body_too_large", detail);
            }
        }
    }

    /// Why nothing was found.
    fn error(&self) -> DecodeError {
        let bytes = &self.body.bytes;
        let blank = || bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0);
        match self.body.end {
            End::Truncated => DecodeError::truncated(bytes),
            End::TooLarge => DecodeError::too_large(bytes),
            End::Complete if blank() => DecodeError::Empty,
            End::Complete if self.unfinished => DecodeError::not_understood(bytes, "the JSON does not end"),
            End::Complete => DecodeError::not_understood(bytes, "the body is no alarm"),
        }
    }
}

/// What a part is: by content, then by its own headers.
fn kind(part: &Part) -> Content {
    let content_type = part.content_type.as_deref();
    match sniff(&part.data) {
        Content::Other if is_type(content_type, "image/") => Content::Jpeg,
        told => told,
    }
}

/// A picture without the junk before it, if a JPEG begins soon after.
fn without_junk(data: &Bytes) -> Bytes {
    let window = data.get(..JUNK).unwrap_or(data);
    memmem::find(window, JPEG.0).map_or_else(|| data.clone(), |at| data.slice(at..))
}
