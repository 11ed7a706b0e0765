//! Creates and upgrades the schema of a store.

use sqlx::Row as _;
use uno_core::StoreError;

use crate::{fault::Fault, pool::Session};

/// All there ever were, in order. Append-only: a released migration is never changed.
const MIGRATIONS: [Migration; 5] = [
    Migration {
        version: 1,
        name: "tables",
        text: include_str!("../migrations/0001_tables.sql"),
    },
    Migration {
        version: 2,
        name: "order",
        text: include_str!("../migrations/0002_order.sql"),
    },
    Migration {
        version: 3,
        name: "commit",
        text: include_str!("../migrations/0003_commit.sql"),
    },
    Migration {
        version: 4,
        name: "import",
        text: include_str!("../migrations/0004_import.sql"),
    },
    Migration {
        version: 5,
        name: "lanes",
        text: include_str!("../migrations/0005_lanes.sql"),
    },
];

/// The newest version of the schema that this program knows.
pub(crate) const NEWEST: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

struct Migration {
    version: i32,
    name: &'static str,
    text: &'static str,
}

const APPLIED: &str = "SELECT version, checksum = encode(sha256(convert_to($2, 'UTF8')), 'hex') FROM {schema}.migrations WHERE version = $1";

const HIGHEST: &str = "SELECT coalesce(max(version), 0) FROM {schema}.migrations";

const RECORD: &str = "INSERT INTO {schema}.migrations (version, name, checksum) \
     VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))";

/// One at a time for each schema of a database, whatever the server's other users lock: the first half of the key is ours.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1970171695, hashtext('{name}'))";

const SCHEMA_EXISTS: &str = "SELECT to_regnamespace('{schema}') IS NOT NULL";

const CREATE_SCHEMA: &str = "CREATE SCHEMA {schema}";

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS {schema}.migrations (\
     version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, \
     applied_at timestamptz NOT NULL DEFAULT clock_timestamp())";

/// Brings the schema to the newest version, in one transaction.
pub(crate) async fn migrate(session: &mut Session) -> Result<(), Fault> {
    // Most starts find nothing to do. They take no lock, and need no right to create anything.
    if session
        .together(|session| Box::pin(is_newest(session)))
        .await?
    {
        return Ok(());
    }
    session.begin().await?;
    match locked(session).await {
        Ok(()) => session.commit().await,
        Err(fault) => Err(session.rollback_after(fault).await),
    }
}

async fn is_newest(session: &mut Session) -> Result<bool, Fault> {
    if !session.check_server().await? || highest(session).await? != NEWEST {
        return Ok(false);
    }
    verify(session, NEWEST).await?;
    session.ready().await?;
    Ok(true)
}

async fn locked(session: &mut Session) -> Result<(), Fault> {
    run(session, LOCK).await?;
    let query = session.shared().sql(SCHEMA_EXISTS);
    let exists: bool = query
        .query(false)
        .fetch_one(session.connection())
        .await?
        .try_get(0)?;
    if !exists {
        run(session, CREATE_SCHEMA).await?;
    }
    run(session, CREATE_TABLE).await?;
    let found = highest(session).await?;
    if found > NEWEST {
        let location = session.shared().location.clone();
        return Err(Fault::Store(StoreError::NewerSchema {
            location,
            found: found.into(),
            known: NEWEST.into(),
        }));
    }
    verify(session, found).await?;
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version > found)
    {
        run(session, migration.text).await?;
        let query = session.shared().sql(RECORD);
        let query = query
            .query(false)
            .bind(migration.version)
            .bind(migration.name)
            .bind(migration.text);
        query.execute(session.connection()).await?;
        tracing::info!(
            version = migration.version,
            name = migration.name,
            "migrated the event store"
        );
    }
    Ok(())
}

/// Runs statements that have no parameters.
async fn run(session: &mut Session, text: &'static str) -> Result<(), Fault> {
    let text = session.shared().sql(text).text();
    sqlx::raw_sql(text).execute(session.connection()).await?;
    Ok(())
}

async fn highest(session: &mut Session) -> Result<i32, Fault> {
    let query = session.shared().sql(HIGHEST);
    Ok(query
        .query(false)
        .fetch_one(session.connection())
        .await?
        .try_get(0)?)
}

/// Makes sure that what was applied is what this program has.
async fn verify(session: &mut Session, up_to: i32) -> Result<(), Fault> {
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version <= up_to)
    {
        let query = session.shared().sql(APPLIED);
        let query = query
            .query(false)
            .bind(migration.version)
            .bind(migration.text);
        let row = query.fetch_optional(session.connection()).await?;
        let same = match row {
            Some(row) => row.try_get::<bool, _>(1)?,
            None => false,
        };
        if !same {
            let (version, name) = (migration.version, migration.name);
            return Err(Fault::corrupt(format_args!(
                "migration {version} ({name}) is not the one that was applied"
            )));
        }
    }
    Ok(())
}
