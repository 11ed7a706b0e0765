//! `uno-torture`: the campaigns as a program. `cargo xtask torture` runs it with a server of its own.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program talks to its user"
)]

mod args;
mod judging;
mod logging;
mod rebuilding;
mod selling;
mod single;
mod subscribing;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::args::{Args, Campaign};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all laws were kept and all controls failed.
fn run(args: Args) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match args.campaign {
            Campaign::Log(log) => logging::run(log).await,
            Campaign::Cancel(cancel) => single::cancel(cancel).await,
            Campaign::Duel(duel) => single::duel(duel).await,
            Campaign::Saga(saga) => selling::run(saga).await,
            Campaign::Shopkeeper(shopkeeper) => selling::keep_shop(shopkeeper).await,
            Campaign::Subscriptions(subscriptions) => subscribing::run(subscriptions).await,
            Campaign::Subscriber(subscriber) => subscribing::subscribe(subscriber).await,
            Campaign::Rebuild(rebuild) => rebuilding::run(rebuild).await,
            Campaign::Modeller(modeller) => rebuilding::model(modeller).await,
            Campaign::Judge(judge) => judging::run(judge).await,
        }
    })
}
