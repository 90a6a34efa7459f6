//! Shortening of a failure's history: steps are removed as long as the same rule stays broken.

use crate::model::Broken;
use crate::plan::Step;

/// Removes unnecessary steps; returns the remaining ones and the violation.
pub(crate) fn shorten(
    steps: &[Step],
    broken: &Broken,
    run: impl Fn(&[Step]) -> Option<Broken>,
) -> (Vec<Step>, Broken) {
    let (mut steps, mut broken) = (steps.to_vec(), broken.clone());
    let mut size = (steps.len() / 2).max(1);
    loop {
        let mut at = 0;
        let before = steps.len();
        while at < steps.len() {
            let end = steps.len().min(at + size);
            let fewer: Vec<Step> = steps[..at].iter().chain(&steps[end..]).cloned().collect();
            match run(&fewer).filter(|seen| seen.rule == broken.rule) {
                Some(seen) => (steps, broken) = (fewer, seen),
                None => at = end,
            }
        }
        if size == 1 && steps.len() == before {
            return (steps, broken);
        }
        size = (size / 2).max(1);
    }
}
