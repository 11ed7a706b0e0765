//! Parked instances: what waits, and what persons do about it.

use chrono::{DateTime, Utc};
use uno_core::{
    Backend, NewMessage, ProcessRecord, ProcessStatus, QueuedMessage, ReadLog, StoreError,
};
use uuid::Uuid;

use super::{
    Intervention, SagaError, SagaRunner, VerbError,
    arrival::{Arrival, PARKED_EVENT, ParkedEvent},
    part::{Part, Taking, Unpark, Walk, save, unparked_status},
};
use crate::{
    Saga,
    engine::{self},
    history::{self, HistoryEntry, Verb},
    stored,
};

/// How many parked inputs are handled in one transaction, and read at once.
const PAGE: usize = 256;

/// An instance that is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedInstance {
    /// Its key.
    pub key: String,
    /// Why the first of its inputs could not be handled.
    pub reason: Option<String>,
    /// How many inputs wait.
    pub inputs: usize,
    /// Since when the first of them does.
    pub since: Option<DateTime<Utc>>,
}

/// An input that is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedInput {
    /// Its id: of the event, of the command whose outcome it is, or of the timer.
    pub id: Uuid,
    /// What it is.
    pub input: String,
    /// Since when it is parked.
    pub since: DateTime<Utc>,
}

/// What became of a retry of parked inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retried {
    /// How many inputs were handled.
    pub handled: usize,
    /// Why the next one could not be; `None` when nothing of the instance is parked any more.
    pub parked_again: Option<String>,
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// The instances that are parked, in the order of their keys, after `after`, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn parked(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedInstance>, SagaError> {
        let parked = [ProcessStatus::Parked];
        let backend = &self.inner.backend;
        let records = backend
            .list_processes(S::NAME, &parked, after, limit)
            .await?;
        let mut found = Vec::with_capacity(records.len());
        for record in records {
            let waiting = self.all_parked(record.key()).await?;
            found.push(ParkedInstance {
                key: record.key().to_owned(),
                reason: self.last_reason(&record).await?,
                inputs: waiting.len(),
                since: waiting.first().map(QueuedMessage::enqueued_at),
            });
        }
        Ok(found)
    }

    /// The inputs of an instance that are parked, in order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn parked_inputs(&self, key: &str) -> Result<Vec<ParkedInput>, SagaError> {
        let waiting = self.all_parked(key).await?;
        let mut inputs = Vec::with_capacity(waiting.len());
        for queued in &waiting {
            inputs.push(ParkedInput {
                id: queued.message().id(),
                input: self.arrival_of(queued.message()).await?.in_words(),
                since: queued.enqueued_at(),
            });
        }
        Ok(inputs)
    }

    /// Has the parked inputs of an instance handled, in order, in pages. Once none is left, the instance is as any other; at one
    /// that can't be handled it stays parked, and what came before it has taken effect.
    ///
    /// # Errors
    /// When it is not parked, the store failed, or somebody else was faster; what was committed before stays.
    pub async fn retry_parked(&self, key: &str, why: &Intervention) -> Result<Retried, VerbError> {
        let mut opening = vec![why.entry(Verb::RetryParked)];
        let (mut handled, mut limit) = (0, PAGE);
        loop {
            let _turn = self.inner.turn.lock().await;
            let record = self.parked_record(key).await?;
            let page = self.read_parked(key, 0, limit).await?;
            let more = page.len() == limit;
            let arrivals = self.arrivals_of(&page).await?;
            let unpark = || Unpark {
                more,
                opening: opening.clone(),
            };
            let mut taking = Taking::live();
            taking.unpark = Some(unpark());
            let part = self
                .settle(key, Some(&record), &arrivals, taking)
                .map_err(|(_, error)| error)?;
            let (mut count, mut reason) = (part.first_parked, part.reason.clone());
            match self.commit_verb(key, part).await {
                Err(VerbError::Saga(SagaError::Commit(error))) if super::is_refusal(&error) => {
                    // One by one, so that those before the one at fault take effect.
                    if limit > 1 {
                        limit = 1;
                        continue;
                    }
                    let mut taking = self.refused(key, error).await?;
                    taking.unpark = Some(unpark());
                    let part = self
                        .settle(key, Some(&record), &arrivals, taking)
                        .map_err(|(_, error)| error)?;
                    (count, reason) = (part.first_parked, part.reason.clone());
                    self.commit_verb(key, part).await?;
                }
                result => result?,
            }
            opening.clear();
            handled += count.unwrap_or(arrivals.len());
            if count.is_some() || !more {
                return Ok(Retried {
                    handled,
                    parked_again: reason,
                });
            }
        }
    }

    /// Leaves out the first parked input of an instance: the saga is not asked about it. An outcome is taken note of all the
    /// same, so that its command is not awaited any more. If it was the last one, the instance is as any other.
    ///
    /// # Errors
    /// When it is not parked, the store failed, or somebody else was faster.
    pub async fn skip_parked(&self, key: &str, why: &Intervention) -> Result<(), VerbError> {
        self.leave_out(key, Verb::SkipParked, why).await
    }

    /// Leaves out all parked inputs of an instance, as [`skip_parked`](Self::skip_parked) does.
    ///
    /// # Errors
    /// As [`skip_parked`](Self::skip_parked).
    pub async fn discard_parked(&self, key: &str, why: &Intervention) -> Result<(), VerbError> {
        self.leave_out(key, Verb::DiscardParked, why).await
    }

    async fn leave_out(&self, key: &str, verb: Verb, why: &Intervention) -> Result<(), VerbError> {
        let _turn = self.inner.turn.lock().await;
        let record = self.parked_record(key).await?;
        let (page, last) = if verb == Verb::SkipParked {
            let mut page = self.read_parked(key, 0, 2).await?;
            let last = page.len() < 2;
            page.truncate(1);
            (page, last)
        } else {
            (self.all_parked(key).await?, true)
        };
        let arrivals = self.arrivals_of(&page).await?;
        let mut walk = Walk::untouched();
        walk.history.push(why.entry(verb));
        walk.instance = stored::decode(&record).ok().flatten();
        for arrival in &arrivals {
            let input = arrival.in_words();
            walk.history.push(HistoryEntry::Skipped { input });
            let Some(mut instance) = walk.instance.take() else {
                continue;
            };
            // What can't be told apart is left out whole.
            let before = instance.clone();
            let metadata = arrival.metadata();
            let step = arrival
                .incoming(key)
                .and_then(|incoming| engine::skip(key, &mut instance, &incoming, metadata));
            match step {
                Ok(step) => {
                    walk.instance = Some(instance);
                    self.absorb(key, &mut walk, step, metadata);
                }
                Err(_) => walk.instance = Some(before),
            }
        }
        if last {
            walk.history.push(HistoryEntry::Unparked);
        }
        walk.encode(key)?;
        let status = match (last, &walk.instance) {
            (false, _) => ProcessStatus::Parked,
            (true, Some(instance)) => instance.status,
            (true, None) => unparked_status(&record),
        };
        let mut part = std::mem::take(&mut walk.part);
        let mut taken = Part::default();
        for arrival in &arrivals {
            arrival.take_off(S::NAME, &self.arrival_queues(), &mut taken);
        }
        part.acknowledgements.append(&mut taken.acknowledgements);
        let body = walk.take_body();
        part.write = Some(save::<S>(key, Some(&record), status, body, &walk.history));
        self.commit_verb(key, part).await
    }

    async fn parked_record(&self, key: &str) -> Result<ProcessRecord, VerbError> {
        let record = self.record(key).await?;
        if record.status() == ProcessStatus::Parked {
            return Ok(record);
        }
        let (key, status) = (key.to_owned(), record.status());
        Err(VerbError::NotParked { key, status })
    }

    pub(super) async fn all_parked(&self, key: &str) -> Result<Vec<QueuedMessage>, StoreError> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = self.read_parked(key, after, PAGE).await?;
            let full = page.len() == PAGE;
            after = page.last().map_or(after, QueuedMessage::number);
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
    }

    async fn read_parked(
        &self,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let (backend, queue) = (&self.inner.backend, &self.inner.parked);
        backend.read_queue_of(queue, key, after, limit).await
    }

    pub(super) async fn arrivals_of(
        &self,
        page: &[QueuedMessage],
    ) -> Result<Vec<Arrival<S>>, StoreError> {
        let mut arrivals = Vec::with_capacity(page.len());
        for queued in page {
            arrivals.push(self.arrival_of(queued.message()).await?);
        }
        Ok(arrivals)
    }

    /// A parked message as the input that it was.
    async fn arrival_of(&self, message: &NewMessage) -> Result<Arrival<S>, StoreError> {
        if message.name() != PARKED_EVENT {
            return Ok(Arrival::parked(message));
        }
        let place: ParkedEvent = match serde_json::from_str(message.payload().as_str()) {
            Ok(place) => place,
            Err(error) => return Ok(Arrival::unreadable(message, error.to_string())),
        };
        let before = place.position.get().saturating_sub(1);
        let read = ReadLog::after(uno_core::Position::new(before).unwrap_or_default()).limit(1);
        let page = self.inner.backend.read_log(read).await?;
        let event = page.events().first().filter(|event| event.id() == place.id);
        let Some(event) = event else {
            let fault = format!("the log has no such event at {}", place.position);
            return Ok(Arrival::unreadable(message, fault));
        };
        let decoded = self.inner.decoder.decode_matching::<S::Event>(event);
        let routed = decoded
            .map_err(|error| super::status::error_text(&error))
            .and_then(|parts| {
                let mut parts = parts.into_iter();
                let part = parts.find(|event| event.part().index() == place.part);
                part.ok_or_else(|| format!("the event is not read as {} events", place.part + 1))
            })
            .and_then(|event| {
                let route = engine::route::<S>(&event);
                let route = route.map_err(|error| super::status::error_text(&error))?;
                Ok((route, event))
            });
        Ok(match routed {
            Ok((route, event)) => Arrival::parked_event(message, route, event),
            Err(fault) => Arrival::unreadable(message, fault),
        })
    }

    /// Why the instance was parked, from its history. What is newest is looked at first; the entries of each save are found by
    /// its revision.
    async fn last_reason(&self, record: &ProcessRecord) -> Result<Option<String>, SagaError> {
        let key = record.key();
        let mut before = record.revision().saturating_add(1);
        let mut span = 1;
        while before > 1 {
            let from = before.saturating_sub(span).max(1);
            let (mut after, end) = (history::first_entry(from) - 1, history::first_entry(before));
            let mut found = None;
            loop {
                let items = self.history(key, after, 1000).await?;
                let full = items.len() == 1000;
                after = items.last().map_or(after, crate::HistoryItem::number);
                for item in items.into_iter().filter(|item| item.number() < end) {
                    if let HistoryEntry::Parked { reason, .. } = item.entry() {
                        found = Some(reason.clone());
                    }
                }
                if !full || after >= end {
                    break;
                }
            }
            if found.is_some() {
                return Ok(found);
            }
            before = from;
            span *= 2;
        }
        Ok(None)
    }
}
