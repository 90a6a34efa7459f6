//! Places where simulated cameras stand: the front of a house, a garden, a driveway. The name of the camera decides
//! which, by a word in it where it has one; all numbers are thousandths of the picture.

use super::{Canvas, PIXEL};
use crate::simulate::random::Random;

/// A colour.
type Color = [u8; PIXEL];

/// Paints the place of a camera, and grain over all of it, which a real sensor has too.
pub(super) fn paint(canvas: &mut Canvas, name: &str) {
    let name = name.to_ascii_lowercase();
    let has = |words: [&str; 3]| words.iter().any(|word| name.contains(word));
    let place = match () {
        () if has(["door", "porch", "house"]) => 0,
        () if has(["garden", "lawn", "terrace"]) => 1,
        () if has(["drive", "garage", "gate"]) => 2,
        () => name.bytes().fold(1_u32, |sum, byte| sum + u32::from(byte)) % 3,
    };
    match place {
        0 => canvas.house(),
        1 => canvas.garden(),
        _ => canvas.driveway(),
    }
    let mut random = Random::new(0);
    for bytes in canvas.pixels.chunks_mut(8) {
        for (byte, grain) in bytes.iter_mut().zip(random.bits().to_le_bytes()) {
            *byte = byte.saturating_add(grain % 20);
        }
    }
}

impl Canvas {
    /// A brick wall with door and window, and a path to the door.
    fn house(&mut self) {
        self.shade([0, 0, 1_000, 450], [150, 112, 94], [128, 92, 78]);
        for row in 0..15 {
            self.part([0, row * 30, 1_000, 3], [112, 84, 72]);
            for column in 0..16 {
                self.part([column * 64 + (row % 2) * 32, row * 30, 2, 30], [112, 84, 72]);
            }
        }
        self.shade([0, 450, 1_000, 550], [92, 116, 74], [70, 92, 56]);
        self.window([120, 90, 200, 220]);
        self.part([690, 90, 130, 372], [212, 206, 196]);
        self.shade([702, 104, 106, 356], [58, 84, 74], [44, 66, 60]);
        self.part([786, 280, 10, 26], [206, 178, 92]);
        self.path([690, 820], [480, 980], [170, 164, 152]);
    }

    /// Sky, a hedge, a tree and a shed behind a lawn.
    fn garden(&mut self) {
        self.shade([0, 0, 1_000, 320], [128, 166, 208], [196, 212, 224]);
        for bush in 0..14 {
            self.disk(
                [bush * 78, 350 + (bush % 3) * 12, 70, 100],
                [52, u8::try_from(84 + bush % 4 * 6).unwrap_or(84), 44],
            );
        }
        self.shade([0, 400, 1_000, 600], [104, 142, 74], [70, 104, 50]);
        self.part([150, 150, 28, 320], [84, 62, 46]);
        self.disk([164, 130, 130, 130], [62, 104, 52]);
        self.disk([120, 200, 90, 90], [56, 96, 48]);
        self.part([690, 210, 220, 240], [124, 92, 66]);
        self.part([676, 190, 248, 34], [88, 62, 48]);
        self.part([770, 290, 70, 160], [92, 66, 48]);
        self.path([420, 560], [300, 620], [178, 166, 138]);
    }

    /// A garage with its door, and a parked car on the asphalt.
    fn driveway(&mut self) {
        self.shade([0, 0, 1_000, 460], [206, 202, 192], [182, 178, 170]);
        self.part([80, 70, 420, 390], [236, 234, 228]);
        for slat in 0..6 {
            self.shade([94, 84 + slat * 62, 392, 58], [222, 222, 218], [196, 196, 194]);
        }
        self.window([700, 100, 170, 160]);
        self.shade([0, 460, 1_000, 540], [104, 106, 110], [78, 80, 84]);
        self.part([0, 460, 1_000, 8], [148, 146, 140]);
        self.disk([770, 642, 190, 26], [58, 60, 64]);
        self.disk([770, 500, 110, 78], [40, 62, 104]);
        self.disk([770, 506, 92, 58], [148, 170, 188]);
        self.shade([600, 510, 340, 96], [52, 78, 130], [34, 54, 94]);
        self.part([600, 540, 24, 22], [246, 228, 160]);
        self.disk([672, 612, 34, 60], [24, 24, 26]);
        self.disk([868, 612, 34, 60], [24, 24, 26]);
    }

    /// A window with a white frame.
    fn window(&mut self, [x, y, width, height]: [usize; 4]) {
        self.part([x, y, width, height], [228, 226, 220]);
        let (across, down) = (width / 2 - 15, height / 2 - 18);
        for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let place = [x + 10 + column * (width / 2), y + 12 + row * (height / 2), across, down];
            self.shade(place, [110, 138, 168], [66, 86, 112]);
        }
    }

    /// A path from the back, between two places, to the front.
    fn path(&mut self, [left, right]: [usize; 2], [near_left, near_right]: [usize; 2], color: Color) {
        for step in 0..270 {
            let blend = |from: usize, to: usize| (from * (270 - step) + to * step) / 270;
            let (left, right) = (blend(left, near_left), blend(right, near_right));
            self.part([left, 460 + step * 2, right.saturating_sub(left), 3], color);
        }
    }

    /// A rectangle in thousandths.
    pub(super) fn part(&mut self, [x, y, width, height]: [usize; 4], color: Color) {
        let across = |part: usize| part * self.width / 1_000;
        let down = |part: usize| part * self.height / 1_000;
        let (left, top) = (across(x), down(y));
        let (width, height) = (across(x + width) - left, (down(y + height) - top).max(1));
        self.fill(left, top, width, height, color);
    }

    /// A rectangle whose colour changes from top to bottom.
    pub(super) fn shade(&mut self, [x, y, width, height]: [usize; 4], from: Color, to: Color) {
        let steps = height.clamp(1, 60);
        for step in 0..steps {
            let mix = |(from, to): (u8, u8)| {
                let mixed = (usize::from(from) * (steps - step) + usize::from(to) * step) / steps;
                u8::try_from(mixed).unwrap_or(u8::MAX)
            };
            let [red, green, blue] = from;
            let [red_to, green_to, blue_to] = to;
            let color = [mix((red, red_to)), mix((green, green_to)), mix((blue, blue_to))];
            let (top, end) = (y + height * step / steps, y + height * (step + 1) / steps);
            self.part([x, top, width, end - top], color);
        }
    }

    /// An ellipse around a point, with its radii, in thousandths of width and height.
    pub(super) fn disk(&mut self, [x, y, across, down]: [usize; 4], color: Color) {
        for row in 0..2 * down {
            let away = row.abs_diff(down);
            // Half the width at this height, by Pythagoras.
            let half = across * (down * down - away * away).isqrt() / down.max(1);
            let left = x.saturating_sub(half);
            if down <= y + row {
                self.part([left, y + row - down, x + half - left, 1], color);
            }
        }
    }
}
