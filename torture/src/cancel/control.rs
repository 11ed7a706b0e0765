//! The controls: the driver's own transactions, dropped in the same way, lose rows that were acknowledged.

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use sqlx::{
    Connection as _, PgPool, Row as _, SqliteConnection, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tokio::time::timeout;

use crate::{
    campaign::Grounds,
    session::{Schema, sql},
};

/// What came of the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// What was dropped.
    pub what: &'static str,
    /// How many times it was dropped or not.
    pub trials: u64,
    /// How many plain inserts after that were acknowledged, and not there for another session.
    pub lost: u64,
}

impl Driver {
    /// Whether it lost anything, as it must.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.lost > 0
    }

    /// Whether to try once more: at least so many times, and on until something is lost, at most twenty times as often.
    fn goes_on(&self, trials: u64) -> bool {
        self.trials < trials || (self.lost == 0 && self.trials < 20 * trials)
    }
}

/// One line for people.
impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, trials, lost } = self;
        let fails = match self.fails() {
            true => "fails, as it must",
            false => "DOES NOT FAIL, AND IT MUST",
        };
        write!(
            f,
            "{what}, dropped, lost {lost} of {trials} acknowledged rows: {fails}"
        )
    }
}

/// Drops the `begin` of the driver for Postgres at random until that has lost rows.
///
/// # Errors
/// When the control can't be run.
pub async fn postgres_control(grounds: &Grounds, seed: u64, trials: u64) -> Result<Driver> {
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
    let mut driver = Driver {
        what: "the driver's begin on Postgres",
        ..Driver::default()
    };
    let mut pool = open_postgres(grounds).await?;
    let usual = usual(async || {
        pool.begin().await?.rollback().await?;
        Ok(())
    })
    .await?;
    while driver.goes_on(trials) {
        driver.trials += 1;
        // About as long as `begin` takes, which is half of it with its end, so that it is dropped in every state of it.
        let within = usual.mul_f64(rng.f64() * 0.75);
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
            pool = open_postgres(grounds).await?;
        }
    }
    pool.close().await;
    sqlx::raw_sql(sql(&schema, "DROP SCHEMA {s} CASCADE"))
        .execute(&mut outside)
        .await?;
    Ok(driver)
}

async fn open_postgres(grounds: &Grounds) -> Result<PgPool> {
    let options = grounds.database.options("uno-torture-driver");
    PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .context("failed to reach the server")
}

/// Drops transactions on a connection of the driver for SQLite at random until that has lost rows.
///
/// The driver's `begin` for SQLite is safe: its thread rolls back when nobody waits for the answer. So this is what many
/// write by hand, since that `begin` was for a long time unable to say `IMMEDIATE`.
///
/// # Errors
/// When the control can't be run.
pub async fn sqlite_control(grounds: &Grounds, seed: u64, trials: u64) -> Result<Driver> {
    let folder = grounds
        .folder
        .join(format!("torture_{}_driver", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let mut pool = open_sqlite(&folder).await?;
    sqlx::raw_sql("CREATE TABLE inserted (trial INTEGER PRIMARY KEY)")
        .execute(&pool)
        .await?;
    let mut outside = SqliteConnection::connect_with(&sqlite_options(&folder)).await?;
    let mut rng = Rng::with_seed(seed);
    let mut driver = Driver {
        what: "BEGIN IMMEDIATE and COMMIT by hand on SQLite",
        ..Driver::default()
    };
    let usual = usual(async || by_hand(&pool, -1).await).await?;
    while driver.goes_on(trials) {
        driver.trials += 1;
        let trial = driver.trials.cast_signed();
        let _ = timeout(usual.mul_f64(rng.f64() * 1.5), by_hand(&pool, -trial)).await;
        let insert = sqlx::query("INSERT INTO inserted (trial) VALUES (?1)").bind(trial);
        let acknowledged = insert.execute(&pool).await.is_ok();
        let query = sqlx::query("SELECT count(*) FROM inserted i WHERE i.trial = ?1").bind(trial);
        let seen: i64 = query.fetch_one(&mut outside).await?.try_get(0)?;
        if acknowledged && seen == 0 {
            driver.lost += 1;
            pool.close().await;
            pool = open_sqlite(&folder).await?;
        }
    }
    pool.close().await;
    outside.close().await?;
    fs::remove_dir_all(&folder).context("failed to remove the files of a control")?;
    Ok(driver)
}

async fn by_hand(pool: &SqlitePool, trial: i64) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT OR REPLACE INTO inserted (trial) VALUES (?1)")
        .bind(trial)
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
    Ok(())
}

fn sqlite_options(folder: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(folder.join("driver.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
}

async fn open_sqlite(folder: &Path) -> Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(sqlite_options(folder))
        .await
        .context("failed to open the file")
}

/// How long something takes as a rule.
async fn usual(something: impl AsyncFn() -> sqlx::Result<()>) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        something().await?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}
