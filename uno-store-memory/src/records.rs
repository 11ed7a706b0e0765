//! What is kept beside the events: documents, processes, snapshots, and the rows of the caller's own work.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use chrono::{DateTime, Utc};
use uno_core::{
    Direction, Document, DocumentChange, DocumentWrite, FieldValue, FindDocuments, FoundDocument,
    HistoryRecord, Payload, ProcessRecord, ProcessStatus, ProcessWrite, Snapshot, Stale, StreamId,
};

/// Values by key, by the collection they are in.
type Shelves<T> = BTreeMap<String, BTreeMap<String, T>>;

#[derive(Default)]
pub(crate) struct Records {
    documents: Shelves<Kept>,
    /// By collection and field: the values of all documents, each with the document's key.
    fields: HashMap<(String, String), BTreeSet<(FieldValue, String)>>,
    /// The last revision that was given to a document, whichever. Never used again, also when the document is gone.
    last_revision: u64,
    processes: Shelves<ProcessRecord>,
    /// By process, then by instance and number.
    histories: HashMap<String, BTreeMap<(String, u64), HistoryRecord>>,
    rows: Shelves<String>,
    snapshots: HashMap<StreamId, Snapshot>,
}

/// A document, and what it is found by.
struct Kept {
    revision: u64,
    body: Payload,
    fields: BTreeMap<String, FieldValue>,
}

impl Kept {
    fn document(&self, key: &str) -> Document {
        Document::new(key.to_owned(), self.revision, self.body.clone())
    }
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
            let actual = || get(&self.documents, collection, key).map_or(0, |kept| kept.revision);
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
                Some(Kept {
                    revision: self.last_revision,
                    body: body.clone(),
                    fields: write.fields().clone(),
                })
            }
            DocumentChange::Remove => None,
            DocumentChange::Keep => return,
        };
        self.change_fields(write);
        put(
            &mut self.documents,
            write.collection(),
            write.key(),
            document,
        );
    }

    /// Takes the fields that the document has away, and gives it those of the write.
    fn change_fields(&mut self, write: &DocumentWrite) {
        let (collection, key) = (write.collection(), write.key());
        let place = |field: &String| (collection.to_owned(), field.clone());
        let old = get(&self.documents, collection, key).map(|kept| &kept.fields);
        for (field, value) in old.into_iter().flatten() {
            if let Some(values) = self.fields.get_mut(&place(field)) {
                values.remove(&(value.clone(), key.to_owned()));
            }
        }
        for (field, value) in write.fields() {
            let values = self.fields.entry(place(field)).or_default();
            values.insert((value.clone(), key.to_owned()));
        }
    }

    pub(crate) fn find_documents(&self, find: &FindDocuments) -> Vec<FoundDocument> {
        let (after, before) = find.places();
        let collection = find.collection();
        let field = (collection.to_owned(), find.field().to_owned());
        let Some(values) = self.fields.get(&field).filter(|_| after < before) else {
            return Vec::new();
        };
        let place = |(value, key): (Vec<u8>, String)| {
            Bound::Excluded((FieldValue::from_stored(value), key))
        };
        let range = values.range((place(after), place(before)));
        let found = |(value, key): &(FieldValue, String)| {
            let kept = get(&self.documents, collection, key)?;
            Some(FoundDocument::new(value.clone(), kept.document(key)))
        };
        let limit = find.max_documents();
        match find.direction() {
            Direction::Forward => range.filter_map(found).take(limit).collect(),
            Direction::Backward => range.rev().filter_map(found).take(limit).collect(),
        }
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
        get(&self.documents, collection, key).map(|kept| kept.document(key))
    }

    pub(crate) fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Document> {
        from(&self.documents, collection, after)
            .map(|(key, kept)| kept.document(key))
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
