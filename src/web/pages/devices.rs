//! The Devices page: a table of all devices that can be searched and sorted, by links, or faster with the script.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(super) mod changes;
mod mute;
mod one;
mod order;
mod row;

use super::frame::{Frame, Tab};
use super::html;
use crate::model::Source;
use crate::outbox::history::{AlarmFilter, DeviceState};
use crate::outbox::{Entry, Reader};
use crate::web::filters;
use crate::web::texts::fill_two;
use crate::web::words::counted;
use crate::web::{PageQuery, Problem, Web};
pub(super) use one::page as one;
use order::{Column, DeviceOrder, DevicesPageQuery};
use row::{Faults, Row};

/// Number of devices per page.
const PAGE_SIZE: usize = 50;
/// Maximum number of devices searched.
const MAX_SEARCHED: usize = 10_000;
/// Number of alarms examined for the latest picture of a device.
const MAX_EXAMINED: usize = 12;
/// Milliseconds of a place of the time line that holds a whole day.
const DAY_PLACE_MS: i64 = 172_800_000;

/// The page.
#[derive(Debug, Template)]
#[template(path = "devices.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    /// Set if the storage folder can be read, so that devices can be listed.
    stored: bool,
    /// Set if there is no device at all.
    none: bool,
    summary: String,
    order: DeviceOrder,
    columns: Vec<Column>,
    rows: Vec<Row>,
    before: Option<String>,
    after: Option<String>,
}

/// Data the page is made from.
struct Found {
    total: usize,
    matching: usize,
    rows: Vec<(DeviceState, Vec<Arc<Entry>>)>,
    today: HashMap<Source, u64>,
    parents: HashMap<Source, String>,
}

/// Answers with the page.
pub(super) async fn page(
    State(web): State<Web>,
    frame: Frame,
    PageQuery(asked): PageQuery<DevicesPageQuery>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let order = DeviceOrder::from(asked);
    let faults = Faults::of(&web.findings.list());
    let (by, known_faults) = (order.clone(), faults.clone());
    let found = web.read(move |reader| Found::read(reader, &by, &known_faults, now)).await?;
    let row = |(state, alarms): &(DeviceState, Vec<Arc<Entry>>)| {
        Row::new(
            state,
            alarms,
            &found.parents,
            *found.today.get(&state.device.source).unwrap_or(&0),
            &faults,
            now,
        )
    };
    let order = order.within(found.matching, PAGE_SIZE);
    let last = order.page * PAGE_SIZE + found.rows.len();
    let page = Page {
        frame: frame.of(Tab::Devices),
        stored: web.outbox.durable(),
        none: found.total == 0,
        summary: summary(&found),
        columns: order.columns(),
        rows: found.rows.iter().map(row).collect(),
        before: (0 < order.page).then(|| order.at(order.page - 1)),
        after: (last < found.matching).then(|| order.at(order.page + 1)),
        order,
    };
    html(&page)
}

/// Number of devices, and number of those that match.
fn summary(found: &Found) -> String {
    let all = counted(found.total as u64, "device");
    if found.matching == found.total { all } else { fill_two("{} of {}", found.matching, all) }
}

impl Found {
    fn read(
        reader: &mut Reader,
        order: &DeviceOrder,
        faults: &Faults,
        now: Timestamp,
    ) -> rusqlite::Result<Self> {
        let all = reader.devices("", MAX_SEARCHED)?;
        let total = all.len();
        let today = today(reader, now)?;
        let names: HashMap<Source, String> =
            all.iter().map(|state| (state.device.source.clone(), name_of(state))).collect();
        let mut states: Vec<_> = all.into_iter().filter(|state| order.matches(state, &names)).collect();
        order.sort(&mut states, &names, &today, faults);
        let matching = states.len();
        let page = order.clone().within(matching, PAGE_SIZE).page;
        let mut rows = Vec::new();
        for state in states.into_iter().skip(page * PAGE_SIZE).take(PAGE_SIZE) {
            let alarms = alarms(reader, &state.device.source, MAX_EXAMINED)?;
            rows.push((state, alarms));
        }
        Ok(Self { total, matching, rows, today, parents: names })
    }
}

/// The latest alarms of a device.
fn alarms(reader: &mut Reader, source: &Source, limit: usize) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let filter = AlarmFilter { source: Some(source.clone()), ..AlarmFilter::default() };
    reader.alarms(&filter, limit)
}

/// Number of alarms of each device since midnight in the bridge's time zone.
fn today(reader: &mut Reader, now: Timestamp) -> rusqlite::Result<HashMap<Source, u64>> {
    let midnight = now.to_zoned(TimeZone::system()).start_of_day();
    let since = midnight.map_or(now, |midnight| midnight.timestamp());
    let placed =
        reader.alarms_by_place(since, DAY_PLACE_MS, u32::try_from(MAX_SEARCHED).unwrap_or(u32::MAX))?;
    let mut today = HashMap::new();
    for (source, _, _, count) in placed.counts {
        *today.entry(source).or_default() += count;
    }
    Ok(today)
}

/// Name a device is published under, which includes the configuration.
pub(super) fn name_of(state: &DeviceState) -> String {
    /// Fields of the value `device` that are used here.
    #[derive(serde::Deserialize)]
    struct Published {
        name: String,
    }
    let published = state.published.as_deref().and_then(|text| serde_json::from_str::<Published>(text).ok());
    published.map_or_else(|| state.device.name(None, None), |published| published.name)
}
