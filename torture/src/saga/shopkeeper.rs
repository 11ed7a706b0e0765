//! [`Shopkeeper`]: a process that runs the application, places its share of the orders, and ends when its standard input does, or earlier.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::abort,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use tokio::time::sleep;
use uno::{PgStore, SqliteStore, prelude::*, testkit::faults::FaultStore};
use uno_store_postgres::{PgOptions, SchemaName};

use super::{
    doom::Doom,
    orders::{Fate, OrderId, PlaceOrder},
    provider::Provider,
    shop::Shop,
};
use crate::session::Schema;

/// What a process is told.
#[derive(Clone, Debug)]
pub struct Shopkeeper {
    /// Where the books of the provider and the list of acknowledged orders are, and the store if it is a file.
    pub folder: PathBuf,
    /// The schema of the store on Postgres, and the database's URL.
    pub postgres: Option<(String, Schema)>,
    /// Of the fates.
    pub seed: u64,
    /// How many orders there are.
    pub orders: u64,
    /// Which of them it places: those with this number, modulo `of`.
    pub share: u64,
    /// How many processes there are.
    pub of: u64,
    /// How it is to end.
    pub doom: Option<Doom>,
}

/// How many orders a process places at once.
const AT_ONCE: usize = 4;

impl Shopkeeper {
    /// Runs until standard input ends.
    ///
    /// # Errors
    /// When the application does not start.
    pub async fn run(self) -> Result<()> {
        match &self.postgres {
            Some((url, schema)) => {
                let options = PgOptions::from_url(url)?
                    .schema(SchemaName::new(schema.as_str())?)
                    .max_connections(6);
                self.keep(PgStore::new(options)).await
            }
            None => {
                self.keep(SqliteStore::open(store_file(&self.folder)).await?)
                    .await
            }
        }
    }

    async fn keep<B: Backend>(&self, store: B) -> Result<()> {
        let faults = self.doom.map(Doom::faults).unwrap_or_default();
        let store = Arc::new(FaultStore::new(Arc::new(store), faults));
        let crashed = Arc::clone(&store);
        tokio::spawn(async move {
            crashed.crashed().await;
            abort();
        });
        let dies_after = self.doom.and_then(Doom::dies_after_call);
        let provider = Provider::open(&provider_file(&self.folder), dies_after).await?;
        let app = Shop::new(self.seed, provider)
            .open(store, self.share)?
            .start()
            .await?;
        // Also when whoever started it is gone: nothing is to be left behind.
        let mut end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        tokio::select! {
            placed = self.place(&app) => {
                placed?;
                (&mut end).await.context("standard input was not awaited")??;
            }
            _ended = &mut end => {}
        }
        app.stop().await;
        Ok(())
    }

    /// Places what is not known to be placed. An order is put down as placed when its command is acknowledged.
    async fn place<B: Backend>(&self, app: &App<B>) -> Result<()> {
        let path = acknowledged_file(&self.folder);
        let known = acknowledged(&path)?;
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        let mine = (0..self.orders)
            .filter(|order| order % self.of == self.share && !known.contains(order));
        futures_util::stream::iter(mine)
            .for_each_concurrent(AT_ONCE, async |order| {
                self.place_one(app, OrderId(order), &file).await;
            })
            .await;
        Ok(())
    }

    async fn place_one<B: Backend>(&self, app: &App<B>, order: OrderId, mut file: &File) {
        let patience_ms = Fate::of(self.seed, order).patience().as_millis();
        let command = PlaceOrder {
            order,
            patience_ms: u64::try_from(patience_ms).unwrap_or(u64::MAX),
        };
        while app.execute(command.clone()).await.is_err() {
            // Whatever it was: the judge sees whether the order comes to be in the end.
            sleep(Duration::from_millis(20)).await;
        }
        // One write, so that a line is there whole or not at all.
        let _unknown_to_the_judge = file.write_all(format!("{order}\n").as_bytes());
    }
}

/// The orders that were acknowledged as placed.
pub(crate) fn acknowledged(path: &Path) -> Result<BTreeSet<u64>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_string(&mut text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).context("failed to read the acknowledged orders"),
    };
    let lines = text.lines().map(|line| line.parse::<u64>());
    lines
        .collect::<Result<_, _>>()
        .context("the list of acknowledged orders has something else in it")
}

pub(crate) fn store_file(folder: &Path) -> PathBuf {
    folder.join("store.db")
}

pub(crate) fn provider_file(folder: &Path) -> PathBuf {
    folder.join("provider.db")
}

pub(crate) fn acknowledged_file(folder: &Path) -> PathBuf {
    folder.join("acknowledged.txt")
}
