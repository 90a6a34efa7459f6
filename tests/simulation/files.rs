//! Files of a store: faults while no process runs, and alarms parked in it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use alarmbus::outbox::Outbox;
use uuid::Uuid;

use crate::model::Broken;

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder in memory can be made");
    for file in fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, next) = (file.path(), to.join(file.file_name()));
        if path.is_dir() {
            copy(&path, &next);
        } else {
            fs::copy(&path, &next).expect("a file in memory can be copied");
        }
    }
}

/// Writes nonsense over some bytes of a file.
pub(crate) fn damage(path: &Path, seed: u64) {
    let Ok(mut bytes) = fs::read(path) else { return };
    let mut random = crate::random::Random::new(seed);
    for _ in 0..1 + random.below(3) {
        let at = usize::try_from(random.below(bytes.len().max(1) as u64)).expect("small");
        let end = bytes.len().min(at + 600);
        bytes.get_mut(at..end).unwrap_or_default().fill(0x5a);
    }
    fs::write(path, bytes).expect("a file in memory can be written");
}

/// The alarms that are parked.
pub(crate) fn parked(outbox: &Outbox) -> Result<HashSet<Uuid>, Broken> {
    let parked = outbox.reader().parked(None, 10_000);
    let parked = parked.map_err(|error| Broken { rule: "the store is readable", seen: error.to_string() })?;
    Ok(parked.into_iter().filter_map(|parked| parked.id).collect())
}
