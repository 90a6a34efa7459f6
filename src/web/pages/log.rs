//! The Log page: the latest lines of the log, by level and text.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::moment::Moment;
use super::frame::{Frame, Tab};
use super::html;
use crate::web::api::log::{LEVELS, LIMIT};
use crate::web::filters;
use crate::web::texts::tr;
use crate::web::{LogLine, PageQuery, Problem, Web};

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// The lowest level.
    level: Option<String>,
    /// Lines with this text.
    q: Option<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "log.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    levels: &'static [&'static str],
    level: &'static str,
    words: String,
    lines: Vec<LineView>,
}

/// A line.
#[derive(Debug)]
struct LineView {
    at: Moment,
    tone: &'static str,
    line: LogLine,
}

impl LineView {
    fn new(line: LogLine, now: Timestamp) -> Self {
        let tone = match line.level.as_str() {
            "error" => "bad",
            "warn" => "warn",
            _ => "",
        };
        Self { at: Moment::new(line.at, now), tone, line }
    }
}

/// Answers with the page.
pub(super) async fn page(
    State(web): State<Web>,
    frame: Frame,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let level = LEVELS.into_iter().find(|level| Some(*level) == asked.level.as_deref()).unwrap_or("info");
    let words = asked.q.unwrap_or_default();
    let lines = web.bridge.log(level, &words, LIMIT);
    let lines = lines.into_iter().map(|line| LineView::new(line, now)).collect();
    html(&Page {
        frame: frame.of(Tab::Settings).titled(tr("Log")).hearing("log"),
        levels: &LEVELS,
        level,
        words,
        lines,
    })
}
