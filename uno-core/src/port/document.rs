//! [`DocumentStore`]: documents with revisions, for read models without SQL and for what is kept as a state.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;

use super::{FieldValue, FindDocuments, FoundDocument};
use crate::{Payload, StoreError};

/// Keeps JSON documents by collection and key. They are written in a [`Commit`](crate::Commit): those of a projection
/// together with its checkpoint, those that are a state of their own together with the events of others.
///
/// # Contract
/// 1. A [`DocumentWrite`] within a commit takes effect exactly if the commit does, and after those before it.
/// 2. `load_documents` gives the documents that exist, in any order, each once.
/// 3. `scan_documents` gives documents in ascending order of their keys' bytes.
/// 4. Each put gives a document a revision from 1 upwards that it never had before, also if it was removed in between;
///    nothing else changes it.
/// 5. A commit with a write that expects a revision is carried out only if that is the document's revision when the
///    commit begins (0: it does not exist), and fails as a whole with [`Stale::Document`](crate::Stale::Document)
///    otherwise. Writes without one are carried out whatever is there.
/// 6. A document has the [fields](DocumentWrite::with_field) of its last put, and no other ones; a removed one has none.
/// 7. `find_documents` gives the documents with a value in the range, each with the fields and the content of one and the same put,
///    ascending by the bytes of the value and then of the key, or descending by both.
#[async_trait]
pub trait DocumentStore: fmt::Debug + Send + Sync + 'static {
    /// The documents with these keys, as far as they exist.
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError>;

    /// The documents whose key comes after `after`, at most `limit`.
    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError>;

    /// The documents that a field of theirs lets find. A store answers from an index: what it costs depends on how many are given, and
    /// not on how many there are.
    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError>;
}

const _: fn(&dyn DocumentStore) = |_| {};

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    key: String,
    revision: u64,
    body: Payload,
}

impl Document {
    /// A document. For stores.
    #[must_use]
    pub fn new(key: String, revision: u64, body: Payload) -> Self {
        Self {
            key,
            revision,
            body,
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Which state of the document this is: another one after each put. They need not follow one another.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Its content.
    #[must_use]
    pub fn body(&self) -> &Payload {
        &self.body
    }
}

/// A change of one document, and what is taken for granted about it.
///
/// ```
/// use uno_core::{DocumentChange, DocumentWrite, Payload};
///
/// let body = Payload::from_json("{}")?;
/// let write = DocumentWrite::put("customers", "ada", body.clone()).expecting(7);
/// assert_eq!((write.change(), write.expected_revision()), (DocumentChange::Put(&body), Some(7)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentWrite {
    collection: String,
    key: String,
    expected: Option<u64>,
    change: Change,
    fields: BTreeMap<String, FieldValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Put(Payload),
    Remove,
    Keep,
}

/// What a [`DocumentWrite`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store that does not know one of them would do the wrong thing"
)]
pub enum DocumentChange<'w> {
    /// Puts this content, new or instead of what is there.
    Put(&'w Payload),
    /// Removes the document, if it is there.
    Remove,
    /// Leaves it as it is: there is only something to be expected.
    Keep,
}

impl DocumentWrite {
    /// Puts a document, new or instead of the one that is there.
    #[must_use]
    pub fn put(collection: impl Into<String>, key: impl Into<String>, body: Payload) -> Self {
        Self::new(collection.into(), key.into(), Change::Put(body))
    }

    /// Removes a document, if it is there.
    #[must_use]
    pub fn remove(collection: impl Into<String>, key: impl Into<String>) -> Self {
        Self::new(collection.into(), key.into(), Change::Remove)
    }

    /// Changes nothing, but lets the commit fail unless the document has this revision (0: unless it does not exist).
    #[must_use]
    pub fn keep(collection: impl Into<String>, key: impl Into<String>, revision: u64) -> Self {
        Self::new(collection.into(), key.into(), Change::Keep).expecting(revision)
    }

    fn new(collection: String, key: String, change: Change) -> Self {
        Self {
            collection,
            key,
            expected: None,
            change,
            fields: BTreeMap::new(),
        }
    }

    /// The same, only if the document has this revision when the commit begins; 0: only if it does not exist.
    #[must_use]
    pub fn expecting(mut self, revision: u64) -> Self {
        self.expected = Some(revision);
        self
    }

    /// The same, with a field that the document is [found](DocumentStore::find_documents) by. Of two of one name the last one counts.
    /// Only a put has fields; a commit that has them elsewhere is refused.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, value: FieldValue) -> Self {
        self.fields.insert(name.into(), value);
        self
    }

    /// In which collection.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The fields that the document is found by from now on.
    #[must_use]
    pub fn fields(&self) -> &BTreeMap<String, FieldValue> {
        &self.fields
    }

    /// Which document.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is done with it.
    #[must_use]
    pub fn change(&self) -> DocumentChange<'_> {
        match &self.change {
            Change::Put(body) => DocumentChange::Put(body),
            Change::Remove => DocumentChange::Remove,
            Change::Keep => DocumentChange::Keep,
        }
    }

    /// The new content, if there is one.
    #[must_use]
    pub fn body(&self) -> Option<&Payload> {
        match &self.change {
            Change::Put(body) => Some(body),
            Change::Remove | Change::Keep => None,
        }
    }

    /// The revision that the document must have when the commit begins; 0: it must not exist. `None`: whatever it has.
    #[must_use]
    pub fn expected_revision(&self) -> Option<u64> {
        self.expected
    }
}
