//! Requests from whole, cut and random bytes.

use std::ffi::OsStr;

use proptest::prelude::*;

use super::*;
use crate::abi::opcode;

pub(crate) fn message(opcode: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(IN_HEADER_BYTES.saturating_add(body.len())).expect("length");
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(opcode.to_ne_bytes());
    bytes.extend(9_u64.to_ne_bytes());
    bytes.extend(1_u64.to_ne_bytes());
    bytes.extend([0; 16]);
    bytes.extend(body);
    bytes
}

#[test]
fn a_lookup_is_read() {
    let bytes = message(opcode::LOOKUP, b"name\0");
    let request = parse_request(&bytes).expect("parse");
    assert_eq!(request.header().unique, 9);
    let Operation::Lookup { name } = request.operation() else {
        panic!("not a lookup")
    };
    assert_eq!(*name, OsStr::new("name"));
}

#[test]
fn impossible_names_and_lengths_are_refused() {
    for name in [&b"\0"[..], b".\0", b"..\0", b"a/b\0"] {
        assert_eq!(
            parse_request(&message(opcode::LOOKUP, name)).err(),
            Some(ParseError::Name)
        );
    }
    assert_eq!(
        parse_request(&message(opcode::LOOKUP, b"open")).err(),
        Some(ParseError::Short)
    );
    let mut long = message(opcode::LOOKUP, b"name\0");
    long.push(0);
    assert_eq!(parse_request(&long).err(), Some(ParseError::Length));
    let mut extended = message(opcode::LOOKUP, b"name\0");
    extended[36] = 0xff;
    assert_eq!(parse_request(&extended).err(), Some(ParseError::Short));
}

#[test]
fn write_takes_exactly_its_data() {
    let mut body = Vec::new();
    body.extend(3_u64.to_ne_bytes());
    body.extend(100_u64.to_ne_bytes());
    body.extend(5_u32.to_ne_bytes());
    body.extend([0; 20]);
    body.extend(b"hello");
    let bytes = message(opcode::WRITE, &body);
    let request = parse_request(&bytes).expect("parse");
    let Operation::Write {
        handle: 3,
        offset: 100,
        data: b"hello",
        ..
    } = request.operation()
    else {
        panic!("not that write: {:?}", request.operation())
    };
    body.pop();
    assert_eq!(
        parse_request(&message(opcode::WRITE, &body)).err(),
        Some(ParseError::Short)
    );
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(parse_request(&bytes).is_ok_and(|request| request.bytes() == bytes)
            || parse_request(&bytes).is_err());
    }

    #[test]
    fn random_bodies_never_panic(
        opcode in 0_u32..64,
        body in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        let bytes = message(opcode, &body);
        if let Ok(request) = parse_request(&bytes)
            && let Operation::BatchForget(forgets) = request.operation()
        {
            prop_assert!(forgets.count() <= 16);
        }
    }
}
