//! What persons do with instances: retry, resume, edit, cancel.

use uno_core::{Acknowledgement, Backend, Commit, ProcessRecord, ProcessStatus, TimerWrite};

use super::{
    SagaRunner, VerbError,
    part::{Part, Walk, save},
};
use crate::{
    Saga,
    engine::{self, Unfit, Wish},
    history::{HistoryEntry, Verb},
    stored,
};

/// Who does something with an instance, and why. Both go into its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervention {
    by: String,
    reason: String,
}

impl Intervention {
    /// By whom, and why.
    #[must_use]
    pub fn new(by: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            by: by.into(),
            reason: reason.into(),
        }
    }

    /// By whom.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn entry(&self, verb: Verb) -> HistoryEntry {
        HistoryEntry::Verb {
            verb,
            by: self.by.clone(),
            reason: self.reason.clone(),
        }
    }
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// Sends the compensation that failed again, under a new id. For an instance that is stuck.
    ///
    /// # Errors
    /// When it is not, or somebody else was faster; nothing has changed then.
    pub async fn retry(&self, key: &str, why: &Intervention) -> Result<(), VerbError> {
        self.fulfil(key, Wish::Retry, why).await
    }

    /// Takes the compensation that failed for done, and goes on with the others. For an instance that is stuck.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn resume(&self, key: &str, why: &Intervention) -> Result<(), VerbError> {
        self.fulfil(key, Wish::Resume, why).await
    }

    /// Sends the compensation that failed with other contents, under a new id. For an instance that is stuck.
    ///
    /// # Errors
    /// As [`retry`](Self::retry); and when `command` is not the command that failed, or can't be encoded.
    pub async fn edit_and_retry(
        &self,
        key: &str,
        command: impl Into<S::Command>,
        why: &Intervention,
    ) -> Result<(), VerbError> {
        let wish = Wish::EditAndRetry(command.into());
        self.fulfil(key, wish, why).await
    }

    /// Ends an instance as it is: nothing more is undone, its timeouts are cancelled, its parked inputs are left out. What is
    /// under way goes on, and its outcome is a late one.
    ///
    /// # Errors
    /// When it has ended already, or somebody else was faster; nothing has changed then.
    pub async fn cancel(&self, key: &str, why: &Intervention) -> Result<(), VerbError> {
        let _turn = self.inner.turn.lock().await;
        let record = self.record(key).await?;
        if record.status() == ProcessStatus::Parked {
            return self.cancel_parked(key, &record, why).await;
        }
        self.fulfil_on(key, &record, &Wish::Cancel, why).await
    }

    async fn fulfil(
        &self,
        key: &str,
        wish: Wish<S::Command>,
        why: &Intervention,
    ) -> Result<(), VerbError> {
        let _turn = self.inner.turn.lock().await;
        let record = self.record(key).await?;
        if record.status() == ProcessStatus::Parked {
            let (key, status) = (key.to_owned(), record.status());
            return Err(VerbError::NotStuck { key, status });
        }
        self.fulfil_on(key, &record, &wish, why).await
    }

    async fn fulfil_on(
        &self,
        key: &str,
        record: &ProcessRecord,
        wish: &Wish<S::Command>,
        why: &Intervention,
    ) -> Result<(), VerbError> {
        let mut walk = self.wished(key, record, wish, why)?;
        walk.encode(key)?;
        let status = walk.status(Some(record));
        let mut part = std::mem::take(&mut walk.part);
        let body = walk.take_body();
        part.write = Some(save::<S>(key, Some(record), status, body, &walk.history));
        self.commit_verb(key, part).await
    }

    /// The instance as the wish makes it.
    fn wished(
        &self,
        key: &str,
        record: &ProcessRecord,
        wish: &Wish<S::Command>,
        why: &Intervention,
    ) -> Result<Walk<S>, VerbError> {
        let no_instance = || VerbError::NoInstance(key.to_owned());
        let mut instance = stored::decode::<S>(record)?.ok_or_else(no_instance)?;
        // What is sent goes back to what the failed compensation went back to.
        let stuck = instance.stuck.as_ref();
        let metadata = stuck.map(|stuck| stuck.metadata.clone());
        let metadata = metadata.unwrap_or_default().with_actor(&*why.by);
        let step = engine::carry_out(key, &mut instance, wish, &why.by, &why.reason);
        let step = step.map_err(|unfit| unfit_error(key, wish, unfit))?;
        let mut walk = Walk::untouched();
        walk.instance = Some(instance);
        self.absorb(key, &mut walk, step, &metadata);
        Ok(walk)
    }

    /// A parked instance may be one that can't even be read: then it is ended from the outside.
    async fn cancel_parked(
        &self,
        key: &str,
        record: &ProcessRecord,
        why: &Intervention,
    ) -> Result<(), VerbError> {
        let mut part = Part::default();
        let status = ProcessStatus::Cancelled;
        let mut instance = stored::decode::<S>(record).ok().flatten();
        if let Some(instance) = &mut instance {
            instance.timers.clear();
            (instance.undoing, instance.stuck) = (None, None);
            instance.status = status;
        }
        let mut history = vec![why.entry(Verb::Cancel)];
        let waiting = self.all_parked(key).await?;
        for (queued, arrival) in waiting.iter().zip(self.arrivals_of(&waiting).await?) {
            let taken = Acknowledgement::new(&*self.inner.parked, queued.message().id());
            part.acknowledgements.push(taken);
            let input = arrival.in_words();
            history.push(HistoryEntry::Skipped { input });
            // The command of an outcome that is left out is not awaited any more.
            instance = instance.map(|before| {
                let mut instance = before.clone();
                let metadata = arrival.metadata();
                let skipped = arrival
                    .incoming(key)
                    .and_then(|incoming| engine::skip(key, &mut instance, &incoming, metadata));
                skipped.map_or(before, |_| instance)
            });
        }
        for timer in self.inner.backend.list_timers(S::NAME, key).await? {
            let (process, id) = (S::NAME.to_owned(), timer.id());
            part.timers.push(TimerWrite::Cancel { process, id });
        }
        history.push(HistoryEntry::status(status));
        let body = instance.and_then(|instance| stored::encode(key, &instance).ok());
        part.write = Some(save::<S>(key, Some(record), status, body, &history));
        self.commit_verb(key, part).await
    }

    pub(super) async fn record(&self, key: &str) -> Result<ProcessRecord, VerbError> {
        let mut records = self.load(vec![key.to_owned()]).await?;
        let record = records.remove(key);
        record.ok_or_else(|| VerbError::NoInstance(key.to_owned()))
    }

    pub(super) async fn commit_verb(&self, key: &str, part: Part) -> Result<(), VerbError> {
        let mut commit = Commit::new();
        part.clone().add_to(&mut commit);
        let committed = self.inner.backend.commit(commit).await;
        committed.map_err(|error| VerbError::of_commit(key, error))?;
        self.told(key, &part);
        Ok(())
    }
}

fn unfit_error<C>(key: &str, wish: &Wish<C>, unfit: Unfit) -> VerbError {
    let key = key.to_owned();
    match unfit {
        Unfit::Status(status) if matches!(wish, Wish::Cancel) => VerbError::Ended { key, status },
        Unfit::Status(status) => VerbError::NotStuck { key, status },
        Unfit::OtherCommand(failed) => VerbError::OtherCommand { key, failed },
        Unfit::Transition(error) => error.into(),
    }
}
