//! What is asked of every new connection before it is trusted.

use sqlx::Row as _;
use uno_core::{StoreEpoch, StoreError};

use crate::{
    fault::Fault,
    migrate,
    pool::{ServerProcess, Session},
    value::PgUuid,
};

/// What names the store, as read on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) epoch: StoreEpoch,
}

const SERVER: &str = "SELECT current_setting('synchronous_commit'), current_setting('fsync'), \
     current_setting('default_transaction_isolation'), to_regclass('{schema}.migrations') IS NOT NULL, pg_backend_pid(), \
     (SELECT (extract(epoch FROM a.backend_start) * 1000000)::bigint FROM pg_catalog.pg_stat_activity a WHERE a.pid = pg_backend_pid())";

/// The sequence is compared with the log in one statement: whatever this statement sees of the log was drawn before.
const STORE: &str = "SELECT (SELECT max(version) FROM {schema}.migrations), m.epoch, \
     p.last_value >= coalesce((SELECT max(e.position) FROM {schema}.events e), 0) AND p.is_called, \
     bool_and(s.seqcache = 1 AND s.seqincrement = 1 AND NOT s.seqcycle), m.home = '{name}' \
     FROM {schema}.meta m, {schema}.events_position p, pg_catalog.pg_sequence s \
     WHERE s.seqrelid IN ('{schema}.events_position'::regclass, '{schema}.queue_number'::regclass) \
     GROUP BY m.home, m.epoch, p.last_value, p.is_called";

impl Session {
    /// Makes sure that the store is durable, migrated, and not newer than this program. Asked once for each connection.
    pub(crate) async fn ready(&mut self) -> Result<Meta, Fault> {
        if let Some(meta) = self.meta() {
            return Ok(meta);
        }
        if !self.check_server().await? {
            return Err(Fault::Store(StoreError::NotMigrated {
                location: self.shared().location.clone(),
            }));
        }
        let query = self.shared().sql(STORE);
        let row = query.query(false).fetch_optional(self.connection()).await?;
        let location = self.shared().location.clone();
        let Some(row) = row else {
            return Err(Fault::Store(StoreError::NotMigrated { location }));
        };
        let found: i32 = row.try_get(0)?;
        let found = i64::from(found);
        let known = i64::from(migrate::NEWEST);
        if found > known {
            return Err(Fault::Store(StoreError::NewerSchema {
                location,
                found,
                known,
            }));
        }
        if found < known {
            return Err(Fault::Store(StoreError::NotMigrated { location }));
        }
        if !row.try_get::<bool, _>(2)? {
            return Err(Fault::corrupt(
                "the sequence of positions is behind the log: positions would be given twice",
            ));
        }
        if !row.try_get::<bool, _>(3)? {
            return Err(Fault::corrupt(
                "a sequence was altered: it must have CACHE 1, INCREMENT 1 and NO CYCLE",
            ));
        }
        if !row.try_get::<bool, _>(4)? {
            return Err(Fault::corrupt(
                "the schema was renamed, and its functions still look for the old one: give it its name back",
            ));
        }
        let meta = Meta {
            epoch: StoreEpoch::from_uuid(row.try_get::<PgUuid, _>(1)?.0),
        };
        self.set_meta(meta);
        Ok(meta)
    }

    /// The same outside a transaction. A pooler may give each statement's parts to another connection, unless they are in one.
    pub(crate) async fn ready_alone(&mut self) -> Result<Meta, Fault> {
        match self.meta() {
            Some(meta) => Ok(meta),
            None => self.together(|session| Box::pin(session.ready())).await,
        }
    }

    /// Makes sure that the server keeps what it acknowledges; says whether the schema is there.
    pub(crate) async fn check_server(&mut self) -> Result<bool, Fault> {
        let query = self.shared().sql(SERVER);
        let row = query.query(false).fetch_one(self.connection()).await?;
        let refuse = |reason: &str| {
            Err(Fault::Store(StoreError::NotDurable {
                location: self.shared().location.clone(),
                reason: reason.to_owned(),
            }))
        };
        if !self.shared().options.accepts_lossy() {
            if row.try_get::<&str, _>(0)? == "off" {
                return refuse("synchronous_commit is off");
            }
            if row.try_get::<&str, _>(1)? == "off" {
                return refuse("fsync is off");
            }
        }
        if row.try_get::<&str, _>(2)? != "read committed" && self.shared().options.is_prepared() {
            return Err(Fault::Store(StoreError::Unsupported {
                what: "a default isolation level other than READ COMMITTED",
            }));
        }
        if self.shared().options.is_prepared() {
            // Behind a pooler the process is not ours alone, so it is not for us to end.
            let begun: Option<i64> = row.try_get(5)?;
            if let Some(begun) = begun {
                self.set_server_process(ServerProcess {
                    id: row.try_get(4)?,
                    begun,
                });
            }
        }
        Ok(row.try_get(3)?)
    }
}
