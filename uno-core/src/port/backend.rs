//! [`Backend`]: a store with every tier.

use super::{CheckpointStore, DocumentStore, ProcessStore, Transactional};

/// A store that implements every tier of the ports: what a whole application runs on.
///
/// Implemented for every type that has them all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have all tiers of a store",
    note = "a backend implements EventStore, Transactional, DocumentStore, CheckpointStore and ProcessStore"
)]
pub trait Backend: Transactional + DocumentStore + CheckpointStore + ProcessStore {}

impl<B: Transactional + DocumentStore + CheckpointStore + ProcessStore> Backend for B {}
