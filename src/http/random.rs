//! Secrets that are made here.

use crate::model::picture::hex;

/// A token nobody guesses: 256 random bits, as hex.
///
/// # Errors
/// When the system gives no randomness.
pub(super) fn token() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}
