//! Events: a stretch of the log in one transaction.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tracing::Instrument as _;
use uno_core::{Backend, Commit, Envelope, EventFilter, Metadata, Position};
use uno_events::{Batch, ConsumeError, Consumer};

use super::{SagaRunner, part};
use crate::{
    Route, Saga,
    engine::{self, Instances},
    telemetry,
};

#[async_trait]
impl<S: Saga, B: Backend> Consumer for SagaRunner<S, B> {
    fn filter(&self) -> EventFilter {
        self.inner.filter.clone()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let count = batch.events().len();
        let span = tracing::debug_span!(telemetry::STEP, saga = S::NAME, input = "events", count);
        self.handle_events(batch).instrument(span).await
    }
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    async fn handle_events(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (records, checkpoint) = batch.into_parts();
        let mut events = Vec::with_capacity(records.len());
        for record in &records {
            let event = self.inner.decoder.decode::<S::Event>(record)?;
            let route =
                engine::route::<S>(&event).map_err(|error| failed(event.position(), error))?;
            events.push((event, route));
        }
        let mut commit = Commit::new();
        commit.checkpoints.push(checkpoint);
        // Held until the commit is done: what is loaded here is not changed by the outcomes of this process.
        let _turn = self.inner.turn.lock().await;
        self.add_steps(&events, &mut commit).await?;
        self.inner.backend.commit(commit).await?;
        Ok(())
    }

    async fn add_steps(
        &self,
        events: &[(Envelope<S::Event>, Route)],
        commit: &mut Commit<B::Tx>,
    ) -> Result<(), ConsumeError> {
        let keys: BTreeSet<&str> = events.iter().filter_map(|(_, route)| route.key()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let routed = || events.iter().map(|(event, route)| (event, route.key()));
        let keys = keys.into_iter().map(str::to_owned).collect();
        let (mut instances, unreadable): (Instances<S>, _) = match self.load(keys).await {
            Ok(loaded) => loaded,
            Err(super::SagaError::Store(error)) => return Err(error.into()),
            Err(other) => return Err(failed(Position::default(), other)),
        };
        let first_bad = unreadable
            .into_iter()
            .map(|(key, error)| (part::position_of(routed(), &key), error));
        if let Some((position, error)) = first_bad.min_by_key(|(position, _)| *position) {
            return Err(failed(position, error));
        }
        for (event, route) in events {
            let step = engine::on_event(&mut instances, route, event)
                .map_err(|error| failed(event.position(), error))?;
            if let Some(key) = route.key() {
                let metadata = Metadata::caused_by(event.record());
                commit
                    .messages
                    .extend(self.messages(key, step.sent, &metadata));
            }
        }
        for (key, loaded) in &instances {
            // It is the last event that made the instance what can't be stored, or one before it.
            let write = part::write(key, loaded)
                .map_err(|error| failed(part::position_of(routed().rev(), key), error))?;
            commit.processes.extend(write);
        }
        Ok(())
    }
}

fn failed(position: Position, error: impl Into<uno_core::BoxError>) -> ConsumeError {
    ConsumeError::Handler {
        position,
        source: error.into(),
    }
}
