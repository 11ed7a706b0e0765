//! Processes that share subscriptions die, freeze and lose their server, and handle every event in order; those that break a rule are caught.

use std::time::Instant;

use uno_torture::{
    campaign::Grounds,
    server::SecondServer,
    subscriptions::{Figures, Plan, run_phase},
};

use crate::begin;

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_survive_their_processes_and_their_server_on_postgres() {
    let (mut grounds, seed) = begin("subscriptions");
    let second = SecondServer::start(&grounds.database, "subscriptions")
        .await
        .unwrap();
    grounds.server = Some(second.server().clone());
    grounds.database = second.database().clone();
    let figures = slice(&grounds, seed, true).await;
    let servers = figures.plain.disasters.get("servers that were killed");
    assert!(servers > 0, "seed {seed}: no server was killed\n{figures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_survive_their_processes_on_sqlite() {
    let (grounds, seed) = begin("subscriptions-sqlite");
    slice(&grounds, seed, false).await;
}

async fn slice(grounds: &Grounds, seed: u64, postgres: bool) -> Figures {
    let mut figures = Figures::new(seed, if postgres { "postgres" } else { "sqlite" });
    // Freezes or the server, and then every control, until it is seen: what it does takes a coincidence.
    let first = if postgres { 2 } else { 1 };
    run(grounds, &mut figures, &Plan::draw(seed, first), postgres).await;
    for number in 0..20 * Plan::ROUND {
        let plan = Plan::draw(seed, number);
        if plan
            .control
            .is_some_and(|control| !figures.have_seen(control))
        {
            run(grounds, &mut figures, &plan, postgres).await;
        }
    }
    println!("{figures}");
    assert!(figures.are_good(), "seed {seed}\n{figures}");
    assert_eq!(figures.controls.len(), 3, "seed {seed}\n{figures}");
    for (what, count) in [
        ("events", figures.plain.facts.get("events")),
        ("processes that died", figures.deaths()),
    ] {
        assert!(count > 0, "seed {seed}: no {what}\n{figures}");
    }
    figures
}

async fn run(grounds: &Grounds, figures: &mut Figures, plan: &Plan, postgres: bool) {
    let mut plan = plan.clone();
    // Time for the server to go and to come back, and for a lease to run out.
    plan.millis = 3_000;
    println!("phase {}: {plan}", plan.number);
    let (seed, start) = (figures.seed, Instant::now());
    let outcome = run_phase(grounds, &plan, postgres)
        .await
        .unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    let seconds = start.elapsed().as_secs_f64();
    println!("{seconds:.1} s");
    figures.add(plan.control, seconds, &outcome.verdict, &outcome.disasters);
}
