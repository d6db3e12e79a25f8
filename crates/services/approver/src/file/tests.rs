//! Tests of the key file: both forms, what does not read, and what never changes by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::passphrase::FromDescriptor;
use crate::{AskPassphrase, Unlock, keep_unlocked, lock, unlocked_until};

fn home() -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::below(dir.path());
    (dir, paths)
}

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

/// Nobody to ask.
struct Nobody;

impl AskPassphrase for Nobody {
    fn existing(&mut self) -> Result<Passphrase, ApproverError> {
        Err(ApproverError::NoTerminal)
    }

    fn new_one(&mut self, _name: &str) -> Result<Option<Passphrase>, ApproverError> {
        Err(ApproverError::NoTerminal)
    }

    fn tries(&self) -> u32 {
        1
    }
}

/// Types these, one after the other.
struct Typist(Vec<&'static str>);

impl AskPassphrase for Typist {
    fn existing(&mut self) -> Result<Passphrase, ApproverError> {
        Ok(phrase(self.0.remove(0)))
    }

    fn new_one(&mut self, _name: &str) -> Result<Option<Passphrase>, ApproverError> {
        self.existing().map(Some)
    }

    fn tries(&self) -> u32 {
        3
    }
}

#[test]
fn an_unprotected_key_is_what_the_person_chose() {
    let (_dir, paths) = home();
    assert!(KeyFile::load(&paths).unwrap().is_none());
    let (_, made) = KeyFile::create(&paths, Some("ann"), Protection::None).unwrap();
    let read = KeyFile::load(&paths).unwrap().unwrap();
    assert!(!read.is_protected());
    assert_eq!(
        (read.name(), read.public_key()),
        ("ann", &*made.public_key())
    );
    let unlocked = read.unlock(&mut Nobody).unwrap();
    assert_eq!(unlocked.public_key(), made.public_key());
    let mode = fs::metadata(read.location()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn thirty_two_bytes_are_read_as_ever() {
    let (_dir, paths) = home();
    paths.create().unwrap();
    valetkey_store::write_atomically(&KeyFile::path(&paths), &[9; 32], 0o600).unwrap();
    let read = KeyFile::load(&paths).unwrap().unwrap();
    assert!(!read.is_protected() && is_name(read.name()));
    assert_eq!(
        *read.unlock(&mut Nobody).unwrap().seed(),
        Zeroizing::new([9; 32])
    );
}

#[test]
fn a_protected_key_needs_its_passphrase() {
    let (_dir, paths) = home();
    let right = phrase("correct horse battery");
    let (_, made) = KeyFile::create(&paths, Some("ann"), Protection::Passphrase(&right)).unwrap();
    let file = KeyFile::load(&paths).unwrap().unwrap();
    assert!(file.is_protected());
    let content = fs::read(file.location()).unwrap();
    assert!(
        !content
            .windows(8)
            .any(|part| made.seed().windows(8).any(|secret| secret == part))
    );
    assert!(matches!(
        file.unlock(&mut Nobody),
        Err(ApproverError::NoTerminal)
    ));
    assert!(matches!(
        file.unlock(&mut Typist(vec!["a", "b", "c"])),
        Err(ApproverError::WrongPassphrase)
    ));
    let mut second_try = Typist(vec!["wrong", "correct horse battery"]);
    let unlocked = file.unlock(&mut second_try).unwrap();
    assert_eq!(unlocked.seed(), made.seed());
    // Another name or key in the same file, and it does not open.
    let text = String::from_utf8(content).unwrap();
    let other = ApproverKey::from_seed(&[1; 32])
        .approver("", &[])
        .public_key;
    for edited in [
        text.replace("\"ann\"", "\"bob\""),
        text.replace(file.public_key(), &other),
        text.replace("\"passes\": 3", "\"passes\": 1"),
    ] {
        assert_ne!(edited, text);
        let read = KeyFile::parse(file.location().to_path_buf(), edited.as_bytes()).unwrap();
        assert!(matches!(
            read.open_with(&right),
            Err(ApproverError::WrongPassphrase)
        ));
    }
}

#[test]
fn the_protection_changes_and_the_key_stays() {
    let (_dir, paths) = home();
    let (file, made) = KeyFile::create(&paths, Some("ann"), Protection::None).unwrap();
    let sealed = file
        .protect(&made, Protection::Passphrase(&phrase("one two three")))
        .unwrap();
    assert!(sealed.is_protected());
    let read = KeyFile::load(&paths).unwrap().unwrap();
    assert!(read.open().is_none() && read.public_key() == made.public_key());
    let again = read.open_with(&phrase("one two three")).unwrap();
    drop(read.protect(&again, Protection::None).unwrap());
    let open = KeyFile::load(&paths).unwrap().unwrap().open().unwrap();
    assert_eq!(open.seed(), made.seed());
}

#[test]
fn a_key_that_is_there_is_never_replaced() {
    let (_dir, paths) = home();
    let (_, made) = KeyFile::create(&paths, Some("ann"), Protection::None).unwrap();
    let second = KeyFile::create(&paths, Some("bob"), Protection::None);
    assert!(matches!(second, Err(ApproverError::Exists(_))));
    let read = KeyFile::load(&paths).unwrap().unwrap();
    assert_eq!(read.public_key(), made.public_key());
    assert_eq!(fs::read_dir(&paths.config).unwrap().count(), 1);
    // Nor one that does not read.
    fs::write(read.location(), "{}").unwrap();
    assert!(matches!(
        KeyFile::load(&paths),
        Err(ApproverError::File { .. })
    ));
    assert!(KeyFile::create(&paths, None, Protection::None).is_err());
    assert_eq!(fs::read(read.location()).unwrap(), b"{}");
}

#[test]
fn other_files_do_not_read() {
    let (_dir, paths) = home();
    let (file, _) = KeyFile::create(&paths, Some("ann"), Protection::None).unwrap();
    let text = fs::read_to_string(file.location()).unwrap();
    for bad in [
        String::new(),
        "x".repeat(31),
        "x".repeat(33),
        text.replace("v1", "v2"),
        text.replace("\"ann\"", "\"an n\""),
        text.replacen('{', "{\"more\": 1,", 1),
        text.replace(file.public_key(), "AAAA"),
    ] {
        assert!(
            KeyFile::parse(file.location().to_path_buf(), bad.as_bytes()).is_err(),
            "{bad}"
        );
    }
    fs::set_permissions(file.location(), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        KeyFile::load(&paths),
        Err(ApproverError::File { .. })
    ));
    for name in ["", "a b", "-x"] {
        let (_dir, paths) = home();
        let made = KeyFile::create(&paths, Some(name), Protection::None);
        assert!(matches!(made, Err(ApproverError::Name(_))));
    }
}

#[test]
fn an_unlocked_key_is_locked_by_the_kernel() {
    let (_dir, paths) = home();
    let right = phrase("correct horse battery");
    let (file, made) = KeyFile::create(&paths, None, Protection::Passphrase(&right)).unwrap();
    if unlocked_until(&file) == Unlock::NoKeyStore {
        println!("SKIPPED: there is no key store here");
        return;
    }
    assert_eq!(unlocked_until(&file), Unlock::Locked);
    let until = keep_unlocked(&made, std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(unlocked_until(&file), Unlock::Until(until));
    assert_eq!(file.unlock(&mut Nobody).unwrap().seed(), made.seed());
    assert!(lock(&file).unwrap());
    assert!(matches!(
        file.unlock(&mut Nobody),
        Err(ApproverError::NoTerminal)
    ));
    // And by itself.
    keep_unlocked(&made, std::time::Duration::from_secs(1)).unwrap();
    let begun = std::time::Instant::now();
    while file.unlock(&mut Nobody).is_ok() {
        assert!(begun.elapsed().as_secs() < 20);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!lock(&file).unwrap());
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    assert!(matches!(
        FromDescriptor::new(977),
        Err(ApproverError::Unreadable(_))
    ));
}
