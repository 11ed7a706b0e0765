//! A reader that begins at the end of the log, follows it for a while, and begins anew: what it was told is the end must
//! be one below which nothing appears any more.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use fastrand::Rng;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use uno_core::{EventStore as _, Position, ReadLog, RecordedEvent, StoreError};
use uno_store_postgres::PgStore;

use super::Stage;
use crate::sequence::SequenceFile;

/// Follows the log from its end, again and again.
pub(crate) struct Glimpses {
    pub(crate) store: PgStore,
    pub(crate) file: SequenceFile,
    pub(crate) rng: Rng,
    pub(crate) stage: watch::Receiver<Stage>,
}

impl Glimpses {
    pub(crate) async fn run(mut self) -> Result<()> {
        for number in 1.. {
            match self.glimpse().await {
                Ok(()) => {}
                Err(Fault::Store(error)) if error.is_transient() => {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(Fault::Store(error)) => self.file.unexplained(&error.to_string())?,
                Err(Fault::File(error)) => return Err(error),
            }
            if *self.stage.borrow() != Stage::Writing {
                break;
            }
            self.file.begin_anew(&format!("glimpse-{number}"))?;
        }
        // Each glimpse is judged by what it says of itself, one that was cut short too.
        self.file.end(true)
    }

    async fn glimpse(&mut self) -> Result<(), Fault> {
        // Nothing, until it is known where it begins.
        self.file.range(0, 0)?;
        let start = if self.rng.bool() {
            self.store.head().await?.position()
        } else {
            self.backward().await?
        };
        let (mut after, mut pages) = (start, self.rng.u8(1..20));
        // What is written down so far is valid if the store fails now.
        self.file.range(start.as_i64(), start.as_i64())?;
        while pages > 0 && *self.stage.borrow() == Stage::Writing {
            let mark = self.store.change();
            let page = self.store.read_log(ReadLog::after(after).limit(50)).await?;
            for event in page.events() {
                self.given(event)?;
                after = event.position();
            }
            self.file.range(start.as_i64(), after.as_i64())?;
            pages -= 1;
            if page.events().is_empty() {
                // Whether it came to be woken does not matter.
                let _ = timeout(Duration::from_millis(50), self.store.changed(mark)).await;
            }
        }
        Ok(())
    }

    /// The last events, read from the end; what comes after them is read forward.
    async fn backward(&mut self) -> Result<Position, Fault> {
        let page = self
            .store
            .read_log(ReadLog::before(Position::MAX).limit(self.rng.usize(1..200)))
            .await?;
        let (Some(last), Some(first)) = (page.events().first(), page.events().last()) else {
            return Ok(Position::START);
        };
        self.file
            .range(first.position().as_i64() - 1, last.position().as_i64())?;
        for event in page.events().iter().rev() {
            self.given(event)?;
        }
        self.file.begin_anew("glimpse-onward")?;
        Ok(last.position())
    }

    fn given(&mut self, event: &Arc<RecordedEvent>) -> Result<(), Fault> {
        self.file
            .given(event.position().as_i64(), event.id().as_uuid().as_u128())?;
        Ok(())
    }
}

/// What ends a glimpse before its time.
enum Fault {
    Store(StoreError),
    File(anyhow::Error),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Self::File(error)
    }
}
