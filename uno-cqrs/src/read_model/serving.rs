//! [`Serving`]: the one place where it is found out which generation of a read model is to be read.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use uno_core::{DocumentStore, StoreError};

use super::record::{CATALOGUE, Record};
use crate::Generation;

/// Finds out which generation of a read model is to be read, and lets reads go by it. Cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use uno_store_memory::MemoryStore;
/// use uno_cqrs::{Generation, Serving};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let store = Arc::new(MemoryStore::new());
/// let serving = Serving::new(store, "spending", 1);
/// let sql = serving
///     .read(|generation| async move {
///         // … ask the store
///         Ok::<_, uno_cqrs::ServingError>(format!("SELECT cents FROM {}", generation.table("spending")))
///     })
///     .await?;
/// assert_eq!(sql, "SELECT cents FROM spending");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Serving {
    store: Arc<dyn DocumentStore>,
    name: Arc<str>,
    version: u32,
    /// The one that was read last; 0 before the first read. A hint: every read is confirmed.
    last: Arc<AtomicU32>,
}

impl Serving {
    /// For code of this version that reads the read model of this name. What has no record yet is in its first generation.
    #[must_use]
    pub fn new(store: Arc<dyn DocumentStore>, name: impl Into<Arc<str>>, version: u32) -> Self {
        Self {
            store,
            name: name.into(),
            version,
            last: Arc::new(AtomicU32::new(0)),
        }
    }

    /// The generation that is to be read now. It may be dropped at any time: to read it, use [`read`](Self::read).
    ///
    /// # Errors
    /// [`OtherVersion`](ServingError::OtherVersion), [`Malformed`](ServingError::Malformed), [`Store`](ServingError::Store).
    pub async fn generation(&self) -> Result<Generation, ServingError> {
        match load(&*self.store, &self.name).await? {
            None => Ok(Generation::FIRST),
            Some((_, record)) => self.readable(&record),
        }
    }

    /// As [`generation`](Self::generation), but a read model that has never run in this store is an error.
    ///
    /// # Errors
    /// [`Unknown`](ServingError::Unknown), and as [`generation`](Self::generation).
    pub async fn existing(&self) -> Result<Generation, ServingError> {
        match load(&*self.store, &self.name).await? {
            None => Err(ServingError::Unknown(self.name.to_string())),
            Some((_, record)) => self.readable(&record),
        }
    }

    fn readable(&self, record: &Record) -> Result<Generation, ServingError> {
        record
            .readable_by(self.version)
            .ok_or_else(|| ServingError::OtherVersion {
                name: self.name.to_string(),
                wanted: self.version,
                serving: record.serving().map(|entry| entry.version),
            })
    }

    /// Reads from the generation that is to be read, whole and from that one alone, also while it is swapped and the old one dropped.
    ///
    /// What `read` gives counts only if its generation is still the one to be read afterwards; otherwise, also after an error, it is
    /// called again with the one that is. It must not do anything but read. All its reads together are of one generation; to see one
    /// state of it, they have to be one statement or transaction, as always.
    ///
    /// # Errors
    /// What `read` gives, and as [`generation`](Self::generation).
    pub async fn read<T, E, F>(&self, mut read: impl FnMut(Generation) -> F) -> Result<T, E>
    where
        E: From<ServingError>,
        F: Future<Output = Result<T, E>>,
    {
        let mut generation = match std::num::NonZeroU32::new(self.last.load(Ordering::Relaxed)) {
            Some(last) => Generation::from(last),
            None => self.generation().await?,
        };
        // Each further turn means that there was another swap meanwhile, so this comes to an end.
        loop {
            let answer = read(generation).await;
            // After the read: one that is still to be read now was not dropped before, since none comes back once it is.
            let now = self.generation().await?;
            self.last.store(now.get(), Ordering::Relaxed);
            if now == generation {
                return answer;
            }
            generation = now;
        }
    }

    /// The name of the read model.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The record of a read model, with its revision; `None` when it has none.
pub(crate) async fn load(
    store: &dyn DocumentStore,
    name: &str,
) -> Result<Option<(u64, Record)>, ServingError> {
    let found = store.load_documents(CATALOGUE, &[name.to_owned()]).await?;
    let Some(document) = found.first() else {
        return Ok(None);
    };
    let record = Record::decode(document.body()).map_err(|source| ServingError::Malformed {
        name: name.to_owned(),
        source,
    })?;
    Ok(Some((document.revision(), record)))
}

/// Why it can't be said which generation is to be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingError {
    /// No read model of this name has ever run in this store.
    #[error("there is no read model {0} in this store")]
    Unknown(String),
    /// No generation that can be read was built by code of this version: rebuild it, or wait until that is done.
    #[error(
        "no generation of read model {name} that serves or is kept was built by version {wanted} of its code"
    )]
    OtherVersion {
        /// The read model.
        name: String,
        /// The version of the code that reads.
        wanted: u32,
        /// The version of the code that built the generation that serves.
        serving: Option<u32>,
    },
    /// What is stored of the read model is not what this version of Uno knows.
    #[error("the record of read model {name} is malformed")]
    Malformed {
        /// The read model.
        name: String,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
