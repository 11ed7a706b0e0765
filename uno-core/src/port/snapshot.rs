//! [`Snapshot`]: a remembered state, to be believed only when nothing speaks against it.

use crate::{EventId, Payload, StreamId, Version};

/// The state of an aggregate at a version, as a shortcut for folding its events.
///
/// A snapshot is a cache. Whoever loads one checks the [`shape`](Self::shape), the
/// [`checksum`](Self::is_intact), and that the stream has [`event_id`](Self::event_id) at
/// [`version`](Self::version); on any doubt the events are folded instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    stream: StreamId,
    version: Version,
    event_id: EventId,
    shape: String,
    checksum: u64,
    body: Payload,
}

impl Snapshot {
    /// A snapshot of a state, with its checksum.
    #[must_use]
    pub fn new(
        stream: StreamId,
        version: Version,
        event_id: EventId,
        shape: impl Into<String>,
        body: Payload,
    ) -> Self {
        let shape = shape.into();
        let checksum = checksum(&stream, version, event_id, &shape, &body);
        Self {
            stream,
            version,
            event_id,
            shape,
            checksum,
            body,
        }
    }

    /// A snapshot as it was stored. For stores; nothing is checked.
    #[must_use]
    pub fn from_stored(
        stream: StreamId,
        version: Version,
        event_id: EventId,
        shape: String,
        checksum: u64,
        body: Payload,
    ) -> Self {
        Self {
            stream,
            version,
            event_id,
            shape,
            checksum,
            body,
        }
    }

    /// Whose state.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// At which version of the stream.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The id of the event with that version.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.event_id
    }

    /// What the state looked like to the code that wrote it: a text that changes when its shape or meaning does.
    #[must_use]
    pub fn shape(&self) -> &str {
        &self.shape
    }

    /// The checksum that was stored.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    /// The state.
    #[must_use]
    pub fn body(&self) -> &Payload {
        &self.body
    }

    /// Whether the checksum fits: every change of a single byte is noticed.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        checksum(
            &self.stream,
            self.version,
            self.event_id,
            &self.shape,
            &self.body,
        ) == self.checksum
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo). Each step is a bijection of the sum, so a single changed byte
/// always changes the result. A guard against accidents, not against forgers.
fn checksum(
    stream: &StreamId,
    version: Version,
    event_id: EventId,
    shape: &str,
    body: &Payload,
) -> u64 {
    let number = version.get().to_be_bytes();
    let parts: [&[u8]; 6] = [
        stream.category().as_str().as_bytes(),
        stream.key().as_bytes(),
        &number,
        event_id.as_uuid().as_bytes(),
        shape.as_bytes(),
        body.as_str().as_bytes(),
    ];
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in (part.len() as u64).to_be_bytes().iter().chain(part) {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    sum
}
