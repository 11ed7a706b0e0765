//! The order application: 6,919 real orders go through commands, events, a store, a saga with compensation and read
//! models, and end in a report that can be checked against the input by hand.
//!
//! Read it top-down:
//!
//! 1. [`app`] wires everything together;
//! 2. [`contexts`] holds the domain: orders, payment, inventory, shipping, which know only each other's events and commands;
//! 3. [`fulfilment`] is the saga that takes a placed order to the customer, or undoes everything;
//! 4. [`read_models`] keeps documents to look at, and [`outside`] talks to the rest of the world;
//! 5. [`import`] sends the orders in, and [`report`] adds up what came of them and checks it;
//! 6. [`http`] serves the same application to browsers and programs, and [`serve`] starts and stops it;
//! 7. [`rebuild`] builds read models anew, also while it is being served;
//! 8. [`audit`] looks into the log: who did what, and why.

mod app;
mod audit;
#[cfg(test)]
mod catalogued;
mod contexts;
mod fulfilment;
mod http;
mod ids;
mod import;
mod input;
mod money;
mod old;
mod outside;
mod read_models;
mod rebuild;
mod report;
mod serve;
mod store;
#[cfg(test)]
mod stored;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser, Subcommand};
use uno::prelude::*;

/// Takes the orders of a CD shop from the first command to the report.
#[derive(Parser, Debug)]
#[command(name = "orders", version)]
struct Arguments {
    /// Where events are kept: `sqlite` (a file below ./target/orders), `sqlite:FILE`, `memory`, or `postgres://…`.
    #[arg(long, default_value = "sqlite", global = true)]
    store: String,
    /// The orders, one a line: customer, number in the sample, date, number of CDs, dollars.
    /// The data set of the example unless it is given.
    #[arg(long)]
    input: Option<PathBuf>,
    /// Begin anew: remove what an earlier run has left in the embedded store.
    #[arg(long, global = true)]
    fresh: bool,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What it does instead of taking the orders.
#[derive(Subcommand, Debug)]
enum Instead {
    /// Tells what the application is made of: commands, queries, handlers, projections, sagas and events.
    Describe(Describe),
    /// Serves the application over HTTP, with a page that shows what happens as it happens.
    Serve(serve::Options),
    /// Builds read models anew from the log beside those that serve, and lets them serve; also while the application runs elsewhere.
    Rebuild(rebuild::Options),
    /// Lists events, the newest first: by whom, of what type, when.
    Audit(audit::Options),
    /// Tells what an event goes back to, and what came of it.
    Why(audit::Why),
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
    if let Some(Instead::Serve(options)) = &arguments.instead {
        anyhow::ensure!(
            arguments.input.is_none(),
            "--input is for the import; over HTTP the orders come from customers"
        );
        return on_store(arguments, "shop", options).await;
    }
    if let Some(Instead::Rebuild(options)) = &arguments.instead {
        anyhow::ensure!(
            !arguments.fresh,
            "--fresh would remove the events that read models are built from"
        );
        let input = input::Input::load(arguments.input.as_deref())?;
        return on_store(arguments, &input.name, options).await;
    }
    let input = input::Input::load(arguments.input.as_deref())?;
    match &arguments.instead {
        Some(Instead::Audit(options)) => {
            look(arguments)?;
            on_store(arguments, &input.name, options).await
        }
        Some(Instead::Why(options)) => {
            look(arguments)?;
            on_store(arguments, &input.name, options).await
        }
        _ => on_store(arguments, &input.name, &input).await,
    }
}

/// Whoever looks at what happened wants it to be there.
fn look(arguments: &Arguments) -> anyhow::Result<()> {
    anyhow::ensure!(
        !arguments.fresh,
        "--fresh would remove the events that are looked for"
    );
    Ok(())
}

/// What is done on a store, whichever it is.
trait Job {
    async fn run<B: Backend>(&self, store: Arc<B>, world: store::World) -> anyhow::Result<bool>;
}

impl Job for input::Input {
    async fn run<B: Backend>(&self, store: Arc<B>, world: store::World) -> anyhow::Result<bool> {
        app::run(store, self, world).await
    }
}

impl Job for audit::Options {
    async fn run<B: Backend>(&self, store: Arc<B>, _: store::World) -> anyhow::Result<bool> {
        audit::list(store, self).await
    }
}

impl Job for audit::Why {
    async fn run<B: Backend>(&self, store: Arc<B>, _: store::World) -> anyhow::Result<bool> {
        audit::why(store, self).await
    }
}

impl Job for rebuild::Options {
    async fn run<B: Backend>(&self, store: Arc<B>, world: store::World) -> anyhow::Result<bool> {
        rebuild::run(store, self, world).await
    }
}

impl Job for serve::Options {
    async fn run<B: Backend>(&self, store: Arc<B>, world: store::World) -> anyhow::Result<bool> {
        serve::run(store, self, world).await
    }
}

/// Opens the store that was asked for, and what lies beside it under this name.
async fn on_store(arguments: &Arguments, name: &str, job: &impl Job) -> anyhow::Result<bool> {
    match store::Choice::parse(&arguments.store, name)? {
        store::Choice::Memory => job.run(store::memory(), store::in_memory_world()).await,
        store::Choice::Sqlite(file) => {
            let world = store::world_beside(&file, arguments.fresh)?;
            job.run(store::sqlite(&file, arguments.fresh).await?, world)
                .await
        }
        store::Choice::Postgres(url) => {
            anyhow::ensure!(
                !arguments.fresh,
                "--fresh is for the embedded store; drop the schema of a server by hand"
            );
            let world =
                store::world_beside(&store::directory()?.join(format!("{name}-postgres")), false)?;
            job.run(store::postgres(&url).await?, world).await
        }
    }
}
