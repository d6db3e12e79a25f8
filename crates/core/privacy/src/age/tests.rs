//! Sealing and opening, by ourselves and with the format's own examples.

use proptest::prelude::*;

use super::*;

fn counting() -> impl FnMut(&mut [u8]) -> Result<(), String> {
    let mut next = 1_u8;
    move |buffer| {
        for byte in buffer {
            *byte = next;
            next = next.wrapping_mul(31).wrapping_add(7);
        }
        Ok(())
    }
}

#[test]
fn a_key_is_written_and_read_as_age_keygen_does() {
    let identity: Identity =
        "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6"
            .parse()
            .unwrap();
    let text = identity.recipient().to_string();
    assert!(text.starts_with("age1") && text.len() == 62, "{text}");
    assert_eq!(
        text, "age1w3tyke4gev25vaxxsvcgqu4484rf6ejpmavs57p6yz6lhy2sfs5swrvwyn",
        "as another program derives it"
    );
    assert_eq!(text.parse(), Ok(identity.recipient()));
    let again: Identity = identity.to_text().parse().unwrap();
    assert_eq!(again.recipient(), identity.recipient());
    let file = format!("# created\n# public key: {text}\n{}\n", *identity.to_text());
    assert_eq!(Identity::read_file(&file).unwrap().len(), 1);
    for wrong in ["", "# nothing", "age1qq", &text] {
        assert!(Identity::read_file(wrong).is_err(), "{wrong}");
    }
    let swapped = text.replacen("age1", "bge1", 1);
    for wrong in [
        &text[..61],
        &text.to_uppercase(),
        &swapped,
        "age1",
        &format!("{text}q"),
    ] {
        assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
    }
    let zero = bech32::encode("age", &[0; 32]);
    assert!(zero.parse::<Recipient>().is_err(), "a point of small order");
}

#[test]
fn what_is_sealed_is_opened_by_each_recipient_and_by_nobody_else() {
    let keys = [1, 2, 3].map(|byte| Identity::new(&[byte; 32]));
    let [a, b, other] = &keys;
    for length in [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        3 * CHUNK_BYTES,
    ] {
        let content = vec![7; length];
        let sealed = seal(&content, &[a.recipient(), b.recipient()], &mut counting()).unwrap();
        for key in [a, b] {
            assert_eq!(*open(&sealed, std::slice::from_ref(key)).unwrap(), content);
        }
        assert_eq!(
            open(&sealed, std::slice::from_ref(other)).err(),
            Some(OpenError::NotForThis)
        );
    }
    assert_eq!(
        seal(b"x", &[], &mut counting()).err(),
        Some(SealError::NoRecipient)
    );
    let none = seal(b"x", &[a.recipient()], &mut |_| Err("none".to_owned()));
    assert!(matches!(none, Err(SealError::NoRandomness(_))));
}

#[test]
fn every_changed_byte_and_every_cut_is_refused() {
    let key = Identity::new(&[1; 32]);
    let keys = std::slice::from_ref(&key);
    let sealed = seal(b"alice", &[key.recipient()], &mut counting()).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open(&changed, keys).is_err(), "byte {at}");
        assert!(open(&sealed[..at], keys).is_err(), "cut at {at}");
    }
    let long = seal(
        &vec![1; 2 * CHUNK_BYTES],
        &[key.recipient()],
        &mut counting(),
    )
    .unwrap();
    assert!(open(&long[..long.len() - CHUNK_BYTES - TAG_BYTES], keys).is_err());
}

/// Another program opens what is sealed here, and what it seals is opened here.
#[test]
fn another_program_of_the_format_agrees() {
    use std::io::Write as _;
    let Ok(python) = std::env::var("VALETKEY_TEST_AGE_PYTHON") else {
        println!("SKIPPED: VALETKEY_TEST_AGE_PYTHON names no Python with pyrage");
        return;
    };
    let identity = Identity::new(&[5; 32]);
    for length in [0, 5, CHUNK_BYTES, 2 * CHUNK_BYTES + 1] {
        let content = vec![b'x'; length];
        let sealed = seal(&content, &[identity.recipient()], &mut counting()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/age/tests.py");
        let mut child = std::process::Command::new(&python)
            .args([
                script,
                &*identity.to_text(),
                &identity.recipient().to_string(),
            ])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || input.write_all(&sealed).unwrap());
        let done = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(done.status.success());
        let opened = open(&done.stdout, std::slice::from_ref(&identity)).unwrap();
        assert_eq!(*opened, content, "{length}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let key = Identity::new(&[1; 32]);
        let mut file = b"age-encryption.org/v1\n-> X25519 ".to_vec();
        file.extend(&bytes);
        for bytes in [&bytes, &file] {
            prop_assert!(open(bytes, std::slice::from_ref(&key)).is_err());
        }
    }
}
