//! [`Part`]: what one instance adds to a commit.

use std::collections::{BTreeMap, BTreeSet};

use uno_core::{
    Acknowledgement, Backend, CommandId, Commit, Metadata, NewMessage, NewTimer, Payload,
    ProcessRecord, ProcessStatus, ProcessWrite, TimerWrite,
};
use uuid::Uuid;

use super::{SagaError, SagaRunner, arrival::Arrival, status::error_text};
use crate::{
    Missing, Saga, TransitionError,
    engine::{self, Lost, TimerChange, Transition},
    history::{self, HistoryEntry},
    instance::Instance,
    stored,
};

/// What one instance adds to a commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) acknowledgements: Vec<Acknowledgement>,
    pub(super) messages: Vec<NewMessage>,
    pub(super) timers: Vec<TimerWrite>,
    pub(super) write: Option<ProcessWrite>,
    /// How many inputs it deals with.
    pub(super) inputs: usize,
    /// How many inputs it parks, and the place of the first of them.
    pub(super) parked: usize,
    pub(super) first_parked: Option<usize>,
    /// Why the first one is, if it is not only behind others.
    pub(super) reason: Option<String>,
    /// Events for missing instances that were left out.
    pub(super) discarded: u64,
    /// Outcomes for which there is no instance.
    pub(super) orphans: Vec<CommandId>,
}

impl Part {
    pub(super) fn add_to<Tx>(self, commit: &mut Commit<Tx>) {
        commit.acknowledgements.extend(self.acknowledgements);
        commit.messages.extend(self.messages);
        commit.timers.extend(self.timers);
        commit.processes.extend(self.write);
    }

    pub(super) fn sets_timers(&self) -> bool {
        let mut timers = self.timers.iter();
        timers.any(|timer| matches!(timer, TimerWrite::Set(_)))
    }
}

/// How arrivals are to be taken.
pub(super) struct Taking {
    /// Park the first one for this reason, without a try.
    pub(super) refused: Option<TransitionError>,
    /// An event for a missing instance is to be tried again before it is parked.
    pub(super) retry_missing: bool,
    /// The arrivals were parked; whether more are behind them.
    pub(super) unpark: Option<Unpark>,
    /// What is parked already.
    held: BTreeSet<Uuid>,
}

impl Taking {
    pub(super) const fn live() -> Self {
        Self {
            refused: None,
            retry_missing: false,
            unpark: None,
            held: BTreeSet::new(),
        }
    }

    pub(super) fn refused(why: TransitionError, held: BTreeSet<Uuid>) -> Self {
        let mut taking = Self::live();
        (taking.refused, taking.held) = (Some(why), held);
        taking
    }
}

/// How parked arrivals are taken.
pub(super) struct Unpark {
    /// Whether there are more behind these.
    pub(super) more: bool,
    /// What is told first.
    pub(super) opening: Vec<HistoryEntry>,
}

/// An instance after a number of inputs.
pub(super) struct Walk<S: Saga> {
    pub(super) instance: Option<Instance<S>>,
    pub(super) part: Part,
    pub(super) history: Vec<HistoryEntry>,
    /// The instance as it is to be stored, if it has changed.
    body: Option<Payload>,
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// The stored records of these instances.
    pub(super) async fn load(
        &self,
        keys: Vec<String>,
    ) -> Result<BTreeMap<String, ProcessRecord>, SagaError> {
        let records = self.inner.backend.load_processes(S::NAME, &keys).await?;
        let by_key = |record: ProcessRecord| (record.key().to_owned(), record);
        Ok(records.into_iter().map(by_key).collect())
    }

    /// What the arrivals for one instance come to. What it can't take is parked, and with it all that is behind.
    ///
    /// # Errors
    /// The arrival that is to be tried again, and why.
    pub(super) fn settle(
        &self,
        key: &str,
        record: Option<&ProcessRecord>,
        arrivals: &[Arrival<S>],
        taking: Taking,
    ) -> Result<Part, (usize, TransitionError)> {
        let is_parked = record.is_some_and(|record| record.status() == ProcessStatus::Parked);
        let behind = is_parked && taking.unpark.is_none();
        let mut why = taking.refused;
        let mut end = if behind || why.is_some() {
            0
        } else {
            arrivals.len()
        };
        // The clean path goes round once. After a failure, what came before it is worked out anew: that is simpler than a copy
        // of the instance before each step, and gives the same, since a saga is a function. It ends, because less is left.
        let mut walk = loop {
            match self.walk(key, record, &arrivals[..end]) {
                Ok(walk) => break walk,
                Err((at, error)) => {
                    let missing = matches!(error, TransitionError::NotStarted(_));
                    if missing && taking.retry_missing && S::MISSING == Missing::Retry {
                        return Err((at, error));
                    }
                    (end, why) = (at, Some(error));
                }
            }
        };
        let (taken, left) = arrivals.split_at(end);
        let queues = self.arrival_queues();
        let mut history = Vec::new();
        let unpark = taking.unpark.map(|unpark| {
            history.extend(unpark.opening);
            unpark.more
        });
        history.append(&mut walk.history);
        let mut part = std::mem::take(&mut walk.part);
        part.inputs = arrivals.len();
        let mut fires = Part::default();
        for arrival in taken {
            arrival.take_off(S::NAME, &queues, &mut fires);
        }
        part.first_parked = (!left.is_empty()).then_some(end);
        for (place, arrival) in left.iter().enumerate() {
            if unpark.is_none() {
                arrival.take_off(S::NAME, &queues, &mut fires);
                let message = arrival.to_parked(queues.parked, key);
                if let Some(message) = &message
                    && taking.held.contains(&message.id())
                {
                    history.push(HistoryEntry::passed_over("it is parked already"));
                    continue;
                }
                part.parked += 1;
                part.messages.extend(message);
            }
            match &why {
                Some(why) if place == 0 => {
                    let reason = stored_text(why);
                    history.push(HistoryEntry::parked(arrival.in_words(), reason.clone()));
                    part.reason = Some(reason);
                }
                _ if unpark.is_none() => {
                    let input = arrival.in_words();
                    history.push(HistoryEntry::Behind { input });
                }
                _ => {}
            }
        }
        part.acknowledgements.append(&mut fires.acknowledgements);
        // A commit may name a timer once: firing one takes it off as well as cancelling it does.
        part.timers
            .retain(|timer| fires.timers.iter().all(|fired| fired.id() != timer.id()));
        part.timers.append(&mut fires.timers);
        let status = match (left.is_empty(), unpark) {
            (false, _) | (true, Some(true)) => ProcessStatus::Parked,
            (true, unparked) => {
                if unparked.is_some() {
                    history.push(HistoryEntry::Unparked);
                }
                walk.status(record)
            }
        };
        if !history.is_empty() {
            part.write = Some(save::<S>(key, record, status, walk.body, &history));
        }
        Ok(part)
    }

    /// The instance after these arrivals; or the first that it can't take, and why.
    pub(super) fn walk(
        &self,
        key: &str,
        record: Option<&ProcessRecord>,
        arrivals: &[Arrival<S>],
    ) -> Result<Walk<S>, (usize, TransitionError)> {
        let mut walk = Walk::untouched();
        if arrivals.is_empty() {
            return Ok(walk);
        }
        walk.instance = match record {
            Some(record) => stored::decode(record).map_err(|error| (0, error))?,
            None => None,
        };
        for (place, arrival) in arrivals.iter().enumerate() {
            let at = |error| (place, error);
            let incoming = arrival.incoming(key).map_err(at)?;
            let step = engine::step(key, &mut walk.instance, &incoming, arrival.metadata());
            self.absorb(key, &mut walk, step.map_err(at)?, arrival.metadata());
        }
        walk.encode(key)
            .map_err(|error| (arrivals.len() - 1, error))?;
        Ok(walk)
    }

    /// Takes down what came of one step.
    pub(super) fn absorb(
        &self,
        key: &str,
        walk: &mut Walk<S>,
        step: Transition<S>,
        metadata: &Metadata,
    ) {
        let part = &mut walk.part;
        for sent in step.sent {
            let (id, name) = (*sent.id.as_uuid(), sent.command.name().as_str());
            let (queue, payload) = (&*self.inner.commands, sent.command.payload().clone());
            let message = NewMessage::new(queue, id, key, name, payload, metadata.clone());
            part.messages.push(message);
        }
        for sent in step.messages {
            let (id, payload) = (sent.id, sent.payload);
            let message =
                NewMessage::new(sent.queue, id, key, sent.name, payload, metadata.clone());
            part.messages.push(message);
        }
        for change in step.timers {
            match change {
                TimerChange::Set { id, timeout, due } => {
                    let (payload, metadata) = (Payload::from_stored(timeout), metadata.clone());
                    let timer = NewTimer::new(S::NAME, key, id, due, payload, metadata);
                    part.timers.push(TimerWrite::Set(timer));
                }
                TimerChange::Cancel { id } => {
                    // A commit may name a timer once: one that was set in this commit never was.
                    let before = part.timers.len();
                    part.timers.retain(|timer| timer.id() != id);
                    if part.timers.len() == before {
                        let process = S::NAME.to_owned();
                        part.timers.push(TimerWrite::Cancel { process, id });
                    }
                }
            }
        }
        match step.lost {
            Some(Lost::Discarded) => part.discarded += 1,
            Some(Lost::Orphan) => part
                .orphans
                .extend(metadata.causation_id().map(CommandId::from_uuid)),
            None => {}
        }
        walk.history.extend(step.history);
    }
}

impl<S: Saga> Walk<S> {
    pub(super) fn untouched() -> Self {
        Self {
            instance: None,
            part: Part::default(),
            history: Vec::new(),
            body: None,
        }
    }

    /// Makes it storable, if anything happened.
    pub(super) fn encode(&mut self, key: &str) -> Result<(), TransitionError> {
        if let Some(instance) = &self.instance
            && !self.history.is_empty()
        {
            self.body = Some(stored::encode(key, instance)?);
        }
        Ok(())
    }

    pub(super) fn take_body(&mut self) -> Option<Payload> {
        self.body.take()
    }

    /// How the instance stands when nothing is parked.
    pub(super) fn status(&self, record: Option<&ProcessRecord>) -> ProcessStatus {
        match (&self.instance, record) {
            (Some(instance), _) => instance.status,
            (None, Some(record)) => unparked_status(record),
            (None, None) => ProcessStatus::Cancelled,
        }
    }
}

/// What a parked record comes back to, as far as can be told.
pub(super) fn unparked_status(record: &ProcessRecord) -> ProcessStatus {
    if record.status() != ProcessStatus::Parked {
        return record.status();
    }
    match serde_json::from_str::<Option<Instance<serde_json::Value>>>(record.body().as_str()) {
        // Nothing is there, and nothing waits for it any more.
        Ok(None) => ProcessStatus::Cancelled,
        Ok(Some(instance)) => instance.status,
        // Whatever comes next will park it again.
        Err(_) => ProcessStatus::Running,
    }
}

/// The save of an instance. Without a new body, the stored one is kept byte for byte.
pub(super) fn save<S: Saga>(
    key: &str,
    record: Option<&ProcessRecord>,
    status: ProcessStatus,
    body: Option<Payload>,
    history: &[HistoryEntry],
) -> ProcessWrite {
    let revision = record.map_or(0, ProcessRecord::revision);
    let body = body.or_else(|| record.map(|record| record.body().clone()));
    let body = body.unwrap_or_else(stored::no_instance);
    let entries = history::encode(history);
    ProcessWrite::new(S::NAME, key, revision, status, body)
        .with_history(history::first_entry(revision.saturating_add(1)), entries)
}

/// An error as it is stored: with its causes, without NUL, and of bounded length.
pub(super) fn stored_text(error: &TransitionError) -> String {
    let text = error_text(error);
    text.chars().filter(|c| *c != '\0').take(2000).collect()
}
