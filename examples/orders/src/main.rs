//! The order application: 6,919 real orders go through commands, events, a store, a saga with compensation and read
//! models, and end in a report that can be checked against the input by hand.
//!
//! Read it top-down:
//!
//! 1. [`app`] wires everything together;
//! 2. [`contexts`] holds the domain: orders, payment, inventory, shipping, which know only each other's events and commands;
//! 3. [`fulfilment`] is the saga that takes a placed order to the customer, or undoes everything;
//! 4. [`read_models`] keeps documents to look at, and [`outside`] talks to the rest of the world;
//! 5. [`import`] sends the orders in, and [`report`] adds up what came of them and checks it.

mod app;
#[cfg(test)]
mod catalogued;
mod contexts;
mod fulfilment;
mod ids;
mod import;
mod input;
mod money;
mod old;
mod outside;
mod read_models;
mod report;
mod store;
#[cfg(test)]
mod stored;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// Takes the orders of a CD shop from the first command to the report.
#[derive(Parser, Debug)]
#[command(name = "orders", version)]
struct Arguments {
    /// Where events are kept: `sqlite` (a file below ./target/orders), `sqlite:FILE`, `memory`, or `postgres://…`.
    #[arg(long, default_value = "sqlite")]
    store: String,
    /// The orders, one a line: customer, number in the sample, date, number of CDs, dollars.
    /// The data set of the example unless it is given.
    #[arg(long)]
    input: Option<PathBuf>,
    /// Begin anew: remove what an earlier run has left in the embedded store.
    #[arg(long)]
    fresh: bool,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What it does instead of taking the orders.
#[derive(Subcommand, Debug)]
enum Instead {
    /// Tells what the application is made of: commands, queries, handlers, projections, sagas and events.
    Describe(Describe),
}

/// In which form.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct Describe {
    /// As JSON, which is what it does unless it is told otherwise.
    #[arg(long)]
    json: bool,
    /// As a flowchart for Mermaid.
    #[arg(long)]
    mermaid: bool,
    /// As a page about the events, in Markdown.
    #[arg(long)]
    markdown: bool,
    /// As an AsyncAPI 3 document, in JSON.
    #[arg(long)]
    asyncapi: bool,
}

impl Describe {
    fn told(&self) -> anyhow::Result<String> {
        let catalogue = app::describe()?;
        Ok(if self.mermaid {
            catalogue.to_mermaid()
        } else if self.markdown {
            catalogue.to_markdown()
        } else if self.asyncapi {
            catalogue.to_asyncapi(env!("CARGO_PKG_VERSION"))?
        } else {
            catalogue.to_json()?
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("orders: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was imported and every check holds.
async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    if let Some(Instead::Describe(form)) = &arguments.instead {
        println!("{}", form.told()?.trim_end());
        return Ok(true);
    }
    let input = input::Input::load(arguments.input.as_deref())?;
    match store::Choice::parse(&arguments.store, &input.name)? {
        store::Choice::Memory => app::run(store::memory(), &input, store::in_memory_world()).await,
        store::Choice::Sqlite(file) => {
            let world = store::world_beside(&file, arguments.fresh)?;
            app::run(store::sqlite(&file, arguments.fresh).await?, &input, world).await
        }
        store::Choice::Postgres(url) => {
            anyhow::ensure!(
                !arguments.fresh,
                "--fresh is for the embedded store; drop the schema of a server by hand"
            );
            let world = store::world_beside(
                &store::directory()?.join(format!("{}-postgres", input.name)),
                false,
            )?;
            app::run(store::postgres(&url).await?, &input, world).await
        }
    }
}
