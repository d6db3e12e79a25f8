//! The key file: 32 bytes as they are, or JSON that says how they are protected.

use std::fmt;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use valetkey_api::Paths;
use valetkey_approval::{ApproverKey, is_name};
use valetkey_model::{AgentId, canonical_json};
use zeroize::Zeroizing;

use crate::error::ApproverError;
use crate::passphrase::Passphrase;
use crate::protect::{self, Cipher, Kdf, SEED_BYTES};
use crate::random;
use crate::unlock::Unlocked;

/// What the file says that it is.
const FORMAT: &str = "valetkey approver key v1";
/// The domain of what a protected key is bound to.
const BOUND_DOMAIN: &[u8] = b"valetkey approver key v1\n";
/// Room for every file that is written, so that no secret is copied while it grows.
const FILE_BYTES: usize = 4096;

/// How a key is to be protected.
#[derive(Clone, Copy, Debug)]
pub enum Protection<'a> {
    /// Under a passphrase.
    Passphrase(&'a Passphrase),
    /// Not at all, as the person chose: whoever reads the file has the key.
    None,
}

/// A key file that was read.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    name: String,
    public_key: String,
    content: Content,
}

enum Content {
    Open(Zeroizing<[u8; SEED_BYTES]>),
    Sealed(Sealed),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::Sealed(_) => "Sealed",
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    format: String,
    name: String,
    public_key: String,
    protection: FormProtection,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FormProtection {
    None { seed: Seed },
    Passphrase(Sealed),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

/// A seed on its way into or out of a file.
struct Seed(Zeroizing<[u8; SEED_BYTES]>);

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(Base64UrlUnpadded::encode_string(&*self.0));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        // The text of the error must not be the secret.
        let length = Base64UrlUnpadded::decode(text.as_bytes(), &mut *seed)
            .map_err(|_| D::Error::custom("the seed does not read"))?
            .len();
        if length == SEED_BYTES {
            Ok(Self(seed))
        } else {
            Err(D::Error::custom("the seed does not read"))
        }
    }
}

/// What a sealed key is bound to: the rest of the file.
#[derive(Serialize)]
struct Bound<'a> {
    format: &'a str,
    name: &'a str,
    public_key: &'a str,
    kdf: &'a Kdf,
    cipher: &'a Cipher,
}

impl KeyFile {
    /// Where a home has it.
    #[must_use]
    pub fn path(paths: &Paths) -> PathBuf {
        paths.config.join("approver.key")
    }

    /// Reads the file; nothing when there is none.
    ///
    /// # Errors
    /// When it is open to others or does not read. It is never replaced then: a damaged key is the person's to look at.
    pub fn load(paths: &Paths) -> Result<Option<Self>, ApproverError> {
        let path = Self::path(paths);
        let bytes = match valetkey_store::read_private(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(ApproverError::file(&path, error)),
        };
        Self::parse(path, &bytes).map(Some)
    }

    fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, ApproverError> {
        // Every JSON form is longer.
        if bytes.len() == SEED_BYTES {
            let mut seed = Zeroizing::new([0; SEED_BYTES]);
            seed.copy_from_slice(bytes);
            return Ok(Self {
                path,
                name: default_name(),
                public_key: public_key(&seed),
                content: Content::Open(seed),
            });
        }
        let form: Form =
            serde_json::from_slice(bytes).map_err(|error| ApproverError::file(&path, error))?;
        if form.format != FORMAT {
            return Err(ApproverError::file(&path, "it is of an unknown format"));
        }
        if !is_name(&form.name) {
            return Err(ApproverError::file(&path, "its name is not usable"));
        }
        let content = match form.protection {
            FormProtection::None { seed } if public_key(&seed.0) == form.public_key => {
                Content::Open(seed.0)
            }
            FormProtection::None { .. } => {
                return Err(ApproverError::file(&path, "its public key is another's"));
            }
            FormProtection::Passphrase(sealed) => Content::Sealed(sealed),
        };
        Ok(Self {
            path,
            name: form.name,
            public_key: form.public_key,
            content,
        })
    }

    /// Makes a new key. One that is there already is left alone.
    ///
    /// # Errors
    /// [`ApproverError::Exists`], or when it cannot be written.
    pub fn create(
        paths: &Paths,
        name: Option<&str>,
        protection: Protection<'_>,
    ) -> Result<(Self, Unlocked), ApproverError> {
        let name = name.map_or_else(default_name, str::to_owned);
        if !is_name(&name) {
            return Err(ApproverError::Name(name.chars().take(64).collect()));
        }
        paths.create()?;
        let path = Self::path(paths);
        let seed = Zeroizing::new(random::<SEED_BYTES>()?);
        let unlocked = Unlocked::new(name, seed);
        let (file, bytes) = Self::form(path, &unlocked, protection)?;
        let new = file
            .path
            .with_file_name(format!(".approver.key.new.{}", std::process::id()));
        valetkey_store::write_atomically(&new, &bytes, 0o600)
            .map_err(|error| ApproverError::file(&file.path, error))?;
        // Of two that come at once one is first, and its key stays: it may be registered already.
        let placed = renameat_with(CWD, &new, CWD, &file.path, RenameFlags::NOREPLACE);
        if let Err(error) = placed {
            // What stays of it is a key that nobody knows.
            drop(std::fs::remove_file(&new));
            return Err(if error == rustix::io::Errno::EXIST {
                ApproverError::Exists(file.path)
            } else {
                ApproverError::file(&file.path, std::io::Error::from(error))
            });
        }
        Ok((file, unlocked))
    }

    /// Writes the same key under another protection.
    ///
    /// # Errors
    /// When it cannot be written; then the file is as it was.
    pub fn protect(
        &self,
        unlocked: &Unlocked,
        protection: Protection<'_>,
    ) -> Result<Self, ApproverError> {
        let (file, bytes) = Self::form(self.path.clone(), unlocked, protection)?;
        valetkey_store::write_atomically(&file.path, &bytes, 0o600)
            .map_err(|error| ApproverError::file(&file.path, error))?;
        Ok(file)
    }

    fn form(
        path: PathBuf,
        unlocked: &Unlocked,
        protection: Protection<'_>,
    ) -> Result<(Self, Zeroizing<Vec<u8>>), ApproverError> {
        let (name, public_key) = (unlocked.name().to_owned(), unlocked.public_key());
        let seed = unlocked.seed();
        let (content, protection) = match protection {
            Protection::None => (
                Content::Open(seed.clone()),
                FormProtection::None {
                    seed: Seed(seed.clone()),
                },
            ),
            Protection::Passphrase(passphrase) => {
                let (kdf, cipher) = (Kdf::new()?, Cipher::new()?);
                let bound = bound(&name, &public_key, &kdf, &cipher)
                    .ok_or_else(|| ApproverError::file(&path, "it has no canonical form"))?;
                let ciphertext = protect::seal(seed, passphrase, &kdf, &cipher, &bound)
                    .ok_or_else(|| ApproverError::file(&path, "it cannot be sealed"))?;
                let sealed = Sealed {
                    kdf,
                    cipher,
                    ciphertext,
                };
                (
                    Content::Sealed(sealed.clone()),
                    FormProtection::Passphrase(sealed),
                )
            }
        };
        let form = Form {
            format: FORMAT.to_owned(),
            name: name.clone(),
            public_key: public_key.clone(),
            protection,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES));
        serde_json::to_writer_pretty(&mut *bytes, &form)
            .map_err(|error| ApproverError::file(&path, error))?;
        bytes.push(b'\n');
        let file = Self {
            path,
            name,
            public_key,
            content,
        };
        Ok((file, bytes))
    }

    /// The key, where nothing protects it.
    pub(crate) fn open(&self) -> Option<Unlocked> {
        match &self.content {
            Content::Open(seed) => Some(Unlocked::new(self.name.clone(), seed.clone())),
            Content::Sealed(_) => None,
        }
    }

    /// The key that the passphrase opens.
    ///
    /// # Errors
    /// [`ApproverError::WrongPassphrase`], whatever the reason.
    pub(crate) fn open_with(&self, passphrase: &Passphrase) -> Result<Unlocked, ApproverError> {
        let Content::Sealed(sealed) = &self.content else {
            return self.open().ok_or(ApproverError::WrongPassphrase);
        };
        let (kdf, cipher) = (&sealed.kdf, &sealed.cipher);
        let seed = bound(&self.name, &self.public_key, kdf, cipher)
            .and_then(|bound| protect::open(&sealed.ciphertext, passphrase, kdf, cipher, &bound))
            .ok_or(ApproverError::WrongPassphrase)?;
        self.of_this_file(seed)
            .ok_or(ApproverError::WrongPassphrase)
    }

    /// The key of a seed, if it is this file's.
    pub(crate) fn of_this_file(&self, seed: Zeroizing<[u8; SEED_BYTES]>) -> Option<Unlocked> {
        (public_key(&seed) == self.public_key).then(|| Unlocked::new(self.name.clone(), seed))
    }

    /// The name under which the person means to answer.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key, as approvers are registered with it.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Whether a passphrase protects it.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        matches!(self.content, Content::Sealed(_))
    }

    /// Where it lies.
    #[must_use]
    pub fn location(&self) -> &Path {
        &self.path
    }
}

fn bound(name: &str, public_key: &str, kdf: &Kdf, cipher: &Cipher) -> Option<Vec<u8>> {
    let mut bytes = BOUND_DOMAIN.to_vec();
    let rest = Bound {
        format: FORMAT,
        name,
        public_key,
        kdf,
        cipher,
    };
    bytes.extend(canonical_json(&rest).ok()?);
    Some(bytes)
}

fn public_key(seed: &[u8; SEED_BYTES]) -> String {
    ApproverKey::from_seed(seed).approver("", &[]).public_key
}

/// The name of a key for which the person gives none: the login name, with what no approver's name may have replaced.
#[must_use]
pub fn default_name() -> String {
    let login = valetkey_sys::account::by_uid(rustix::process::geteuid().as_raw()).name;
    let name: String = AgentId::sanitised(&login)
        .as_str()
        .chars()
        .take(64)
        .collect();
    if is_name(&name) {
        name
    } else {
        format!("_{}", name.chars().take(63).collect::<String>())
    }
}

#[cfg(test)]
mod tests;
