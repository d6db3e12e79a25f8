//! A wary walk over the elements of one XML part, in constant memory.
//!
//! Workbooks need a small part of XML: UTF-8, elements and attributes. Document types, entities
//! beyond the five predefined ones, other encodings, deep nesting and giant tokens are refused.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::name::{NamespaceResolver, QName, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

use crate::SheetError;
use crate::error::shown;
use crate::package::read_error;

/// Elements nest at most this deep; real parts stay under 12.
const MAX_DEPTH: usize = 64;
/// One tag or run of text at most; a cell holds 32,767 characters.
const MAX_TOKEN_BYTES: usize = 1 << 20;
const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// What the walk comes across.
pub(crate) enum Node<'a> {
    /// An element begins.
    Open(Element<'a>),
    /// The element at this depth ends; its end tag begins at the byte given.
    Close { depth: usize, at: u64 },
}

/// An element as it begins.
pub(crate) struct Element<'a> {
    /// Its namespace, empty for none.
    pub(crate) namespace: &'a str,
    /// Its name without prefix.
    pub(crate) local: &'a str,
    /// Its prefix, empty for none.
    pub(crate) prefix: &'a str,
    /// 1 for the root.
    pub(crate) depth: usize,
    /// The bytes of its first tag in the part.
    pub(crate) span: Range<u64>,
    /// Whether the tag is self-closing; no [`Node::Close`] follows then.
    pub(crate) empty: bool,
    part: &'a str,
    tag: &'a BytesStart<'a>,
    resolver: &'a NamespaceResolver,
}

impl Element<'_> {
    /// Whether this is the element of that name in one of the namespaces.
    pub(crate) fn is(&self, namespaces: &[&str], local: &str) -> bool {
        self.local == local && namespaces.contains(&self.namespace)
    }

    /// The value of an attribute without namespace.
    pub(crate) fn attribute(&self, name: &str) -> Result<Option<String>, SheetError> {
        Ok(self.attribute_at(name)?.map(|(value, _)| value))
    }

    /// The value of an attribute without namespace, and where its raw text lies in the part.
    pub(crate) fn attribute_at(
        &self,
        name: &str,
    ) -> Result<Option<(String, Range<u64>)>, SheetError> {
        let mut found = None;
        for attribute in self.tag.attributes() {
            let attribute = attribute.map_err(|error| self.malformed(error.to_string()))?;
            if attribute.key.0 == name {
                found = Some((self.normal(&attribute)?, self.span_of(&attribute.value)?));
            }
        }
        Ok(found)
    }

    /// The value of an attribute in one of the namespaces.
    pub(crate) fn attribute_in(
        &self,
        namespaces: &[&str],
        local: &str,
    ) -> Result<Option<String>, SheetError> {
        let mut found = None;
        for attribute in self.tag.attributes() {
            let attribute = attribute.map_err(|error| self.malformed(error.to_string()))?;
            let (resolved, name) = self.resolver.resolve_attribute(attribute.key);
            let ResolveResult::Bound(namespace) = resolved else {
                continue;
            };
            if name.as_ref() == local && namespaces.contains(&namespace.0) {
                if found.is_some() {
                    return Err(self.malformed("an attribute is there twice"));
                }
                found = Some(self.normal(&attribute)?);
            }
        }
        Ok(found)
    }

    /// Checks that no attribute is malformed or there twice.
    fn check_attributes(&self) -> Result<(), SheetError> {
        for attribute in self.tag.attributes() {
            attribute.map_err(|error| self.malformed(error.to_string()))?;
        }
        Ok(())
    }

    fn normal(
        &self,
        attribute: &quick_xml::events::attributes::Attribute<'_>,
    ) -> Result<String, SheetError> {
        attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map(Cow::into_owned)
            .map_err(|error| self.malformed(error.to_string()))
    }

    /// Where the raw text of a value lies in the part: it is a slice of the tag's own text.
    fn span_of(&self, value: &str) -> Result<Range<u64>, SheetError> {
        let tag: &str = self.tag;
        let within = value.as_ptr().addr().checked_sub(tag.as_ptr().addr());
        let span = within
            .filter(|within| within.saturating_add(value.len()) <= tag.len())
            .and_then(|within| u64::try_from(within).ok())
            // One byte for the `<` before the name.
            .and_then(|within| self.span.start.checked_add(1)?.checked_add(within))
            .and_then(|start| Some(start..start.checked_add(u64::try_from(value.len()).ok()?)?));
        span.ok_or_else(|| self.malformed("an attribute cannot be located"))
    }

    /// An error about this part.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> SheetError {
        SheetError::part(self.part, shown(&reason.into()))
    }
}

/// Walks over every element of a part, in order, and checks the whole of it on the way.
pub(crate) fn walk(
    part: &str,
    source: impl Read,
    mut visit: impl FnMut(Node<'_>) -> Result<(), SheetError>,
) -> Result<(), SheetError> {
    let (mark, source) = skip_byte_order_mark(part, source)?;
    let source = TokenMeter {
        inner: BufReader::new(source),
        used: 0,
    };
    let mut reader = NsReader::from_reader(source);
    let mut buffer = Vec::new();
    let (mut depth, mut roots) = (0_usize, 0_usize);
    loop {
        buffer.clear();
        reader.get_mut().used = 0;
        let start = reader.buffer_position().saturating_add(mark);
        let event = reader
            .read_event_into(&mut buffer)
            .map_err(|error| xml_error(part, error))?;
        let span = start..reader.buffer_position().saturating_add(mark);
        match event {
            Event::Start(tag) => {
                depth = depth.saturating_add(1);
                roots = count_root(part, depth, roots)?;
                let element = element(part, &tag, reader.resolver(), depth, span, false)?;
                visit(Node::Open(element))?;
            }
            Event::Empty(tag) => {
                let inner = depth.saturating_add(1);
                roots = count_root(part, inner, roots)?;
                let element = element(part, &tag, reader.resolver(), inner, span, true)?;
                visit(Node::Open(element))?;
            }
            Event::End(_) => {
                visit(Node::Close {
                    depth,
                    at: span.start,
                })?;
                depth = depth.saturating_sub(1);
            }
            Event::Decl(decl) => check_declaration(part, &decl, span.start == mark)?,
            Event::DocType(_) => return Err(SheetError::Doctype { part: shown(part) }),
            Event::GeneralRef(reference) => check_reference(part, &reference)?,
            Event::Text(text) => check_outside(part, depth, &text)?,
            Event::CData(_) if depth == 0 => return Err(outside(part)),
            Event::CData(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if depth == 0 && roots == 1 {
        Ok(())
    } else {
        Err(SheetError::part(
            part,
            "the part ends before its elements do",
        ))
    }
}

fn element<'a>(
    part: &'a str,
    tag: &'a BytesStart<'a>,
    resolver: &'a NamespaceResolver,
    depth: usize,
    span: Range<u64>,
    empty: bool,
) -> Result<Element<'a>, SheetError> {
    if depth > MAX_DEPTH {
        return Err(SheetError::TooLarge {
            what: format!("the nesting in part `{}`", shown(part)),
            limit: u64::try_from(MAX_DEPTH).unwrap_or(u64::MAX),
        });
    }
    let name: QName<'a> = tag.name();
    let namespace = match resolver.resolve_element(name).0 {
        ResolveResult::Bound(namespace) => namespace.0,
        ResolveResult::Unbound => "",
        ResolveResult::Unknown(_) => {
            return Err(SheetError::part(part, "a prefix stands for no namespace"));
        }
    };
    let (prefix, local) = name.0.split_once(':').unwrap_or(("", name.0));
    let element = Element {
        namespace,
        local,
        prefix,
        depth,
        span,
        empty,
        part,
        tag,
        resolver,
    };
    element.check_attributes()?;
    Ok(element)
}

/// Counts the root elements, of which there is one.
fn count_root(part: &str, depth: usize, roots: usize) -> Result<usize, SheetError> {
    match (depth, roots) {
        (1, 0) => Ok(1),
        (1, _) => Err(SheetError::part(
            part,
            "there is more than one root element",
        )),
        (_, roots) => Ok(roots),
    }
}

fn check_declaration(part: &str, decl: &BytesDecl<'_>, first: bool) -> Result<(), SheetError> {
    let malformed = |reason: &str| SheetError::part(part, reason);
    if !first {
        return Err(malformed("the XML declaration is not at the start"));
    }
    let version = decl
        .version()
        .map_err(|_| malformed("the XML declaration has no version"))?;
    if version != "1.0" {
        return Err(malformed("only XML 1.0 is understood"));
    }
    match decl.encoding() {
        None => Ok(()),
        Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(Ok(_)) => Err(SheetError::Encoding { part: shown(part) }),
        Some(Err(_)) => Err(malformed("the XML declaration is malformed")),
    }
}

fn check_reference(
    part: &str,
    reference: &quick_xml::events::BytesRef<'_>,
) -> Result<(), SheetError> {
    let name: &str = reference;
    if matches!(name, "lt" | "gt" | "amp" | "apos" | "quot") {
        return Ok(());
    }
    match reference.resolve_char_ref() {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(SheetError::Doctype { part: shown(part) }),
        Err(_) => Err(SheetError::part(part, "a character reference is malformed")),
    }
}

fn check_outside(part: &str, depth: usize, text: &str) -> Result<(), SheetError> {
    if depth == 0 && !text.chars().all(|c| c.is_ascii_whitespace()) {
        return Err(outside(part));
    }
    Ok(())
}

fn outside(part: &str) -> SheetError {
    SheetError::part(part, "there is text outside the root element")
}

/// Refuses UTF-16 by its mark or its first character; takes the mark of UTF-8 off and counts it.
fn skip_byte_order_mark(part: &str, mut source: impl Read) -> Result<(u64, impl Read), SheetError> {
    let mut start = Vec::new();
    // Enough for a second mark, which the XML reader would skip without counting.
    let twice = u64::try_from(UTF8_MARK.len().saturating_mul(2)).unwrap_or(u64::MAX);
    let head = source.by_ref().take(twice).read_to_end(&mut start);
    head.map_err(|error| read_error(part, error))?;
    if matches!(
        start.as_slice(),
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, ..] | [b'<', 0, ..]
    ) {
        return Err(SheetError::Encoding { part: shown(part) });
    }
    let (mark, rest) = match start.strip_prefix(UTF8_MARK) {
        Some(rest) => (3, rest),
        None => (0, start.as_slice()),
    };
    if mark != 0 && rest.starts_with(UTF8_MARK) {
        return Err(SheetError::part(part, "the byte order mark is there twice"));
    }
    Ok((mark, io::Cursor::new(rest.to_vec()).chain(source)))
}

/// What an error of the XML reader means.
fn xml_error(part: &str, error: quick_xml::Error) -> SheetError {
    match error {
        quick_xml::Error::Encoding(_) => SheetError::Encoding { part: shown(part) },
        quick_xml::Error::Io(shared) => {
            let too_long = shared
                .get_ref()
                .is_some_and(|inner| inner.is::<TokenTooLong>());
            if too_long {
                return SheetError::TooLarge {
                    what: format!("one tag or text in part `{}`", shown(part)),
                    limit: u64::try_from(MAX_TOKEN_BYTES).unwrap_or(u64::MAX),
                };
            }
            match std::sync::Arc::try_unwrap(shared) {
                Ok(error) => read_error(part, error),
                Err(shared) => SheetError::Io(io::Error::from(shared.kind())),
            }
        }
        quick_xml::Error::Syntax(_)
        | quick_xml::Error::IllFormed(_)
        | quick_xml::Error::InvalidAttr(_)
        | quick_xml::Error::Escape(_)
        | quick_xml::Error::Namespace(_) => SheetError::part(part, shown(&error.to_string())),
    }
}

/// A reader that ends a token which grows without end, since the XML reader holds tokens whole.
struct TokenMeter<B> {
    inner: B,
    used: usize,
}

/// A token was longer than any part needs.
#[derive(Debug, thiserror::Error)]
#[error("a tag or text is too long")]
struct TokenTooLong;

impl<B: BufRead> BufRead for TokenMeter<B> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used > MAX_TOKEN_BYTES {
            return Err(io::Error::other(TokenTooLong));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.used = self.used.saturating_add(amount);
        self.inner.consume(amount);
    }
}

impl<B: BufRead> Read for TokenMeter<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.used = self.used.saturating_add(read);
        Ok(read)
    }
}
