//! A store in an SQLite file: the embedded default of the Uno framework.
//!
//! ```
//! use uno_core::{EventName, EventStore, ExpectedVersion, NewEvent, Payload, ReadStream, SchemaVersion, StreamAppend};
//! use uno_store_sqlite::SqliteStore;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("shop.db");
//! let store = SqliteStore::open(path).await?;
//! store.migrate().await?;
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
//! * [`SqliteStore`] implements every port of `uno-core`. A commit that was acknowledged is on the disk: WAL mode with
//!   `synchronous=FULL`.
//! * One task writes. It carries out all the commits that wait in **one** transaction, and answers each caller by itself: a conflict
//!   is one caller's alone. A caller that comes alone is not kept waiting for company.
//! * A few tasks read, each with a connection of its own. Small reads that wait are carried out together, too.
//! * [`SqliteTx`] is the transaction that the caller's own work runs in: a connection of sqlx.
//! * Other processes may use the same file at the same time. What they commit is seen at once, and told of within some 50 ms.
//!
//! # What it does not do
//!
//! It does not work on a network file system: WAL mode needs memory that all processes share. It keeps nothing in memory alone; for
//! tests that need no file there is `uno-store-memory`.
//!
//! # Third-party types in the interface
//!
//! [`SqliteTx::connection`] hands out a `SqliteConnection` of sqlx 0.9.

mod builder;
mod connect;
mod core;
mod error;
mod hints;
mod reader;
mod row;
mod schema;
mod script;
mod settings;
mod store;
mod tail;
mod telemetry;
mod tx;
mod writer;

pub use crate::{builder::SqliteStoreBuilder, store::SqliteStore, tx::SqliteTx};
