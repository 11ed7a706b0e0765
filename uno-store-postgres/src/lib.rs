//! A store in PostgreSQL: every port of `uno-core`, with one lawful order of events and many writers at once.
//!
//! ```no_run
//! use uno_core::{EventName, EventStore, ExpectedVersion, NewEvent, Payload, SchemaVersion, StreamAppend};
//! use uno_store_postgres::PgStore;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PgStore::connect("postgres://shop@localhost/shop")?;
//! store.migrate().await?;
//! let placed = NewEvent::from_payload(EventName::new("order_placed")?, SchemaVersion::FIRST, Payload::from_json("{}")?);
//! store.append(vec![StreamAppend::new("order-1".parse()?, ExpectedVersion::NoStream, vec![placed])]).await?;
//! # Ok(()) }
//! ```
//!
//! # The ideas
//!
//! * **Readers see every committed event, in position order.** An appender says that it is about to draw positions by an advisory
//!   lock that others can see; readers stop below the lowest draw that is not decided ([`PgStore::log_status`] shows it).
//! * **Commits without work are grouped**: those that wait at the same time are one transaction, and a conflict fails its own
//!   caller only. A lone caller does not wait for company.
//! * **Results are honest.** When the link fails the store finds out what became of a commit, or says that it is unknown.
//! * **Dropping a future leaves nothing open**: every exchange with the server runs in a task of its own.
//! * The caller's own SQL runs in the transaction of a commit, on [`PgTx::connection`].
//!
//! # What it does not do
//!
//! It reads no standby, and brings no TLS: for that, depend on `sqlx` with one of its `tls-…` features.

mod alone;
mod batch;
mod committer;
mod decode;
mod exchange;
mod fault;
mod hints;
mod migrate;
mod nesting;
mod options;
mod plain;
mod pool;
mod probe;
mod reader;
mod schema_name;
mod shared;
mod sql;
mod store;
mod tx;
mod value;
mod working;

pub use crate::{
    options::{PgOptions, PgOptionsError},
    schema_name::{SchemaName, SchemaNameError},
    store::{Appending, ImportError, ImportFailure, Imported, LogStatus, PgStore},
    tx::PgTx,
};
