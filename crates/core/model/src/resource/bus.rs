//! A method of a desktop service on the session bus, by the name rules of the D-Bus specification.

use std::fmt;

use super::ParseResourceError;

/// The longest name of any kind (D-Bus specification, "Valid Names").
const MAX_NAME_BYTES: usize = 255;

/// A method of a service: `bus:org.freedesktop.Notifications/Notify`, of whatever interface, or with the interface before it,
/// `bus:org.freedesktop.portal.Desktop/org.freedesktop.portal.FileChooser.OpenFile`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BusResource {
    name: String,
    interface: Option<String>,
    member: String,
}

impl BusResource {
    /// The well-known name of the service.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface that the method is of; none means any, and a call that names none.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// The method.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.member
    }

    /// Whether everything that `other` names, this names too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.name == other.name
            && self.member == other.member
            && (self.interface.is_none() || self.interface == other.interface)
    }

    /// Reads what follows `bus:`.
    pub(super) fn parse(rest: &str) -> Result<Self, ParseResourceError> {
        const FORM: ParseResourceError = ParseResourceError::Form(
            "a desktop service is written bus:NAME/METHOD or bus:NAME/INTERFACE.METHOD, with a well-known name",
        );
        let (name, method) = rest.split_once('/').ok_or(FORM)?;
        let (interface, member) = match method.rsplit_once('.') {
            Some((interface, member)) => (Some(interface), member),
            None => (None, method),
        };
        let valid = is_dotted(name, is_name_element)
            && interface.is_none_or(|interface| is_dotted(interface, is_member))
            && is_member(member)
            && member.len() <= MAX_NAME_BYTES;
        if !valid {
            return Err(FORM);
        }
        Ok(Self {
            name: name.to_owned(),
            interface: interface.map(str::to_owned),
            member: member.to_owned(),
        })
    }
}

/// Two elements or more, 255 bytes in all. A unique name (`:1.7`) says nothing of who is behind it, and is none of these.
fn is_dotted(text: &str, element: fn(&str) -> bool) -> bool {
    text.len() <= MAX_NAME_BYTES && text.contains('.') && text.split('.').all(element)
}

/// An element of a bus name, where `-` is allowed.
fn is_name_element(text: &str) -> bool {
    is_word(text, |byte| byte == b'-')
}

/// A member, or an element of an interface's name.
fn is_member(text: &str) -> bool {
    is_word(text, |_| false)
}

fn is_word(text: &str, also: fn(u8) -> bool) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || also(byte);
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(plain)
}

impl fmt::Display for BusResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bus:{}/", self.name)?;
        if let Some(interface) = &self.interface {
            write!(f, "{interface}.")?;
        }
        f.write_str(&self.member)
    }
}

impl fmt::Debug for BusResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
