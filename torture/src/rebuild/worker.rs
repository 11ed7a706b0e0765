//! [`Worker`]: a process of the campaign, which serves, or has one thing to do with the read model.

mod notes;
mod serve;
mod swap;

use std::{
    fmt,
    io::Read as _,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    process::abort,
    str::FromStr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Error, Result, bail};
use tokio::sync::oneshot;
use uno::{
    PgStore, SqliteStore,
    cqrs::{Generation, ReadDocumentError, ReadModel, RebuildError, ServingError},
    events::{RetryPolicy, SubscriptionManager, WaitError},
    testkit::faults::FaultStore,
};
use uno_core::{Backend, Decoder, Position};
use uno_store_postgres::{PgOptions, SchemaName};

pub(crate) use self::{notes::Notes, serve::append};
use super::{Control, Doom, books::Books};
use crate::session::Schema;

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Appends, feeds, and reads what it waited for, until standard input ends.
    Serve,
    /// Builds a generation and lets it serve, unless this one or a later one serves.
    Build(u32),
    /// Goes back to the generation that is kept.
    Back,
    /// Drops a generation.
    Drop(u32),
    /// Waits until every generation has come to the end of the log.
    Settle,
}

/// What a process is told.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Where notes are, and the store if it is a file.
    pub folder: PathBuf,
    /// The schema of the store on Postgres, and the database's URL.
    pub postgres: Option<(String, Schema)>,
    /// What it is for.
    pub role: Role,
    /// How many lanes feed a generation.
    pub lanes: NonZeroU16,
    /// How many events a rebuild projects at once.
    pub batch: usize,
    /// How many accounts there are.
    pub accounts: u64,
    /// What it is called, if its lanes are to be had at once by who comes after it.
    pub name: Option<String>,
    /// Whether the database's server may be away.
    pub server_dies: bool,
    /// Which rule is broken.
    pub control: Option<Control>,
    /// How it is to end.
    pub doom: Option<Doom>,
}

/// For how long lanes are on lease.
const LEASE: Duration = Duration::from_secs(1);

impl Worker {
    /// Does what it is for; `false`: it is to be tried again.
    ///
    /// # Errors
    /// When the store can't be opened.
    pub async fn run(self) -> Result<bool> {
        match &self.postgres {
            Some((url, schema)) => {
                let options = PgOptions::from_url(url)?
                    .schema(SchemaName::new(schema.as_str())?)
                    .max_connections(4);
                self.work(PgStore::new(options)).await
            }
            None => {
                let store = SqliteStore::open(store_file(&self.folder)).await?;
                self.work(store).await
            }
        }
    }

    async fn work<B: Backend>(&self, store: B) -> Result<bool> {
        let faults = self.doom.map(Doom::faults).unwrap_or_default();
        let store = Arc::new(FaultStore::new(Arc::new(store), faults));
        let crashed = Arc::clone(&store);
        tokio::spawn(async move {
            crashed.crashed().await;
            abort();
        });
        // Nobody is left behind when whoever started it is gone. A thread of its own: a runtime that ends would wait for one of its.
        let (ended, end) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = ended.send(std::io::stdin().read_to_end(&mut Vec::new()));
        });
        let notes = Notes::open(&self.folder)?;
        let process = Process::new(self, store)?;
        let done = match self.role {
            Role::Serve => {
                self.serve(&process, &notes, end).await?;
                return Ok(true);
            }
            role => tokio::select! {
                done = self.once(role, &process) => done,
                _gone = end => return Ok(false),
            },
        };
        process.manager.stop_all().await;
        match done {
            Ok(()) => Ok(true),
            Err(RebuildError::Elsewhere(_)) => {
                notes.fact("builders that were told of another")?;
                Ok(true)
            }
            Err(RebuildError::NotCaughtUp { .. }) => {
                notes.fact("swaps that were given up")?;
                Ok(false)
            }
            Err(error) if is_transient(&error) => Ok(false),
            Err(error) => {
                notes.breach("failed", &format!("{role:?}: {error:?}", role = self.role))?;
                Ok(false)
            }
        }
    }

    async fn once<B: Backend>(&self, role: Role, process: &Process<B>) -> Result<(), RebuildError> {
        let Process { model, manager, .. } = process;
        match role {
            Role::Serve => {}
            Role::Build(target) => {
                if model.serving().generation().await?.get() >= target {
                    return Ok(());
                }
                let generation = model.begin().await?;
                if self.control == Some(Control::Skips) {
                    let status = model.status().await?;
                    let found = status.generations.get(&generation);
                    let is_resumed = found.is_some_and(|found| found.position > Position::START);
                    process.books.forgets.store(is_resumed, Ordering::Relaxed);
                }
                if self.control == Some(Control::Unguarded) {
                    swap::unguarded(process, generation).await?;
                } else {
                    model.rebuild().await?;
                }
            }
            Role::Back => match model.roll_back().await {
                // Its work may have been done by one that died over it, and undone by nobody.
                Ok(_) | Err(RebuildError::NothingKept) => {}
                Err(error) => return Err(error),
            },
            Role::Drop(generation) => match model.drop_generation(number(generation)).await {
                Ok(()) | Err(RebuildError::NotKept(_)) => {}
                Err(error) => return Err(error),
            },
            Role::Settle => {
                model.start().await?;
                manager.until_idle().await?;
                model.sync().await?;
            }
        }
        Ok(())
    }
}

fn number(generation: u32) -> Generation {
    NonZeroU32::new(generation).map_or(Generation::FIRST, Generation::from)
}

/// A process's own read model.
struct Process<B: Backend> {
    store: Arc<FaultStore<B>>,
    books: Books,
    model: ReadModel<FaultStore<B>>,
    manager: Arc<SubscriptionManager>,
}

impl<B: Backend> Process<B> {
    fn new(worker: &Worker, store: Arc<FaultStore<B>>) -> Result<Self> {
        let (log, subscriptions) = (Arc::clone(&store), Arc::clone(&store));
        let mut manager = SubscriptionManager::builder(log, subscriptions)
            .lease(LEASE)
            .poll_interval(Duration::from_millis(50))
            .save_after(Duration::from_millis(200));
        if let Some(name) = &worker.name {
            manager = manager.instance(name.as_str());
        }
        let manager = Arc::new(manager.build());
        let books = Books::default();
        let lanes = worker.lanes;
        // Who dies for a reason of ours is not to be taken for one who dies of an event.
        let retry = RetryPolicy::new()
            .retries(100_000)
            .base(Duration::from_millis(4))
            .longest(Duration::from_millis(100));
        let (log, feeder) = (Arc::clone(&store), Arc::clone(&manager));
        let model = ReadModel::documents(
            books.clone(),
            log,
            Arc::clone(&store),
            feeder,
            Decoder::new(),
        )?;
        let model = model
            .rebuild_batch(worker.batch)
            .subscription(move |feed| feed.lanes(lanes).batch_size(100).retry(retry));
        Ok(Self {
            store,
            books,
            model,
            manager,
        })
    }
}

/// Whether it is the store that is away, and not we who are wrong.
fn is_transient(error: &RebuildError) -> bool {
    match error {
        RebuildError::Wait(WaitError::Store(error)) => error.is_transient(),
        RebuildError::Subscription(error) => {
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                if let Some(error) = error.downcast_ref::<uno_core::StoreError>() {
                    return error.is_transient();
                }
                cause = error.source();
            }
            false
        }
        other => other.is_transient(),
    }
}

pub(crate) fn is_transient_read(error: &ReadDocumentError) -> bool {
    match error {
        ReadDocumentError::Store(error)
        | ReadDocumentError::Serving(ServingError::Store(error)) => error.is_transient(),
        _ => false,
    }
}

pub(crate) fn store_file(folder: &std::path::Path) -> PathBuf {
    folder.join("store.db")
}

/// As on the command line.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serve => f.write_str("serve"),
            Self::Build(target) => write!(f, "build:{target}"),
            Self::Back => f.write_str("back"),
            Self::Drop(generation) => write!(f, "drop:{generation}"),
            Self::Settle => f.write_str("settle"),
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text.split_once(':') {
            None if text == "serve" => Self::Serve,
            None if text == "back" => Self::Back,
            None if text == "settle" => Self::Settle,
            Some(("build", target)) => Self::Build(target.parse()?),
            Some(("drop", generation)) => Self::Drop(generation.parse()?),
            _ => bail!("there is no role {text}"),
        })
    }
}
