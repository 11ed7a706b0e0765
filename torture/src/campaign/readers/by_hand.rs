//! Readers that follow the protocol by hand: the horizon first, then the scan, as two statements of one session.

use sqlx::{PgConnection, Row as _};

use super::{NoPage, Page, fetch, no_page};
use crate::session::{Database, Schema, sql};

const HORIZON: &str = "SELECT {s}.log_horizon()";

const SCAN: &str = "SELECT e.position, uuid_send(e.id) FROM {s}.events e WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT $3";

/// Reads by hand.
pub(crate) struct ByHand {
    database: Database,
    schema: Schema,
    application: String,
    /// How many pages are read in one READ COMMITTED transaction; 1 for none.
    together: u32,
    pages: u32,
    session: Option<PgConnection>,
}

impl ByHand {
    pub(crate) fn new(
        database: Database,
        schema: Schema,
        application: String,
        together: u32,
    ) -> Self {
        Self {
            database,
            schema,
            application,
            together,
            pages: 0,
            session: None,
        }
    }

    pub(crate) async fn page(&mut self, after: i64) -> Result<Page, NoPage> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                self.pages = 0;
                self.database
                    .connect(&self.application)
                    .await
                    .map_err(|_| NoPage::Link)?
            }
        };
        let events = self
            .read(&mut session, after)
            .await
            .map_err(|error| no_page(&error))?;
        self.session = Some(session);
        Ok(Page {
            events,
            checkpoint: None,
        })
    }

    async fn read(
        &mut self,
        session: &mut PgConnection,
        after: i64,
    ) -> sqlx::Result<Vec<(i64, u128)>> {
        let transaction = self.together > 1;
        if transaction && self.pages == 0 {
            sqlx::raw_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
                .execute(&mut *session)
                .await?;
        }
        let horizon: i64 = sqlx::query(sql(&self.schema, HORIZON))
            .fetch_one(&mut *session)
            .await?
            .try_get(0)?;
        let events = fetch(session, sql(&self.schema, SCAN), after, horizon, 300).await?;
        self.pages += 1;
        if transaction && self.pages >= self.together {
            sqlx::raw_sql("COMMIT").execute(session).await?;
            self.pages = 0;
        }
        Ok(events)
    }
}
