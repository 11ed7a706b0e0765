//! How much memory a subscription takes, in a process of its own: what was allocated before and after counts for nothing.

use std::{env, fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use uno_core::EventStore as _;
use uno_store_postgres::PgStore;

use super::{Load, catch_up, hundred};

/// In the process: prints by how many KiB the most that it had in memory exceeds what it had with the store open.
pub(super) async fn of(load: Load, store: &PgStore, events: u64) -> Result<()> {
    store.head().await?;
    let base = kib("VmRSS")?;
    let name = format!("memory-{}", std::process::id());
    match load {
        Load::CatchUp => catch_up(store, &name, events).await?,
        Load::Stalled => hundred::stall(store, &name, events).await?,
    }
    println!("{}", kib("VmHWM")?.saturating_sub(base));
    Ok(())
}

/// Has another process do it, and gives MiB.
pub(super) fn in_a_process(load: Load, schema: &str, events: u64) -> Result<f64> {
    let load = load.to_possible_value().context("every load has a name")?;
    let output = Command::new(env::current_exe().context("failed to find our own program")?)
        .arg("subscription")
        .args(["--events", &events.to_string()])
        .args(["--memory-of", load.get_name()])
        .args(["--schema", schema])
        .output()
        .context("failed to start a process")?;
    ensure!(
        output.status.success(),
        "the process failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    Ok(text.trim().parse::<f64>()? / 1024.0)
}

/// What the system says of this process.
fn kib(what: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")
        .context("memory is measured by /proc, which this system does not have")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    number
        .context("the system does not say")?
        .parse()
        .context("the system says something else than a number")
}
