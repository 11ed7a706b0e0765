//! What a replay feeds, its own type forgotten.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tracing::Instrument as _;
use uno_core::{BoxError, Decoder, EventFilter, EventSet, RecordedEvent, RegistrationError};

use super::RangeReplayError;
use crate::{SharedHandler, SharedRecordedHandler, guard::guarded, telemetry};

#[async_trait]
pub(super) trait Target: Send + Sync {
    /// Which events it wants.
    fn filter(&self) -> &EventFilter;

    async fn feed(
        &self,
        event: &Arc<RecordedEvent>,
        limit: Option<Duration>,
    ) -> Result<(), RangeReplayError>;
}

/// A handler of the events of a set.
pub(super) struct Typed<E: EventSet> {
    name: String,
    handler: SharedHandler<E>,
    decoder: Decoder,
    filter: EventFilter,
}

impl<E: EventSet> Typed<E> {
    pub(super) fn new(
        name: String,
        handler: SharedHandler<E>,
        decoder: Decoder,
    ) -> Result<Self, RegistrationError> {
        Ok(Self {
            name,
            filter: decoder.filter::<E>()?,
            handler,
            decoder,
        })
    }
}

#[async_trait]
impl<E: EventSet> Target for Typed<E> {
    fn filter(&self) -> &EventFilter {
        &self.filter
    }

    async fn feed(
        &self,
        event: &Arc<RecordedEvent>,
        limit: Option<Duration>,
    ) -> Result<(), RangeReplayError> {
        let parts = self.decoder.decode_matching::<E>(event);
        let parts = parts.map_err(|source| RangeReplayError::Decode {
            handler: self.name.clone(),
            position: event.position(),
            source,
        })?;
        let call = async {
            for envelope in parts {
                self.handler.call(Arc::new(envelope)).await?;
            }
            Ok(())
        };
        handled(&self.name, event, limit, call).await
    }
}

/// A handler of recorded events.
pub(super) struct Recorded {
    name: String,
    handler: SharedRecordedHandler,
    filter: EventFilter,
}

impl Recorded {
    pub(super) fn new(name: String, handler: SharedRecordedHandler, filter: EventFilter) -> Self {
        Self {
            name,
            handler,
            filter,
        }
    }
}

#[async_trait]
impl Target for Recorded {
    fn filter(&self) -> &EventFilter {
        &self.filter
    }

    async fn feed(
        &self,
        event: &Arc<RecordedEvent>,
        limit: Option<Duration>,
    ) -> Result<(), RangeReplayError> {
        // Within, since a closure may panic before there is a future.
        let call = async { self.handler.call(Arc::clone(event)).await };
        handled(&self.name, event, limit, call).await
    }
}

async fn handled(
    handler: &str,
    event: &Arc<RecordedEvent>,
    limit: Option<Duration>,
    call: impl Future<Output = Result<(), BoxError>> + Send,
) -> Result<(), RangeReplayError> {
    let span = tracing::debug_span!(
        telemetry::HANDLE,
        handler,
        event = event.name().as_str(),
        event_id = %event.id(),
        position = event.position().get(),
    );
    let failed = |source| RangeReplayError::Handler {
        handler: handler.to_owned(),
        position: event.position(),
        event: event.id(),
        source,
    };
    match guarded(limit, call.instrument(span)).await {
        Ok(outcome) => outcome.map_err(failed),
        Err(interrupted) => Err(failed(interrupted.into())),
    }
}
