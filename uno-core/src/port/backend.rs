//! [`Backend`]: a store with every tier.

use super::{CheckpointStore, DocumentStore, InboxStore, ProcessStore, TimerStore, Transactional};

/// A store that implements every tier of the ports: what a whole application runs on.
///
/// Implemented for every type that has them all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have all tiers of a store",
    note = "a backend implements EventStore, Transactional, DocumentStore, CheckpointStore, ProcessStore, TimerStore and InboxStore"
)]
pub trait Backend:
    Transactional + DocumentStore + CheckpointStore + ProcessStore + TimerStore + InboxStore
{
}

impl<B> Backend for B where
    B: Transactional + DocumentStore + CheckpointStore + ProcessStore + TimerStore + InboxStore
{
}
