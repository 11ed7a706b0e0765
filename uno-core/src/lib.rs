//! The vocabulary and the ports of the Uno framework: no runtime, no driver, no I/O.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use uno_core::{Event, EventSet, NewEvent};
//!
//! #[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
//! pub struct UserRegistered { pub name: String }
//!
//! #[derive(EventSet, Clone, Debug, PartialEq)]
//! pub enum UserEvent { Registered(UserRegistered) }
//!
//! let event = UserEvent::from(UserRegistered { name: "ada".into() });
//! let stored = NewEvent::encode(&event)?;
//! assert_eq!(stored.name().as_str(), "user_registered");
//! assert_eq!(stored.payload().as_str(), r#"{"name":"ada"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The ideas
//!
//! * An **event** is a fact with a stable stored name and a schema version ([`Event`]); an **event
//!   set** is the closed enum of the events that something handles ([`EventSet`]).
//! * A **store** keeps events in streams and in one global order ([`EventStore`]). Raw records go in
//!   and out; everything typed goes through **one** decode path, [`Decoder`].
//! * A **commit** is data: events, checkpoints, read-model rows, messages and the caller's own work
//!   that become durable together or not at all ([`Commit`], [`Transactional`]).
//! * Ports come in tiers, so that a backend implements as many as it can: [`EventStore`], then
//!   [`Transactional`], [`DocumentStore`], [`CheckpointStore`], and for processes [`ProcessStore`], [`TimerStore`]
//!   and [`InboxStore`]. A store that has them all is a [`Backend`].
//!
//! * For the world outside, a recorded event is a [`CloudEvent`], and comes back from one.
//!
//! # What it does not do
//!
//! It runs nothing. Buses and subscriptions live in `uno-events`, aggregates in `uno-domain`,
//! transactions over aggregates in `uno-uow`, storage in the `uno-store-…` crates.
//!
//! # Crate features
//!
//! * **derive** (default): the derives [`Event`](derive@Event), [`EventSet`](derive@EventSet),
//!   [`Command`](derive@Command) and [`CommandSet`](derive@CommandSet).
//! * **schema**: the JSON Schemas of events whose types are `schemars::JsonSchema` ([`EventDescriptor::schema`]).

mod causation;
mod check;
mod clock;
mod cloud_event;
mod command;
mod decoder;
mod envelope;
mod error;
mod event;
mod event_schema;
mod event_set;
mod ids;
mod into_events;
mod metadata;
mod names;
mod new_event;
mod payload;
mod port;
mod recorded_event;
mod shared_text;
mod stream_id;
mod upcast;
mod version;

#[cfg(feature = "derive")]
pub use uno_macros::{
    CoreCommand as Command, CoreCommandSet as CommandSet, CoreEvent as Event,
    CoreEventSet as EventSet,
};

pub use crate::{
    causation::{Beginning, CausationLimits, CausationTree, CausedEvent},
    check::{Limits, Refusal},
    clock::{Clock, ManualClock, SystemClock, truncate_to_micros},
    cloud_event::{CloudEvent, CloudEventError},
    command::{Command, CommandDescriptor, CommandSet, EncodedCommand},
    decoder::{
        DecodeError, Decoded, DecodedIter, Decoder, DecoderBuilder, Fault, RegistrationError,
    },
    envelope::{Envelope, Part},
    error::{AppendError, BoxError, CommitError, Stale, StoreError},
    event::{Event, EventDescriptor},
    event_schema::EventSchema,
    event_set::EventSet,
    ids::{CommandId, CorrelationId, EventId, StoreEpoch},
    into_events::IntoEvents,
    metadata::{InvalidTraceParent, Metadata, TraceParent},
    names::{CommandName, EventName, NameError},
    new_event::{EncodeError, NewEvent},
    payload::Payload,
    port::{
        Acknowledgement, AsOf, Backend, Checkpoint, CheckpointStore, CheckpointWrite, Commit,
        Direction, Document, DocumentChange, DocumentStore, DocumentWrite, Due, DueTimers,
        EventFilter, EventStore, EventStoreExt, Fence, FieldRange, FieldValue, FindDocuments,
        FoundDocument, Head, HistoryRecord, InboxRecord, InboxStore, InboxWrite, Indexable, Lane,
        LaneAttempt, LaneClaim, LaneGrant, LaneLease, LaneRecord, LaneRelease, LeaseOwner,
        LeaseStore, LogAt, LogPage, LogPager, NewMessage, NewTimer, ParkedEvent, ParkedFailure,
        ParkedGroup, ParkedKey, ParkingRequest, ParkingStore, ParkingWrite, ProcessRecord,
        ProcessStatus, ProcessStore, ProcessWrite, QueuedMessage, ReadEventsError, ReadLog,
        ReadStream, Receipt, Snapshot, StoreChange, StreamAppend, StreamAppended, SubscriptionName,
        SubscriptionNameError, SubscriptionStore, Timer, TimerStore, TimerWrite, Transactional,
        Work,
    },
    recorded_event::{RecordedEvent, RecordedParts},
    stream_id::{Category, StreamId, StreamIdError},
    upcast::{EventPart, SplitFn, UpcastFn, UpcastResult, Upcaster, typed as upcast},
    version::{ExpectedVersion, OutOfRange, Position, SchemaVersion, Version},
};

#[doc(hidden)]
pub mod __private;
