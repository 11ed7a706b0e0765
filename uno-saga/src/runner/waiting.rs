//! Outcomes and timers: inputs that wait in the store until they are handled, each instance by itself.

use std::collections::{BTreeMap, BTreeSet};

use uno_core::{Backend, Commit, CommitError, ProcessRecord};

use super::{
    SagaError, SagaRunner,
    arrival::Arrival,
    is_refusal,
    part::{Part, Taking},
    status::error_text,
};
use crate::{Saga, TransitionError};

/// What is left behind while the others go on.
#[derive(Default)]
pub(super) struct Trouble {
    /// The instances that can't go on: their inputs stay where they are, in order.
    keys: BTreeSet<String>,
    /// Why the first of them can't.
    first: Option<SagaError>,
}

impl Trouble {
    fn add(&mut self, key: &str, error: SagaError) {
        self.keys.insert(key.to_owned());
        self.first.get_or_insert(error);
    }

    /// What is to be reported.
    pub(super) fn text<T>(&self, result: &Result<T, SagaError>) -> Option<String> {
        match (&self.first, result) {
            // Somebody else was faster, which is nothing to report.
            (None, Ok(_) | Err(SagaError::Commit(CommitError::Stale(_)))) => None,
            (Some(error), _) | (None, Err(error)) => Some(error_text(error)),
        }
    }

    /// The result, unless there is nothing but trouble.
    pub(super) fn or(self, result: Result<usize, SagaError>) -> Result<usize, SagaError> {
        match (result, self.first) {
            (Ok(0), Some(error)) => Err(error),
            (result, _) => result,
        }
    }
}

type ByKey<S> = BTreeMap<String, Vec<Arrival<S>>>;

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// Handles what waits, in one commit if it can be; how many inputs that were.
    pub(super) async fn handle_waiting(
        &self,
        mut by_key: ByKey<S>,
        trouble: &mut Trouble,
    ) -> Result<usize, SagaError> {
        // What comes later for an instance that can't go on waits behind what came before.
        by_key.retain(|key, _| !trouble.keys.contains(key));
        if by_key.is_empty() {
            return Ok(0);
        }
        let records = self.load(by_key.keys().cloned().collect()).await?;
        let mut parts = Vec::with_capacity(by_key.len());
        let mut parked = 0;
        for (key, arrivals) in &by_key {
            match self.settle(key, records.get(key), arrivals, Taking::live()) {
                Ok(part) => match self.room(key, &part, parked + part.parked).await {
                    Ok(()) => {
                        parked += part.parked;
                        parts.push((key.as_str(), part));
                    }
                    Err(error @ SagaError::TooManyParked { .. }) => trouble.add(key, error),
                    Err(error) => return Err(error),
                },
                Err((_, error)) => trouble.add(key, error.into()),
            }
        }
        if parts.is_empty() {
            return Ok(0);
        }
        match self.commit_parts(&parts).await {
            Ok(()) => return Ok(parts.iter().map(|(_, part)| part.inputs).sum()),
            Err(error) if !is_refusal(&error) => return Err(error.into()),
            Err(_) => {}
        }
        // The store refuses it: each instance by itself, so that the one at fault keeps no other waiting.
        let mut handled = 0;
        for (key, part) in parts {
            let inputs = part.inputs;
            let arrivals = by_key.get(key).map_or(&[][..], Vec::as_slice);
            let result = match self.commit_parts(&[(key, part)]).await {
                Ok(()) => {
                    handled += inputs;
                    continue;
                }
                Err(error) if is_refusal(&error) => {
                    let record = records.get(key).cloned();
                    self.one_by_one(key, record, arrivals, &mut handled).await
                }
                Err(error) => Err(error.into()),
            };
            match result {
                Ok(()) => {}
                // What keeps this instance waiting keeps no other.
                Err(error) if error.is_of_instance() => trouble.add(key, error),
                // What was handled counts, and the rest is met again in the next round.
                Err(_) if handled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(handled)
    }

    /// The inputs of one instance, each in a commit of its own, because the store refuses what comes of them together. At the one
    /// that is at fault the instance is parked, with what is behind it; what came before is in effect.
    async fn one_by_one(
        &self,
        key: &str,
        mut record: Option<ProcessRecord>,
        arrivals: &[Arrival<S>],
        handled: &mut usize,
    ) -> Result<(), SagaError> {
        for (place, arrival) in arrivals.iter().enumerate() {
            if place > 0 {
                record = self.load(vec![key.to_owned()]).await?.remove(key);
            }
            let one = std::slice::from_ref(arrival);
            let part = self
                .settle(key, record.as_ref(), one, Taking::live())
                .map_err(|(_, error)| error)?;
            self.room(key, &part, part.parked).await?;
            let error = match self.commit_parts(&[(key, part)]).await {
                Ok(()) => {
                    *handled += 1;
                    continue;
                }
                Err(error) if is_refusal(&error) => error,
                Err(error) => return Err(error.into()),
            };
            let (rest, taking) = (&arrivals[place..], self.refused(key, error).await?);
            let part = self
                .settle(key, record.as_ref(), rest, taking)
                .map_err(|(_, error)| error)?;
            self.room(key, &part, part.parked).await?;
            self.commit_parts(&[(key, part)]).await?;
            *handled += rest.len();
            return Ok(());
        }
        Ok(())
    }

    /// How inputs are taken whose effects the store refuses: parked. What is parked already, because it came twice, is not
    /// parked again, or that would be refused as well.
    pub(super) async fn refused(&self, key: &str, error: CommitError) -> Result<Taking, SagaError> {
        let parked = self.all_parked(key).await?;
        let ids = parked.iter().map(|queued| queued.message().id());
        let why = TransitionError::Refused {
            key: key.to_owned(),
            source: error.into(),
        };
        Ok(Taking::refused(why, ids.collect()))
    }

    async fn commit_parts(&self, parts: &[(&str, Part)]) -> Result<(), CommitError> {
        let mut commit = Commit::new();
        for (_, part) in parts {
            part.clone().add_to(&mut commit);
        }
        self.inner.backend.commit(commit).await?;
        for (key, part) in parts {
            self.told(key, part);
        }
        Ok(())
    }
}
