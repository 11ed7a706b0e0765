//! What the program is told on its command line. The database is in `DATABASE_URL`.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use uno_torture::{rebuild, saga::Doom, subscriptions};

/// Tries to break the stores, and looks from outside whether it did.
#[derive(Debug, Parser)]
#[command(name = "uno-torture")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) campaign: Campaign,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Campaign {
    /// Writers, readers and disasters against the log; a run with a seed that was used before goes on from there.
    Log(Log),
    /// Drops every future of a store before its end.
    Cancel(Cancel),
    /// Many append to the same place at once.
    Duel(Duel),
    /// Kills the processes of an application with sagas; a run with a seed that was used before goes on from there.
    Saga(Saga),
    /// Kills, freezes and shares out the processes of durable subscriptions; a run with a seed that was used before goes on from there.
    Subscriptions(Subscriptions),
    /// Runs the subscriptions of that campaign, until standard input ends. Used by it.
    #[command(hide = true)]
    Subscriber(Subscriber),
    /// Rebuilds a read model under load, with processes that die; a run with a seed that was used before goes on from there.
    Rebuild(Rebuild),
    /// Serves, builds, or drops in that campaign. Used by it.
    #[command(hide = true)]
    Modeller(Modeller),
    /// Runs the application of the campaign against sagas, until standard input ends. Used by that campaign.
    #[command(hide = true)]
    Shopkeeper(Shopkeeper),
    /// Judges one phase of the campaign against the log. Used by that campaign.
    #[command(hide = true)]
    Judge(Judge),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// How many events are to be acknowledged and judged, over all runs with this seed.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) events: u64,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Forgets the figures of earlier runs with this seed.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Runs one phase only, to look at it again.
    #[arg(long)]
    pub(crate) phase: Option<u64>,
    /// Runs the controls only.
    #[arg(long)]
    pub(crate) controls_only: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Cancel {
    /// How many futures are to be dropped, of each store.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) drops: u64,
    /// Of which store; of all unless given.
    #[arg(long)]
    pub(crate) store: Option<Store>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Duel {
    /// How many append at once.
    #[arg(long, default_value_t = 64)]
    pub(crate) contenders: usize,
    /// How often.
    #[arg(long, default_value_t = 2000)]
    pub(crate) rounds: u64,
    /// Over which store; over each unless given.
    #[arg(long)]
    pub(crate) store: Option<Store>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Saga {
    /// How many sagas are to end and be judged, on each store, over all runs with this seed.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) sagas: u64,
    /// How many processes are to die under them at least.
    #[arg(long, default_value_t = 500)]
    pub(crate) crashes: u64,
    /// On which store; on each unless given.
    #[arg(long)]
    pub(crate) store: Option<Store>,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Forgets the figures of earlier runs with this seed.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Runs one phase only, to look at it again.
    #[arg(long)]
    pub(crate) phase: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Subscriptions {
    /// For how long phases are run, over all runs with this seed and on all stores together.
    #[arg(long, default_value_t = 20)]
    pub(crate) minutes: u64,
    /// On which store; on each unless given.
    #[arg(long)]
    pub(crate) store: Option<Store>,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Forgets the figures of earlier runs with this seed.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Runs one phase only, to look at it again.
    #[arg(long)]
    pub(crate) phase: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rebuild {
    /// How many rebuilds are to be judged, on each store, over all runs with this seed.
    #[arg(long, default_value_t = 100)]
    pub(crate) rebuilds: u64,
    /// How many events there are before the first rebuild of a phase; more come all the time.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) events: u64,
    /// On which store; on each unless given.
    #[arg(long)]
    pub(crate) store: Option<Store>,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Forgets the figures of earlier runs with this seed.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// For how many seconds processes that serve are killed while one thing is to be done, before they are left alone until it is.
    #[arg(long, default_value_t = rebuild::Plan::HARDSHIP.as_secs())]
    pub(crate) hardship: u64,
    /// Runs one phase only, to look at it again.
    #[arg(long)]
    pub(crate) phase: Option<u64>,
}

/// A store that campaigns are fought over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    Postgres,
    Sqlite,
}

impl Store {
    /// That one, or all of them.
    pub(crate) fn chosen(one: Option<Self>) -> Vec<Self> {
        one.map_or_else(|| vec![Self::Postgres, Self::Sqlite], |one| vec![one])
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Of everything that is drawn; one of its own unless given.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where figures and files go.
    #[arg(long, default_value = "target/torture")]
    pub(crate) folder: PathBuf,
    /// The server is a throw-away one on this machine, which may be killed and changed.
    #[arg(long)]
    pub(crate) own_server: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Judge {
    /// Where the ledger and the readers' files are.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The schema of the log, in the database that `DATABASE_URL` names.
    #[arg(long, required_unless_present = "file")]
    pub(crate) schema: Option<String>,
    /// The SQLite file of the log, instead.
    #[arg(long, conflicts_with = "schema")]
    pub(crate) file: Option<PathBuf>,
    /// Nobody wrote to the table past the store, so times of recording must rise.
    #[arg(long)]
    pub(crate) times_rise: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Shopkeeper {
    /// Where the provider's books are, and the store if it is a file.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The schema of the store, in the database that `DATABASE_URL` names.
    #[arg(long)]
    pub(crate) schema: Option<String>,
    /// Of the fates.
    #[arg(long)]
    pub(crate) seed: u64,
    /// How many orders there are.
    #[arg(long)]
    pub(crate) orders: u64,
    /// Which of the processes it is.
    #[arg(long)]
    pub(crate) share: u64,
    /// How many processes there are.
    #[arg(long)]
    pub(crate) of: u64,
    /// How it is to end.
    #[arg(long)]
    pub(crate) doom: Option<Doom>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Subscriber {
    /// Where the diary and the attempts are, and the store if it is a file.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The schema of the store, in the database that `DATABASE_URL` names.
    #[arg(long)]
    pub(crate) schema: Option<String>,
    /// What the matter is with events.
    #[arg(long)]
    pub(crate) poison: Option<subscriptions::Recipe>,
    /// How often an event is tried.
    #[arg(long)]
    pub(crate) attempts: u32,
    /// How many lanes there are.
    #[arg(long)]
    pub(crate) lanes: std::num::NonZeroU16,
    /// The one subscription that it runs; both unless it is said.
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// What it is called, if its lanes are to be had at once by who comes after it.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Which rule is broken.
    #[arg(long)]
    pub(crate) control: Option<subscriptions::Control>,
    /// How it is to end.
    #[arg(long)]
    pub(crate) doom: Option<subscriptions::Doom>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Modeller {
    /// Where notes are, and the store if it is a file.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The schema of the store, in the database that `DATABASE_URL` names.
    #[arg(long)]
    pub(crate) schema: Option<String>,
    /// What it is for.
    #[arg(long)]
    pub(crate) role: rebuild::Role,
    /// How many lanes feed a generation.
    #[arg(long)]
    pub(crate) lanes: std::num::NonZeroU16,
    /// How many events a rebuild projects at once.
    #[arg(long)]
    pub(crate) batch: usize,
    /// How many accounts there are.
    #[arg(long)]
    pub(crate) accounts: u64,
    /// What it is called, if its lanes are to be had at once by who comes after it.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The database's server may be away.
    #[arg(long)]
    pub(crate) server_dies: bool,
    /// Which rule is broken.
    #[arg(long)]
    pub(crate) control: Option<rebuild::Control>,
    /// How it is to end.
    #[arg(long)]
    pub(crate) doom: Option<rebuild::Doom>,
}
