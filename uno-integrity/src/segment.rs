//! [`Segment`]: links of one stream that are kept in one document.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uno_core::{Document, Payload, Refusal, StreamId, Version};

use crate::Link;

/// Up to 64 links of a stream that follow one another: those of the versions `64 n + 1` to `64 n + 64`.
///
/// An event costs one document in the worst case, and of a long stream never more than these few links are read and written for it.
///
/// Stored format: version with care.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Segment {
    stream: String,
    /// Hexadecimal, one after the other.
    links: String,
}

impl Segment {
    pub(crate) const LINKS: u64 = 64;
    const DIGITS: usize = 2 * Link::LENGTH;

    pub(crate) fn new(stream: &StreamId) -> Self {
        Self {
            stream: stream.to_string(),
            links: String::new(),
        }
    }

    /// The key of the document that has the link of this version. The stream may be longer than a key, so it stands for itself in the document.
    pub(crate) fn key(stream: &StreamId, version: Version) -> String {
        let mut key = Self::stream_key(stream);
        key.push_str(&format!("{:016x}", Self::number(version)));
        key
    }

    /// What all keys of a stream begin with, and those of no other stream.
    pub(crate) fn stream_key(stream: &StreamId) -> String {
        let mut key: String = Sha256::digest(stream.to_string())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        key.push('/');
        key
    }

    /// What comes after all segments of the stream that a document is of, and before those of any other.
    pub(crate) fn after_stream(key: &str) -> String {
        let stream = key.split('/').next().unwrap_or_default();
        format!("{stream}0")
    }

    /// Reads a document. One that was tampered with so that it can't be read has no links.
    pub(crate) fn read(document: &Document) -> Option<Self> {
        serde_json::from_str(document.body().as_str()).ok()
    }

    pub(crate) fn to_payload(&self) -> Result<Payload, Refusal> {
        Payload::encode(self)
    }

    /// Whose links these are.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        self.stream.parse().ok()
    }

    /// Which segment of its stream a document is, by its key.
    pub(crate) fn number_of(key: &str) -> Option<u64> {
        let digits = key.split_once('/')?.1;
        let number = u64::from_str_radix(digits, 16).ok()?;
        (digits == format!("{number:016x}")).then_some(number)
    }

    /// Which segment of its stream has the link of a version.
    pub(crate) fn number(version: Version) -> u64 {
        version.get().saturating_sub(1) / Self::LINKS
    }

    fn place(version: Version) -> usize {
        (version.get().saturating_sub(1) % Self::LINKS) as usize
    }

    /// The link of a version that belongs into this segment.
    pub(crate) fn link(&self, version: Version) -> Option<Link> {
        let start = Self::place(version) * Self::DIGITS;
        self.links.get(start..start + Self::DIGITS)?.parse().ok()
    }

    /// Whether there is a link of a later version in it.
    pub(crate) fn has_after(&self, version: Version) -> bool {
        self.links.len() > (Self::place(version) + 1) * Self::DIGITS
    }

    /// Adds the link of a version, if it is the next one.
    pub(crate) fn push(&mut self, version: Version, link: Link) -> bool {
        let fits = self.links.len() == Self::place(version) * Self::DIGITS;
        if fits {
            self.links.push_str(&link.to_string());
        }
        fits
    }
}
