//! A framework for domain-driven, event-driven applications that never loses an event.
//!
#![doc = include_str!("docs/crate.md")]

mod app;
mod application;
mod builder;
mod bus_feed;
mod error;
mod outcomes;
pub mod prelude;
mod read_model_part;
#[cfg(feature = "saga")]
mod saga_part;
mod signal;

pub use uno_core as core;
pub use uno_cqrs as cqrs;
pub use uno_domain as domain;
pub use uno_events as events;
#[cfg(feature = "integrity")]
pub use uno_integrity as integrity;
#[cfg(feature = "saga")]
pub use uno_saga as saga;
#[cfg(feature = "testkit")]
pub use uno_testkit as testkit;
pub use uno_uow as uow;

#[cfg(feature = "saga")]
pub use crate::saga_part::SagaStatus;
pub use uno_store_memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use uno_store_postgres::PgStore;
#[cfg(feature = "sqlite")]
pub use uno_store_sqlite::SqliteStore;

pub use crate::{
    app::{App, AppStatus},
    application::Uno,
    builder::UnoBuilder,
    error::{AwaitError, BuildError, StartError},
    read_model_part::{ReadModelReport, Upkeep},
    signal::stop_signal,
};

/// What the derives expand to. Not part of the public interface.
#[doc(hidden)]
pub use uno_core::__private;
