//! Names of events as devices report them.

/// A kind of event, in the names that devices use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedKind {
    /// The camera's name, `PEOPLE`.
    pub camera: String,
    /// The recorder's `type` and `sub_type`; `None`: recorders do not report it.
    pub recorder: Option<(u16, u16)>,
    /// Set if cameras count objects and send boxes with it.
    pub counted: bool,
}

/// Slug, the camera's name, the recorder's numbers.
type Known = (&'static str, &'static str, Option<(u16, u16)>);

/// Known names of events.
const KNOWN: &[Known] = &[
    ("motion", "MOTION", Some((1, 2))),
    ("person", "PEOPLE", Some((1, 21))),
    ("vehicle", "VEHICLE", Some((1, 22))),
    ("pet", "PET", None),
    ("face", "FACE", Some((1, 17))),
    ("license_plate", "LICENSE_PLATE", None),
    ("line_crossing", "LINE_CROSSING", Some((1, 4))),
    ("intrusion", "INTRUSION", Some((1, 5))),
    ("region_entrance", "REGION_ENTRANCE", Some((1, 6))),
    ("region_exit", "REGION_EXIT", Some((1, 7))),
    ("loitering", "LOITERING", Some((1, 8))),
    ("object_left", "OBJECT_ABANDONED", Some((1, 12))),
    ("object_removed", "OBJECT_REMOVAL", Some((1, 13))),
    ("audio_anomaly", "AUDIO_ANOMALY", Some((1, 14))),
    ("baby_cry", "BABY_CRY", Some((1, 25))),
    ("tamper", "TAMPER", Some((1, 3))),
    ("defocus", "OUT_OF_FOCUS", Some((1, 15))),
    ("scene_change", "SCENE_CHANGE", Some((1, 16))),
    ("video_loss", "VIDEO_LOSS", Some((1, 19))),
    ("doorbell", "DOORBELL", Some((1, 24))),
];

/// Kinds that come with a number of objects and their boxes.
const COUNTED: &[&str] = &["person", "vehicle", "pet", "face", "intrusion", "loitering"];

impl SimulatedKind {
    /// Parses a known slug, `type/sub_type` of a recorder (`2/7`), or any other name, which a camera then sends in
    /// capitals; so unknown names can be tried too.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some((slug, camera, recorder)) = KNOWN.iter().find(|(slug, ..)| *slug == text) {
            return Self { camera: (*camera).into(), recorder: *recorder, counted: COUNTED.contains(slug) };
        }
        let numbers = text.split_once('/').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        Self { camera: text.to_uppercase(), recorder: numbers, counted: false }
    }
}

#[cfg(test)]
mod tests {
    use super::SimulatedKind;

    #[test]
    fn known_names_numbers_and_anything_else() {
        let person = SimulatedKind { camera: "PEOPLE".into(), recorder: Some((1, 21)), counted: true };
        assert_eq!(SimulatedKind::parse("person"), person);
        assert_eq!(SimulatedKind::parse("2/7").recorder, Some((2, 7)));
        assert_eq!(
            SimulatedKind::parse("dragon"),
            SimulatedKind { camera: "DRAGON".into(), recorder: None, counted: false }
        );
    }
}
