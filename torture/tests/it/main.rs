//! Slices of the campaigns, against the database that `DATABASE_URL` names; what kills servers makes one of its own beside it.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test panics when it fails, and says with which seed"
)]

mod forgotten;
mod rebuild;
mod restart;
mod subscriptions;
mod tampering;

use std::{env, fs, path::PathBuf, time::Instant};

use anyhow::Result;
use uno_torture::{
    arena::{Arena, PostgresArena, SqliteArena},
    campaign::{Grounds, Plan, run_phase},
    cancel::{self, Driver},
    controls, duel,
    figures::Figures,
    saga,
    server::SecondServer,
    session::Database,
};

/// At least 200,000 events through 1, 8, 32 and 64 writers, readers, killed sessions and killed servers: every law is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_slice_of_the_log_keeps_every_law() {
    let (mut grounds, seed) = begin("log");
    let second = SecondServer::start(&grounds.database, "log").await.unwrap();
    grounds.server = Some(second.server().clone());
    grounds.database = second.database().clone();
    let mut figures = Figures {
        seed,
        ..Figures::default()
    };
    // What happens by chance may take more phases than the events do.
    while figures.events() < 200_000 || (!missing(&figures).is_empty() && figures.phases < 12) {
        let mut plan = Plan::draw(seed, figures.phases, true);
        // All numbers of writers come up. With the server killed every other second (64) or one writer (1) events take long.
        plan.events = match plan.writers {
            1 => 5_000,
            8 => 75_000,
            32 => 95_000,
            _ => 30_000,
        };
        // Each kind of reader looks on in every other phase.
        plan.all_readers = false;
        println!("phase {}: {plan}", plan.number);
        let (writers, start) = (plan.writers, Instant::now());
        let verdict = run_phase(&grounds, plan)
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        let seconds = start.elapsed().as_secs_f64();
        println!("{} events in {seconds:.1} s", verdict.facts.get("stored"));
        figures.add(writers, seconds, &verdict);
    }
    println!("{figures}");
    assert!(figures.are_good(), "seed {seed}\n{figures}");
    let missing = missing(&figures);
    assert!(
        missing.is_empty(),
        "seed {seed}: no {missing:?}, so nothing was shown\n{figures}"
    );
}

/// What has to happen in a run that shows something, and has not happened yet.
fn missing(figures: &Figures) -> Vec<&'static str> {
    [
        "by  1 writers",
        "by  8 writers",
        "by 32 writers",
        "by 64 writers",
        "sessions killed",
        "servers killed",
        "rollbacks",
        "savepoints",
        "units of work",
        "held two seconds before the append",
        "held two seconds after the append",
        "readers woken by a hint",
        "readers woken by the clock",
        "unknown",
    ]
    .into_iter()
    .filter(|what| figures.facts.get(what) == 0)
    .collect()
}

/// Each reader with a known fault is caught by the same judge, and the ones without are not.
#[tokio::test(flavor = "multi_thread")]
async fn every_control_fails() {
    let (mut grounds, seed) = begin("controls");
    let second = SecondServer::start(&grounds.database, "controls")
        .await
        .unwrap();
    grounds.server = Some(second.server().clone());
    grounds.database = second.database().clone();
    let controls = controls::run(&grounds, seed, 10_000)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    for control in &controls {
        println!("{control}");
        assert!(control.is_as_it_must(), "seed {seed}: {control}");
    }
    assert_eq!(controls.len(), 8, "seed {seed}");
}

/// Dropped futures harm nothing; the driver's own, dropped in the same way, lose rows.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_futures_harm_nothing_on_postgres() {
    let (grounds, seed) = begin("cancel");
    let driver = cancel::postgres_control(&grounds, seed, 200).await;
    dropped_futures::<PostgresArena>(&grounds, seed, driver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_futures_harm_nothing_on_sqlite() {
    let (grounds, seed) = begin("cancel-sqlite");
    let driver = cancel::sqlite_control(&grounds, seed, 200).await;
    dropped_futures::<SqliteArena>(&grounds, seed, driver).await;
}

async fn dropped_futures<A: Arena>(grounds: &Grounds, seed: u64, driver: Result<Driver>) {
    let driver = driver.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    println!("control: {driver}");
    assert!(driver.fails(), "seed {seed}: {driver}");
    let report = cancel::run::<A>(grounds, seed, 1000)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    println!("{report}");
    assert!(report.is_good(), "seed {seed}\n{report}");
    assert!(report.dropped.sum() >= 1000, "seed {seed}\n{report}");
}

/// Of many who append to the same place one wins; who append to several streams do not wait in a circle.
#[tokio::test(flavor = "multi_thread")]
async fn a_duel_has_one_winner_on_postgres() {
    duel::<PostgresArena>("duel").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duel_has_one_winner_on_sqlite() {
    duel::<SqliteArena>("duel-sqlite").await;
}

async fn duel<A: Arena>(name: &str) {
    let (grounds, seed) = begin(name);
    let report = duel::run::<A>(&grounds, seed, 64, 60)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    println!("{report}");
    assert!(report.is_good(), "seed {seed}\n{report}");
}

/// Processes die, and every saga ends as it must, with every payment made once; a provider that forgets keys is paid twice.
#[tokio::test(flavor = "multi_thread")]
async fn sagas_survive_their_processes_on_postgres() {
    sagas("saga", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sagas_survive_their_processes_on_sqlite() {
    sagas("saga-sqlite", false).await;
}

async fn sagas(name: &str, postgres: bool) {
    let (grounds, seed) = begin(name);
    let mut figures = saga::Figures::new(seed, name);
    // Two processes on the same sagas, and then the control.
    for number in [1, 3] {
        let mut plan = saga::Plan::draw(seed, number);
        (plan.orders, plan.crashes) = if plan.forgets { (60, 5) } else { (150, 10) };
        println!("phase {number}: {plan}");
        let start = Instant::now();
        let outcome = saga::run_phase(&grounds, &plan, postgres)
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        let seconds = start.elapsed().as_secs_f64();
        println!("{seconds:.1} s");
        figures.add(plan.forgets, seconds, &outcome.verdict, &outcome.crashes);
    }
    println!("{figures}");
    assert!(figures.are_good(), "seed {seed}\n{figures}");
    for what in ["completed", "compensated", "timeouts that fired"] {
        let count = figures.honoured.facts.get(what);
        assert!(count > 0, "seed {seed}: no {what}\n{figures}");
    }
    assert!(figures.crashes() > 0, "seed {seed}: nobody died\n{figures}");
}

/// A folder of its own, and a seed: that of `UNO_TORTURE_SEED`, to see a failure again, else one that was not tried yet.
fn begin(name: &str) -> (Grounds, u64) {
    let seed = match env::var("UNO_TORTURE_SEED") {
        Ok(seed) => seed.parse().expect("UNO_TORTURE_SEED is a number"),
        Err(_) => fastrand::u64(..1_000_000_000),
    };
    println!("seed {seed}");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("torture-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let database = Database::from_env().unwrap();
    (
        Grounds {
            database,
            server: None,
            folder,
            program: env!("CARGO_BIN_EXE_uno-torture").into(),
        },
        seed,
    )
}
