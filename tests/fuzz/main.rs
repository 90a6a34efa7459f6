//! Fuzz targets that run on the stable toolchain (cargo-fuzz needs a nightly compiler, which this project does not):
//! inputs of the corpus, mutated at random from a seed that is printed.
//!
//! `cargo test --test fuzz` replays the corpus (`tests/wire`, `tests/config`, `tests/fuzz/corpus/<target>`) and a few
//! thousand mutations of it. For longer: `ALARMBUS_FUZZ_SECONDS=600 cargo test --test fuzz jpeg_header`. The same run
//! again: `ALARMBUS_FUZZ_SEED=…`. An input that fails is kept under `target/tmp`; add it to the corpus with its fix.
//! So are those of a long run that showed something new (`fuzz-<target>-new`), each shortened to what shows it.

#[cfg(test)]
mod carriers;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod outcome;
#[cfg(test)]
mod run;
#[cfg(test)]
mod targets;
