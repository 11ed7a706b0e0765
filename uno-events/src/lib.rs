//! Event bus and durable subscriptions of the Uno framework.
//!
//! ```
//! use std::sync::Arc;
//! use serde::{Deserialize, Serialize};
//! use uno_core::{BoxError, Envelope, Event, EventStoreExt, ExpectedVersion, SubscriptionName};
//! use uno_events::{EventHandler, Replay, Subscription, SubscriptionManager};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! struct OrderPlaced { total_cents: i64 }
//!
//! struct Analytics;
//! impl EventHandler<OrderPlaced> for Analytics {
//!     async fn handle(&self, event: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
//!         assert_eq!(event.event().total_cents, 1999);
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(uno_store_memory::MemoryStore::new());
//! let manager = SubscriptionManager::new(store.clone(), store.clone());
//! manager.subscribe(Subscription::handler(SubscriptionName::new("analytics")?, Replay::Safe, Analytics))?;
//! manager.start_all().await?;
//!
//! store.append_events("order-1742".parse()?, ExpectedVersion::NoStream, &[OrderPlaced { total_cents: 1999 }]).await?;
//! manager.until_idle().await?;
//! assert_eq!(manager.status().await[0].counts().handled(), 1);
//! manager.stop_all().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The ideas
//!
//! * A **durable subscription** ([`Subscription`]) reads the log from its checkpoint on and feeds a handler or a
//!   [`Consumer`]: in order per key, at least once, and exactly once where the consumer commits its effects together with the
//!   checkpoint. An event that can't be handled is retried, then parked with its key, and everything else goes on.
//!   [`SubscriptionManager`] runs them.
//! * Processes that run a subscription of one name share its **lanes**: each is on lease to one of them, and another one takes over
//!   when it dies.
//! * The **bus** ([`EventBus`]) hands events to the handlers of this process at once and reports what became of each. It
//!   is a hint, and the log is the truth.
//! * A **handler** ([`EventHandler`]) is a type with an `async fn`, or a closure. Handlers share immutable envelopes. In a
//!   subscription each declares whether it may be replayed ([`Replay`]).
//! * A **live feed** ([`Watch`]) is a stream of the log from a place on, and of what is appended then. It saves nothing.
//! * Those who follow the end of the log share one reader and one bounded ring of events ([`LogFeed`]).
//!
//! # What it does not do
//!
//! It stores nothing: logs, checkpoints, leases and what is parked are ports of `uno-core`.
//!
//! # Crate features
//!
//! None.

mod bus;
mod consumer;
mod feed;
mod fingerprint;
mod guard;
mod handler;
mod layer;
mod manager;
mod range_replay;
mod subscription;
pub mod telemetry;
mod watch;

pub use crate::{
    bus::{
        BoundedQueue, EventBus, EventBusBuilder, Gap, GroupStatus, HandlerHandle, HandlerOptions,
        HandlerOutcome, HandlerResult, HandlerStatus, InvalidPattern, NamePattern, Outcomes,
        Priority, Published, QueueStatus, Refusal, ShutdownReport, Topic,
    },
    consumer::{Batch, ConsumeError, Consumer},
    feed::LogFeed,
    fingerprint::fingerprint,
    handler::{
        EventHandler, IntoEventHandler, IntoRecordedHandler, RecordedHandler, Replay,
        SharedHandler, SharedRecordedHandler, handler_fn,
    },
    layer::{
        CallDurations, CallError, CircuitBreaker, CircuitState, HandlerCall, HandlerCounts,
        HandlerLayer, HandlerMetrics, Layers, Logging, Retry, Timeout, Tracing,
    },
    manager::{
        Happened, LaneStatus, Notice, Notices, StopReason, SubscriptionCounts, SubscriptionError,
        SubscriptionManager, SubscriptionManagerBuilder, SubscriptionState, SubscriptionStatus,
        WaitError,
    },
    range_replay::{RangeReplay, RangeReplayError, ReplayProgress, ReplayReport},
    subscription::{Group, RetryPolicy, Subscription},
    watch::{TypedWatch, Watch, WatchError, WatchFrom, WatchOptions, Watched},
};
