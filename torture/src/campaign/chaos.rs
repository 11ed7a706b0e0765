//! What goes wrong meanwhile.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::time::sleep;

use super::{
    Field,
    plan::{Chaos, mix},
};
use crate::server::OwnServer;

const END_ONE: &str = "SELECT pg_terminate_backend(v.pid) FROM (SELECT a.pid FROM pg_catalog.pg_stat_activity a \
    WHERE starts_with(a.application_name, $1) AND a.pid <> pg_backend_pid() ORDER BY random() LIMIT 1) v";

/// Kills what the plan says, until the writers have enough.
pub(crate) async fn run(field: Arc<Field>, server: Option<OwnServer>) -> Result<()> {
    let mut rng = Rng::with_seed(mix(field.plan.seed, u64::MAX - 1));
    let wrecked = match (field.plan.chaos, server) {
        (Chaos::Sessions, _) => end_sessions(&field, &mut rng).await,
        (Chaos::Server, Some(server)) => kill_server(&field, &server, &mut rng).await,
        (Chaos::Server, None) | (Chaos::Calm, _) => Ok(()),
    };
    if wrecked.is_err() {
        // The server may be gone for good: writers would try for ever.
        field.stop();
    }
    wrecked
}

/// Ends sessions at random: writers', readers', foreign ones; only of this phase.
async fn end_sessions(field: &Field, rng: &mut Rng) -> Result<()> {
    // A name that is not among those that it ends.
    let mut session = field
        .database
        .connect("uno-torture-chaos")
        .await
        .context("failed to reach the server")?;
    while field.is_going() {
        sleep(Duration::from_millis(rng.u64(5..150))).await;
        for _ in 0..rng.u8(1..=3) {
            let ended = sqlx::query(END_ONE)
                .bind(format!("{}/", field.tag))
                .execute(&mut session)
                .await?;
            field.count("sessions killed", ended.rows_affected());
        }
    }
    Ok(())
}

/// Kills the whole server, and a process of it, in turns that change at random. The whole server comes first and soon, so
/// that no phase, as short as it may be, goes without.
async fn kill_server(field: &Field, server: &OwnServer, rng: &mut Rng) -> Result<()> {
    let mut kills = 0_u32;
    while field.is_going() {
        let most = if kills == 0 { 500 } else { 2500 };
        sleep(Duration::from_millis(rng.u64(200..most))).await;
        if kills > 0 && rng.u8(..3) == 0 {
            server.kill_one(rng).await?;
            field.count("server processes killed", 1);
        } else {
            server.kill().await?;
            field.count("servers killed", 1);
            server.start().await?;
        }
        kills += 1;
    }
    Ok(())
}
