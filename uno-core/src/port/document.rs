//! [`DocumentStore`]: a ready read model for those who want no SQL.

use std::fmt;

use async_trait::async_trait;

use crate::{Payload, StoreError};

/// Keeps JSON documents by collection and key. They are written in a [`Commit`](crate::Commit), together with the
/// checkpoint of the projection that keeps them.
///
/// # Contract
/// 1. A [`DocumentWrite`] within a commit takes effect exactly if the commit does, and after those before it.
/// 2. `load_documents` gives the documents that exist, in any order, each once.
/// 3. `scan_documents` gives documents in ascending order of their keys' bytes.
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
}

const _: fn(&dyn DocumentStore) = |_| {};

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    key: String,
    body: Payload,
}

impl Document {
    /// A document. For stores.
    #[must_use]
    pub fn new(key: String, body: Payload) -> Self {
        Self { key, body }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its content.
    #[must_use]
    pub fn body(&self) -> &Payload {
        &self.body
    }
}

/// A change of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentWrite {
    collection: String,
    key: String,
    body: Option<Payload>,
}

impl DocumentWrite {
    /// Puts a document, new or instead of the one that is there.
    #[must_use]
    pub fn put(collection: impl Into<String>, key: impl Into<String>, body: Payload) -> Self {
        Self {
            collection: collection.into(),
            key: key.into(),
            body: Some(body),
        }
    }

    /// Removes a document, if it is there.
    #[must_use]
    pub fn remove(collection: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            collection: collection.into(),
            key: key.into(),
            body: None,
        }
    }

    /// In which collection.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// Which document.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The new content; `None` to remove it.
    #[must_use]
    pub fn body(&self) -> Option<&Payload> {
        self.body.as_ref()
    }
}
