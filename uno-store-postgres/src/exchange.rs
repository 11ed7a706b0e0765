//! Transactions on a session, and exchanges that the caller can't cancel.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use uno_core::StoreError;

use crate::{
    fault::Fault,
    pool::{Pool, Session},
};

/// How often an exchange is begun anew.
const STARTS: u32 = 10;

/// An exchange with the server on a borrowed session.
pub(crate) type Exchange<'s, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 's>>;

/// Runs an exchange that changes nothing, in a task of its own: dropping the future that waits for it cancels nothing, so
/// that the connection is never left in the middle of an answer.
///
/// When a link that was used before turns out to be dead the exchange is run once more on a fresh one.
pub(crate) async fn read<T, F>(
    pool: &Arc<Pool>,
    location: &str,
    exchange: F,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: for<'s> Fn(&'s mut Session) -> Exchange<'s, T> + Send + Sync + 'static,
{
    // Waiting for a connection may be cancelled; from then on nothing is.
    let permit = pool.permit().await?;
    let pool = Arc::clone(pool);
    let task = tokio::spawn(async move {
        let mut session = pool.session(permit).await?;
        match bounded(&mut session, &exchange).await {
            Err(Fault::Link(_)) if session.is_reused() => {
                drop(session);
                let permit = pool.permit().await.map_err(Fault::Store)?;
                let mut session = pool.session(permit).await?;
                let result = bounded(&mut session, &exchange).await;
                settle(session, result)
            }
            result => settle(session, result),
        }
    });
    let result = task.await.unwrap_or_else(|_| Err(Fault::ended()));
    result.map_err(|fault| fault.into_store_error(location))
}

/// The same for an exchange that changes something in a transaction of its own, and comes to the same when it is done twice. It is
/// begun anew when somebody else was faster in a way that only a fresh start can judge.
pub(crate) async fn write<T, F>(
    pool: &Arc<Pool>,
    location: &str,
    exchange: F,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: for<'s> Fn(&'s mut Session) -> Exchange<'s, T> + Send + Sync + 'static,
{
    let mut permit = Some(pool.permit().await?);
    let pool = Arc::clone(pool);
    let task = tokio::spawn(async move {
        let (mut start, mut linked) = (0, false);
        loop {
            let permit = match permit.take() {
                Some(permit) => permit,
                None => pool.permit().await.map_err(Fault::Store)?,
            };
            let mut session = pool.session(permit).await?;
            match bounded(&mut session, &exchange).await {
                Err(fault) if fault.is_retryable() && start < STARTS => {
                    session.give_back();
                    start += 1;
                    sleep(Duration::from_millis(2) * start).await;
                }
                Err(Fault::Link(_)) if session.is_reused() && !linked => linked = true,
                result => return settle(session, result),
            }
        }
    });
    let result = task.await.unwrap_or_else(|_| Err(Fault::ended()));
    result.map_err(|fault| fault.into_store_error(location))
}

async fn bounded<T, F>(session: &mut Session, exchange: &F) -> Result<T, Fault>
where
    F: for<'s> Fn(&'s mut Session) -> Exchange<'s, T> + Send + Sync + 'static,
{
    let within = session.shared().options.answer_within();
    timeout(within, session.together(exchange))
        .await
        .unwrap_or_else(|_| Err(Fault::late()))
}

/// Gives the session back if it is still in order.
fn settle<T>(session: Session, result: Result<T, Fault>) -> Result<T, Fault> {
    if result.as_ref().err().is_none_or(Fault::keeps_connection) {
        session.give_back();
    }
    result
}

impl Session {
    /// Runs an exchange, within a transaction if the connection may change between statements, or between the parts of one.
    pub(crate) async fn together<T>(
        &mut self,
        exchange: impl for<'s> FnOnce(&'s mut Self) -> Exchange<'s, T>,
    ) -> Result<T, Fault> {
        if self.shared().options.is_prepared() {
            return exchange(self).await;
        }
        self.begin().await?;
        match exchange(self).await {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(fault) => Err(self.rollback_after(fault).await),
        }
    }

    /// Begins a transaction in which every statement sees what is committed by then.
    pub(crate) async fn begin(&mut self) -> Result<(), Fault> {
        sqlx::raw_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
            .execute(self.connection())
            .await?;
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<(), Fault> {
        sqlx::raw_sql("COMMIT").execute(self.connection()).await?;
        Ok(())
    }

    /// Behind a pooler: gives up the statements that the caller's own work has prepared, as the driver does unless told
    /// otherwise. Their names would be taken for the next one who gets this connection to the server. Within the transaction.
    pub(crate) async fn forget_statements(&mut self) -> Result<(), Fault> {
        if !self.shared().options.is_prepared() {
            sqlx::raw_sql("DEALLOCATE ALL")
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    /// Rolls back. When that fails the connection is not kept, which rolls back as well.
    pub(crate) async fn rollback(&mut self) {
        let within = self.shared().options.answer_within();
        let text = if self.shared().options.is_prepared() {
            "ROLLBACK"
        } else {
            // One message, so that it is the connection of the transaction: see `forget_statements`.
            "ROLLBACK; DEALLOCATE ALL"
        };
        let rollback = sqlx::raw_sql(text).execute(self.connection());
        if !matches!(timeout(within, rollback).await, Ok(Ok(_))) {
            self.set_broken();
        }
    }

    /// Rolls back because of a fault, and hands that on.
    pub(crate) async fn rollback_after(&mut self, fault: Fault) -> Fault {
        if fault.keeps_connection() {
            self.rollback().await;
        } else {
            self.set_broken();
        }
        fault
    }
}
