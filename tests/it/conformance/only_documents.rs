//! A store of documents and nothing else, as somebody may write one for read models: the suite for documents runs on it by itself.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use uno_core::{
    AppendError, BoxError, Checkpoint, Commit, CommitError, Direction, Document, DocumentChange,
    DocumentStore, FieldValue, FindDocuments, FoundDocument, Limits, Stale, StoreError,
    SubscriptionName,
};
use uno_testkit::conformance::{DocumentCommit, DocumentHarness, PersistentDocumentHarness};

uno_testkit::document_conformance!(OnlyDocumentsHarness, persistent);

struct OnlyDocumentsHarness;

/// A map behind a lock.
#[derive(Debug, Default)]
struct OnlyDocuments(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    documents: BTreeMap<(String, String), Kind>,
    checkpoints: HashMap<SubscriptionName, Checkpoint>,
    revision: u64,
}

/// A document with what it is found by.
#[derive(Debug)]
struct Kind {
    document: Document,
    fields: BTreeMap<String, FieldValue>,
}

impl OnlyDocuments {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, commit: DocumentCommit) -> Result<(), CommitError> {
        let mut all = Commit::<()>::new();
        (all.documents, all.checkpoints) = (commit.documents, commit.checkpoints);
        Limits::default()
            .check_commit(&all)
            .map_err(AppendError::Refused)?;
        let mut kept = self.kept();
        let place = |collection: &str, key: &str| (collection.to_owned(), key.to_owned());
        for write in &all.documents {
            let there = kept.documents.get(&place(write.collection(), write.key()));
            let revision = there.map_or(0, |kind| kind.document.revision());
            if write
                .expected_revision()
                .is_some_and(|wanted| wanted != revision)
            {
                let (collection, key) = place(write.collection(), write.key());
                return Err(CommitError::Stale(Stale::Document { collection, key }));
            }
        }
        for write in &all.checkpoints {
            let name = write.subscription();
            if kept.checkpoints.get(name).map(Checkpoint::position) != write.expected() {
                return Err(CommitError::Stale(Stale::Checkpoint(name.clone())));
            }
        }
        for write in &all.documents {
            let place = place(write.collection(), write.key());
            match write.change() {
                DocumentChange::Put(body) => {
                    kept.revision += 1;
                    let document = Document::new(place.1.clone(), kept.revision, body.clone());
                    let fields = write.fields().clone();
                    kept.documents.insert(place, Kind { document, fields });
                }
                DocumentChange::Remove => drop(kept.documents.remove(&place)),
                DocumentChange::Keep => {}
            }
        }
        for write in all.checkpoints {
            let (name, checkpoint) = (write.subscription().clone(), write.checkpoint());
            kept.checkpoints.insert(name, checkpoint);
        }
        Ok(())
    }
}

#[async_trait]
impl DocumentStore for OnlyDocuments {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        let kept = self.kept();
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let places = keys.into_iter().map(|key| (collection.to_owned(), key));
        let found = places.filter_map(|place| Some(kept.documents.get(&place)?.document.clone()));
        Ok(found.collect())
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        let kept = self.kept();
        let of_it = |((of, key), _): &(&(String, String), &Kind)| {
            of == collection && after.is_none_or(|after| key.as_str() > after)
        };
        let found = kept.documents.iter().filter(of_it).take(limit);
        Ok(found.map(|(_, kind)| kind.document.clone()).collect())
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError> {
        let kept = self.kept();
        let (after, before) = find.places();
        let mut found = Vec::new();
        for ((collection, key), kind) in &kept.documents {
            if let Some(value) = kind.fields.get(find.field())
                && collection == find.collection()
            {
                let place = (value.as_bytes().to_vec(), key.clone());
                if place > after && place < before {
                    found.push((
                        place,
                        FoundDocument::new(value.clone(), kind.document.clone()),
                    ));
                }
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        if find.direction() == Direction::Backward {
            found.reverse();
        }
        found.truncate(find.max_documents());
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }
}

impl DocumentHarness for OnlyDocumentsHarness {
    type Store = OnlyDocuments;
    type Guard = Arc<Mutex<Kept>>;

    async fn open(&self) -> Result<(Arc<OnlyDocuments>, Arc<Mutex<Kept>>), BoxError> {
        let store = OnlyDocuments::default();
        let kept = Arc::clone(&store.0);
        Ok((Arc::new(store), kept))
    }

    async fn commit(store: &OnlyDocuments, commit: DocumentCommit) -> Result<(), CommitError> {
        store.commit(commit)
    }

    async fn checkpoint(
        store: &OnlyDocuments,
        name: &SubscriptionName,
    ) -> Result<Option<Checkpoint>, StoreError> {
        Ok(store.kept().checkpoints.get(name).copied())
    }
}

impl PersistentDocumentHarness for OnlyDocumentsHarness {
    async fn reopen(&self, kept: &Arc<Mutex<Kept>>) -> Result<Arc<OnlyDocuments>, BoxError> {
        Ok(Arc::new(OnlyDocuments(Arc::clone(kept))))
    }
}
