//! [`SqliteStoreBuilder`]: how a store is opened.

use std::{
    path::{self, Path},
    sync::Arc,
    time::Duration,
};

use uno_core::{Clock, Limits, StoreError};

use crate::{
    SqliteStore,
    error::Location,
    settings::{Access, Durability, Missing, Settings},
};

/// Sets up a [`SqliteStore`].
///
/// ```
/// use uno_core::EventStore;
/// use uno_store_sqlite::SqliteStore;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.db");
/// let store = SqliteStore::builder().readers(2).max_payload(64 << 10).open(path).await?;
/// store.migrate().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SqliteStoreBuilder {
    settings: Settings,
}

impl SqliteStoreBuilder {
    /// Refuses events by these limits, instead of the default ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Refuses events with a payload of more than `bytes` bytes (1 MiB unless set; at most 64 MiB).
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.settings.limits = self.settings.limits.with_max_payload(bytes);
        self
    }

    /// Reads on so many connections at once (4 unless set; at least 1).
    pub fn readers(mut self, count: usize) -> Self {
        self.settings.readers = count.max(1);
        self
    }

    /// Takes the time of recording from this clock, instead of the operating system's. A clock that goes back is
    /// waited for: the time of recording never falls.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Waits so long for another process that writes to the file (10 seconds unless set), before a call fails as
    /// [`Unavailable`](StoreError::Unavailable).
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        // SQLite counts milliseconds in 31 bits.
        self.settings.busy_timeout = timeout.min(Duration::from_secs(24 * 3600));
        self
    }

    /// Stops the caller's own work within a commit after so long (30 seconds unless set), since every other writer waits
    /// for it. The commit then fails with [`CommitError::Work`](uno_core::CommitError::Work).
    pub fn work_timeout(mut self, timeout: Duration) -> Self {
        self.settings.work_timeout = timeout;
        self
    }

    /// Refuses to open a file that does not exist, instead of creating it.
    pub fn must_exist(mut self) -> Self {
        self.settings.missing = Missing::Refuse;
        self
    }

    /// Only reads. Every write fails as [`ReadOnly`](StoreError::ReadOnly).
    pub fn read_only(mut self) -> Self {
        self.settings.access = Access::ReadOnly;
        self
    }

    /// Leaves holes between positions, as a database does after rollbacks: the same holes for the same seed. For tests.
    pub fn gaps(mut self, seed: u64) -> Self {
        self.settings.gaps = Some(seed);
        self
    }

    /// Does not wait for the disk: a crash of the machine can lose what was acknowledged, or damage the file. A crash of
    /// the process alone can't. For tests, and for data that can be made again.
    pub fn danger_synchronous_off(mut self) -> Self {
        self.settings.durability = Durability::Off;
        self
    }

    /// Opens the store in this file. Migrates nothing: see [`EventStore::migrate`](uno_core::EventStore::migrate).
    ///
    /// Must be called within a tokio runtime; the store's tasks run there.
    ///
    /// # Errors
    /// [`Unavailable`](StoreError::Unavailable) when the file or its directory can't be opened,
    /// [`ReadOnly`](StoreError::ReadOnly) when the file can't be written and [`read_only`](Self::read_only) was not asked
    /// for, [`Corrupt`](StoreError::Corrupt) when it is not an SQLite database,
    /// [`NotDurable`](StoreError::NotDurable) when the SQLite library is one that can lose data.
    pub async fn open(mut self, path: impl AsRef<Path>) -> Result<SqliteStore, StoreError> {
        let path = path.as_ref();
        if path.as_os_str() == ":memory:" || path.as_os_str().is_empty() {
            return Err(StoreError::Unsupported {
                what: "a database that is not in a file; use the store in memory",
            });
        }
        let absolute = path::absolute(path).map_err(|source| StoreError::Unavailable {
            location: path.display().to_string(),
            source: source.into(),
        })?;
        self.settings.location = Location::from(absolute.display().to_string());
        self.settings.path = absolute;
        SqliteStore::open_with(self.settings).await
    }
}
