//! The ports: what backends implement, in tiers of capability.

mod backend;
mod checkpoint;
mod commit;
mod document;
mod document_query;
mod event_store;
mod field;
mod inbox;
mod lane;
mod lease;
mod parking;
mod process;
mod query;
mod snapshot;
mod timer;
mod transactional;

pub use self::{
    backend::{Backend, SubscriptionStore},
    checkpoint::{
        Checkpoint, CheckpointStore, CheckpointWrite, SubscriptionName, SubscriptionNameError,
    },
    commit::{Commit, Receipt, StreamAppend, StreamAppended, Work},
    document::{Document, DocumentChange, DocumentStore, DocumentWrite},
    document_query::{FindDocuments, FoundDocument},
    event_store::{EventStore, EventStoreExt, Head, LogAt, LogPager, ReadEventsError, StoreChange},
    field::{FieldRange, FieldValue, Indexable},
    inbox::{InboxRecord, InboxStore, InboxWrite},
    lane::{Fence, Lane},
    lease::{
        LaneAttempt, LaneClaim, LaneGrant, LaneLease, LaneRecord, LaneRelease, LeaseOwner,
        LeaseStore,
    },
    parking::{
        ParkedEvent, ParkedFailure, ParkedGroup, ParkedKey, ParkingRequest, ParkingStore,
        ParkingWrite,
    },
    process::{
        Acknowledgement, HistoryRecord, NewMessage, ProcessRecord, ProcessStatus, ProcessStore,
        ProcessWrite, QueuedMessage,
    },
    query::{AsOf, Direction, EventFilter, LogPage, ReadLog, ReadStream},
    snapshot::Snapshot,
    timer::{Due, DueTimers, NewTimer, Timer, TimerStore, TimerWrite},
    transactional::Transactional,
};
