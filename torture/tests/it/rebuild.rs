//! Read models are rebuilt while processes and servers die: each generation is a fold of the log, and no read fails; what breaks a rule is
//! caught.

use std::time::Instant;

use uno_torture::{
    campaign::Grounds,
    rebuild::{Control, Figures, Plan, run_phase},
    server::SecondServer,
};

use crate::begin;

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_survive_their_processes_and_their_server_on_postgres() {
    let (mut grounds, seed) = begin("rebuild");
    let second = SecondServer::start(&grounds.database, "rebuild")
        .await
        .unwrap();
    grounds.server = Some(second.server().clone());
    grounds.database = second.database().clone();
    slice(&grounds, seed, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_survive_their_processes_on_sqlite() {
    let (grounds, seed) = begin("rebuild-sqlite");
    slice(&grounds, seed, false).await;
}

async fn slice(grounds: &Grounds, seed: u64, postgres: bool) {
    let mut figures = Figures::new(seed, if postgres { "postgres" } else { "sqlite" });
    // One lane and several, and then each control until it is seen: what it does takes a coincidence.
    for number in [0, 1] {
        run(grounds, &mut figures, number, postgres).await;
    }
    for number in 0..5 * Plan::ROUND {
        let control = Plan::draw(seed, number, 1).control;
        if control.is_some_and(|control| !figures.have_seen(control)) {
            run(grounds, &mut figures, number, postgres).await;
        }
    }
    println!("{figures}");
    assert!(figures.are_good(), "seed {seed}\n{figures}");
    assert_eq!(figures.controls.len(), Control::ALL.len(), "seed {seed}");
    for (what, count) in [
        ("rebuilds", figures.rebuilds()),
        ("deaths", figures.deaths()),
        ("reads", figures.plain.facts.get("reads")),
    ] {
        assert!(count > 0, "seed {seed}: no {what}\n{figures}");
    }
}

async fn run(grounds: &Grounds, figures: &mut Figures, number: u64, postgres: bool) {
    let seed = figures.seed;
    let mut plan = Plan::draw(seed, number, 1_000);
    plan.rebuilds = 2;
    println!("phase {number}: {plan}");
    let start = Instant::now();
    let outcome = run_phase(grounds, &plan, postgres)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    let seconds = start.elapsed().as_secs_f64();
    println!("{seconds:.1} s");
    figures.add(plan.control, seconds, &outcome.verdict, &outcome.disasters);
}
