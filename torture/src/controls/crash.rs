//! The control that needs a crash: a horizon from before it, of numbers that were drawn and then forgotten.

use anyhow::{Context as _, Result, bail};
use sqlx::PgConnection;

use super::{
    Control, contest,
    contest::Race,
    controls,
    tail::{Protocol, number},
};
use crate::{
    campaign::{Field, Grounds, phase},
    server::OwnServer,
    session::{Schema, sql},
};

/// How many numbers are drawn and never used.
const DRAWN: i64 = 6000;

const DRAW: &str = "SELECT count(nextval('{s}.events_position')) FROM generate_series(1, 6000)";

/// One reader believes a horizon from before a crash, another asks for it each time.
pub(super) async fn run(grounds: &Grounds, server: &OwnServer, seed: u64) -> Result<Vec<Control>> {
    let field = phase::open(grounds, contest::plan(seed, u64::MAX), "crash").await?;
    contest::write(&field, 4, 500).await?;
    let cached = step_back(&field, server).await?;

    let protocols = [Protocol::TwoStatements, Protocol::CachedHorizon(cached)];
    let race = Race::start(&field, &protocols)?;
    contest::write(&field, 12, 500 + (DRAWN as u64) / 2).await?;
    race.end(&field).await?;
    let verdict = phase::judge(grounds, &field)
        .await
        .context("failed to judge the controls")?;
    let controls = controls(&verdict, &protocols)?;
    phase::clear_away(&field).await?;
    Ok(controls
        .into_iter()
        .filter(|control| control.must != super::Must::Succeed || !control.is_as_it_must())
        .collect())
}

/// Draws numbers, takes the horizon over them, and crashes so that the sequence steps back behind it. Gives that horizon.
async fn step_back(field: &Field, server: &OwnServer) -> Result<i64> {
    let schema = &field.schema;
    for _ in 0..10 {
        let mut session = field.database.connect("uno-torture-controls").await?;
        sqlx::raw_sql("CHECKPOINT").execute(&mut session).await?;
        // They would write the draw to disk before the crash.
        server.freeze_writers(&mut session).await?;
        draw(&mut session, schema).await?;
        let horizon = number(&mut session, schema, "SELECT {s}.log_horizon()").await?;
        drop(session);
        server.kill().await?;
        server.start().await?;
        let mut session = field
            .database
            .connect_patiently("uno-torture-controls")
            .await?;
        let reached = number(
            &mut session,
            schema,
            "SELECT p.last_value FROM {s}.events_position p",
        )
        .await?;
        if reached + DRAWN - 100 < horizon {
            return Ok(horizon);
        }
    }
    bail!("the sequence did not step back in any of ten crashes, so there is nothing to show")
}

/// Draws numbers as an append does, lock first, and takes the transaction back.
async fn draw(session: &mut PgConnection, schema: &Schema) -> Result<()> {
    sqlx::raw_sql("BEGIN").execute(&mut *session).await?;
    sqlx::raw_sql(sql(schema, "SELECT {s}.enter_log()"))
        .execute(&mut *session)
        .await?;
    sqlx::raw_sql(sql(schema, DRAW))
        .execute(&mut *session)
        .await?;
    sqlx::raw_sql("ROLLBACK").execute(session).await?;
    Ok(())
}
