//! What is kept beside the events: documents, processes, snapshots, and the rows of the caller's own work.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use chrono::{DateTime, Utc};
use uno_core::{
    Document, DocumentChange, DocumentWrite, HistoryRecord, Payload, ProcessRecord, ProcessStatus,
    ProcessWrite, Snapshot, Stale, StreamId,
};

/// Values by key, by the collection they are in.
type Shelves<T> = BTreeMap<String, BTreeMap<String, T>>;

#[derive(Default)]
pub(crate) struct Records {
    documents: Shelves<(u64, Payload)>,
    /// The last revision that was given to a document, whichever. Never used again, also when the document is gone.
    last_revision: u64,
    processes: Shelves<ProcessRecord>,
    /// By process, then by instance and number.
    histories: HashMap<String, BTreeMap<(String, u64), HistoryRecord>>,
    rows: Shelves<String>,
    snapshots: HashMap<StreamId, Snapshot>,
}

impl Records {
    /// Whether every process instance has the revision that these saves, one after the other, expect.
    pub(crate) fn check_processes(&self, writes: &[ProcessWrite]) -> Result<(), Stale> {
        let mut saved: HashMap<(&str, &str), u64> = HashMap::new();
        for write in writes {
            let instance = (write.process(), write.key());
            let stored =
                || get(&self.processes, instance.0, instance.1).map_or(0, ProcessRecord::revision);
            let revision = saved.get(&instance).copied().unwrap_or_else(stored);
            if revision != write.expected_revision() {
                return Err(Stale::Process {
                    process: instance.0.to_owned(),
                    key: instance.1.to_owned(),
                });
            }
            saved.insert(instance, revision + 1);
        }
        Ok(())
    }

    /// Whether every document has the revision that these writes expect.
    pub(crate) fn check_documents(&self, writes: &[DocumentWrite]) -> Result<(), Stale> {
        for write in writes {
            let (collection, key) = (write.collection(), write.key());
            let actual =
                || get(&self.documents, collection, key).map_or(0, |(revision, _)| *revision);
            if write
                .expected_revision()
                .is_some_and(|expected| expected != actual())
            {
                return Err(Stale::Document {
                    collection: collection.to_owned(),
                    key: key.to_owned(),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn save_process(&mut self, write: &ProcessWrite, now: DateTime<Utc>) {
        let revision = write.expected_revision() + 1;
        let record = ProcessRecord::new(
            write.key().to_owned(),
            revision,
            write.status(),
            write.body().clone(),
        );
        put(
            &mut self.processes,
            write.process(),
            write.key(),
            Some(record),
        );
        if write.history().is_empty() {
            return;
        }
        let history = self
            .histories
            .entry(write.process().to_owned())
            .or_default();
        for (number, entry) in (write.first_entry()..).zip(write.history()) {
            let place = (write.key().to_owned(), number);
            let record = HistoryRecord::new(number, now, entry.clone());
            // The first one stays: history is never changed.
            history.entry(place).or_insert(record);
        }
    }

    pub(crate) fn write_document(&mut self, write: &DocumentWrite) {
        let document = match write.change() {
            DocumentChange::Put(body) => {
                self.last_revision += 1;
                Some((self.last_revision, body.clone()))
            }
            DocumentChange::Remove => None,
            DocumentChange::Keep => return,
        };
        put(
            &mut self.documents,
            write.collection(),
            write.key(),
            document,
        );
    }

    pub(crate) fn write_row(&mut self, table: &str, key: &str, value: Option<String>) {
        put(&mut self.rows, table, key, value);
    }

    /// Keeps a snapshot, unless a newer one is there.
    pub(crate) fn keep_snapshot(&mut self, snapshot: Snapshot) {
        let newer = |kept: &Snapshot| kept.version() > snapshot.version();
        if !self.snapshots.get(snapshot.stream()).is_some_and(newer) {
            self.snapshots.insert(snapshot.stream().clone(), snapshot);
        }
    }

    pub(crate) fn snapshot(&self, stream: &StreamId) -> Option<&Snapshot> {
        self.snapshots.get(stream)
    }

    pub(crate) fn row(&self, table: &str, key: &str) -> Option<&String> {
        get(&self.rows, table, key)
    }

    pub(crate) fn rows(&self, table: &str) -> BTreeMap<String, String> {
        self.rows.get(table).cloned().unwrap_or_default()
    }

    pub(crate) fn document(&self, collection: &str, key: &str) -> Option<Document> {
        get(&self.documents, collection, key)
            .map(|(revision, body)| Document::new(key.to_owned(), *revision, body.clone()))
    }

    pub(crate) fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Document> {
        from(&self.documents, collection, after)
            .map(|(key, (revision, body))| Document::new(key.clone(), *revision, body.clone()))
            .take(limit)
            .collect()
    }

    pub(crate) fn process(&self, process: &str, key: &str) -> Option<ProcessRecord> {
        get(&self.processes, process, key).cloned()
    }

    pub(crate) fn history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Vec<HistoryRecord> {
        let Some(start) = after.checked_add(1) else {
            return Vec::new();
        };
        let range = (key.to_owned(), start)..=(key.to_owned(), u64::MAX);
        let histories = self.histories.get(process).into_iter();
        histories
            .flat_map(|history| history.range(range.clone()))
            .map(|(_, record)| record.clone())
            .take(limit)
            .collect()
    }

    pub(crate) fn list_processes(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Vec<ProcessRecord> {
        from(&self.processes, process, after)
            .map(|(_, record)| record)
            .filter(|record| statuses.is_empty() || statuses.contains(&record.status()))
            .take(limit)
            .cloned()
            .collect()
    }
}

fn get<'s, T>(shelves: &'s Shelves<T>, shelf: &str, key: &str) -> Option<&'s T> {
    shelves.get(shelf)?.get(key)
}

/// What comes after a key, in ascending order of the keys' bytes.
fn from<'s, T>(
    shelves: &'s Shelves<T>,
    shelf: &str,
    after: Option<&str>,
) -> impl Iterator<Item = (&'s String, &'s T)> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    shelves
        .get(shelf)
        .into_iter()
        .flat_map(move |shelf| shelf.range::<str, _>((start, Bound::Unbounded)))
}

fn put<T>(shelves: &mut Shelves<T>, shelf: &str, key: &str, value: Option<T>) {
    match value {
        Some(value) => {
            shelves
                .entry(shelf.to_owned())
                .or_default()
                .insert(key.to_owned(), value);
        }
        None => {
            if let Some(shelf) = shelves.get_mut(shelf) {
                shelf.remove(key);
            }
        }
    }
}
