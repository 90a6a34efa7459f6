//! The page that makes a mapping file from a request: the user assigns values to fields, and the draft is tried at
//! once.
//!
//! Every click submits the form, and the page is rendered again with the changes, so no script is needed.

use std::path::Path as FilePath;
use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use super::frame::{Frame, Tab};
use super::html;
use crate::config::NO_ALARM;
use crate::config::mapping;
use crate::decode::draft::{Draft, Role};
use crate::decode::{self, Body, Hints, Looked, recorded};
use crate::model::device::slug::slug;
use crate::model::event::KINDS;
use crate::web::filters;
use crate::web::texts::{fill, key, tr, tr_of};
use crate::web::{Problem, Web};

mod tried;

use tried::Tried;

/// Maximum characters of a value that are shown.
const MAX_SHOWN: usize = 80;

/// The page.
#[derive(Debug, Template)]
#[template(path = "mapping.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    no: i64,
    name: String,
    values: Vec<ValueView>,
    roles: Vec<(&'static str, String)>,
    kinds: Vec<KindView>,
    choices: Vec<&'static str>,
    tried: Tried,
    lines: Vec<Looked>,
    toml: String,
    /// Result of saving: the path, or the error.
    saved: Option<Result<String, String>>,
}

/// A value and its assigned field.
#[derive(Debug)]
struct ValueView {
    number: usize,
    pointer: String,
    text: String,
    word: &'static str,
    title: String,
}

/// Titles of the roles of values.
const ROLES: &[&str] = &[
    key("not used"),
    key("kind of event"),
    key("start or end"),
    key("device identifier"),
    key("MAC address"),
    key("device name"),
    key("device model"),
    key("device address"),
    key("channel"),
    key("time"),
    key("number of objects"),
    key("picture"),
    key("secret"),
];

/// Title of a role in the viewer's language.
fn role_title(role: &Role) -> String {
    match role {
        Role::Detail(name) => fill("detail: {}", name.replace('_', " ")),
        other => tr_of(ROLES, &other.title()),
    }
}

/// A name that the device uses for an event, and its kind.
#[derive(Debug)]
struct KindView {
    word: String,
    kind: String,
}

/// Fields of the form, in order.
type Fields = Vec<(String, String)>;

/// Answers with the guessed draft.
pub(super) async fn page(
    State(web): State<Web>,
    frame: Frame,
    Path(no): Path<i64>,
) -> Result<Response, Problem> {
    let request = Captured::read(&web, no).await?;
    request.show(frame, &request.draft(&Vec::new())?, None)
}

/// Answers with the draft changed by the form.
pub(super) async fn change(
    State(web): State<Web>,
    frame: Frame,
    Path(no): Path<i64>,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let request = Captured::read(&web, no).await?;
    request.show(frame, &request.draft(&fields)?, None)
}

/// Answers with the mapping file.
pub(super) async fn file(
    State(web): State<Web>,
    Path(no): Path<i64>,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let draft = Captured::read(&web, no).await?.draft(&fields)?;
    let mut response = draft.toml().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/toml"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{}.toml\"", draft.name)) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Writes the mapping file to the storage folder, and shows what to add to the configuration.
pub(super) async fn save(
    State(web): State<Web>,
    frame: Frame,
    Path(no): Path<i64>,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let request = Captured::read(&web, no).await?;
    let draft = request.draft(&fields)?;
    let (name, text) = (draft.name.clone(), draft.toml());
    let saved = match mapping::read(FilePath::new("the draft"), &text) {
        Ok(_) => tokio::task::spawn_blocking(move || web.bridge.save_mapping(&name, &text))
            .await
            .map_err(|error| Problem::internal(&error.to_string()))?,
        Err(mistakes) => Err(mistakes.to_string()),
    };
    request.show(frame, &draft, Some(saved))
}

/// A stored request.
struct Captured {
    no: i64,
    body: Body,
    hints: Hints,
}

impl Captured {
    async fn read(web: &Web, no: i64) -> Result<Self, Problem> {
        let kept = web.read(move |reader| reader.request(no)).await?;
        let kept = kept.ok_or_else(|| Problem::not_found("request of this number (any more)"))?;
        let raw = [kept.head.trim_end().as_bytes(), b"\r\n\r\n", &kept.body].concat();
        Ok(Self { no, body: recorded::read(&raw, None), hints: recorded::hints(&raw) })
    }

    /// Draft with the changes of the form.
    fn draft(&self, fields: &Fields) -> Result<Draft, Problem> {
        let mut draft = Draft::of(&self.body, &self.hints).map_err(|error| {
            let remedy = "its bytes are on the page of the request; what alarmbus reads is JSON, XML, forms and lines of fields";
            Problem::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, format!("no mapping can be drafted from it: {error}"), remedy)
        })?;
        let pointers: Vec<String> = draft.leaves.iter().map(|leaf| leaf.pointer.clone()).collect();
        let chosen = |number: &str, word: &str| {
            Some((pointers.get(number.parse::<usize>().ok()?)?, Role::parse(word)?))
        };
        for (key, value) in fields {
            let part = match key.split_at_checked(1) {
                Some(("r", number)) => chosen(number, value),
                _ if key == "set" => value.split_once(':').and_then(|(number, word)| chosen(number, word)),
                _ => None,
            };
            if let Some((pointer, role)) = part {
                draft.set(pointer, &role);
            }
        }
        for (key, value) in fields {
            if let Some(word) = key.strip_prefix("k:")
                && let Some(kind) = slug(value)
                && let Some((_, old)) = draft.kinds.iter_mut().find(|(known, _)| known == word)
            {
                *old = kind;
            }
            if key == "name"
                && let Some(name) = slug(value)
            {
                draft.name = name;
            }
        }
        Ok(draft)
    }

    /// Page of a draft.
    fn show(
        &self,
        frame: Frame,
        draft: &Draft,
        saved: Option<Result<String, String>>,
    ) -> Result<Response, Problem> {
        let toml = draft.toml();
        let (tried, lines) = self.try_draft(&toml);
        let value = |(number, (leaf, role)): (usize, (&decode::draft::Leaf, &Role))| ValueView {
            number,
            pointer: leaf.pointer.clone(),
            text: leaf.shown(MAX_SHOWN),
            word: role.word(),
            title: role_title(role),
        };
        html(&Page {
            frame: frame.of(Tab::Requests).titled(format!("{} {}", tr("Mapping of request"), self.no)),
            no: self.no,
            name: draft.name.clone(),
            values: draft.leaves.iter().zip(&draft.roles).enumerate().map(value).collect(),
            roles: Role::all().map(|role| (role.word(), role_title(&role))).collect(),
            kinds: draft
                .kinds
                .iter()
                .map(|(word, kind)| KindView { word: word.clone(), kind: kind.clone() })
                .collect(),
            choices: NO_ALARM.into_iter().chain(KINDS.iter().map(|kind| kind.slug)).collect(),
            tried,
            lines,
            toml,
            saved,
        })
    }

    /// Result of the request with this file, and what each pointer found.
    fn try_draft(&self, toml: &str) -> (Tried, Vec<Looked>) {
        let mapping = match mapping::read(FilePath::new("draft"), toml) {
            Ok((mapping, _)) => Arc::new(mapping),
            Err(mistakes) => return (Tried::failed(mistakes.to_string()), Vec::new()),
        };
        let hints = Hints { mappings: vec![mapping], alarms_per_report: 16, ..self.hints.clone() };
        let lines = decode::explain(&self.body, &hints)
            .unwrap_or_default()
            .into_iter()
            .flat_map(|it| it.lines)
            .collect();
        match decode::decode(&self.body, &hints) {
            Ok(decoded) => (Tried::new(&decoded), lines),
            Err(error) => (Tried::failed(error.to_string()), lines),
        }
    }
}
