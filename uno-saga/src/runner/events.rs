//! Events: a stretch of the log in one transaction.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use tracing::Instrument as _;
use uno_core::{
    Backend, BoxError, CheckpointWrite, Commit, EventFilter, Position, ProcessRecord, RecordedEvent,
};
use uno_events::{Batch, ConsumeError, Consumer};

use super::{
    SagaError, SagaRunner,
    arrival::Arrival,
    is_refusal,
    part::{Part, Taking},
};
use crate::{Saga, engine, telemetry};

#[async_trait]
impl<S: Saga, B: Backend> Consumer for SagaRunner<S, B> {
    fn filter(&self) -> EventFilter {
        self.inner.filter.clone()
    }

    /// The instance's key, or the stream's id for an event that is for none. An event that was split is for the lane of the first
    /// instance that a part of it is for.
    fn key<'e>(&self, record: &'e Arc<RecordedEvent>) -> Result<Cow<'e, str>, ConsumeError> {
        for event in self.inner.decoder.decode_matching::<S::Event>(record)? {
            let position = event.position();
            let route = engine::route::<S>(&event).map_err(|error| failed(position, error))?;
            if let Some(key) = route.key() {
                return Ok(Cow::Owned(key.to_owned()));
            }
        }
        Ok(Cow::Owned(record.stream().to_string()))
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let count = batch.events().len();
        let span = tracing::debug_span!(telemetry::STEP, saga = S::NAME, input = "events", count);
        self.handle_events(batch).instrument(span).await
    }
}

type ByKey<S> = BTreeMap<String, Vec<Arrival<S>>>;

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    async fn handle_events(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (count, retry_missing) = (batch.events().len(), !batch.is_last_attempt());
        let (events, checkpoint) = batch.into_parts();
        let mut by_key = ByKey::<S>::new();
        for record in &events {
            for event in self.inner.decoder.decode_matching::<S::Event>(record)? {
                let position = event.position();
                let route = engine::route::<S>(&event).map_err(|error| failed(position, error))?;
                if let Some(key) = route.key() {
                    let of_key = by_key.entry(key.to_owned()).or_default();
                    of_key.push(Arrival::event(route, event));
                }
            }
        }
        // Held until the commit is done: what is loaded here is not changed by the outcomes and timers of this process.
        let _turn = self.inner.turn.lock().await;
        let records = self.load_of(&by_key).await?;
        let mut parts = Vec::with_capacity(by_key.len());
        for (key, arrivals) in &by_key {
            let mut taking = Taking::live();
            taking.retry_missing = retry_missing;
            let part = self
                .settle(key, records.get(key), arrivals, taking)
                .map_err(|(place, error)| failed(place_of(arrivals, place), error))?;
            parts.push((key.as_str(), part));
        }
        let Err(error) = self.commit_events(&by_key, parts, &checkpoint).await? else {
            return Ok(());
        };
        // The store refuses what comes of an event: then the one at fault is parked, once it is alone. Before, the batch is fed
        // again, event by event. Of an event that was split over several instances nobody knows which part it is, so the
        // subscription is told.
        match by_key.first_key_value() {
            Some((key, arrivals)) if count == 1 && by_key.len() == 1 => {
                let key = key.clone();
                let taking = self.refused(&key, error).await;
                let taking = taking.map_err(|error| failed(place_of(arrivals, 0), error))?;
                let part = self
                    .settle(&key, records.get(&key), arrivals, taking)
                    .map_err(|(place, error)| failed(place_of(arrivals, place), error))?;
                let parts = vec![(key.as_str(), part)];
                self.commit_events(&by_key, parts, &checkpoint)
                    .await?
                    .map_err(ConsumeError::from)
            }
            _ => Err(error.into()),
        }
    }

    async fn load_of(
        &self,
        by_key: &ByKey<S>,
    ) -> Result<BTreeMap<String, ProcessRecord>, ConsumeError> {
        if by_key.is_empty() {
            return Ok(BTreeMap::new());
        }
        match self.load(by_key.keys().cloned().collect()).await {
            Ok(records) => Ok(records),
            Err(SagaError::Store(error)) => Err(error.into()),
            Err(other) => Err(failed(Position::default(), other)),
        }
    }

    /// Commits; the inner error is that the store refuses what is in the commit.
    async fn commit_events(
        &self,
        by_key: &ByKey<S>,
        parts: Vec<(&str, Part)>,
        checkpoint: &CheckpointWrite,
    ) -> Result<Result<(), uno_core::CommitError>, ConsumeError> {
        self.check_room(by_key, &parts).await?;
        let mut commit = Commit::new();
        commit.checkpoints.push(checkpoint.clone());
        for (_, part) in &parts {
            part.clone().add_to(&mut commit);
        }
        match self.inner.backend.commit(commit).await {
            Ok(_) => {
                for (key, part) in &parts {
                    self.told(key, part);
                }
                Ok(Ok(()))
            }
            Err(error) if is_refusal(&error) => Ok(Err(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether what is to be parked may be.
    async fn check_room(
        &self,
        by_key: &ByKey<S>,
        parts: &[(&str, Part)],
    ) -> Result<(), ConsumeError> {
        let parked = parts.iter().filter(|(_, part)| part.parked > 0);
        let position_of = |(key, part): &(&str, Part)| {
            let arrivals = by_key.get(*key)?;
            arrivals.get(part.first_parked?)?.position()
        };
        let Some(first) = parked.min_by_key(|part| position_of(part)) else {
            return Ok(());
        };
        let count = parts.iter().map(|(_, part)| part.parked).sum();
        match self.room(first.0, &first.1, count).await {
            Ok(()) => Ok(()),
            Err(SagaError::Store(error)) => Err(error.into()),
            // Set aside by the subscription instead, it would not be counted with the others.
            Err(other) => Err(ConsumeError::Stop {
                position: position_of(first).unwrap_or_default(),
                source: other.into(),
            }),
        }
    }
}

fn place_of<S: Saga>(arrivals: &[Arrival<S>], place: usize) -> Position {
    let arrival = arrivals.get(place);
    arrival.and_then(Arrival::position).unwrap_or_default()
}

fn failed(position: Position, error: impl Into<BoxError>) -> ConsumeError {
    ConsumeError::Handler {
        position,
        source: error.into(),
    }
}
