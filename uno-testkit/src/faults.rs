//! A store that fails when it is told to, for tests of what is built on stores.
//!
//! [`FaultStore`] wraps any store and passes every call on, but for those that a [`Faults`] plan picks: the third
//! commit, every tenth read, one call in twenty by a seed. What happens to a call that is picked is a [`Fault`]: it
//! fails, it is stored and the answer is lost, it meets a conflict, it is held up, or the process "dies" there.
//!
//! ```
//! use std::sync::Arc;
//! use uno_core::{AppendError, EventStore, ExpectedVersion, NewEvent, StreamAppend};
//! use uno_store_memory::MemoryStore;
//! use uno_testkit::faults::{Call, Fault, FaultStore, Faults};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let faults = Faults::none().nth(Call::Append, 1, Fault::UnknownStored);
//! let store = FaultStore::new(Arc::new(MemoryStore::new()), faults);
//!
//! # let event = NewEvent::from_payload(uno_core::EventName::new("noted")?, uno_core::SchemaVersion::FIRST, uno_core::Payload::from_json("{}")?);
//! let append = || vec![StreamAppend::new("note-1".parse().expect("a stream"), ExpectedVersion::NoStream, vec![event.clone()])];
//! let doubtful = store.append(append()).await;
//! assert!(matches!(doubtful, Err(AppendError::Unknown(_))));
//! // The same events again: definite, and stored once.
//! let receipt = store.append(append()).await?;
//! assert_eq!(receipt.streams()[0].last().get(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A plan picks calls by their kind and their number, so a run can be repeated; where calls come from several tasks,
//! their numbers depend on which came first.

mod everywhere;
mod plan;
mod records;
mod store;
mod subscriptions;

pub use self::{
    everywhere::at_every,
    plan::{Call, Fault, Faults},
    store::FaultStore,
};
