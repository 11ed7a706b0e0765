//! [`GivesWay`]: a consumer that leaves pauses when another generation is to get ahead of its own.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use uno_core::{EventFilter, RecordedEvent};
use uno_events::{Batch, ConsumeError, Consumer};

use crate::Generation;

/// How long it pauses after each batch. Long enough for a page and a swap to come in between, and short for readers.
const PAUSE: Duration = Duration::from_millis(20);

/// Whom to give way to, as this process knows: a number, or 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Way(Arc<AtomicU32>);

impl Way {
    pub(super) fn set(&self, hurries: Option<Generation>) {
        self.0
            .store(hurries.map_or(0, Generation::get), Ordering::Relaxed);
    }

    fn is_given_by(&self, generation: Generation) -> bool {
        let hurries = self.0.load(Ordering::Relaxed);
        hurries != 0 && hurries != generation.get()
    }
}

/// Feeds a generation, and pauses after each batch while another one is in a hurry. Nothing but fairness depends on it.
pub(super) struct GivesWay {
    inner: Arc<dyn Consumer>,
    generation: Generation,
    way: Way,
}

impl GivesWay {
    pub(super) fn new(inner: Arc<dyn Consumer>, generation: Generation, way: Way) -> Self {
        Self {
            inner,
            generation,
            way,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Consumer for GivesWay {
    fn filter(&self) -> EventFilter {
        self.inner.filter()
    }

    fn key<'e>(&self, event: &'e Arc<RecordedEvent>) -> Result<Cow<'e, str>, ConsumeError> {
        self.inner.key(event)
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        self.inner.consume(batch).await?;
        if self.way.is_given_by(self.generation) {
            // The batch is committed: dropped here, nothing is lost.
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

impl fmt::Debug for GivesWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
