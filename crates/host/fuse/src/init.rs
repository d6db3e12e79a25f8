//! The first exchange of a connection: what the kernel offers, and what is taken.

use crate::abi::{MAJOR, MINOR_NEWEST, MINOR_OLDEST, init_flags};
use crate::packet::Packet;
use crate::request::ParseError;
use crate::wire::Reader;

/// What the kernel says in `INIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) readahead_bytes_max: u32,
    pub(crate) flags: u64,
}

impl Offer {
    pub(crate) fn parse(input: &mut Reader<'_>) -> Result<Self, ParseError> {
        let (major, minor) = (input.u32()?, input.u32()?);
        let (readahead_bytes_max, low) = (input.u32()?, u64::from(input.u32()?));
        // The second word of flags is only there when the first announces it.
        let high = if low & init_flags::INIT_EXT == 0 {
            0
        } else {
            u64::from(input.u32()?)
        };
        Ok(Self {
            major,
            minor,
            readahead_bytes_max,
            flags: low | (high << 32),
        })
    }
}

/// What a file system wants of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The biggest write, in bytes: whole pages of 4096, at most 1 MiB.
    pub write_bytes_max: u32,
    /// Requests that the kernel keeps running in the background (readahead, for one).
    pub background_max: u16,
    /// Whether opens may be answered once with `ENOSYS` for good.
    pub without_opens: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            write_bytes_max: 1 << 20,
            background_max: 64,
            without_opens: false,
        }
    }
}

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// The protocol's minor version.
    pub minor: u32,
    /// The flags in force (`FUSE_*` of `INIT`).
    pub flags: u64,
}

impl Negotiated {
    /// Whether a cached entry can be made to be asked for again without being thrown out.
    #[must_use]
    pub fn expires_entries(&self) -> bool {
        self.flags & init_flags::HAS_EXPIRE_ONLY != 0
    }

    /// Whether the kernel takes `ENOSYS` to `OPEN` and `OPENDIR` as "never ask again".
    #[must_use]
    pub fn without_opens(&self) -> bool {
        let both = init_flags::NO_OPEN_SUPPORT | init_flags::NO_OPENDIR_SUPPORT;
        self.flags & both == both
    }
}

/// How the connection goes on after an `INIT`.
pub(crate) enum Handshake {
    /// Both agree; the packet is the answer.
    Agreed(Negotiated, Packet),
    /// The kernel is newer: tell it our version, and it asks again.
    Again(Packet),
    /// The kernel is too old.
    TooOld,
}

const WANTED: u64 = init_flags::ASYNC_READ
    | init_flags::ATOMIC_O_TRUNC
    | init_flags::BIG_WRITES
    | init_flags::AUTO_INVAL_DATA
    | init_flags::DO_READDIRPLUS
    | init_flags::READDIRPLUS_AUTO
    | init_flags::ASYNC_DIO
    | init_flags::PARALLEL_DIROPS
    | init_flags::MAX_PAGES
    | init_flags::CACHE_SYMLINKS
    | init_flags::HANDLE_KILLPRIV_V2
    | init_flags::INIT_EXT
    | init_flags::HAS_EXPIRE_ONLY;

const PAGE_BYTES: u32 = 4096;

pub(crate) fn negotiate(offer: &Offer, settings: &Settings) -> Handshake {
    if offer.major > MAJOR {
        return Handshake::Again(answer(MINOR_NEWEST, 0, 0, settings));
    }
    if offer.major < MAJOR || offer.minor < MINOR_OLDEST {
        return Handshake::TooOld;
    }
    // Where no open is sent, none can truncate: the kernel must say so in a message of its own.
    let wanted = if settings.without_opens {
        (WANTED & !init_flags::ATOMIC_O_TRUNC)
            | init_flags::NO_OPEN_SUPPORT
            | init_flags::NO_OPENDIR_SUPPORT
    } else {
        WANTED
    };
    let agreed = Negotiated {
        minor: offer.minor.min(MINOR_NEWEST),
        flags: offer.flags & wanted,
    };
    let packet = answer(
        agreed.minor,
        agreed.flags,
        offer.readahead_bytes_max,
        settings,
    );
    Handshake::Agreed(agreed, packet)
}

fn answer(minor: u32, flags: u64, readahead: u32, settings: &Settings) -> Packet {
    let [low, high] = [flags & u64::from(u32::MAX), flags >> 32]
        .map(|word| u32::try_from(word).unwrap_or_default());
    let pages = u16::try_from(settings.write_bytes_max.div_ceil(PAGE_BYTES)).unwrap_or(u16::MAX);
    let congested = settings
        .background_max
        .saturating_sub(settings.background_max >> 2);
    let mut packet = Packet::new();
    packet.u32(MAJOR).u32(minor).u32(readahead).u32(low);
    packet
        .u16(settings.background_max)
        .u16(congested)
        .u32(settings.write_bytes_max);
    // Times are kept to the nanosecond.
    packet.u32(1).u16(pages).u16(0).u32(high).zeros(28);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(major: u32, minor: u32, flags: u64) -> Offer {
        Offer {
            major,
            minor,
            readahead_bytes_max: 131_072,
            flags,
        }
    }

    #[test]
    fn only_what_is_offered_is_taken() {
        let offered = init_flags::ASYNC_READ | init_flags::BIG_WRITES | (1 << 8);
        let Handshake::Agreed(agreed, packet) =
            negotiate(&offer(7, 45, offered), &Settings::default())
        else {
            panic!("no agreement")
        };
        assert_eq!(
            agreed.flags,
            init_flags::ASYNC_READ | init_flags::BIG_WRITES
        );
        assert_eq!(agreed.minor, MINOR_NEWEST);
        assert_eq!(packet.bytes().len(), 64);
        assert!(!agreed.without_opens());
    }

    #[test]
    fn other_majors_end_or_ask_again() {
        let settings = Settings::default();
        assert!(matches!(
            negotiate(&offer(8, 0, 0), &settings),
            Handshake::Again(_)
        ));
        assert!(matches!(
            negotiate(&offer(6, 99, 0), &settings),
            Handshake::TooOld
        ));
        assert!(matches!(
            negotiate(&offer(7, 30, 0), &settings),
            Handshake::TooOld
        ));
    }
}
