//! `uno-bench`: what the framework costs, as ratios to the same work done by hand.
//!
//! `cargo run --release -p uno-bench -- bus`. A ratio says the same on a slow machine as on a fast one, and both sides of it
//! are measured in turn, so that a neighbour who wakes up disturbs both.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program talks to its user"
)]

mod bus;
mod hot;
mod projection;
mod rounds;
mod subscription;
mod upcast;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::rounds::Table;

/// What the framework costs, as ratios to the same work done by hand.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// The event bus: publishing to handlers and to queues, and finding the handlers.
    Bus(bus::Args),
    /// Durable subscriptions: catching up on Postgres.
    Subscription(subscription::Args),
    /// Projections on Postgres: catching up beside a peer's, lag under load, and finding documents.
    Projection(projection::Args),
    /// Commands on one hot aggregate, on PostgreSQL.
    Hot(hot::Args),
    /// Old events and snapshots: reading through a chain of upcasters, and loading from a snapshot.
    Upcast(upcast::Args),
}

fn main() -> ExitCode {
    match run(&Args::parse().bench) {
        // It was measured, and said, elsewhere.
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(table)) => {
            println!("{table}");
            if table.is_kept() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(bench: &Bench) -> Result<Option<Table>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match bench {
            Bench::Bus(args) => bus::run(*args).await.map(Some),
            Bench::Subscription(args) => subscription::run(args).await,
            Bench::Projection(args) => projection::run(args).await,
            Bench::Hot(args) => hot::run(args.clone()).await.map(Some),
            Bench::Upcast(args) => upcast::run(*args).await.map(Some),
        }
    })
}
