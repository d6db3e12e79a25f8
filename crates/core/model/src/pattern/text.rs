//! The text of patterns: percent-encoding in one way only, of paths and of URLs.

use super::PatternError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Byte(u8),
    Star,
}

/// Whether a byte of valid UTF-8 stands for itself in canonical text. Non-ASCII characters do, except those that [`must_encode_char`] names.
fn is_plain_ascii(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'%' | b'*'
                | b'?'
                | b'#'
                | b'"'
                | b'<'
                | b'>'
                | b'\\'
                | b'^'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
        )
}

pub(super) fn decode(text: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'*' => tokens.push(Token::Star),
            b'%' => {
                let decoded = escaped(at, &mut bytes)?;
                if is_plain_ascii(decoded) {
                    return Err(PatternError::Encoding { at });
                }
                tokens.push(Token::Byte(decoded));
            }
            plain if is_plain_ascii(plain) || !plain.is_ascii() => tokens.push(Token::Byte(plain)),
            _ => return Err(PatternError::Encoding { at }),
        }
    }
    check_non_ascii(text, &tokens)?;
    Ok(tokens)
}

/// The byte behind a `%` at `at`: two upper-case hexadecimal digits, never NUL.
fn escaped(at: usize, bytes: &mut impl Iterator<Item = (usize, u8)>) -> Result<u8, PatternError> {
    let mut digit = || match bytes.next() {
        Some((_, digit @ b'0'..=b'9')) => Ok(digit.wrapping_sub(b'0')),
        Some((_, digit @ b'A'..=b'F')) => Ok(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => Err(PatternError::Encoding { at }),
    };
    let decoded = (digit()? << 4) | digit()?;
    if decoded == 0 {
        return Err(PatternError::Nul);
    }
    Ok(decoded)
}

/// Whether a byte of a URL's path stands for itself: `pchar` of RFC 3986, section 3.3, but `*`, which is the pattern's own, and `/`.
fn is_plain_in_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
        )
}

/// The same as [`decode`] for a URL's path: ASCII alone, and each byte in the one spelling that [`encode_url_into`] gives it.
pub(super) fn decode_url(text: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'*' => tokens.push(Token::Star),
            b'%' => match escaped(at, &mut bytes)? {
                // A server that decodes before it splits sees another path.
                b'/' | b'\\' => return Err(PatternError::Ambiguous),
                plain if is_plain_in_url(plain) => return Err(PatternError::Encoding { at }),
                other => tokens.push(Token::Byte(other)),
            },
            plain if is_plain_in_url(plain) => tokens.push(Token::Byte(plain)),
            _ => return Err(PatternError::Encoding { at }),
        }
    }
    Ok(tokens)
}

pub(super) fn encode_url_into(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        if is_plain_in_url(*byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Non-ASCII text is canonical only if writing the decoded bytes again gives the same text: this refuses valid UTF-8 that
/// was percent-encoded, and plain characters that must not be.
fn check_non_ascii(text: &str, tokens: &[Token]) -> Result<(), PatternError> {
    let mut again = String::with_capacity(text.len());
    let mut run = Vec::new();
    for token in tokens {
        match token {
            Token::Byte(byte) => run.push(*byte),
            Token::Star => {
                encode_into(&mut again, &run);
                run.clear();
                again.push('*');
            }
        }
    }
    encode_into(&mut again, &run);
    if again == text {
        return Ok(());
    }
    let at = again
        .bytes()
        .zip(text.bytes())
        .position(|(a, b)| a != b)
        .unwrap_or(0);
    Err(PatternError::Encoding { at })
}

/// Characters that are valid text but could mislead a reader: they are always percent-encoded.
fn must_encode_char(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e0fff}')
}

pub(super) fn encode_into(text: &mut String, bytes: &[u8]) {
    let percent = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            text.push_str(&format!("%{byte:02X}"));
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let plain = u8::try_from(c)
                .ok()
                .filter(u8::is_ascii)
                .map_or_else(|| !must_encode_char(c), is_plain_ascii);
            if plain {
                text.push(c);
            } else {
                percent(text, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        percent(text, chunk.invalid());
    }
}
