//! Positions of the people in a scene; the same boxes are drawn and reported.

use crate::simulate::random::Random;

/// Length of both sides of the frame in the grid in which cameras report boxes.
pub const GRID: u16 = 10_000;
/// Width of a figure on the grid.
const WIDTH: u16 = 1_100;
/// Height of a figure on the grid.
const HEIGHT: u16 = 4_600;
/// Number of steps in which a figure crosses the picture.
const STEPS: u16 = 9;

/// A box on the grid, from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// From the left.
    pub x: u16,
    /// Offset from the left.
    pub y: u16,
    /// Offset from the top.
    pub width: u16,
    /// Width.
    pub height: u16,
}

/// Height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// At least one figure.
    pub figures: Vec<Figure>,
    /// Number of the step; it determines the position of the legs.
    pub step: u32,
}

impl Scene {
    /// Scene of one alarm. Over the steps, a person walks from left to right; in two of three visits a second one
    /// comes towards the first.
    #[must_use]
    pub fn at(seed: u64, step: u32) -> Self {
        let place = u16::try_from(step % u32::from(STEPS)).unwrap_or(0);
        let way = Random::new(seed ^ u64::from(step / u32::from(STEPS))).bits();
        let free = GRID - WIDTH;
        let first = figure(place * (free / STEPS) + 400, 4_900);
        let mut figures = vec![first];
        if !way.is_multiple_of(3) {
            figures.push(figure(free - place * (free / STEPS), 4_500));
        }
        Self { figures, step }
    }
}

/// A figure at this place.
fn figure(x: u16, y: u16) -> Figure {
    Figure { x: x.min(GRID - WIDTH), y, width: WIDTH, height: HEIGHT }
}

#[cfg(test)]
mod tests {
    use super::{GRID, Scene};

    #[test]
    fn everybody_stays_in_the_picture_and_moves() {
        for step in 0..100 {
            let scene = Scene::at(3, step);
            for figure in &scene.figures {
                assert!(figure.x + figure.width <= GRID && figure.y + figure.height <= GRID, "{figure:?}");
            }
            assert_ne!(scene.figures, Scene::at(3, step + 1).figures);
        }
        assert!((0..9).any(|way| Scene::at(3, way * 9).figures.len() == 2));
    }
}
