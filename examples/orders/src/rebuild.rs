//! `orders rebuild`: builds read models anew from the log, shows how far it is, and lets the new ones serve.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use uno::{cqrs::ReadModel, prelude::*};

use crate::{app, store::World};

/// Which, and what becomes of those that serve now.
#[derive(Args, Debug)]
pub struct Options {
    /// The read models; all of them unless some are named.
    read_models: Vec<String>,
    /// Drop the generation that served, instead of keeping it so that one can go back to it.
    #[arg(long)]
    drop: bool,
}

/// Rebuilds one read model after the other. Whoever reads them notices nothing of it, nor does who feeds them.
///
/// Killed at any moment and started again, it goes on where it stopped.
pub async fn run<B: Backend>(
    store: Arc<B>,
    options: &Options,
    world: World,
) -> anyhow::Result<bool> {
    // It may run beside an application that serves, so it has a name of its own. It starts neither sagas nor handlers.
    let name = format!("orders-rebuild-{}", std::process::id());
    let uno = app::wire_as(&name, store, &world, 0)?;
    uno.migrate().await?;
    let known: Vec<&str> = uno.read_models().map(|model| model.name()).collect();
    let of_all = |name: &&String| !known.contains(&name.as_str());
    if let Some(unknown) = options.read_models.iter().find(of_all) {
        bail!(
            "there is no read model {unknown}; there are {}",
            known.join(", ")
        );
    }
    let wanted = |model: &&Arc<ReadModel<B>>| {
        let named = &options.read_models;
        named.is_empty() || named.iter().any(|name| name == model.name())
    };
    for model in uno.read_models().filter(wanted) {
        let told = rebuild(model, options.drop).await;
        println!(
            "{}",
            told.with_context(|| format!("{} was not rebuilt", model.name()))?
        );
    }
    uno.subscriptions().stop_all().await;
    Ok(true)
}

async fn rebuild<B: Backend>(model: &ReadModel<B>, drops: bool) -> anyhow::Result<String> {
    let bar =
        ProgressBar::new(0).with_style(ProgressStyle::with_template("{prefix} [{bar:30}] {msg}")?);
    bar.set_prefix(model.name());
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut progress = model.progress();
    let (mut events, rebuilding) = (0, model.rebuild());
    tokio::pin!(rebuilding);
    let switched = loop {
        tokio::select! {
            done = &mut rebuilding => break done?,
            Ok(()) = progress.changed() => {
                if let Some(now) = *progress.borrow_and_update() {
                    events = now.events();
                    bar.set_length(now.head().get());
                    bar.set_position(now.position().get());
                    bar.set_message(now.to_string());
                }
            }
        }
    };
    bar.finish_and_clear();
    let (name, from, to) = (model.name(), switched.from(), switched.to());
    let kept = if drops {
        model.drop_generation(from).await?;
        "dropped"
    } else {
        "kept"
    };
    Ok(format!(
        "{name}: generation {to} serves, built from {events} events; generation {from} is {kept}"
    ))
}
