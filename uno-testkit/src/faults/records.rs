//! Documents, processes, timers and the inbox of a [`FaultStore`].

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uno_core::{
    Document, DocumentStore, DueTimers, FindDocuments, FoundDocument, HistoryRecord, InboxRecord,
    InboxStore, ProcessRecord, ProcessStatus, ProcessStore, QueuedMessage, StoreError, Timer,
    TimerStore,
};
use uuid::Uuid;

use super::{Call, FaultStore};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: DocumentStore> DocumentStore for FaultStore<B> {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        let plan = self.before_read(Call::LoadDocuments).await?;
        let result = self.inner.load_documents(collection, keys).await;
        self.after(plan, result).await
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        let plan = self.before_read(Call::ScanDocuments).await?;
        let result = self.inner.scan_documents(collection, after, limit).await;
        self.after(plan, result).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError> {
        let plan = self.before_read(Call::FindDocuments).await?;
        let result = self.inner.find_documents(find).await;
        self.after(plan, result).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: ProcessStore> ProcessStore for FaultStore<B> {
    async fn load_processes(
        &self,
        process: &str,
        keys: &[String],
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        let plan = self.before_read(Call::LoadProcesses).await?;
        let result = self.inner.load_processes(process, keys).await;
        self.after(plan, result).await
    }

    async fn list_processes(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        let plan = self.before_read(Call::ListProcesses).await?;
        let result = self
            .inner
            .list_processes(process, statuses, after, limit)
            .await;
        self.after(plan, result).await
    }

    async fn read_queue(
        &self,
        queue: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let plan = self.before_read(Call::ReadQueue).await?;
        let result = self.inner.read_queue(queue, after, limit).await;
        self.after(plan, result).await
    }

    async fn read_queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let plan = self.before_read(Call::ReadQueueOf).await?;
        let result = self.inner.read_queue_of(queue, key, after, limit).await;
        self.after(plan, result).await
    }

    async fn read_history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError> {
        let plan = self.before_read(Call::ReadHistory).await?;
        let result = self.inner.read_history(process, key, after, limit).await;
        self.after(plan, result).await
    }

    async fn queue_depth(&self, queue: &str) -> Result<(u64, Option<DateTime<Utc>>), StoreError> {
        let plan = self.before_read(Call::QueueDepth).await?;
        let result = self.inner.queue_depth(queue).await;
        self.after(plan, result).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: TimerStore> TimerStore for FaultStore<B> {
    async fn due_timers(&self, process: &str, limit: usize) -> Result<DueTimers, StoreError> {
        let plan = self.before_read(Call::DueTimers).await?;
        let result = self.inner.due_timers(process, limit).await;
        self.after(plan, result).await
    }

    async fn list_timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError> {
        let plan = self.before_read(Call::ListTimers).await?;
        let result = self.inner.list_timers(process, key).await;
        self.after(plan, result).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: InboxStore> InboxStore for FaultStore<B> {
    async fn load_inbox(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError> {
        let plan = self.before_read(Call::LoadInbox).await?;
        let result = self.inner.load_inbox(consumer, ids).await;
        self.after(plan, result).await
    }

    async fn prune_inbox(&self, consumer: &str, older_than: Duration) -> Result<u64, StoreError> {
        let plan = self.before_read(Call::PruneInbox).await?;
        let result = self.inner.prune_inbox(consumer, older_than).await;
        self.after(plan, result).await
    }
}
