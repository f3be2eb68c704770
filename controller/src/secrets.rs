//! What people come in with: passwords (Argon2id) and second factors (TOTP, RFC 6238), and the key
//! under which second factors and the secrets of contacts' channels are kept, and of which the
//! tokens of receipts are made. It computes; what it computes is kept by the store.
//!
//! Hashing is slow on purpose and takes much memory, so it runs off the asynchronous threads, in
//! few slots, with a queue that has an end.

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash,
};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use tenure_protocol::{id::NoticeId, time::Timestamp};
use tokio::{sync::Semaphore, task::spawn_blocking};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use crate::chance::Chance;

/// Memory of one hash, KiB (RFC 9106, second recommended choice).
pub const ARGON2_KIB: u32 = 64 * 1024;
/// Passes over it.
pub const ARGON2_PASSES: u32 = 3;
/// Lanes: one thread of the machine for each hash.
pub const ARGON2_LANES: u32 = 1;
/// Hashes at the same time: at most 128 MiB and two threads.
const SLOTS: usize = 2;
/// Hashes that wait for a slot, at most.
const QUEUE: usize = 64;
/// Bytes of a second factor's secret (RFC 4226 section 4, R6: 160 bits).
const TOTP_BYTES: usize = 20;
/// Steps before and after the present one whose codes are taken (RFC 6238 section 5.2).
const TOTP_SKEW: u16 = 1;
/// Length of a step, s.
const TOTP_STEP_S: u64 = 30;
/// Digits of a code.
const TOTP_DIGITS: u8 = 6;
/// What the key of receipts' tokens is made for.
const RECEIPTS: &[u8] = b"tenure: tokens of short messages' receipts";
/// After how long a caller may come again when the queue is full, s.
pub const BUSY_FOR_S: u32 = 5;

/// Why a secret could not be worked with.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Too many hashes wait already.
    #[error("too many people come in at once: try again in a few seconds")]
    Busy,
    /// A password could not be hashed, or its hash not be read.
    #[error("a password cannot be hashed or compared: {0}")]
    Hash(String),
    /// What is kept does not open under the key.
    #[error(
        "a kept secret cannot be opened: access.key is not the one that sealed it, or it was \
         changed or moved; restore access.key and the database from the same backup"
    )]
    Sealed,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

/// Hashes, compares, seals and opens.
pub struct Secrets {
    key: LessSafeKey,
    receipts: hmac::Key,
    chance: Chance,
    slots: Semaphore,
    queue: Semaphore,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// What a person puts into an authenticator. Shown once.
pub struct Enrolment {
    /// The secret, base32.
    pub secret: Zeroizing<String>,
    /// The same as `otpauth://` URI, for a QR code.
    pub uri: Zeroizing<String>,
    /// The same, sealed, hexadecimal: to be kept.
    pub sealed: String,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolment")
    }
}

impl Secrets {
    /// With the key under which second factors and channels' secrets are kept.
    ///
    /// # Errors
    /// [`SecretsError::Sealed`]; not for a key of 32 bytes.
    pub fn new(key: &[u8; 32], chance: Chance) -> Result<Self, SecretsError> {
        let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), RECEIPTS);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| SecretsError::Sealed)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            receipts: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()),
            chance,
            slots: Semaphore::new(SLOTS),
            queue: Semaphore::new(SLOTS + QUEUE),
        })
    }

    /// Hashes a password into a PHC string.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String, SecretsError> {
        let salt: [u8; 16] = *self.draw()?;
        self.slowly(move || {
            let hash = argon2()?.hash_password_with_salt(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(failed)
        })
        .await
    }

    /// Whether this is the password. Without a hash it takes as long, and is not.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn verify(
        &self,
        password: Zeroizing<String>,
        phc: Option<String>,
    ) -> Result<bool, SecretsError> {
        self.slowly(move || {
            // An empty one is nobody's: no password is right.
            let phc = phc.filter(|phc| !phc.is_empty());
            let known = phc.is_some();
            let phc = phc.unwrap_or_else(decoy);
            let hash = PasswordHash::new(&phc).map_err(failed)?;
            Ok(argon2()?.verify_password(password.as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn slowly<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SecretsError> + Send + 'static,
    ) -> Result<T, SecretsError> {
        let _place = self.queue.try_acquire().map_err(|_| SecretsError::Busy)?;
        let _slot = self.slots.acquire().await.map_err(|_| SecretsError::Busy)?;
        spawn_blocking(work).await.map_err(|error| SecretsError::Hash(error.to_string()))?
    }

    /// Makes a second factor for an account.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn enrol(&self, account: &str) -> Result<Enrolment, SecretsError> {
        let bytes: Zeroizing<[u8; TOTP_BYTES]> = self.draw()?;
        let totp = totp(account, &bytes)?;
        Ok(Enrolment {
            secret: Zeroizing::new(totp.secret().to_base32()),
            uri: Zeroizing::new(totp.to_url().map_err(failed)?),
            sealed: self.seal(account, bytes.as_slice())?,
        })
    }

    /// The step of which this is the code, around `now`; nothing if it is of none. Without a
    /// sealed secret it takes as long, and is of none.
    ///
    /// # Errors
    /// [`SecretsError::Sealed`].
    pub fn step(
        &self,
        account: &str,
        sealed: Option<&str>,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<u64>, SecretsError> {
        let (bytes, known) = match sealed {
            Some(sealed) => (self.open_totp(account, sealed)?, true),
            None => (Zeroizing::new([0; TOTP_BYTES]), false),
        };
        let seconds = u64::try_from(now.unix_ms() / 1000).unwrap_or(0);
        let step = totp("-", &bytes)?.check(code, seconds);
        Ok(step.filter(|_| known))
    }

    /// The first bytes of a draw: `N` is 32 at most.
    fn draw<const N: usize>(&self) -> Result<Zeroizing<[u8; N]>, SecretsError> {
        let drawn = Zeroizing::new(self.chance.draw().map_err(|_| SecretsError::Random)?);
        let bytes = drawn.first_chunk::<N>().ok_or(SecretsError::Random)?;
        Ok(Zeroizing::new(*bytes))
    }

    /// Seals a text that opens again for what it is `about` alone: nonce, ciphertext and tag,
    /// hexadecimal.
    ///
    /// # Errors
    /// [`SecretsError::Random`], [`SecretsError::Sealed`].
    pub fn seal_text(&self, about: &str, text: &str) -> Result<String, SecretsError> {
        self.seal(&texts(about), text.as_bytes())
    }

    /// Opens what [`Secrets::seal_text`] made.
    ///
    /// # Errors
    /// [`SecretsError::Sealed`].
    pub fn open_text(&self, about: &str, sealed: &str) -> Result<Zeroizing<String>, SecretsError> {
        let bytes = self.open(&texts(about), sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SecretsError::Sealed)?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Who knows it may give receipts of a notice's short messages: its id and a tag, hexadecimal.
    #[must_use]
    pub fn receipt_token(&self, notice: NoticeId) -> String {
        let id = notice.as_uuid().into_bytes();
        format!("{}{}", hex::encode(id), hex::encode(hmac::sign(&self.receipts, &id)))
    }

    /// The notice of [`Secrets::receipt_token`]; nothing if no such token was ever made.
    #[must_use]
    pub fn receipt_of(&self, token: &str) -> Option<NoticeId> {
        let bytes = hex::decode(token).ok()?;
        let (id, tag) = bytes.split_first_chunk::<16>()?;
        hmac::verify(&self.receipts, id, tag).ok()?;
        Some(NoticeId::from_uuid(uuid::Uuid::from_bytes(*id)))
    }

    fn seal(&self, about: &str, secret: &[u8]) -> Result<String, SecretsError> {
        let mut sealed = self.draw::<NONCE_LEN>()?.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(&sealed).map_err(|_| SecretsError::Sealed)?;
        let mut text = secret.to_vec();
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(about.as_bytes()), &mut text)
            .map_err(|_| SecretsError::Sealed)?;
        sealed.extend(text);
        Ok(hex::encode(sealed))
    }

    fn open(&self, about: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let mut bytes = hex::decode(sealed).map_err(|_| SecretsError::Sealed)?;
        if bytes.len() < NONCE_LEN {
            return Err(SecretsError::Sealed);
        }
        let mut text = Zeroizing::new(bytes.split_off(NONCE_LEN));
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| SecretsError::Sealed)?;
        let opened = self.key.open_in_place(nonce, Aad::from(about.as_bytes()), &mut text);
        let length = opened.map_err(|_| SecretsError::Sealed)?.len();
        text.truncate(length);
        Ok(text)
    }

    fn open_totp(
        &self,
        account: &str,
        sealed: &str,
    ) -> Result<Zeroizing<[u8; TOTP_BYTES]>, SecretsError> {
        let bytes = self.open(account, sealed)?;
        <[u8; TOTP_BYTES]>::try_from(bytes.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| SecretsError::Sealed)
    }
}

/// What a text is about, told apart from every account: no account's name has a blank.
fn texts(about: &str) -> String {
    format!("text of {about}")
}

fn failed(error: impl std::fmt::Display) -> SecretsError {
    SecretsError::Hash(error.to_string())
}

fn argon2() -> Result<Argon2<'static>, SecretsError> {
    let params = Params::new(ARGON2_KIB, ARGON2_PASSES, ARGON2_LANES, None).map_err(failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A hash that no password has, as slow as any.
fn decoy() -> String {
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={ARGON2_KIB},t={ARGON2_PASSES},p={ARGON2_LANES}${salt}${output}")
}

fn totp(account: &str, secret: &[u8; TOTP_BYTES]) -> Result<Totp, SecretsError> {
    Builder::new()
        .with_digits(TOTP_DIGITS)
        .with_skew(TOTP_SKEW)
        .with_step_duration(TOTP_STEP_S)
        .with_secret(Secret::new_stack(*secret))
        .with_account_name(account)
        .with_issuer(Some("Tenure"))
        .build()
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::new(&[7; 32], Chance::default()).expect("a key")
    }

    #[test]
    fn a_second_factor_opens_for_its_account_alone_and_under_its_key_alone() {
        let sealed = secrets().seal("li.na", &[3; TOTP_BYTES]).expect("sealed");
        assert_eq!(*secrets().open_totp("li.na", &sealed).expect("opened"), [3; TOTP_BYTES]);
        assert!(secrets().open("zhao.min", &sealed).is_err(), "moved to another account");
        let other = Secrets::new(&[8; 32], Chance::default()).expect("a key");
        assert!(other.open("li.na", &sealed).is_err());
        assert!(!sealed.contains(&hex::encode([3; TOTP_BYTES])));
    }

    #[test]
    fn a_text_opens_for_what_it_is_about_alone_and_not_if_a_bit_of_it_was_changed() {
        let sealed = secrets().seal_text("https://a.example/hook", "whsec_x").expect("sealed");
        let opened = secrets().open_text("https://a.example/hook", &sealed).expect("opened");
        assert_eq!(opened.as_str(), "whsec_x");
        assert!(secrets().open_text("https://b.example/hook", &sealed).is_err(), "moved");
        assert!(secrets().open_totp("https://a.example/hook", &sealed).is_err(), "no factor");
        let other = Secrets::new(&[8; 32], Chance::default()).expect("a key");
        let error = other.open_text("https://a.example/hook", &sealed).expect_err("another key");
        assert!(error.to_string().contains("access.key"), "{error}");
        let mut bytes = hex::decode(&sealed).expect("hexadecimal");
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            let changed = hex::encode(&bytes);
            assert!(secrets().open_text("https://a.example/hook", &changed).is_err(), "{place}");
            bytes[place] ^= 1;
        }
        assert!(secrets().open_text("https://a.example/hook", "").is_err());
    }

    #[test]
    fn a_receipts_token_is_of_one_notice_and_one_key_and_not_if_a_bit_of_it_was_changed() {
        let notice = |number| NoticeId::from_uuid(uuid::Uuid::from_u128(number));
        let token = secrets().receipt_token(notice(7));
        assert_eq!(secrets().receipt_of(&token), Some(notice(7)));
        assert_ne!(token, secrets().receipt_token(notice(8)));
        let other = Secrets::new(&[8; 32], Chance::default()).expect("a key");
        assert_eq!(other.receipt_of(&token), None);
        let mut bytes = hex::decode(&token).expect("hexadecimal");
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            assert_eq!(secrets().receipt_of(&hex::encode(&bytes)), None, "{place}");
            bytes[place] ^= 1;
        }
        for wrong in ["", "00", &token[..32], &token[..94], &format!("{token}00"), "断网"] {
            assert_eq!(secrets().receipt_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B: 94287082 at 59 s has eight digits; ours are its last six.
        let secret = b"12345678901234567890";
        let sealed = secrets().seal("li.na", secret).expect("sealed");
        let at = |ms| Timestamp::from_unix_ms(ms);
        let step = |code, ms| secrets().step("li.na", Some(&sealed), code, at(ms)).expect("opened");
        assert_eq!(step("287082", 59_000), Some(1));
        assert_eq!(step("287082", 89_000), Some(1), "one step late");
        assert_eq!(step("287082", 120_000), None, "too late");
        assert_eq!(step("287083", 59_000), None);
        assert_eq!(step("", 59_000), None);
        assert_eq!(secrets().step("li.na", None, "287082", at(59_000)).expect("a decoy"), None);
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_nobody_has_the_decoys() {
        let word = || Zeroizing::new("correct Horse 7".to_owned());
        let phc = secrets().hash(word()).await.expect("hashed");
        assert!(phc.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{phc}");
        assert!(secrets().verify(word(), Some(phc.clone())).await.expect("compared"));
        let other = Zeroizing::new("correct Horse 8".to_owned());
        assert!(!secrets().verify(other, Some(phc)).await.expect("compared"));
        assert!(!secrets().verify(word(), None).await.expect("compared"));
        assert!(PasswordHash::new(&decoy()).is_ok());
    }
}
