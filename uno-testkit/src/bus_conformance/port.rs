//! [`BusUnderTest`]: the least through which the cases can drive a bus.

use std::{pin::Pin, sync::Arc, time::Duration};

use uno_core::{BoxError, EventStore, RecordedEvent};
use uno_events::HandlerResult;

use super::{BusSettings, Wanted};

/// A handler of the suite at work.
pub type BusHandling = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A handler of the suite. Calling it may panic before there is a future.
pub type BusHandler = Arc<dyn Fn(Arc<RecordedEvent>) -> BusHandling + Send + Sync>;

/// Opens buses for the suite.
pub trait BusHarness: Send + Sync + 'static {
    /// The bus under test.
    type Bus: BusUnderTest;

    /// A bus without handlers that shares nothing with any other.
    fn open(&self, settings: BusSettings) -> Self::Bus;

    /// An empty log, from which a handler reads what found no space in its queue.
    fn log(&self) -> Arc<dyn EventStore>;
}

/// A bus, as the cases drive it. A clone is the same bus.
pub trait BusUnderTest: Clone + Send + Sync + 'static {
    /// What a subscription is ended with.
    type Handle: Send + 'static;

    /// Subscribes a handler with all that is wanted.
    fn subscribe(&self, wanted: Wanted, handler: BusHandler) -> Self::Handle;

    /// Ends a subscription.
    fn unsubscribe(&self, handle: Self::Handle);

    /// Publishes an event: what became of each handler, in the order in which the bus reports them. `None` when the bus is closed
    /// and no handler was called.
    fn publish(&self, event: Arc<RecordedEvent>) -> impl Future<Output = Option<Vec<Told>>> + Send;

    /// Stops the handlers of a group, waits no longer than so long for those that run, and tells how it stands then.
    fn stop_group(&self, group: &str, within: Duration) -> impl Future<Output = GroupTold> + Send;

    /// Has the handlers of a group called again.
    fn start_group(&self, group: &str) -> impl Future<Output = GroupTold> + Send;

    /// Closes the bus, and waits no longer than so long for everything to come to its end. Whether it did.
    fn shutdown(&self, within: Duration) -> impl Future<Output = bool> + Send;
}

/// What became of one handler.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever brings a bus makes these; a field more is one that the suite asks for"
)]
pub struct Told {
    /// The name it was subscribed under.
    pub name: String,
    /// What became of it.
    pub result: HandlerResult,
    /// How often it was called.
    pub attempts: u32,
}

/// How a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever brings a bus makes these; a field more is one that the suite asks for"
)]
pub struct GroupTold {
    /// Whether its handlers are called.
    pub started: bool,
    /// How many handlers it has.
    pub handlers: usize,
    /// How many calls of them are under way.
    pub running: usize,
    /// How many deliveries were left out because it was stopped.
    pub missed: u64,
}
