//! [`AnySlot`]: the place of one thing in its unit of work, whatever its type and however it is kept.

mod events;
mod state;

use std::{any::Any, pin::Pin, sync::Arc};

use uno_core::{
    Backend, Decoder, DocumentWrite, EncodeError, Metadata, Payload, Refusal, Snapshot,
    StreamAppend, StreamId, Version,
};

use crate::{LoadError, warm::WarmRoot};

pub(crate) use self::{
    events::Slot,
    state::{StateSlot, decode},
};
pub use self::{events::Tracked, state::TrackedState};

/// What a slot adds to the commit.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) append: Option<StreamAppend>,
    pub(crate) unchanged: Option<(StreamId, Version)>,
    pub(crate) snapshot: Option<DueSnapshot>,
    pub(crate) document: Option<DocumentWrite>,
}

/// A snapshot that is due, and when it is stored.
pub(crate) struct DueSnapshot {
    pub(crate) snapshot: Snapshot,
    /// After the commit, and not within it.
    pub(crate) in_background: bool,
}

/// Why a slot can't be collected, or brought back.
pub(crate) enum CollectError {
    StillLent(StreamId),
    OutOfStep(StreamId),
    Encode(EncodeError),
    Refused(Refusal),
}

/// What a slot was like at a savepoint.
pub(crate) struct SlotMark {
    /// How many events were recorded or raised.
    events: usize,
    assert_unchanged: bool,
    /// Of what is kept as a state, as JSON; `None` when it did not exist, and for what is kept as events.
    state: Option<Payload>,
    touched: bool,
}

/// Brings a slot back to a mark. It can't fail any more.
pub(crate) type Restore = Box<dyn FnOnce() + Send>;

/// A slot of any type.
pub(crate) trait AnySlot<B: Backend>: Send + Sync {
    fn collect(&self, metadata: &Metadata) -> Result<Collected, CollectError>;

    /// What the slot is like now.
    fn mark(&self) -> Result<SlotMark, CollectError>;

    /// Whether it can be brought back to a mark: not while it is lent out.
    fn check(&self, mark: Option<&SlotMark>) -> Result<(), CollectError>;

    /// Reads what is needed to bring it back, and changes nothing.
    fn prepare<'s>(
        self: Arc<Self>,
        mark: &'s SlotMark,
        backend: &'s B,
        decoder: &'s Decoder,
    ) -> Pin<Box<dyn Future<Output = Result<Restore, LoadError>> + Send + 's>>;

    /// What the next unit of work may begin with, if what was collected is committed, with snapshots of these.
    fn keep_warm(&self, snapshots: &[StreamId]) -> Option<(StreamId, WarmRoot)>;

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}
