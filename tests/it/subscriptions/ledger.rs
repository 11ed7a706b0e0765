//! A consumer that commits what it was given as rows, together with the checkpoint: how often each event took effect, and in which
//! order the events of each stream did.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use uno_core::{Commit, CommitError, EventFilter, Stale, Transactional as _};
use uno_events::{Batch, ConsumeError, Consumer};
use uno_store_memory::{MemoryStore, MemoryTx};

use super::support::*;

/// The rows: under the number of each effect, from 1, the stream and position.
const EFFECTS: &str = "effects";

#[derive(Debug)]
pub(super) struct Ledger {
    store: MemoryStore,
    /// Positions at which it fails.
    fails_at: Mutex<BTreeSet<u64>>,
    /// A batch with this position waits here before it is committed.
    gate: Mutex<Option<(u64, Gate)>>,
    /// How many commits were refused because the lane was lost.
    pub(super) refused: AtomicU32,
}

impl Ledger {
    pub(super) fn new(store: &TestStore) -> Self {
        Self {
            store: store.memory().clone(),
            fails_at: Mutex::default(),
            gate: Mutex::default(),
            refused: AtomicU32::new(0),
        }
    }

    pub(super) fn failing_at(self, positions: impl IntoIterator<Item = u64>) -> Self {
        self.fails_at.lock().unwrap().extend(positions);
        self
    }

    pub(super) fn waiting_at(self, position: u64, gate: &Gate) -> Self {
        *self.gate.lock().unwrap() = Some((position, gate.clone()));
        self
    }

    pub(super) fn mend(&self) {
        self.fails_at.lock().unwrap().clear();
    }

    /// What took effect, in order: the stream and the position.
    pub(super) fn effects(store: &TestStore) -> Vec<(String, u64)> {
        let rows = store.memory().rows(EFFECTS);
        let mut numbered: Vec<(u64, String)> = rows
            .iter()
            .map(|(number, effect)| (number.parse().unwrap(), effect.clone()))
            .collect();
        numbered.sort_unstable();
        let effect = |(_, effect): (u64, String)| {
            let (position, stream) = effect.split_once(' ').unwrap();
            (stream.to_owned(), position.parse().unwrap())
        };
        numbered.into_iter().map(effect).collect()
    }

    /// Asserts that each of the positions took effect once, and that those of a stream did so in order.
    pub(super) fn assert_once_and_in_order(store: &TestStore, positions: &[u64], why: &str) {
        let effects = Self::effects(store);
        let mut by_stream: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (stream, position) in &effects {
            by_stream.entry(stream).or_default().push(*position);
        }
        for (stream, positions) in &by_stream {
            assert!(
                positions.is_sorted_by(|a, b| a < b),
                "{why}: {stream}: {positions:?}"
            );
        }
        let mut all: Vec<u64> = effects.iter().map(|(_, position)| *position).collect();
        all.sort_unstable();
        assert_eq!(all, positions, "{why}");
    }
}

#[async_trait]
impl Consumer for Ledger {
    fn filter(&self) -> EventFilter {
        EventFilter::all()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let effects: Vec<(u64, String)> = batch
            .events()
            .iter()
            .map(|event| (event.position().get(), event.stream().to_string()))
            .collect();
        let fails_at = self.fails_at.lock().unwrap().clone();
        if effects
            .iter()
            .any(|(position, _)| fails_at.contains(position))
        {
            // Says nothing of the place.
            return Err(CommitError::Work("can't".into()).into());
        }
        let gate = self.gate.lock().unwrap().clone();
        if let Some((at, gate)) = gate
            && effects.iter().any(|(position, _)| *position == at)
        {
            gate.pass().await;
        }
        let mut commit = Commit::<MemoryTx>::new();
        commit.work.push(Box::new(move |tx| {
            Box::pin(async move {
                let last = tx.row("counter", "last");
                let mut number: u64 = last.map_or(Ok(0), |n| n.parse())?;
                for (position, stream) in effects {
                    number += 1;
                    tx.put_row(EFFECTS, number.to_string(), format!("{position} {stream}"));
                }
                tx.put_row("counter", "last", number.to_string());
                Ok(())
            })
        }));
        commit.checkpoints.push(batch.checkpoint().clone());
        match self.store.commit(commit).await {
            Ok(_) => Ok(()),
            Err(error) => {
                if matches!(error, CommitError::Stale(Stale::Lease { .. })) {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(error.into())
            }
        }
    }
}
