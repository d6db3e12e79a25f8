//! What is read as a message, and what is none.

use super::*;

fn call(order: Order) -> Message {
    Message {
        order,
        kind: Kind::Call,
        flags: 0,
        serial: 7,
        path: Some("/org/x".to_owned()),
        interface: Some("org.x.Y".to_owned()),
        member: Some("Do".to_owned()),
        error: None,
        reply_to: None,
        destination: Some("org.x".to_owned()),
        sender: None,
        signature: "s".to_owned(),
        body: text_body(order, "hello"),
    }
}

#[test]
fn what_is_written_is_read_again_in_either_order() {
    for order in [Order::Little, Order::Big] {
        let message = call(order);
        let read = Message::read(&mut message.bytes().as_slice()).expect("a message");
        assert_eq!(read, message);
        assert_eq!(read.first_text().as_deref(), Some("hello"));
        let answer = Message::answer(&message, Some("org.x.No"), "", Vec::new());
        let answer = Message {
            serial: 1,
            ..answer
        };
        assert_eq!(
            Message::read(&mut answer.bytes().as_slice()).expect("an answer"),
            answer
        );
    }
}

#[test]
fn every_changed_byte_is_read_as_it_is_or_refused_and_nothing_panics() {
    let bytes = call(Order::Little).bytes();
    for at in 0..bytes.len() {
        for value in [0, 1, 7, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(read) = Message::read(&mut changed.as_slice()) {
                let again =
                    Message::read(&mut read.bytes().as_slice()).expect("what was read is written");
                assert_eq!(again, read);
            }
        }
        assert!(Message::read(&mut &bytes[..at]).is_err());
    }
}

#[test]
fn lengths_that_lie_allocate_nothing_and_pass_nothing() {
    let mut bytes = call(Order::Little).bytes();
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Message::read(&mut bytes.as_slice()).is_err());
    let mut bytes = call(Order::Little).bytes();
    bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Message::read(&mut bytes.as_slice()).is_err());
}

#[test]
fn descriptors_second_fields_and_unknown_ones_do_not_pass() {
    let plain = call(Order::Little);
    let with = |code: u8, kind: &str| {
        let mut fields = Writer {
            order: Order::Little,
            bytes: Vec::new(),
        };
        for (code, kind, text) in [(1, "o", "/a"), (3, "s", "Do"), (6, "s", "org.x")] {
            fields.field(code, kind);
            fields.text(text);
        }
        fields.field(code, kind);
        if kind == "u" {
            fields.number(1);
        } else {
            fields.text("org.y");
        }
        let mut all = Writer {
            order: Order::Little,
            bytes: vec![b'l', 1, 0, 1],
        };
        all.size(0);
        all.number(1);
        all.size(fields.bytes.len());
        all.bytes.extend(fields.bytes);
        all.align(8);
        Message::read(&mut all.bytes.as_slice())
    };
    assert!(with(7, "s").is_ok());
    for (code, kind) in [
        (9, "u"),
        (6, "s"),
        (3, "s"),
        (2, "o"),
        (0, "s"),
        (10, "s"),
        (5, "s"),
    ] {
        assert!(with(code, kind).is_err(), "{code} {kind}");
    }
    assert!(Message::read(&mut plain.bytes().as_slice()).is_ok());
}
