//! What a bus, or somebody on it, could send.

use proptest::prelude::*;

use super::*;

fn pair() -> (Bus, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("pair");
    (Bus::over(ours), theirs)
}

fn signal(body: &(u32, &str)) -> Vec<u8> {
    let fields = [
        (
            PATH,
            Variant::from(ObjectPath::try_from("/org/example").expect("path")),
        ),
        (INTERFACE, Variant::from("org.example.Name")),
        (MEMBER, Variant::from("Said")),
        (SENDER, Variant::from(":1.7")),
    ];
    message(Kind::Signal, 1, &fields, body).expect("a message")
}

fn all(bus: &mut Bus) -> Vec<Incoming> {
    std::iter::from_fn(|| bus.next().expect("messages")).collect()
}

#[test]
fn a_message_is_read_with_its_sender_however_it_comes() {
    let (mut bus, mut theirs) = pair();
    for byte in signal(&(7, "inbox")) {
        theirs.write_all(&[byte]).expect("write");
        bus.receive().expect("receive");
    }
    let messages = all(&mut bus);
    let [message] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(message.sender, ":1.7");
    assert_eq!(
        (message.kind, message.member.as_str()),
        (Kind::Signal, "Said")
    );
    assert_eq!(
        message.body::<(u32, String)>(),
        Some((7, "inbox".to_owned()))
    );
    assert_eq!(message.body::<(u32, u32)>(), None);
    assert_eq!(message.body::<String>(), None);
}

#[test]
fn a_message_that_is_too_long_is_read_past() {
    let (mut bus, mut theirs) = pair();
    let long = "x".repeat(300_000);
    let sent = [
        signal(&(1, "before")),
        signal(&(2, &long)),
        signal(&(3, "after")),
    ]
    .concat();
    let writer = std::thread::spawn(move || theirs.write_all(&sent).map(|()| theirs));
    let mut seen = Vec::new();
    while seen.len() < 2 {
        bus.receive().expect("receive");
        assert!(bus.buffer.len() < 128 * 1024);
        let new = all(&mut bus);
        seen.extend(new.iter().filter_map(Incoming::body::<(u32, String)>));
    }
    let seen: Vec<u32> = seen.into_iter().map(|(number, _)| number).collect();
    assert_eq!(seen, [1, 3]);
    drop(writer.join().expect("the writer").expect("write"));
}

#[test]
fn a_body_shorter_than_its_signature_is_none() {
    let (mut bus, mut theirs) = pair();
    let mut bytes = signal(&(7, "inbox"));
    // The text says that it is longer than all that follows.
    let at = bytes.len() - "inbox\0".len() - 4;
    bytes[at] = 200;
    theirs.write_all(&bytes).expect("write");
    bus.receive().expect("receive");
    let messages = all(&mut bus);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].body::<(u32, String)>(), None);
}

#[test]
fn what_is_no_message_ends_the_connection() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 16],
        &[b'l', 4, 0, 1, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let (mut bus, mut theirs) = pair();
        theirs.write_all(bytes).expect("write");
        bus.receive().expect("receive");
        assert!(bus.next().is_err(), "{bytes:?}");
    }
    let (mut bus, theirs) = pair();
    drop(theirs);
    assert!(bus.receive().is_err());
}

#[test]
fn addresses_of_unix_sockets_are_read_and_others_are_not() {
    let path = |address: &str| {
        socket_address(address)
            .and_then(Result::ok)
            .and_then(|socket| socket.as_pathname().map(std::path::Path::to_path_buf))
    };
    assert_eq!(
        path("unix:path=/run/user/1000/bus"),
        Some("/run/user/1000/bus".into())
    );
    assert_eq!(path("unix:guid=aa,path=/a%20b"), Some("/a b".into()));
    assert_eq!(path("unix:path=/a%2"), None);
    let name = socket_address("unix:abstract=/tmp/dbus-x,guid=1").and_then(Result::ok);
    assert_eq!(
        name.as_ref().and_then(|socket| socket.as_abstract_name()),
        Some(&b"/tmp/dbus-x"[..])
    );
    for other in [
        "tcp:host=localhost,port=1",
        "unixexec:path=/bin/sh",
        "unix:tmpdir=/tmp",
        "",
        "path=/x",
    ] {
        assert!(socket_address(other).is_none(), "{other}");
    }
    assert!(matches!(
        reach("tcp:host=x;autolaunch:"),
        Err(BusError::Address(_))
    ));
}

#[test]
fn a_bus_that_does_not_let_in_is_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bus");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    for said in [
        "REJECTED EXTERNAL\r\n".to_owned(),
        "x".repeat(2000),
        "ERROR\r\n".to_owned(),
    ] {
        let listener = listener.try_clone().expect("clone");
        let bus = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut asked = [0; 64];
            let read = stream.read(&mut asked).expect("read");
            stream.write_all(said.as_bytes()).expect("write");
            asked[..read].to_vec()
        });
        let address = format!("unix:path={}", path.display());
        assert!(matches!(Bus::connect(&address), Err(BusError::Refused)));
        let asked = bus.join().expect("the bus");
        assert!(asked.starts_with(b"\0AUTH EXTERNAL "));
        assert!(!String::from_utf8_lossy(&asked).contains("UNIX_FD"));
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..80) {
        let mut changed = signal(&(7, "inbox"));
        let whole = changed.len();
        changed.splice(at.min(whole)..at.saturating_add(bytes.len()).min(whole), bytes.iter().copied());
        for sent in [&bytes, &changed] {
            let (mut bus, mut theirs) = pair();
            theirs.write_all(sent).expect("write");
            if !sent.is_empty() {
                bus.receive().expect("receive");
            }
            while let Ok(Some(message)) = bus.next() {
                let _some = message.body::<(u32, String)>();
                let _some = message.body::<(String, String, String)>();
                let _some = message.body::<Vec<String>>();
            }
        }
    }
}
