//! Encryption and hashes of chunks.
//!
//! A sealed chunk is a random nonce, the encrypted bytes and a tag. The tag also covers whose backup it is and the chunk's
//! name, so a chunk of another place, attempt or backup does not open. The folder is left out of it: a backup that was
//! copied to another bucket or prefix still opens.

use super::VaultError;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use porpoise_core::backup::{About, Chunk, Encrypted};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Name of the cipher in manifests.
const CIPHER: &str = "AES-256-GCM";

/// Seals and opens the chunks of one backup.
pub(crate) struct Seal {
    lock: Option<Lock>,
    about: About,
}

struct Lock {
    key: LessSafeKey,
    key_name: String,
}

/// A chunk as it is stored.
pub(crate) struct Sealed {
    pub(crate) parts: Vec<Bytes>,
    pub(crate) entry: Chunk,
}

impl Seal {
    /// For a new backup.
    pub(crate) fn new(
        about: &About,
        key_name: Option<&str>,
        keys: &BTreeMap<String, String>,
    ) -> Result<Self, VaultError> {
        let lock = key_name.map(|key_name| Lock::new(key_name, keys)).transpose()?;
        Ok(Self { lock, about: about.clone() })
    }

    /// For a backup that was stored.
    pub(crate) fn of(
        about: &About,
        encryption: Option<&Encrypted>,
        keys: &BTreeMap<String, String>,
    ) -> Result<Self, VaultError> {
        match encryption {
            Some(Encrypted { cipher, .. }) if cipher != CIPHER => {
                Err(VaultError::UseCipher { cipher: cipher.clone(), known: CIPHER })
            }
            other => Self::new(about, other.map(|encrypted| encrypted.key_name.as_str()), keys),
        }
    }

    /// What the manifest says about it.
    pub(crate) fn encrypted(&self) -> Option<Encrypted> {
        self.lock
            .as_ref()
            .map(|lock| Encrypted { cipher: CIPHER.to_owned(), key_name: lock.key_name.clone() })
    }

    /// Encrypts a chunk, if that is wanted, and hashes what will be stored. Takes a thread for some milliseconds.
    pub(crate) fn close(&self, name: String, chunk: Vec<u8>) -> Result<Sealed, VaultError> {
        let parts = match &self.lock {
            None => vec![chunk.into()],
            Some(lock) => lock
                .encrypt(self.bound_to(&name), chunk)
                .ok_or(VaultError::EncryptChunk { chunk: name.clone() })?,
        };
        let mut hash = Context::new(&SHA256);
        for part in &parts {
            hash.update(part);
        }
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let entry = Chunk { name, bytes, sha256: hex(hash.finish().as_ref()) };
        Ok(Sealed { parts, entry })
    }

    /// Checks what was stored against the manifest, and only then decrypts it. Takes a thread for some milliseconds.
    pub(crate) fn open(&self, entry: &Chunk, stored: Vec<u8>) -> Result<Vec<u8>, VaultError> {
        let Chunk { name, bytes, sha256 } = entry;
        let damaged = |reason| VaultError::DamagedChunk { chunk: name.clone(), reason };
        let found = stored.len() as u64;
        if found != *bytes {
            let than = if found < *bytes { "shorter" } else { "longer" };
            return Err(damaged(format!("it is {than} than the {bytes} bytes that were stored")));
        }
        if hex(digest(&SHA256, &stored).as_ref()) != *sha256 {
            return Err(damaged("its SHA-256 is not that of what was stored".to_owned()));
        }
        let Some(lock) = &self.lock else { return Ok(stored) };
        let decrypted = lock.decrypt(self.bound_to(name), stored);
        decrypted
            .ok_or_else(|| VaultError::DecryptChunk { chunk: name.clone(), key_name: lock.key_name.clone() })
    }

    fn bound_to(&self, name: &str) -> Aad<Vec<u8>> {
        let About { backup, cluster, owner } = &self.about;
        // Slashes cannot be in any of them but the owner, whose one is in the middle.
        Aad::from(format!("{owner}/{cluster}/{backup}/{name}").into_bytes())
    }
}

impl Lock {
    fn new(key_name: &str, keys: &BTreeMap<String, String>) -> Result<Self, VaultError> {
        let text = keys.get(key_name).ok_or_else(|| VaultError::FindKey { key_name: key_name.to_owned() })?;
        let wrong = || VaultError::UseKey { key_name: key_name.to_owned() };
        let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|_| wrong())?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong())?;
        Ok(Self { key: LessSafeKey::new(key), key_name: key_name.to_owned() })
    }

    fn encrypt(&self, bound_to: Aad<Vec<u8>>, mut chunk: Vec<u8>) -> Option<Vec<Bytes>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let once = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(once, bound_to, &mut chunk).ok()?;
        Some(vec![Bytes::copy_from_slice(&nonce), chunk.into()])
    }

    fn decrypt(&self, bound_to: Aad<Vec<u8>>, mut stored: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::try_assume_unique_for_key(stored.get(..NONCE_LEN)?).ok()?;
        let length = self.key.open_within(nonce, bound_to, &mut stored, NONCE_LEN..).ok()?.len();
        stored.truncate(length);
        Some(stored)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About { backup: "shop-a".to_owned(), cluster: "u1".to_owned(), owner: "prod/shop".to_owned() }
    }

    fn keys() -> BTreeMap<String, String> {
        let key = |byte| BASE64_STANDARD.encode([byte; 32]);
        [("old", key(1)), ("new", format!("{}\n", key(2)))].map(|(name, key)| (name.to_owned(), key)).into()
    }

    fn seal(key_name: &str) -> Seal {
        Seal::new(&about(), Some(key_name), &keys()).unwrap()
    }

    fn stored(sealed: &Sealed) -> Vec<u8> {
        sealed.parts.concat()
    }

    #[test]
    fn what_is_closed_opens_again() {
        for seal in [seal("new"), Seal::new(&about(), None, &keys()).unwrap()] {
            let sealed = seal.close("a-0".to_owned(), b"data".to_vec()).unwrap();
            assert_eq!(sealed.entry.bytes, stored(&sealed).len() as u64);
            assert_eq!(seal.open(&sealed.entry, stored(&sealed)).unwrap(), b"data");
        }
    }

    #[test]
    fn nothing_readable_is_stored_and_nothing_twice() {
        let seal = seal("new");
        let [one, two] =
            ["a-0", "a-0"].map(|name| stored(&seal.close(name.to_owned(), vec![0; 64]).unwrap()));
        assert_ne!(one, two);
        assert!(!one.windows(8).any(|window| window == [0; 8]));
    }

    #[test]
    fn a_chunk_of_elsewhere_does_not_open_though_its_hash_fits() {
        let sealed = seal("new").close("a-0".to_owned(), b"data".to_vec()).unwrap();
        let renamed = Chunk { name: "a-1".to_owned(), ..sealed.entry.clone() };
        let outcome = seal("new").open(&renamed, stored(&sealed));
        assert!(matches!(outcome, Err(VaultError::DecryptChunk { .. })));

        let other = About { cluster: "u2".to_owned(), ..about() };
        let other = Seal::new(&other, Some("new"), &keys()).unwrap();
        assert!(matches!(other.open(&sealed.entry, stored(&sealed)), Err(VaultError::DecryptChunk { .. })));
        let outcome = seal("old").open(&sealed.entry, stored(&sealed));
        assert!(matches!(outcome, Err(VaultError::DecryptChunk { .. })));
    }

    #[test]
    fn a_cipher_of_a_later_version_is_refused() {
        let later = Encrypted { cipher: "AES-512".to_owned(), key_name: "new".to_owned() };
        let outcome = Seal::of(&about(), Some(&later), &keys());
        assert!(matches!(outcome.err(), Some(VaultError::UseCipher { .. })));
    }

    #[test]
    fn a_key_must_be_there_and_long_enough() {
        let short = BTreeMap::from([("short".to_owned(), "AAAA".to_owned())]);
        let outcome = |name| Seal::new(&about(), Some(name), &short).err();
        assert!(matches!(outcome("short"), Some(VaultError::UseKey { .. })));
        assert!(matches!(outcome("gone"), Some(VaultError::FindKey { .. })));
    }
}
