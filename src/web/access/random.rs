//! Generated secrets.

use crate::model::picture::hex;

/// Creates a token of 256 random bits, as hex.
///
/// # Errors
/// Fails when the system provides no randomness.
pub(super) fn token() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}
