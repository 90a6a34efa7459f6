//! People, cars and cats. Each fills the box that is reported of it; numbers are thousandths of the picture.

use super::Canvas;
use super::scene::{Figure, FigureKind, Scene};

impl Canvas {
    /// Draws the figures of a scene.
    pub(super) fn figures(&mut self, scene: &Scene) {
        for (number, figure) in scene.figures.iter().enumerate() {
            let stride = scene.step.is_multiple_of(2);
            match scene.kind {
                FigureKind::Person => self.person(thousandths(*figure), stride, number),
                FigureKind::Car => self.car(thousandths(*figure)),
                FigureKind::Cat => self.cat(thousandths(*figure), stride),
            }
        }
    }

    /// A person with a shadow: head, coat and legs.
    fn person(&mut self, [x, y, width, height]: [usize; 4], stride: bool, number: usize) {
        let middle = x + width / 2;
        self.disk([middle, y + height - 4, width * 3 / 4, 16], [54, 58, 50]);
        self.disk([middle, y + height / 12, width / 4, height / 12], [214, 172, 140]);
        let coat = if number == 0 { [168, 44, 40] } else { [40, 76, 156] };
        let (hip, legs) = (y + height / 6 + height * 2 / 5, height - height / 6 - height * 2 / 5);
        self.part([x, y + height / 6, width, height * 2 / 5], coat);
        let gap = if stride { width / 3 } else { width / 8 };
        let leg = (width - gap) / 2;
        self.part([x, hip, leg, legs], [38, 40, 52]);
        self.part([x + leg + gap, hip, leg, legs], [30, 32, 44]);
    }

    /// A red car that drives to the right: roof, windows, body, wheels, headlight.
    fn car(&mut self, [x, y, width, height]: [usize; 4]) {
        let middle = x + width / 2;
        self.disk([middle, y + height - 6, width * 6 / 11, 24], [52, 54, 58]);
        self.disk([middle, y + height / 2, width * 3 / 10, height / 2], [150, 32, 30]);
        self.disk([middle, y + height / 2, width / 4, height * 2 / 5], [150, 172, 190]);
        self.part([middle - 4, y + height / 12, 8, height / 2], [150, 32, 30]);
        self.shade([x, y + height / 2, width, height * 3 / 8], [178, 40, 38], [126, 26, 26]);
        self.part([x + width * 19 / 20, y + height * 11 / 20, width / 20, height / 8], [248, 236, 180]);
        for wheel in [x + width / 5, x + width * 4 / 5] {
            self.disk([wheel, y + height * 5 / 6, width / 10, height / 6], [24, 24, 26]);
            self.disk([wheel, y + height * 5 / 6, width / 25, height / 15], [150, 150, 152]);
        }
    }

    /// A cat that walks to the right: tail, body, legs, head with ears.
    fn cat(&mut self, [x, y, width, height]: [usize; 4], stride: bool) {
        let coat = [66, 56, 52];
        self.disk([x + width / 2, y + height - 3, width / 2, 10], [58, 78, 46]);
        self.part([x, y + height / 8, width / 12, height / 2], coat);
        self.disk([x + width * 2 / 5, y + height / 2, width * 2 / 5, height / 4], coat);
        let (front, back) = if stride { (width / 5, width * 3 / 5) } else { (width * 3 / 10, width / 2) };
        for leg in [front, back] {
            self.part([x + leg, y + height / 2, width / 12, height / 2], coat);
        }
        self.disk([x + width * 5 / 6, y + height * 3 / 8, width / 6, height / 4], coat);
        for ear in [x + width * 7 / 10, x + width * 9 / 10] {
            self.part([ear, y, width / 14, height / 4], coat);
        }
    }
}

/// A box of the grid in thousandths of the picture.
fn thousandths(Figure { x, y, width, height }: Figure) -> [usize; 4] {
    [x, y, width, height].map(|part| usize::from(part) / 10)
}
