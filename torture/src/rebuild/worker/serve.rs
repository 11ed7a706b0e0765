//! A process that serves: it appends, feeds the read model, and reads what it waited for.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::{sync::oneshot, time::sleep};
use uno::cqrs::Documents;
use uno_core::{
    AppendError, Backend, EventStore, EventStoreExt as _, ExpectedVersion, Receipt, StreamId,
};

use super::{Notes, Process, Worker, is_transient, is_transient_read};
use crate::rebuild::books::{Books, CATEGORY, Moved};

/// How often it looks which generations there are.
const LOOK: Duration = Duration::from_millis(30);
/// How long what was appended may take to be in the read model, though everybody who feeds it is killed again and again.
const PATIENCE: Duration = Duration::from_secs(60);

impl Worker {
    /// Serves until standard input ends.
    pub(super) async fn serve<B: Backend>(
        &self,
        process: &Process<B>,
        notes: &Notes,
        end: oneshot::Receiver<std::io::Result<usize>>,
    ) -> Result<()> {
        let serving = async {
            while let Err(error) = process.model.start().await {
                if !is_transient(&error) {
                    notes.breach("failed", &format!("start: {error:?}"))?;
                }
                sleep(LOOK).await;
            }
            tokio::try_join!(self.feed(process, notes), self.use_it(process, notes))
        };
        tokio::select! {
            served = serving => {
                served?;
            }
            ended = end => {
                ended.context("standard input was not awaited")??;
            }
        }
        process.manager.stop_all().await;
        Ok(())
    }

    /// Feeds what is to be fed.
    async fn feed<B: Backend>(&self, process: &Process<B>, notes: &Notes) -> Result<()> {
        loop {
            if let Err(error) = process.model.sync().await
                && !is_transient(&error)
            {
                notes.breach("failed", &format!("sync: {error:?}"))?;
            }
            sleep(LOOK).await;
        }
    }

    async fn use_it<B: Backend>(&self, process: &Process<B>, notes: &Notes) -> Result<()> {
        let mut rng = Rng::new();
        let documents = Documents::<Books>::new(Arc::clone(&process.store) as _);
        loop {
            let receipt = append(&*process.store, &mut rng, self.accounts).await?;
            if let Some(receipt) = receipt.filter(|_| rng.u8(..3) == 0) {
                self.read(process, notes, &documents, &receipt).await?;
            }
            sleep(Duration::from_millis(rng.u64(1..12))).await;
        }
    }

    /// Waits for what was appended, and reads it.
    async fn read<B: Backend>(
        &self,
        process: &Process<B>,
        notes: &Notes,
        documents: &Documents<Books>,
        receipt: &Receipt,
    ) -> Result<()> {
        while let Err(error) = process.model.wait_for(receipt, PATIENCE).await {
            if !(self.server_dies && is_transient(&error)) {
                return notes.breach("wait failed", &format!("{error:?}"));
            }
            sleep(LOOK).await;
        }
        for appended in receipt.streams() {
            let account = appended.stream().key();
            let book = loop {
                match documents.get(account).await {
                    Ok(book) => break book.unwrap_or_default(),
                    Err(error) if self.server_dies && is_transient_read(&error) => {
                        sleep(LOOK).await;
                    }
                    Err(error) => return notes.breach("read failed", &format!("{error:?}")),
                }
            };
            let wanted = appended.last().get();
            if book.events < wanted {
                let seen = book.events;
                notes.breach(
                    "waited in vain",
                    &format!("{seen} of {wanted} in {account}"),
                )?;
            }
        }
        notes.fact("reads of what was waited for")
    }
}

/// Appends a few events, and gives the receipt if it is known that they are there.
pub(crate) async fn append<S: EventStore + ?Sized>(
    store: &S,
    rng: &mut Rng,
    accounts: u64,
) -> Result<Option<Receipt>> {
    let stream = StreamId::new(CATEGORY, rng.u64(..accounts).to_string())?;
    let moved: Vec<Moved> = (0..rng.u8(1..=4))
        .map(|_| Moved {
            cents: rng.i64(-1000..1000),
        })
        .collect();
    match store
        .append_events(stream, ExpectedVersion::Any, &moved)
        .await
    {
        Ok(receipt) => Ok(Some(receipt)),
        // Whether it is there or not: the judge reads the log.
        Err(AppendError::Unknown(_)) => Ok(None),
        Err(error) if error.is_transient() => Ok(None),
        Err(error) => Err(error).context("an append was refused"),
    }
}
