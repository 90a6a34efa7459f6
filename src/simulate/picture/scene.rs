//! Positions of the figures in a scene; the same boxes are drawn and reported.

use crate::simulate::event::SimulatedKind;
use crate::simulate::random::Random;

/// Length of both sides of the frame in the grid in which cameras report boxes.
pub const GRID: u16 = 10_000;
/// Number of steps in which a figure crosses the picture.
const STEPS: u16 = 9;

/// A box on the grid, from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Offset from the left.
    pub x: u16,
    /// Offset from the top.
    pub y: u16,
    /// Width.
    pub width: u16,
    /// Height.
    pub height: u16,
}

/// Kind of figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureKind {
    /// A person.
    Person,
    /// A car.
    Car,
    /// A cat.
    Cat,
}

/// The figures of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Kind of the figures.
    pub kind: FigureKind,
    /// At least one figure.
    pub figures: Vec<Figure>,
    /// Number of the step; it determines the position of the legs.
    pub step: u32,
}

impl FigureKind {
    /// The figure that reports of these kinds are about.
    #[must_use]
    pub fn of(kinds: &[SimulatedKind]) -> Self {
        let of = |kind: &SimulatedKind| match kind.camera.as_str() {
            "VEHICLE" | "LICENSE_PLATE" => Some(Self::Car),
            "PET" => Some(Self::Cat),
            _ => None,
        };
        kinds.iter().find_map(of).unwrap_or(Self::Person)
    }

    /// Width and height on the grid.
    fn size(self) -> [u16; 2] {
        match self {
            Self::Person => [1_100, 4_600],
            Self::Car => [3_400, 2_600],
            Self::Cat => [1_500, 1_300],
        }
    }

    /// Figure at a place from the left whose feet are this far below the top.
    fn at(self, x: u16, feet: u16) -> Figure {
        let [width, height] = self.size();
        Figure { x: x.min(GRID - width), y: feet - height, width, height }
    }
}

impl Scene {
    /// Scene of one alarm. Over the steps, a figure goes from left to right; in two of three visits of people a second
    /// one comes towards the first.
    #[must_use]
    pub fn at(kind: FigureKind, seed: u64, step: u32) -> Self {
        let place = u16::try_from(step % u32::from(STEPS)).unwrap_or(0);
        let way = Random::new(seed ^ u64::from(step / u32::from(STEPS))).bits();
        let free = GRID - kind.size()[0];
        let mut figures = vec![kind.at(place * (free / STEPS) + 400, 9_500)];
        if kind == FigureKind::Person && !way.is_multiple_of(3) {
            figures.push(kind.at(free - place * (free / STEPS), 9_100));
        }
        Self { kind, figures, step }
    }
}

#[cfg(test)]
mod tests {
    use super::{FigureKind, GRID, Scene};
    use crate::simulate::event::SimulatedKind;

    #[test]
    fn everybody_stays_in_the_picture_and_moves() {
        for (shape, step) in [FigureKind::Person, FigureKind::Car, FigureKind::Cat]
            .iter()
            .flat_map(|it| (0..100).map(move |n| (*it, n)))
        {
            let scene = Scene::at(shape, 3, step);
            for figure in &scene.figures {
                assert!(figure.x + figure.width <= GRID && figure.y + figure.height <= GRID, "{figure:?}");
            }
            assert_ne!(scene.figures, Scene::at(shape, 3, step + 1).figures);
        }
        assert!((0..9).any(|way| Scene::at(FigureKind::Person, 3, way * 9).figures.len() == 2));
    }

    #[test]
    fn who_is_reported_is_drawn() {
        let of = |names: &[&str]| {
            FigureKind::of(&names.iter().map(|name| SimulatedKind::parse(name)).collect::<Vec<_>>())
        };
        assert_eq!(
            [of(&["motion", "vehicle"]), of(&["pet"]), of(&["doorbell"])],
            [FigureKind::Car, FigureKind::Cat, FigureKind::Person]
        );
    }
}
