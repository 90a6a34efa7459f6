//! Conversion of a body to a report: multipart, JSON, JPEG or form, detected by content first and by header second.

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::content::{SniffedType, is_type, sniff};
use super::json::json_value;
use super::multipart::boundary::{announced, parameter, sniffed};
use super::multipart::strict;
use super::multipart::{BodyPart, Split, split};
use super::{charset, json};
use crate::decode::error::{DecodeError, head};
use crate::decode::report::{Document, Image, Report, cut, digits};
use crate::decode::{Body, BodyEnd, Hints};
use crate::findings::FindingCode;
use crate::model::Picture;
use crate::model::picture::jpeg::starts_as_jpeg;
use crate::model::record::SnapshotProblem;

mod form;
mod text;

/// First and last bytes of a JPEG.
const JPEG: (&[u8], &[u8]) = (b"\xff\xd8\xff", b"\xff\xd9");
/// Maximum number of junk bytes before a JPEG; some devices send NULs there.
const MAX_JUNK: usize = 512;

/// Names of a picture part; empty where it has none.
#[derive(Default)]
struct Label<'p> {
    name: &'p str,
    file: &'p str,
}

/// State of the conversion of a body.
struct Reader<'b> {
    body: &'b Body,
    report: Report,
    /// Set if complete JSON was found, even if only an empty list.
    json: bool,
    /// Set if JSON begins and does not end.
    unfinished: bool,
    /// Set if a JPEG begins.
    jpeg: bool,
    /// Set if a document is XML or lines of fields.
    tree: bool,
    /// XML and lines of fields of unknown makers.
    others: Vec<Value>,
    /// Number of JSON values kept.
    values: usize,
    /// Documents that a field of a form consists of: the name of the field, and the number of the document.
    named: Vec<(String, usize)>,
}

/// Converts a body to a report.
pub(crate) fn read(body: &Body, hints: &Hints) -> Result<Report, DecodeError> {
    let report = Report {
        pointers: hints.pointers.clone(),
        mappings: hints.mappings.clone(),
        headers: hints.headers(),
        ..Report::default()
    };
    let mut reader = Reader {
        body,
        report,
        json: false,
        unfinished: false,
        jpeg: false,
        tree: false,
        others: Vec::new(),
        values: 0,
        named: Vec::new(),
    };
    let form = if reader.multipart() {
        "multipart"
    } else if reader.single() {
        if reader.tree {
            "text"
        } else if reader.json {
            "JSON"
        } else {
            "a JPEG"
        }
    } else if reader.form() {
        "a form"
    } else if !reader.others.is_empty() || reader.words() {
        "text"
    } else {
        return Err(reader.error());
    };
    reader.check_header(form);
    reader.check_end();
    reader.take_others();
    reader.embedded();
    Ok(reader.report)
}

impl Reader<'_> {
    /// Returns whether anything was found from which an alarm can be made.
    fn has_content(&self) -> bool {
        self.json || self.jpeg
    }

    /// The header, if there is one.
    fn header(&self) -> Option<&str> {
        self.body.content_type.as_deref()
    }

    /// Converts a multipart body, by the announced boundary or otherwise the one it contains.
    fn multipart(&mut self) -> bool {
        let bytes = &self.body.bytes;
        let announced = announced(self.header());
        let content = sniff(bytes);
        if content != SniffedType::Other && !is_type(self.header(), "multipart/") {
            return false;
        }
        if let Some(boundary) = &announced
            && let Some(split) = split_parts(bytes, boundary)
        {
            self.parts(split);
        }
        self.forget_unless_found();
        if !self.has_content()
            && content == SniffedType::Other
            && let Some(boundary) = sniffed(bytes)
            && let Some(split) = split_parts(bytes, &boundary)
        {
            self.parts(split);
            if self.has_content() && is_type(self.header(), "multipart/") {
                let said = announced.unwrap_or_else(|| "none".into());
                let detail = format!("the header's boundary is {said:?}, the body's is {boundary:?}");
                self.report.problem(FindingCode::BoundaryMismatch, detail);
            }
        }
        self.forget_unless_found();
        self.has_content()
    }

    /// Drops the results of an attempt that found no alarm: the next attempt reads the same bytes in another way.
    fn forget_unless_found(&mut self) {
        if !self.has_content() {
            self.report.images.clear();
            self.report.problems.clear();
            self.report.values.clear();
            self.others.clear();
            self.named.clear();
        }
    }

    /// Converts the parts of a body.
    fn parts(&mut self, mut split: Split) {
        let cut_off = self.body.end != BodyEnd::Complete && !split.closed;
        let in_picture = split.parts.last().is_some_and(|part| kind(part) == SniffedType::Jpeg);
        for part in std::mem::take(&mut split.parts) {
            self.part(&part);
        }
        self.take_values();
        let lost = |image: &Image| image.picture.problem.is_some();
        if cut_off && !in_picture && self.json && !self.report.images.last().is_some_and(lost) {
            self.image(&Label::default(), &Bytes::new(), false);
        }
        if self.has_content() && !split.repairs.is_empty() {
            self.report.problem(FindingCode::MultipartRepaired, split.repairs.join("; "));
        }
    }

    /// Converts one part.
    fn part(&mut self, part: &BodyPart) {
        let charset = part.content_type.as_deref().and_then(|value| parameter(value, "charset"));
        match kind(part) {
            SniffedType::Json | SniffedType::Other => {
                let before = self.taken();
                self.json_and_picture(&part.data, charset.as_deref(), part.whole);
                if self.taken() == before && !part.data.trim_ascii().is_empty() {
                    self.value(part, charset.as_deref());
                } else if let (Some(name), Some(document)) = (&part.name, self.single_since(before)) {
                    self.named.push((name.clone(), document));
                }
            }
            SniffedType::Jpeg => {
                let data = without_junk(&part.data);
                let label = Label {
                    name: part.name.as_deref().unwrap_or_default(),
                    file: part.file.as_deref().unwrap_or_default(),
                };
                self.image(&label, &data, part.whole);
            }
        }
    }

    /// Converts a body without parts: JSON, JSON with a JPEG after it, or a JPEG.
    fn single(&mut self) -> bool {
        let bytes = &self.body.bytes;
        let is_form = is_type(self.header(), "application/x-www-form-urlencoded");
        if is_form && sniff(bytes) == SniffedType::Other && !text::is_markup(bytes) {
            return false;
        }
        let charset = self.header().and_then(|header| parameter(header, "charset"));
        // JSON as the key of a form has the form's `=` behind it.
        let key = bytes.trim_ascii().strip_suffix(b"=").filter(|_| is_form);
        let bytes = key.map_or_else(|| bytes.clone(), |key| bytes.slice_ref(key));
        self.json_and_picture(&bytes, charset.as_deref(), self.body.end == BodyEnd::Complete);
        self.has_content()
    }

    /// Converts JSON, a JPEG, or JSON followed by a JPEG, whose delimiter may be damaged or missing.
    fn json_and_picture(&mut self, bytes: &Bytes, charset: Option<&str>, whole: bool) {
        let utf16 = sniff(bytes) == SniffedType::Json && bytes.get(..4).is_some_and(|head| head.contains(&0));
        let picture = if utf16 { None } else { memmem::find(bytes, JPEG.0) };
        let (text, data) =
            picture.map_or((bytes.clone(), None), |at| (bytes.slice(..at), Some(bytes.slice(at..))));
        if !self.tree(&text, charset) {
            self.json(&text, charset);
        }
        let picture =
            data.filter(|_| self.json || text.len() <= MAX_JUNK || is_type(self.header(), "image/"));
        if let Some(data) = picture {
            self.image(&Label::default(), &data, whole);
        }
    }

    /// Parses the JSON in some bytes.
    fn json(&mut self, bytes: &Bytes, charset: Option<&str>) {
        if self.values >= json_value::MAX_VALUES {
            return self.report.problem(FindingCode::JsonRepaired, json::CUT.into());
        }
        let text = charset::read(bytes, charset);
        let quoted = form::quoted(&text.text);
        let parsed = json::parse(quoted.as_deref().unwrap_or(&text.text));
        self.unfinished |= parsed.unfinished;
        if parsed.documents.is_empty() {
            return;
        }
        self.json = true;
        self.values += parsed.values;
        if let Some(encoding) = text.repaired {
            self.report.problem(FindingCode::CharsetRepaired, format!("the JSON was read as {encoding}"));
        }
        if !parsed.repairs.is_empty() {
            self.report.problem(FindingCode::JsonRepaired, parsed.repairs.join("; "));
        }
        for document in parsed.documents {
            match document {
                // Several reports in a list.
                Value::Array(list) if list.iter().all(Value::is_object) => {
                    let documents = list.into_iter().map(|value| Document { value, form: false });
                    self.report.documents.extend(documents);
                }
                value => {
                    let inner = form::wrapped(&value).filter(|inner| self.report.knows(inner, false));
                    self.report.documents.push(Document { value: inner.unwrap_or(value), form: false });
                }
            }
        }
    }

    /// Adds a picture; `whole` is false if the body ended in it.
    fn image(&mut self, label: &Label<'_>, data: &Bytes, whole: bool) {
        self.jpeg |= starts_as_jpeg(data);
        let ended = data.trim_ascii_end().ends_with(JPEG.1);
        let size = data.len() as u64;
        let picture = match self.body.end {
            // Bytes of a picture may be discarded too, and parts behind it kept.
            BodyEnd::Truncated if (!whole || self.body.skipped > 0) && !ended => {
                Picture::missing(size.saturating_add(self.body.skipped), SnapshotProblem::Truncated)
            }
            // Of a picture that does not fit, the first bytes may be kept without its end, followed by later parts.
            BodyEnd::TooLarge if !whole || !ended => {
                Picture::missing(size.saturating_add(self.body.skipped), SnapshotProblem::TooLarge)
            }
            BodyEnd::Complete | BodyEnd::Truncated | BodyEnd::TooLarge => Picture::checked(data.clone()),
        };
        if picture.problem == Some(SnapshotProblem::NotAJpeg) {
            let detail = format!("{} bytes beginning with \"{}\"", data.len(), head(data));
            self.report.problem(FindingCode::NotAJpeg, detail);
        }
        self.report.images.push(Image {
            digits: digits(label.name),
            name: cut(label.name),
            file: cut(label.file),
            embedded: false,
            picture,
        });
    }

    /// Moves pictures that are base64 inside JSON out of it.
    fn embedded(&mut self) {
        let Some(pointer) = self.report.pointers.picture.clone() else { return };
        let mut texts = Vec::new();
        for document in &mut self.report.documents {
            if let Some(Value::String(text)) = document.value.pointer_mut(&pointer).map(Value::take) {
                texts.push(text);
            }
        }
        for text in texts {
            self.image(&Label::default(), &super::base64::decode(&text).unwrap_or_default(), true);
        }
    }

    /// Notes a header that contradicts the content.
    fn check_header(&mut self, form: &str) {
        let fits = match form {
            "multipart" => is_type(self.header(), "multipart/"),
            "JSON" => is_type(self.header(), "application/json") || is_type(self.header(), "text/json"),
            "a JPEG" => is_type(self.header(), "image/"),
            _ => true,
        };
        if let Some(header) = self.body.content_type.as_deref().filter(|_| !fits) {
            let detail = format!("the header says {:?}, the body is {form}", cut(header));
            self.report.problem(FindingCode::ContentTypeWrong, detail);
        }
    }

    /// Notes an early end of the body.
    fn check_end(&mut self) {
        let bytes = self.body.bytes.len();
        match self.body.end {
            BodyEnd::Complete => {}
            BodyEnd::Truncated => {
                let detail = match self.body.skipped {
                    0 => format!("the alarm was kept, though the body ended after {bytes} bytes"),
                    skipped => without_picture(skipped, bytes),
                };
                self.report.problem(FindingCode::BodyTruncated, detail);
            }
            BodyEnd::TooLarge => {
                let detail = match self.body.skipped {
                    0 => format!("the alarm was kept, though the packed body is longer than {bytes} bytes"),
                    skipped => without_picture(skipped, bytes),
                };
                self.report.problem(FindingCode::BodyTooLarge, detail);
            }
        }
    }

    /// The error of a body in which nothing was found.
    fn error(&self) -> DecodeError {
        let bytes = &self.body.bytes;
        let blank = || bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0);
        match self.body.end {
            BodyEnd::Truncated => DecodeError::truncated(bytes),
            BodyEnd::TooLarge => DecodeError::too_large(bytes),
            BodyEnd::Complete if blank() => DecodeError::Empty,
            BodyEnd::Complete if self.unfinished => {
                DecodeError::not_understood(bytes, "the JSON does not end")
            }
            BodyEnd::Complete => DecodeError::not_understood(bytes, "the body is not an alarm"),
        }
    }
}

/// Detail of a finding: the picture is lost, the alarm is not.
fn without_picture(skipped: u64, kept: usize) -> String {
    let all = kept as u64 + skipped;
    format!("the alarm was kept without its picture: {skipped} of {all} bytes were thrown away")
}

/// Splits a multipart body: by `multer` when it is well-formed, otherwise by the tolerant splitter.
fn split_parts(body: &Bytes, boundary: &str) -> Option<Split> {
    let strict = strict::parse(body, boundary).map(|parts| Split { parts, closed: true, ..Split::default() });
    strict.or_else(|| split(body, boundary))
}

/// Type of a part: by content first, by its own headers second.
fn kind(part: &BodyPart) -> SniffedType {
    let content_type = part.content_type.as_deref();
    match sniff(&part.data) {
        SniffedType::Other if is_type(content_type, "image/") => SniffedType::Jpeg,
        told => told,
    }
}

/// A picture without bytes before it, if a JPEG begins within the first bytes.
fn without_junk(data: &Bytes) -> Bytes {
    let window = data.get(..MAX_JUNK).unwrap_or(data);
    memmem::find(window, JPEG.0).map_or_else(|| data.clone(), |at| data.slice(at..))
}
