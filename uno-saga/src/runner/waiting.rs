//! Outcomes and timers: inputs that wait in the store until they are handled, each instance by itself.

use std::collections::{BTreeMap, BTreeSet};

use uno_core::{Backend, Commit, CommitError};

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
        // The store refuses it: one by one, so that the one at fault keeps no other waiting.
        let mut handled = 0;
        for (key, part) in parts {
            let inputs = part.inputs;
            let arrivals = by_key.get(key).map_or(&[][..], Vec::as_slice);
            let alone = match self.commit_parts(&[(key, part)]).await {
                Err(error) if is_refusal(&error) => {
                    let why = TransitionError::Refused {
                        key: key.to_owned(),
                        source: error.into(),
                    };
                    let parked = self
                        .settle(key, records.get(key), arrivals, Taking::refused(why))
                        .map_err(|(_, error)| error)?;
                    self.room(key, &parked, parked.parked).await?;
                    self.commit_parts(&[(key, parked)]).await
                }
                result => result,
            };
            match alone {
                Ok(()) => handled += inputs,
                Err(error) if is_refusal(&error) => trouble.add(key, error.into()),
                Err(_) if handled > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(handled)
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
