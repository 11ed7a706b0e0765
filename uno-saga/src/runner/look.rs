//! Looking at instances, their timeouts and their histories.

use uno_core::{Backend, ProcessRecord, ProcessStatus, Timer};

use super::{SagaCounts, SagaError, SagaRunner};
use crate::{HistoryItem, InstanceView, Saga, stored};

/// An instance in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceSummary {
    /// Its correlation key.
    pub key: String,
    /// How it stands.
    pub status: ProcessStatus,
    /// How often it was saved.
    pub revision: u64,
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// One instance; `None` when there is none, also when inputs for it are parked.
    ///
    /// # Errors
    /// When the store or the instance can't be read.
    pub async fn instance(&self, key: &str) -> Result<Option<InstanceView<S>>, SagaError> {
        let record = self.load(vec![key.to_owned()]).await?.remove(key);
        record.as_ref().map_or(Ok(None), view)
    }

    /// The instances in these states (all, when empty), in the order of their keys, after `after`, at most `limit`.
    ///
    /// # Errors
    /// When the store or an instance can't be read; [`list`](Self::list) shows those too.
    pub async fn instances(
        &self,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<InstanceView<S>>, SagaError> {
        let backend = &self.inner.backend;
        let found = backend
            .list_processes(S::NAME, statuses, after, limit)
            .await?;
        let views = found.iter().filter_map(|record| view(record).transpose());
        views.collect()
    }

    /// As [`instances`](Self::instances), without reading what is in them; keys for which only inputs are parked included.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn list(
        &self,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<InstanceSummary>, SagaError> {
        let backend = &self.inner.backend;
        let found = backend
            .list_processes(S::NAME, statuses, after, limit)
            .await?;
        let summary = |record: &ProcessRecord| InstanceSummary {
            key: record.key().to_owned(),
            status: record.status(),
            revision: record.revision(),
        };
        Ok(found.iter().map(summary).collect())
    }

    /// What an instance went through: the entries with a number above `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store or an entry can't be read.
    pub async fn history(
        &self,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, SagaError> {
        let backend = &self.inner.backend;
        let records = backend.read_history(S::NAME, key, after, limit).await?;
        let items = records.iter().map(HistoryItem::read);
        items.collect::<Result<_, _>>().map_err(|source| {
            let key = key.to_owned();
            SagaError::History { key, source }
        })
    }

    /// The timeouts of an instance that are pending, with the times at which they are due, in the order of those.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn timeouts(&self, key: &str) -> Result<Vec<Timer>, SagaError> {
        Ok(self.inner.backend.list_timers(S::NAME, key).await?)
    }

    /// How much waits for a person, and how much is to be done.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn counts(&self) -> Result<SagaCounts, SagaError> {
        let backend = &self.inner.backend;
        let count = async |status| -> Result<usize, SagaError> {
            let found = backend
                .list_processes(S::NAME, &[status], None, SagaCounts::MOST)
                .await?;
            Ok(found.len())
        };
        let (parked_inputs, parked_since) = backend.queue_depth(&self.inner.parked).await?;
        let (commands, commands_since) = backend.queue_depth(&self.inner.commands).await?;
        Ok(SagaCounts {
            parked: count(ProcessStatus::Parked).await?,
            parked_inputs,
            parked_since,
            stuck: count(ProcessStatus::Stuck).await?,
            commands,
            commands_since,
        })
    }
}

fn view<S: Saga>(record: &ProcessRecord) -> Result<Option<InstanceView<S>>, SagaError> {
    let instance = stored::decode::<S>(record)?;
    let key = record.key().to_owned();
    Ok(instance.map(|instance| InstanceView::new(key, record.status(), instance)))
}
