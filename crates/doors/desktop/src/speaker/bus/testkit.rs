//! The other end of a connection, for tests: what the bus would send.

use super::*;

/// The bus, and everybody on it.
pub(in super::super) struct Other {
    pub(in super::super) stream: UnixStream,
}

/// A connection and its other end.
pub(in super::super) fn other() -> (Bus, Other) {
    let (ours, theirs) = UnixStream::pair().expect("pair");
    (Bus::over(ours), Other { stream: theirs })
}

impl Other {
    pub(in super::super) fn answer<B: Serialize + Type>(
        &mut self,
        to: u32,
        sender: &str,
        body: &B,
    ) {
        let fields = [
            (REPLY_TO, Variant::from(to)),
            (SENDER, Variant::from(sender)),
        ];
        let bytes = message(Kind::Return, 1, &fields, body).expect("a message");
        self.stream.write_all(&bytes).expect("write");
    }

    pub(in super::super) fn signal<B: Serialize + Type>(
        &mut self,
        sender: &str,
        (path, interface): (&str, &str),
        member: &str,
        body: &B,
    ) {
        let fields = [
            (
                PATH,
                Variant::from(ObjectPath::try_from(path).expect("path")),
            ),
            (INTERFACE, Variant::from(interface)),
            (MEMBER, Variant::from(member)),
            (SENDER, Variant::from(sender)),
        ];
        let bytes = message(Kind::Signal, 1, &fields, body).expect("a message");
        self.stream.write_all(&bytes).expect("write");
    }

    /// All that was sent to the bus since the last look, as text.
    pub(in super::super) fn sent(&mut self) -> String {
        let mut bytes = vec![0; 1 << 20];
        let (_, read) = rustix::net::recv(&self.stream, bytes.as_mut_slice(), RecvFlags::DONTWAIT)
            .expect("something was sent");
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }
}
