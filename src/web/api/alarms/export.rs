//! Export of alarms and pictures as JSON, CSV or ZIP archive, by a filter. Each is read and sent in parts, so that
//! its size does not matter.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::query::AlarmQuery;
use super::{AlarmRow, row};
use crate::outbox::Entry;
use crate::outbox::history::AlarmFilter;
use crate::web::api::openapi::{Operation, Output};
use crate::web::{ApiQuery, Problem, Web};

mod archive;

/// Number of alarms read at a time.
const READ_BATCH: usize = 200;

/// Columns of the CSV file.
const COLUMNS: [&str; 11] = [
    "received_at",
    "time",
    "source",
    "device",
    "maker",
    "event",
    "event_raw",
    "count",
    "details",
    "picture",
    "id",
];

/// Answer with a file of this content.
pub(in crate::web::api) struct File<T>(Response, PhantomData<T>);

/// Content of a file: its type and schema.
pub(in crate::web::api) trait Content {
    /// Value of the Content-Type header.
    const CONTENT_TYPE: &'static str;

    /// Schema of the whole.
    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A table, one line an alarm.
pub(in crate::web::api) struct Csv;

/// An archive of pictures.
pub(in crate::web::api) struct Zip;

impl Content for Csv {
    const CONTENT_TYPE: &'static str = "text/csv; charset=utf-8";
}

impl Content for Zip {
    const CONTENT_TYPE: &'static str = "application/zip";
}

impl Content for Vec<AlarmRow> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl<T> IntoResponse for File<T> {
    fn into_response(self) -> Response {
        self.0
    }
}

impl<T: Content> Output for File<T> {
    fn describe(operation: &mut Operation<'_>) {
        let media = T::CONTENT_TYPE.split(';').next().unwrap_or_default();
        let schema = T::schema(operation.generator);
        operation.answer(media, &schema);
    }
}

/// Alarms that are still to be exported.
struct Rest {
    web: Web,
    filter: AlarmFilter,
    left: usize,
}

impl Rest {
    /// Everything that matches a query; its `limit` bounds the whole export.
    fn new(web: Web, query: &AlarmQuery) -> Result<Self, Problem> {
        Ok(Self { web, filter: query.filter()?, left: query.limit.unwrap_or(usize::MAX) })
    }

    /// Reads the next alarms; empty at the end.
    async fn next(&mut self, most: usize) -> Result<Vec<Arc<Entry>>, Problem> {
        let most = most.min(self.left);
        if most == 0 {
            return Ok(Vec::new());
        }
        let filter = self.filter.clone();
        let found = self.web.read(move |reader| reader.alarms(&filter, most)).await?;
        self.left -= found.len();
        if let Some(last) = found.last() {
            self.filter.before = Some(last.no);
        }
        Ok(found)
    }
}

/// `GET /export/alarms.json`.
pub(in crate::web::api) async fn json(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<AlarmQuery>,
) -> Result<File<Vec<AlarmRow>>, Problem> {
    let rest = Rest::new(web, &query)?;
    Ok(file("alarms.json", texts(rest, json_part)))
}

/// `GET /export/alarms.csv`.
pub(in crate::web::api) async fn csv(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<AlarmQuery>,
) -> Result<File<Csv>, Problem> {
    let rest = Rest::new(web, &query)?;
    let part = |rows: &[Value], place| csv_lines(rows, place == Place::First);
    Ok(file("alarms.csv", texts(rest, part)))
}

/// `GET /export/pictures.zip`.
pub(in crate::web::api) async fn pictures(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<AlarmQuery>,
) -> Result<File<Zip>, Problem> {
    let rest = Rest::new(web, &AlarmQuery { picture: Some("yes".into()), ..query })?;
    Ok(file("pictures.zip", archive::parts(rest)))
}

/// Position of a part in the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
    End,
}

/// Stream of text parts, which `part` makes of the rows.
fn texts(rest: Rest, part: fn(&[Value], Place) -> String) -> impl Stream<Item = io::Result<Bytes>> + Send {
    try_unfold((rest, Place::First), move |(mut rest, place)| async move {
        if place == Place::End {
            return Ok(None);
        }
        let found = rest.next(READ_BATCH).await.map_err(broken)?;
        let read = found.clone();
        let reviewed = rest.web.read(move |reader| reader.reviewed(&read)).await.map_err(broken)?;
        let to_json = |entry: &Arc<Entry>| {
            let row = AlarmRow { reviewed: reviewed.contains(&entry.no), ..row(&rest.web, entry) };
            serde_json::to_value(row).unwrap_or_default()
        };
        let rows: Vec<Value> = found.iter().map(to_json).collect();
        let text = match (rows.is_empty(), place) {
            (true, Place::First) => part(&rows, Place::First) + &part(&rows, Place::End),
            (true, _) => part(&rows, Place::End),
            (false, _) => part(&rows, place),
        };
        let next = if rows.is_empty() { Place::End } else { Place::Later };
        Ok(Some((Bytes::from(text), (rest, next))))
    })
}

/// JSON list of rows, one per line.
fn json_part(rows: &[Value], place: Place) -> String {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    let lines = lines.join(",\n");
    match place {
        Place::First => format!("[\n{lines}"),
        Place::Later => format!(",\n{lines}"),
        Place::End => "\n]\n".into(),
    }
}

/// Rows of alarms as lines of CSV (RFC 4180), with the header line if wanted.
#[must_use]
pub fn csv_lines(rows: &[Value], head: bool) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory does not fail, and all rows have as many columns.
    if head {
        writer.write_record(COLUMNS).ok();
    }
    for row in rows {
        writer.write_record(cells(row)).ok();
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The cells of an alarm.
fn cells(row: &Value) -> [String; 11] {
    let alarm = row.get("alarm").unwrap_or(&Value::Null);
    let of_alarm = |key: &str| cell(alarm.get(key));
    let of_device = |key: &str| cell(alarm.get("device").and_then(|device| device.get(key)));
    [
        of_alarm("received_at"),
        of_alarm("time"),
        of_alarm("source"),
        of_device("name"),
        of_device("vendor"),
        of_alarm("event"),
        of_alarm("event_raw"),
        of_alarm("count"),
        of_alarm("details"),
        cell(row.get("picture")),
        of_alarm("id"),
    ]
}

/// A value as a cell. A text that a spreadsheet would evaluate as a formula is prefixed with an apostrophe.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(map)) if map.is_empty() => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Answers with a file to save.
fn file<T: Content>(name: &str, parts: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> File<T> {
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(T::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    File(response, PhantomData)
}

/// Ends the connection after an error in the middle of an export, so that the client does not take the file for
/// complete.
fn broken(problem: Problem) -> io::Error {
    tracing::warn!("an export ended early: {}", problem.detail);
    io::Error::other(problem.detail)
}

/// Identifiers of the latest pictures in an archive: alarms of one report share theirs.
#[derive(Debug, Default)]
struct Latest(VecDeque<uuid::Uuid>);

impl Latest {
    /// Adds a picture. Returns whether it is new.
    fn take(&mut self, picture: uuid::Uuid) -> bool {
        if self.0.contains(&picture) {
            return false;
        }
        self.0.push_back(picture);
        if 256 < self.0.len() {
            self.0.pop_front();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_holds_what_was_sent_and_no_formula() {
        let alarm =
            json!({"event": "person", "device": {"name": "=1+1"}, "count": 2, "details": {"plate": "B\"1"}});
        let lines = csv_lines(&[json!({"alarm": alarm, "picture": null})], true);
        let mut lines = lines.split("\r\n");
        assert_eq!(lines.next(), Some(COLUMNS.join(",").as_str()));
        assert_eq!(lines.next(), Some(r#",,,'=1+1,,person,,2,"{""plate"":""B\""1""}",,"#));
        assert_eq!((lines.next(), lines.next()), (Some(""), None));
    }

    #[test]
    fn the_parts_of_an_empty_list_and_of_a_long_one_are_json() {
        let part = |rows: usize, place| json_part(&vec![json!({"no": 1}); rows], place);
        for parts in [
            part(0, Place::First) + &part(0, Place::End),
            part(2, Place::First) + &part(1, Place::Later) + &part(0, Place::End),
        ] {
            assert!(serde_json::from_str::<Vec<Value>>(&parts).is_ok(), "{parts}");
        }
    }
}
