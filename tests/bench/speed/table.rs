//! The printed table.

use std::io::Write as _;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    name: String,
    value: f64,
    bare: Option<f64>,
    aim: String,
}

impl Row {
    /// A figure against the baseline of the same run.
    #[must_use]
    pub(crate) fn ratio(name: &str, value: f64, bare: f64, aim: &str) -> Self {
        Self { name: name.into(), value, bare: Some(bare), aim: aim.into() }
    }

    /// A figure by itself.
    #[must_use]
    pub(crate) fn value(name: &str, value: f64, aim: &str) -> Self {
        Self { name: name.into(), value, bare: None, aim: aim.into() }
    }
}

/// Prints it as Markdown, with the machine.
///
/// # Errors
/// When standard output is gone.
pub(crate) fn print(rows: &[Row]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    writeln!(out, "{model}, {cores} cores; load generator, broker, subscriber and bridge share them\n")?;
    writeln!(out, "| | alarmbus | baseline | ratio | aim |\n|---|---|---|---|---|")?;
    for row in rows {
        let (bare, ratio) = row
            .bare
            .map_or_else(Default::default, |bare| (format!("{bare:.1}"), format!("{:.2}", row.value / bare)));
        writeln!(out, "| {} | {:.1} | {bare} | {ratio} | {} |", row.name, row.value, row.aim)?;
    }
    Ok(())
}
