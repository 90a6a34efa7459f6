//! Objects in the enhanced format of VIGI cameras: regions, boxes, counts.

use serde_json::Value;

use super::fields::{Fields, items, member, number};
use crate::model::BoundingBox;

/// Boxes are written in ten-thousandths of the picture: in published captures y + height is exactly that.
const SCALE: f64 = 10_000.0;
/// Maximum number of boxes and of regions of one alarm.
const MAX_BOXES: usize = 256;

/// The objects of one entry.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Objects {
    /// Number of objects, if the device counts them: the sum over its regions.
    pub(crate) count: Option<u32>,
    /// The regions of the rule, each once.
    pub(crate) regions: Vec<u32>,
    /// The boxes.
    pub(crate) boxes: Vec<BoundingBox>,
    /// Values that could not be parsed, to be kept in `extra`.
    pub(crate) rest: Vec<Value>,
    /// Set if there were more than are kept.
    pub(crate) truncated: bool,
}

/// Reads `extra_text`: a list of objects, or one.
pub(crate) fn objects(extra_text: &Value) -> Objects {
    let mut objects = Objects::default();
    for item in items(extra_text) {
        if item.is_object() { region(item, &mut objects) } else { objects.rest.push(item.clone()) }
    }
    objects
}

/// Reads one item: the objects in some regions.
fn region(item: &Value, objects: &mut Objects) {
    let mut fields = Fields::of(item);
    if let Some(count) = fields.number(&["obj_num"]) {
        objects.count = Some(objects.count.unwrap_or(0).saturating_add(count));
    }
    for region in fields.take(&["region_id"]).as_deref().into_iter().flat_map(items).filter_map(number) {
        if objects.regions.len() >= MAX_BOXES {
            objects.truncated = true;
        } else if !objects.regions.contains(&region) {
            objects.regions.push(region);
        }
    }
    let mut unread = Vec::new();
    for value in fields.take(&["obj_rect_info"]).as_deref().into_iter().flat_map(items) {
        match bounding_box(value) {
            Some(_) if objects.boxes.len() >= MAX_BOXES => objects.truncated = true,
            Some(found) => objects.boxes.push(found),
            None => unread.push(value.clone()),
        }
    }
    if !unread.is_empty() {
        fields.put("obj_rect_info", unread.into());
    }
    if !fields.is_empty() {
        objects.rest.push(fields.rest().into());
    }
}

/// One box, within the picture.
fn bounding_box(value: &Value) -> Option<BoundingBox> {
    let side = |key| {
        let value = member(value, key)?;
        value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|side: &f64| side.is_finite())
    };
    let x = side("x")?.clamp(0.0, SCALE);
    let y = side("y")?.clamp(0.0, SCALE);
    let width = side("width")?.clamp(0.0, SCALE - x);
    let height = side("height")?.clamp(0.0, SCALE - y);
    Some(BoundingBox { x: x / SCALE, y: y / SCALE, width: width / SCALE, height: height / SCALE })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::objects;

    #[test]
    fn boxes_are_fractions_within_the_picture() {
        let found = objects(&json!([
            {"region_id": [1, "2", 1], "obj_num": 2, "obj_rect_info": [
                {"x": 2109, "y": 4722, "height": 5278, "width": 1797},
                {"x": "9000", "y": -5, "height": 20_000, "width": 5000},
                {"x": 1}]},
            {"region_id": 3, "obj_num": "1", "direction": "in"}, "odd"]));
        assert_eq!((found.count, &found.regions[..]), (Some(3), &[1, 2, 3][..]));
        let corners: Vec<_> = found.boxes.iter().map(|b| [b.x, b.y, b.width, b.height]).collect();
        assert_eq!(corners, [[0.2109, 0.4722, 0.1797, 0.5278], [0.9, 0.0, 0.1, 1.0]]);
        assert_eq!(json!(found.rest), json!([{"obj_rect_info": [{"x": 1}]}, {"direction": "in"}, "odd"]));
        assert_eq!(objects(&json!(null)), super::Objects::default());
    }

    #[test]
    fn a_million_boxes_are_cut() {
        let one = json!({"x": 1, "y": 1, "height": 1, "width": 1});
        let found =
            objects(&json!({"obj_rect_info": vec![one; 1_000], "region_id": (0..1_000).collect::<Vec<_>>()}));
        assert_eq!((found.boxes.len(), found.regions.len(), found.truncated), (256, 256, true));
    }
}
