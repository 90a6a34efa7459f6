//! Boxes around objects, as fractions of the picture.

use serde_json::Value;

use super::Entry;
use crate::config::mapping::file::ObjectBox;
use crate::decode::maker::fields::text;
use crate::model::BoundingBox;
use crate::model::picture::jpeg::Dimensions;

/// Maximum number of boxes of one alarm.
const MAX_BOXES: usize = 64;

/// The boxes of an entry; `dimensions` are those of its picture.
pub(super) fn boxes(shape: &ObjectBox, entry: Entry<'_>, dimensions: Option<Dimensions>) -> Vec<BoundingBox> {
    let scale = scale(shape, entry, dimensions);
    let number = |pointer: &String| decimal(entry.at(std::slice::from_ref(pointer))?);
    let corners: Vec<f64> = shape.corners.iter().map_while(number).collect();
    if let Some(corners) = corners.first_chunk::<4>() {
        return fractions(true, *corners, scale).into_iter().collect();
    }
    let found = entry.all(&shape.at).into_iter().flat_map(|value| match value {
        Value::Array(list) if list.iter().all(Value::is_object) => list.as_slice(),
        single => std::slice::from_ref(single),
    });
    found
        .filter_map(|value| sides(value).and_then(|(corners, sides)| fractions(corners, sides, scale)))
        .take(MAX_BOXES)
        .collect()
}

/// Numbers that stand for the full width and height; `None` if boxes are in pixels of a picture of unknown size.
fn scale(shape: &ObjectBox, entry: Entry<'_>, dimensions: Option<Dimensions>) -> Option<(f64, f64)> {
    let given = |pointers: &[String]| entry.at(pointers).and_then(decimal).filter(|size| *size >= 1.0);
    if let Some(size) = given(&shape.width).zip(given(&shape.height)) {
        return Some(size);
    }
    if shape.pixels {
        return dimensions.map(|size| (f64::from(size.width), f64::from(size.height)));
    }
    Some((shape.scale, shape.scale)).filter(|scale| scale.0 > 0.0)
}

/// A box as fractions; `corners`: the last two numbers are a corner, not width and height.
fn fractions(corners: bool, sides: [f64; 4], scale: Option<(f64, f64)>) -> Option<BoundingBox> {
    let [x, y, third, fourth] = sides;
    let largest = sides.into_iter().fold(0.0, f64::max);
    let (across, down) = if largest <= 1.0 { (1.0, 1.0) } else { scale? };
    let (width, height) = if corners { (third - x, fourth - y) } else { (third, fourth) };
    let (x, y) = ((x / across).clamp(0.0, 1.0), (y / down).clamp(0.0, 1.0));
    let (width, height) = ((width / across).clamp(0.0, 1.0 - x), (height / down).clamp(0.0, 1.0 - y));
    Some(BoundingBox { x, y, width, height })
}

/// A finite number, written as one or as text.
fn decimal(value: &Value) -> Option<f64> {
    text(value.get("#text").unwrap_or(value))?.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// The four numbers of a box, and whether the last two are a corner.
fn sides(value: &Value) -> Option<(bool, [f64; 4])> {
    let named = |names: [&str; 4]| {
        let found: Vec<f64> = names
            .iter()
            .map_while(|name| crate::decode::maker::fields::member(value, name).and_then(decimal))
            .collect();
        found.first_chunk::<4>().copied()
    };
    match value {
        Value::Array(list) if list.len() == 4 => {
            let found: Vec<f64> = list.iter().map_while(decimal).collect();
            found.first_chunk::<4>().map(|sides| (true, *sides))
        }
        Value::String(text) => {
            let found: Vec<f64> =
                text.split([',', ';']).map_while(|part| part.trim().parse().ok()).take(4).collect();
            found
                .first_chunk::<4>()
                .filter(|sides| sides.iter().all(|side: &f64| side.is_finite()))
                .map(|sides| (true, *sides))
        }
        Value::Object(_) => named(["x1", "y1", "x2", "y2"])
            .map(|sides| (true, sides))
            .or_else(|| named(["x", "y", "width", "height"]).map(|sides| (false, sides)))
            .or_else(|| named(["x", "y", "w", "h"]).map(|sides| (false, sides))),
        Value::Array(list) => list.first().and_then(sides),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
