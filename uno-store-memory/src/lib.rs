//! A store that keeps everything in memory: the reference model of the ports, and the double that tests run on.
//!
//! ```
//! use uno_core::{EventName, EventStore, ExpectedVersion, NewEvent, Payload, ReadStream, SchemaVersion, StreamAppend};
//! use uno_store_memory::MemoryStore;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let store = MemoryStore::new();
//! let placed = NewEvent::from_payload(EventName::new("order_placed")?, SchemaVersion::FIRST, Payload::from_json("{}")?);
//! store.append(vec![StreamAppend::new("order-1".parse()?, ExpectedVersion::NoStream, vec![placed])]).await?;
//!
//! let events = store.read_stream(ReadStream::forward("order-1".parse()?)).await?;
//! assert_eq!(events[0].name().as_str(), "order_placed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The ideas
//!
//! * [`MemoryStore`] implements every port of `uno-core`, in the plainest way that keeps every guarantee: what it does
//!   is what every other store must do, and the conformance suite of `uno-testkit` holds them all to it.
//! * A clone is the same store. Nothing is kept once the last clone is gone.
//! * [`MemoryTx`] is the transaction that the caller's own work runs in: named rows and documents that are written if
//!   the commit is carried out, and forgotten if it is not.
//! * [`MemoryStoreBuilder`] sets the clock, and leaves holes between positions as a database does after rollbacks.
//!
//! # What it does not do
//!
//! It keeps nothing across a restart, and is not tuned: one lock guards everything.

mod builder;
mod commit;
mod inbox;
mod lanes;
mod log;
mod nesting;
mod parking;
mod queues;
mod records;
mod state;
mod store;
mod subscriptions;
mod timers;
mod tx;

pub use crate::{builder::MemoryStoreBuilder, store::MemoryStore, tx::MemoryTx};
