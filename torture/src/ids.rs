//! [`IdSpace`]: ids of events that say which batch they are of, so that a stored event can be traced to its intent.

use uno_core::EventId;
use uuid::Uuid;

/// How many events a batch can have.
pub const MAX_EVENTS: u32 = 1 << INDEX_BITS;

const INDEX_BITS: u32 = 18;
const BATCH_BITS: u32 = 44;
/// Version 8 of UUIDs (RFC 9562) leaves all the other bits to us.
const FIXED: u128 = (8 << 76) | (2 << 62);
const FIXED_MASK: u128 = (0xf << 76) | (0xfff << 64) | (3 << 62);

/// The ids of one log: those of other logs and of other programs are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdSpace(u64);

impl IdSpace {
    /// The space with this number, of which 48 bits count.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number & 0xffff_ffff_ffff)
    }

    /// The space's number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The id of the event with this index, from 0, in a batch.
    #[must_use]
    pub const fn id(self, batch: u64, index: u32) -> u128 {
        debug_assert!(batch < 1 << BATCH_BITS && index < MAX_EVENTS);
        (self.0 as u128) << 80 | FIXED | (batch as u128) << INDEX_BITS | index as u128
    }

    /// The same as the framework's type.
    #[must_use]
    pub const fn event_id(self, batch: u64, index: u32) -> EventId {
        EventId::from_uuid(Uuid::from_u128(self.id(batch, index)))
    }

    /// Batch and index of an id; `None` when it is not of this space.
    #[must_use]
    pub const fn parse(self, id: u128) -> Option<(u64, u32)> {
        if id >> 80 != self.0 as u128 || id & FIXED_MASK != FIXED {
            return None;
        }
        let batch = (id >> INDEX_BITS) & ((1 << BATCH_BITS) - 1);
        Some((batch as u64, (id & (MAX_EVENTS as u128 - 1)) as u32))
    }

    /// What is stored of an event, byte for byte: its own id, and as much again as a small event has.
    #[must_use]
    pub fn payload(self, batch: u64, index: u32) -> String {
        let id = Uuid::from_u128(self.id(batch, index));
        format!(r#"{{"id":"{id}","batch":{batch},"index":{index},"pad":"{PAD}"}}"#)
    }

    /// Whether a payload is the one that was made for the event with this id.
    #[must_use]
    pub fn is_own_payload(id: u128, payload: &str) -> bool {
        let space = Self((id >> 80) as u64);
        space
            .parse(id)
            .is_some_and(|(batch, index)| space.payload(batch, index) == payload)
    }
}

const PAD: &str = "what was read was not what had been written, and what had been written was not what anybody had meant; \
                   so they wrote it down a second time, elsewhere, and compared";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_batch_and_index() {
        let check = |space: u64, batch: u64, index: u32| {
            let id = IdSpace::new(space).id(batch, index);
            assert_eq!(IdSpace::new(space).parse(id), Some((batch, index)));
            assert_eq!(IdSpace::new(space ^ 1).parse(id), None);
            assert_eq!(Uuid::from_u128(id).get_version_num(), 8);
        };
        check(0, 0, 0);
        check(0xffff_ffff_ffff, (1 << BATCH_BITS) - 1, MAX_EVENTS - 1);
        check(7, 123_456, 49);
        assert_eq!(IdSpace::new(0).parse(0), None);
    }

    #[test]
    fn a_payload_is_its_own_events_alone() {
        let space = IdSpace::new(7);
        let payload = space.payload(3, 4);
        assert!(IdSpace::is_own_payload(space.id(3, 4), &payload));
        assert!(!IdSpace::is_own_payload(space.id(3, 5), &payload));
        assert!(!IdSpace::is_own_payload(
            space.id(3, 4),
            &payload.replace("compared", "compared ")
        ));
        assert!(!IdSpace::is_own_payload(0, &payload));
    }
}
