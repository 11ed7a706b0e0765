//! [`MemoryStoreBuilder`]: the clock, the limits and the holes of a store in memory.

use std::sync::Arc;

use uno_core::{Clock, Limits, SystemClock};

use crate::{MemoryStore, log::Log};

/// Sets up a [`MemoryStore`].
///
/// ```
/// use std::sync::Arc;
/// use uno_core::ManualClock;
/// use uno_store_memory::MemoryStore;
///
/// let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
/// let store = MemoryStore::builder().clock(clock).gaps(7).build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct MemoryStoreBuilder {
    clock: Arc<dyn Clock>,
    limits: Limits,
    gaps: Option<u64>,
}

impl MemoryStoreBuilder {
    pub(crate) fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            limits: Limits::default(),
            gaps: None,
        }
    }

    /// Takes the time of recording from this clock, instead of the operating system's. A clock that goes back is
    /// waited for: the time of recording never falls.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Refuses events by these limits, instead of the default ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Leaves holes between positions, as a database does after rollbacks: the same holes for the same seed.
    pub fn gaps(mut self, seed: u64) -> Self {
        self.gaps = Some(seed);
        self
    }

    /// The store, empty.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        MemoryStore::with(self.clock, self.limits, Log::new(self.gaps))
    }
}
