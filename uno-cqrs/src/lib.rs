//! Commands, queries and projections of the Uno framework.
//!
//! # The ideas
//!
//! * A **command** has exactly one handler, which loads and decides in a unit of work; it succeeds with a receipt or is
//!   rejected ([`CommandBus`]). The bus is usable by itself, without the facade.
//! * **Layers** are what is done around handlers ([`CommandLayer`], [`QueryLayer`]): validation, authorisation, tracing, a time limit, or
//!   your own. An [`IdempotencyKey`] gives a command that is sent again its first outcome. Commands on a hot aggregate wait
//!   [in its lane](CommandOptions::one_at_a_time) instead of colliding.
//! * A **catalogue** ([`Catalogue`]) tells what an application is made of, and which events it has, as JSON, AsyncAPI,
//!   Markdown and a drawing.
//! * **Queued commands** are handled after the transaction that sent them, in order per key, with effect once; what became
//!   of each is itself a message ([`CommandWorker`], [`CommandOutcome`]).
//! * **Messages** for the world outside wait in an outbox queue, and a [`MessageRelay`] takes them to a [`Transport`], in order
//!   per key; an [`Inbox`] recognises a message from there that is delivered again.
//! * A **projection** keeps a read model. Its rows and its checkpoint are committed together, so each event takes
//!   effect exactly once: [`DocumentProjection`] for JSON documents on any store, [`Projection`] for rows of your own.
//! * **One definition, three ways**: a [`StreamProjection`] is kept asynchronously, inline in the commit of the events
//!   ([`InlineDocuments`]), or folded live ([`LiveDocuments`]), with the same documents. What is put together of many streams is kept
//!   asynchronously or folded live.
//! * A **sink** is a read model that no commit of the store's can hold: at least once, and harmless when it is more ([`Sink`]).
//! * A **read model** is a projection in its generations: a new one is built from the log beside the one that serves, and they are
//!   swapped in one transaction ([`ReadModel`], [`Serving`]).
//! * A **query** asks a read model ([`QueryBus`], [`Documents`]); a **live query** is answered again whenever its answer has changed
//!   ([`LiveQuery`], [`Documents::watch`]).
//!
//! # What it does not do
//!
//! It does not read events by itself: a projection is a consumer that a `SubscriptionManager` of `uno-events` feeds.

mod command_bus;
mod command_handler;
mod command_lanes;
mod command_layer;
mod command_options;
mod command_outcome;
mod command_worker;
mod describe;
mod document_projection;
mod documents;
mod enrich;
mod execute_error;
mod field;
mod generation;
mod idempotency;
mod inbox;
mod inline_documents;
mod layers;
mod live_documents;
mod live_query;
mod message_relay;
mod projection;
mod query;
mod query_layer;
mod read_model;
mod sink;
mod stream_projection;
pub mod telemetry;

pub use crate::{
    command_bus::{CommandBus, CommandBusBuilder, RegisterError},
    command_handler::{CommandHandler, Completion},
    command_lanes::{Busy, LaneLimits},
    command_layer::{CommandCall, CommandLayer, CommandNext},
    command_options::CommandOptions,
    command_outcome::{CommandOutcome, Verdict},
    command_worker::{CommandWorker, WorkerStatus},
    describe::{
        AggregateEntry, Catalogue, CatalogueFindings, CommandEntry, EventEntry, EventVersionEntry,
        HandlerEntry, PartRef, ProjectionEntry, QueryEntry, SagaEntry, UnknownForm,
    },
    document_projection::{DocumentProjection, DocumentProjector},
    documents::{Documents, Found, NotAPageEnd, Page, PageEnd, ReadDocumentError},
    execute_error::ExecuteError,
    field::{AnyField, Field, FieldsChanged, Finding},
    generation::Generation,
    idempotency::{IdempotencyKey, IdempotencyKeyError, KeyReused, StoredRejection},
    inbox::{Handled, Inbox, InboxError},
    inline_documents::InlineDocuments,
    layers::{Asked, Authorise, Authority, Forbidden, Invalid, TimeLimit, Trace, Validate},
    live_documents::{LiveDocuments, LiveError},
    live_query::LiveQuery,
    message_relay::{MessageRelay, RelayOptions, RelayStatus, Transport},
    projection::{Projection, Projector, VersionedProjection},
    query::{Query, QueryBus, QueryBusBuilder, QueryError, QueryHandler, QueryOptions},
    query_layer::{Answer, QueryCall, QueryLayer, QueryNext},
    read_model::{
        GenerationState, GenerationStatus, ReadModel, ReadModelError, ReadModelStatus,
        RebuildError, RebuildProgress, Serving, ServingError, Switched,
    },
    sink::{Marked, Sink, SinkFeed, Upsert},
    stream_projection::{Fact, StreamProjection},
};
