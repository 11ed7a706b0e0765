//! The ports: what backends implement, in tiers of capability.

mod backend;
mod checkpoint;
mod commit;
mod document;
mod event_store;
mod process;
mod query;
mod snapshot;
mod transactional;

pub use self::{
    backend::Backend,
    checkpoint::{
        Checkpoint, CheckpointStore, CheckpointWrite, SubscriptionName, SubscriptionNameError,
    },
    commit::{Commit, Receipt, StreamAppend, StreamAppended, Work},
    document::{Document, DocumentChange, DocumentStore, DocumentWrite},
    event_store::{EventStore, EventStoreExt, Head, LogPager, ReadEventsError, StoreChange},
    process::{
        Acknowledgement, NewMessage, ProcessRecord, ProcessStatus, ProcessStore, ProcessWrite,
        QueuedMessage,
    },
    query::{AsOf, Direction, EventFilter, LogPage, ReadLog, ReadStream},
    snapshot::Snapshot,
    transactional::Transactional,
};
