//! [`MemoryTx`]: the transaction that the caller's own work runs in.

use std::{collections::BTreeMap, fmt};

use uno_core::{Document, DocumentWrite, Payload};

use crate::MemoryStore;

/// The rows that a transaction has written, by table and key; `None` is a row that it has removed.
pub(crate) type Rows = BTreeMap<(String, String), Option<String>>;

/// The transaction that the caller's own work runs in: named rows, and documents.
///
/// Work sees what was committed, and what the same commit's work before it has written. What it writes becomes
/// visible to others if the commit is carried out, and vanishes if it is not. Rows are read by everybody with
/// [`MemoryStore::row`], documents with [`DocumentStore`](uno_core::DocumentStore).
///
/// The work of one commit runs at a time, so that what work reads from rows stays true until its commit is done.
///
/// ```
/// use uno_core::{Commit, Transactional};
/// use uno_store_memory::{MemoryStore, MemoryTx};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = MemoryStore::new();
/// let mut commit = Commit::<MemoryTx>::new();
/// commit.work.push(Box::new(|tx| {
///     Box::pin(async move {
///         let sold: u32 = tx.row("sold", "book").map_or(Ok(0), |n| n.parse())?;
///         tx.put_row("sold", "book", (sold + 1).to_string());
///         Ok(())
///     })
/// }));
/// store.commit(commit).await?;
/// assert_eq!(store.row("sold", "book").as_deref(), Some("1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryTx {
    store: MemoryStore,
    rows: Rows,
    documents: Vec<DocumentWrite>,
}

impl MemoryTx {
    pub(crate) fn new(store: MemoryStore) -> Self {
        Self {
            store,
            rows: Rows::new(),
            documents: Vec::new(),
        }
    }

    pub(crate) fn into_changes(self) -> (Rows, Vec<DocumentWrite>) {
        (self.rows, self.documents)
    }

    /// A row, if it exists.
    #[must_use]
    pub fn row(&self, table: &str, key: &str) -> Option<String> {
        match self.rows.get(&(table.to_owned(), key.to_owned())) {
            Some(written) => written.clone(),
            None => self.store.row(table, key),
        }
    }

    /// All rows of a table, by key.
    #[must_use]
    pub fn rows(&self, table: &str) -> BTreeMap<String, String> {
        let mut rows = self.store.rows(table);
        for ((written_table, key), value) in &self.rows {
            if written_table == table {
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
        rows
    }

    /// Puts a row, new or instead of the one that is there.
    pub fn put_row(
        &mut self,
        table: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<String>,
    ) {
        self.rows
            .insert((table.into(), key.into()), Some(value.into()));
    }

    /// Removes a row, if it is there.
    pub fn remove_row(&mut self, table: impl Into<String>, key: impl Into<String>) {
        self.rows.insert((table.into(), key.into()), None);
    }

    /// A document, if it exists. What this transaction has put shows the revision that is stored: 0 if it is new.
    #[must_use]
    pub fn document(&self, collection: &str, key: &str) -> Option<Document> {
        let stored = self.store.document(collection, key);
        let here = |write: &&DocumentWrite| write.collection() == collection && write.key() == key;
        match self.documents.iter().rev().find(here) {
            Some(write) => write.body().map(|body| {
                let revision = stored.as_ref().map_or(0, Document::revision);
                Document::new(key.to_owned(), revision, body.clone())
            }),
            None => stored,
        }
    }

    /// Puts a document, new or instead of the one that is there. The documents of the commit itself come after it.
    pub fn put_document(
        &mut self,
        collection: impl Into<String>,
        key: impl Into<String>,
        body: Payload,
    ) {
        self.documents
            .push(DocumentWrite::put(collection, key, body));
    }

    /// Removes a document, if it is there. The documents of the commit itself come after it.
    pub fn remove_document(&mut self, collection: impl Into<String>, key: impl Into<String>) {
        self.documents.push(DocumentWrite::remove(collection, key));
    }
}

/// Shows how much was written, not what.
impl fmt::Debug for MemoryTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTx")
            .field("rows", &self.rows.len())
            .field("documents", &self.documents.len())
            .finish_non_exhaustive()
    }
}
