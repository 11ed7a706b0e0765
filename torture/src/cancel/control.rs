//! The control: the driver's own transactions, dropped in the same way, lose rows that were acknowledged.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use sqlx::{PgPool, Row as _, postgres::PgPoolOptions};
use tokio::time::timeout;

use crate::{
    campaign::Grounds,
    session::{Schema, sql},
};

/// What came of the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// How many times its `begin` was dropped or not.
    pub trials: u64,
    /// How many plain inserts after that were acknowledged, and not there for another session.
    pub lost: u64,
}

/// Drops the driver's `begin` at random until that has lost rows, at least so many times, at most twenty times as often.
///
/// # Errors
/// When the control can't be run.
pub async fn control(grounds: &Grounds, seed: u64, trials: u64) -> Result<Driver> {
    let schema = Schema::new(format!("torture_{}_driver", std::process::id()))?;
    let mut outside = grounds
        .database
        .connect("uno-torture-driver")
        .await
        .context("failed to reach the server")?;
    let make = "CREATE SCHEMA {s}; CREATE TABLE {s}.inserted (trial bigint PRIMARY KEY)";
    sqlx::raw_sql(sql(&schema, make))
        .execute(&mut outside)
        .await?;
    let mut rng = Rng::with_seed(seed);
    let mut driver = Driver::default();
    let mut pool = open(grounds).await?;
    let usual = usual(&pool).await?;
    while driver.trials < trials || (driver.lost == 0 && driver.trials < 20 * trials) {
        driver.trials += 1;
        // About as long as `begin` takes, so that it is dropped in every state that it goes through.
        let within = usual.mul_f64(rng.f64() * 1.5);
        // Whether it ended does not matter: an ended one is rolled back when it is dropped.
        let _ = timeout(within, pool.begin()).await;
        let trial = driver.trials.cast_signed();
        let insert =
            sqlx::query(sql(&schema, "INSERT INTO {s}.inserted (trial) VALUES ($1)")).bind(trial);
        let acknowledged = insert.execute(&pool).await.is_ok();
        let query = sqlx::query(sql(
            &schema,
            "SELECT count(*) FROM {s}.inserted i WHERE i.trial = $1",
        ))
        .bind(trial);
        let seen: i64 = query.fetch_one(&mut outside).await?.try_get(0)?;
        if acknowledged && seen == 0 {
            driver.lost += 1;
            // Its only connection is within a transaction that nobody will ever commit.
            pool.close().await;
            pool = open(grounds).await?;
        }
    }
    pool.close().await;
    sqlx::raw_sql(sql(&schema, "DROP SCHEMA {s} CASCADE"))
        .execute(&mut outside)
        .await?;
    Ok(driver)
}

/// How long `begin` takes as a rule.
async fn usual(pool: &PgPool) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        let transaction = pool.begin().await?;
        times.push(start.elapsed());
        transaction.rollback().await?;
    }
    times.sort();
    Ok(times[times.len() / 2])
}

async fn open(grounds: &Grounds) -> Result<PgPool> {
    let options = grounds.database.options("uno-torture-driver");
    PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .context("failed to reach the server")
}
