//! Password of the admin page: only its argon2id hash is stored, and one guess is checked at a time.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Argon2, PasswordHash};
use tokio::sync::Semaphore;

/// Hashed password.
#[derive(Debug)]
pub(super) struct Password {
    /// Hash in PHC format; `None` if hashing failed, and then no guess is right.
    hash: Option<String>,
    /// Permit for one check at a time: hashing takes 19 MiB and most of a core.
    turn: Semaphore,
}

impl Password {
    /// Hashes a password.
    pub(super) fn new(plain: &str) -> Self {
        let hash = hash(plain).inspect_err(|error| {
            tracing::error!("the admin password cannot be hashed, so nobody can log in: {error}");
        });
        Self { hash: hash.ok(), turn: Semaphore::new(1) }
    }

    /// Returns whether a guess is right.
    pub(super) async fn is(&self, guess: String) -> bool {
        let Ok(_turn) = self.turn.acquire().await else { return false };
        let Some(hash) = self.hash.clone() else { return false };
        let verify = move || {
            let hash = PasswordHash::new(&hash);
            hash.is_ok_and(|hash| Argon2::default().verify_password(guess.as_bytes(), &hash).is_ok())
        };
        tokio::task::spawn_blocking(verify).await.unwrap_or(false)
    }
}

/// Hashes with a random salt.
fn hash(plain: &str) -> Result<String, argon2::password_hash::Error> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|_| argon2::password_hash::Error::Crypto)?;
    let salt = SaltString::encode_b64(&salt)?;
    Ok(Argon2::default().hash_password(plain.as_bytes(), &salt)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::Password;

    #[tokio::test]
    async fn only_the_password_fits_and_it_is_not_kept() {
        let password = Password::new("correct horse");
        assert!(password.is("correct horse".into()).await);
        assert!(!password.is("correct horse ".into()).await && !password.is(String::new()).await);
        let shown = format!("{password:?}");
        assert!(shown.contains("$argon2id$") && !shown.contains("horse"), "{shown}");
    }
}
