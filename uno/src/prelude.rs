//! What most programs need: `use uno::prelude::*;`.

pub use crate::{App, BuildError, MemoryStore, StartError, Uno, UnoBuilder};
pub use uno_core::{
    AsOf, Backend, BoxError, Clock, Command as _, CommandSet as _, Decoder, DocumentStore as _,
    Envelope, Event as _, EventFilter, EventSet as _, EventStore as _, EventStoreExt as _,
    ExpectedVersion, Metadata, Position, ReadLog, Receipt, RecordedEvent, StreamId, Version,
};
pub use uno_cqrs::{
    CommandHandler, CommandOutcome, DocumentProjection, Fact, IdempotencyKey, Invalid, Projection,
    Query, QueryHandler, Sink, StreamProjection, Validate, Verdict,
};
pub use uno_domain::{
    Aggregate, AggregateRoot, Decider, Entity, Specification, StateStored, ValueObject,
};
pub use uno_events::{EventHandler, Replay, Subscription};
pub use uno_macros::{
    UnoCommand as Command, UnoCommandSet as CommandSet, UnoEvent as Event, UnoEventSet as EventSet,
};
#[cfg(feature = "saga")]
pub use uno_saga::{Answer, Input, NoTimeout, Outputs, Route, Saga, StepSaga, Steps, Stepwise};
pub use uno_uow::{CommandError, DomainError, UnitOfWork};
