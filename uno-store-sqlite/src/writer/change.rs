//! [`Change`]: a change of records that is no commit. Each is carried out alone, in a transaction of its own.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;
use uno_core::StoreError;

use super::Writer;
use crate::{core::Core, script::Script};

type Carry = Box<dyn for<'w> FnOnce(&'w mut Writer) -> BoxFuture<'w, ()> + Send>;

/// A change, and who waits for what it comes to.
pub(crate) struct Change(Carry);

/// Whether those who wait for a change of the store hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    Told,
    Quiet,
}

impl Change {
    /// A change that is made by `act`, within a transaction that has the right to write.
    pub(crate) fn new<T: Send + 'static>(
        hint: Hint,
        act: impl for<'c> FnOnce(
            &'c mut SqliteConnection,
            &'c Core,
        ) -> BoxFuture<'c, Result<T, StoreError>>
        + Send
        + 'static,
        reply: oneshot::Sender<Result<T, StoreError>>,
    ) -> Self {
        Self(Box::new(move |writer| {
            Box::pin(async move {
                if reply.is_closed() {
                    // The caller has gone away before anything began.
                    return;
                }
                let result = alone(writer, act).await;
                if result.is_ok() && hint == Hint::Told {
                    writer.core.tell_change();
                }
                // Nobody to tell when the caller has gone away.
                let _gone = reply.send(result);
            })
        }))
    }

    pub(super) async fn carry_out(self, writer: &mut Writer) {
        (self.0)(writer).await;
    }
}

async fn alone<T>(
    writer: &mut Writer,
    act: impl for<'c> FnOnce(&'c mut SqliteConnection, &'c Core) -> BoxFuture<'c, Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut connection = writer.take_checked_connection().await?;
    let core = Arc::clone(&writer.core);
    let location = &core.settings.location;
    let result = async {
        let run = |statement: &str| {
            let mut script = Script::new();
            script.push(statement);
            script
        };
        // At once with the right to write: what is read here must not change before it is written.
        let begun = run("BEGIN IMMEDIATE").execute(&mut connection).await;
        begun.map_err(|failure| failure.into_store_error(location))?;
        let done = act(&mut connection, &core).await?;
        let ended = run("COMMIT").execute(&mut connection).await;
        ended.map_err(|failure| failure.into_store_error(location))?;
        Ok(done)
    };
    let result = result.await;
    if result.is_ok() {
        writer.connection = Some(connection);
    } else {
        writer.roll_back(connection).await;
    }
    result
}
