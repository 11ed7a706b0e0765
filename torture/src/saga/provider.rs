//! [`Provider`]: the bank, outside the store, with a memory of its own: a SQLite file that no crash of ours touches.

use std::{
    collections::BTreeMap,
    path::Path,
    process::abort,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use sqlx::{
    Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use uuid::Uuid;

use super::orders::OrderId;

/// Whether the provider knows a call again by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// A call whose key it knows moves no money.
    HonoursKeys,
    /// Every call moves money: the control.
    ForgetsKeys,
}

/// A call is one statement, so that whatever becomes of its caller it is there whole or not at all; the rules are the provider's own.
/// Money is given back only where some was taken.
const HONOURS_KEYS: &str = "
    CREATE TABLE calls (number INTEGER PRIMARY KEY, key TEXT NOT NULL, subject INTEGER NOT NULL, kind TEXT NOT NULL) STRICT;
    CREATE TABLE payments (number INTEGER PRIMARY KEY, key TEXT NOT NULL, subject INTEGER NOT NULL, kind TEXT NOT NULL) STRICT;
    CREATE INDEX by_key ON payments (key);
    CREATE INDEX by_subject ON payments (subject);
    CREATE TRIGGER moves_money AFTER INSERT ON calls
    WHEN (new.kind = 'charge' OR EXISTS (SELECT 1 FROM payments p WHERE p.subject = new.subject AND p.kind = 'charge'))
        AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.key = new.key)
    BEGIN
        INSERT INTO payments (key, subject, kind) VALUES (new.key, new.subject, new.kind);
    END;";

const FORGETS_KEYS: &str = "
    DROP TRIGGER moves_money;
    CREATE TRIGGER moves_money AFTER INSERT ON calls
    WHEN new.kind = 'charge' OR EXISTS (SELECT 1 FROM payments p WHERE p.subject = new.subject AND p.kind = 'charge')
    BEGIN
        INSERT INTO payments (key, subject, kind) VALUES (new.key, new.subject, new.kind);
    END;";

const CALL: &str = "INSERT INTO calls (key, subject, kind) VALUES (?1, ?2, ?3)";
const WAS_MOVED: &str = "SELECT EXISTS (SELECT 1 FROM payments p WHERE p.key = ?1)";
const MOVED: &str = "SELECT p.subject, p.kind FROM payments p NOT INDEXED";

/// A payment provider.
#[derive(Debug)]
pub(crate) struct Provider {
    file: SqlitePool,
    calls: AtomicU64,
    /// After which of this process's calls it dies, before anything in the store tells of it.
    dies_after: Option<u64>,
}

impl Provider {
    /// Founds a provider in a file that is not there yet.
    pub(crate) async fn found(path: &Path, memory: Memory) -> Result<()> {
        let file = connect(path, true).await?;
        sqlx::raw_sql(HONOURS_KEYS).execute(&file).await?;
        if memory == Memory::ForgetsKeys {
            sqlx::raw_sql(FORGETS_KEYS).execute(&file).await?;
        }
        file.close().await;
        Ok(())
    }

    pub(crate) async fn open(path: &Path, dies_after: Option<u64>) -> Result<Self> {
        Ok(Self {
            file: connect(path, false).await?,
            calls: AtomicU64::new(0),
            dies_after,
        })
    }

    /// Takes the money for an order.
    pub(crate) async fn charge(&self, key: Uuid, order: OrderId) -> sqlx::Result<()> {
        self.call(key, order, "charge").await
    }

    /// Gives back what was taken for an order. Whether there was anything.
    pub(crate) async fn refund(&self, key: Uuid, order: OrderId) -> sqlx::Result<bool> {
        self.call(key, order, "refund").await?;
        let moved = sqlx::query(WAS_MOVED).bind(key.to_string());
        moved.fetch_one(&self.file).await?.try_get(0)
    }

    async fn call(&self, key: Uuid, order: OrderId, kind: &str) -> sqlx::Result<()> {
        let call = sqlx::query(CALL)
            .bind(key.to_string())
            .bind(order.0.cast_signed())
            .bind(kind);
        call.execute(&self.file).await?;
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if self.dies_after == Some(number) {
            abort();
        }
        Ok(())
    }

    /// How many calls there were, and what was taken and given back for each order.
    pub(crate) async fn books(&self) -> Result<(u64, BTreeMap<u64, Account>)> {
        let calls = sqlx::query("SELECT count(*) FROM calls");
        let calls: i64 = calls.fetch_one(&self.file).await?.try_get(0)?;
        let mut accounts: BTreeMap<u64, Account> = BTreeMap::new();
        for row in sqlx::query(MOVED).fetch_all(&self.file).await? {
            let account = accounts
                .entry(row.try_get::<i64, _>(0)?.cast_unsigned())
                .or_default();
            match row.try_get(1)? {
                "charge" => account.charges += 1,
                _ => account.refunds += 1,
            }
        }
        Ok((calls.cast_unsigned(), accounts))
    }
}

/// What was taken and given back for an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) charges: u64,
    pub(crate) refunds: u64,
}

async fn connect(path: &Path, create: bool) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(20));
    // One connection: calls of a process stand in line here, and not within SQLite, where waiting means asking again and again.
    let pool = SqlitePoolOptions::new().max_connections(1);
    pool.connect_with(options)
        .await
        .context("failed to open the provider's books")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_moves_money_once_if_it_is_honoured_and_each_time_if_it_is_forgotten() {
        let check = async |memory, expected: Account| {
            let name = format!("uno-provider-{}-{memory:?}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir(&folder).unwrap();
            let path = folder.join("provider.db");
            Provider::found(&path, memory).await.unwrap();
            let provider = Provider::open(&path, None).await.unwrap();
            let (charge, refund) = (Uuid::from_u128(1), Uuid::from_u128(2));
            assert!(!provider.refund(refund, OrderId(8)).await.unwrap());
            for _ in 0..2 {
                provider.charge(charge, OrderId(7)).await.unwrap();
            }
            for _ in 0..3 {
                assert!(provider.refund(refund, OrderId(7)).await.unwrap());
            }
            let (calls, accounts) = provider.books().await.unwrap();
            assert_eq!((calls, accounts), (6, BTreeMap::from([(7, expected)])));
            std::fs::remove_dir_all(&folder).unwrap();
        };
        let account = |charges, refunds| Account { charges, refunds };
        check(Memory::HonoursKeys, account(1, 1)).await;
        check(Memory::ForgetsKeys, account(2, 3)).await;
    }
}
