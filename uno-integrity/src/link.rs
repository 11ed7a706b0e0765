//! [`Link`]: the hash of an event and of all that is before it in its stream.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use uno_core::{Metadata, RecordedEvent};

use crate::ChainKey;

/// The hash of an event, and of the link of the event before it in its stream.
///
/// SHA-256 (FIPS 180-4), or HMAC-SHA-256 (RFC 2104) with a [`ChainKey`], of: a line that names the format; the link before it, 32 zero bytes for the first
/// event of a stream; then each field of the event. Numbers have 8 bytes, the most significant one first; texts are preceded by their length in bytes, lists by
/// the number of their entries; what may be missing is preceded by a byte 0 or 1; times are microseconds since 1970. The fields are: id, category, key,
/// version, position, stored name, schema version, content type, payload, time of occurrence, time of recording, correlation id, causation id, causing event, actor, tenant, trace context,
/// headers by name, tags. So no two events have the same bytes.
///
/// Stored format: version with care. Another order or another field is another format, with another first line.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link([u8; Self::LENGTH]);

const FORMAT: &[u8] = b"uno.chain 1\n";
const CONTENT_TYPE: &str = "application/json";

impl Link {
    pub(crate) const LENGTH: usize = 32;
    /// What is before the first event of a stream.
    pub(crate) const NONE: Self = Self([0; Self::LENGTH]);

    /// The link of an event that comes after the one with the link `previous`; `None` for the first one of a stream.
    #[must_use]
    pub fn of(event: &RecordedEvent, previous: Option<Self>, key: Option<&ChainKey>) -> Self {
        let previous = previous.unwrap_or(Self::NONE);
        let absorb = |hash: &mut dyn FnMut(&[u8])| {
            hash(FORMAT);
            hash(&previous.0);
            Fields(hash).event(event);
        };
        // A key of any length is one.
        let keyed = key.and_then(|key| Hmac::<Sha256>::new_from_slice(key.secret()).ok());
        Self(match keyed {
            Some(mut mac) => {
                absorb(&mut |bytes| mac.update(bytes));
                mac.finalize().into_bytes().into()
            }
            None => {
                let mut hash = Sha256::new();
                absorb(&mut |bytes| hash.update(bytes));
                hash.finalize().into()
            }
        })
    }

    /// The bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// Hands the fields of an event on, so that they can be told apart.
struct Fields<'h>(&'h mut dyn FnMut(&[u8]));

impl Fields<'_> {
    fn event(&mut self, event: &RecordedEvent) {
        (self.0)(event.id().as_uuid().as_bytes());
        self.text(event.stream().category().as_str());
        self.text(event.stream().key());
        self.number(event.version().get());
        self.number(event.position().get());
        self.text(event.name().as_str());
        self.number(u64::from(event.schema_version().get()));
        self.text(CONTENT_TYPE);
        self.text(event.payload().as_str());
        self.time(event.occurred_at().timestamp_micros());
        self.time(event.recorded_at().timestamp_micros());
        self.metadata(event.metadata());
        self.number(event.tags().len() as u64);
        for tag in event.tags() {
            self.text(tag);
        }
    }

    fn metadata(&mut self, metadata: &Metadata) {
        let correlation = metadata.correlation_id();
        self.id(correlation.as_ref().map(|id| id.as_uuid().as_bytes()));
        let causation = metadata.causation_id();
        self.id(causation.as_ref().map(|id| id.as_bytes()));
        let causing = metadata.causing_event();
        self.id(causing.as_ref().map(|id| id.as_uuid().as_bytes()));
        self.maybe(metadata.actor());
        self.maybe(metadata.tenant());
        self.maybe(metadata.traceparent().map(|trace| trace.as_str()));
        self.number(metadata.headers().len() as u64);
        for (name, value) in metadata.headers() {
            self.text(name);
            self.text(value);
        }
    }

    fn number(&mut self, number: u64) {
        (self.0)(&number.to_be_bytes());
    }

    fn time(&mut self, micros: i64) {
        (self.0)(&micros.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        (self.0)(text.as_bytes());
    }

    fn maybe(&mut self, text: Option<&str>) {
        (self.0)(&[u8::from(text.is_some())]);
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn id(&mut self, id: Option<&[u8; 16]>) {
        (self.0)(&[u8::from(id.is_some())]);
        if let Some(id) = id {
            (self.0)(id);
        }
    }
}

/// Writes 64 hexadecimal digits.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

impl FromStr for Link {
    type Err = NotALink;

    /// Reads 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, NotALink> {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let mut bytes = [0; Self::LENGTH];
        if text.len() != 2 * Self::LENGTH {
            return Err(NotALink(()));
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(NotALink(()));
            };
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(bytes))
    }
}

/// A text that is no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link has 64 hexadecimal digits")]
pub struct NotALink(());

#[cfg(test)]
#[path = "link/tests.rs"]
mod tests;
