//! Slices of the campaigns, against the database that `DATABASE_URL` names. Nobody's sessions are killed but our own.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test panics when it fails, and says with which seed"
)]

use std::{env, fs, path::PathBuf};

use uno_torture::{
    campaign::{Grounds, Plan, run_phase},
    cancel, controls, duel,
    figures::Figures,
    session::Database,
};

/// At least 200,000 events through writers, readers and killed sessions: every law is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_slice_of_the_log_keeps_every_law() {
    let (grounds, seed) = begin("log");
    let mut figures = Figures {
        seed,
        ..Figures::default()
    };
    // The readers of a phase look on for as long as it takes, so few and long phases are less work than many.
    while figures.events() < 200_000 {
        let plan = Plan::draw(seed, figures.phases, false);
        println!("phase {}: {plan}", plan.number);
        let writers = plan.writers;
        let verdict = run_phase(&grounds, plan)
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        figures.add(writers, 0.0, &verdict);
    }
    println!("{figures}");
    assert!(figures.are_good(), "seed {seed}\n{figures}");
    assert!(
        figures.facts.get("sessions killed") > 0,
        "seed {seed}: nothing was killed, so nothing was shown\n{figures}"
    );
}

/// Each reader with a known fault is caught by the same judge, and the ones without are not.
#[tokio::test(flavor = "multi_thread")]
async fn every_control_fails() {
    let (grounds, seed) = begin("controls");
    let controls = controls::run(&grounds, seed, 10_000)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    for control in &controls {
        println!("{control}");
        assert!(control.is_as_it_must(), "seed {seed}: {control}");
    }
    assert_eq!(controls.len(), 7, "seed {seed}");
}

/// Dropped futures harm nothing; the driver's own, dropped in the same way, lose rows.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_futures_harm_nothing() {
    let (grounds, seed) = begin("cancel");
    let driver = cancel::control(&grounds, seed, 200)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    println!("control: {driver:?}");
    assert!(
        driver.lost > 0,
        "seed {seed}: the control did not fail: {driver:?}"
    );
    let report = cancel::run(&grounds, seed, 1000)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    println!("{report}");
    assert!(report.is_good(), "seed {seed}\n{report}");
}

/// Of many who append to the same place one wins; who append to several streams do not wait in a circle.
#[tokio::test(flavor = "multi_thread")]
async fn a_duel_has_one_winner() {
    let (grounds, seed) = begin("duel");
    let report = duel::run(&grounds, seed, 64, 60)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    println!("{report}");
    assert!(report.is_good(), "seed {seed}\n{report}");
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
