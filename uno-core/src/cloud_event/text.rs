//! Texts as CloudEvents allows them.

use std::fmt::Write as _;

/// Lower-case letters and digits, and at least one of them.
pub(super) fn is_attribute_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Characters that no text of CloudEvents has: control characters and noncharacters. Source: CloudEvents 1.0.2, "Type System".
pub(super) fn is_forbidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// A text with what is forbidden, and `%`, percent-encoded.
pub(super) fn encode(text: &str) -> String {
    percent_encode(text, |c| c == '%' || is_forbidden(c))
}

/// A text with some characters percent-encoded, as the bytes of their UTF-8.
pub(super) fn percent_encode(text: &str, encoded: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if encoded(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// The way back.
pub(super) fn percent_decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let [high, low, after @ ..] = after else {
            return Err("has a % without two digits after it");
        };
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            return Err("has a % without two digits after it");
        };
        bytes.push(high << 4 | low);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| "has percent-encoded bytes that are not UTF-8")
}

/// JSON in which what is forbidden is escaped, so that it can be a text of CloudEvents.
pub(super) fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_forbidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a text is a reference to a URI, as far as its characters go (RFC 3986), and not empty.
pub(super) fn check_source(source: &str) -> Result<(), String> {
    if source.is_empty() {
        return Err("is empty".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    if let Some(c) = source.chars().find(|&c| !allowed(c)) {
        return Err(format!("is not a reference to a URI: it has {c:?}"));
    }
    percent_decode(source).map_err(|reason| format!("is not a reference to a URI: it {reason}"))?;
    Ok(())
}
