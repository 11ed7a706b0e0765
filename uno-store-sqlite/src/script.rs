//! [`Script`]: several statements that go to SQLite's thread in one message.
//!
//! A statement through sqlx costs a trip to the connection's thread and back, which is more than most of our statements take.
//! So what belongs together goes together: sqlx prepares and caches such a text as a whole.

use futures_util::TryStreamExt as _;
use serde::Serialize;
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Encode, Executor as _, Sqlite, SqliteConnection, Type,
    sqlite::{SqliteArguments, SqliteRow},
};
use uno_core::StoreError;

use crate::error::{Location, store_error};

/// Statements and their parameters, in order. Statements name their parameters `?` only, so that they can be joined.
///
/// The texts are ours: no value from outside is ever part of one.
#[derive(Debug, Default)]
pub(crate) struct Script {
    sql: String,
    arguments: SqliteArguments,
    statements: usize,
    /// The first value that could not be encoded.
    fault: Option<sqlx::Error>,
}

/// A statement of a script that failed. Those before it were carried out, those behind it were not.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) statement: usize,
    pub(crate) cause: Cause,
}

#[derive(Debug)]
pub(crate) enum Cause {
    /// What the driver said.
    Driver(sqlx::Error),
    /// What whoever looked at the rows said.
    Rows(StoreError),
}

impl Failure {
    pub(crate) fn into_store_error(self, location: &Location) -> StoreError {
        match self.cause {
            Cause::Driver(error) => store_error(location, error),
            Cause::Rows(error) => error,
        }
    }
}

impl Script {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a statement.
    pub(crate) fn push(&mut self, statement: &str) -> &mut Self {
        self.sql.push_str(statement);
        self.sql.push(';');
        self.statements += 1;
        self
    }

    /// Adds the value of the next parameter.
    pub(crate) fn bind<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.fault.get_or_insert(sqlx::Error::Encode(error));
        }
        self
    }

    /// Adds the value of the next parameter, as JSON text: a list for `jsonb_each`.
    pub(crate) fn bind_json<T: Serialize>(&mut self, value: &T) -> &mut Self {
        match serde_json::to_string(value) {
            Ok(text) => self.bind(text),
            Err(error) => {
                self.fault.get_or_insert(sqlx::Error::Encode(error.into()));
                self
            }
        }
    }

    /// How many statements there are.
    pub(crate) fn len(&self) -> usize {
        self.statements
    }

    /// Carries the statements out, and shows each row with the number of its statement, from 0.
    ///
    /// Not to be dropped halfway: SQLite's thread would go on.
    pub(crate) async fn run(
        self,
        connection: &mut SqliteConnection,
        mut row: impl FnMut(usize, &SqliteRow) -> Result<(), StoreError> + Send,
    ) -> Result<(), Failure> {
        let mut statement = 0;
        if let Some(error) = self.fault {
            let cause = Cause::Driver(error);
            return Err(Failure { statement, cause });
        }
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments);
        let mut results = connection.fetch_many(query);
        let mut fault = None;
        loop {
            match results.try_next().await {
                Ok(Some(Either::Left(_))) => statement += 1,
                Ok(Some(Either::Right(found))) => {
                    // All rows are taken off the connection, also after a fault, so that it is at rest afterwards.
                    if fault.is_none() {
                        fault = row(statement, &found).err();
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let cause = Cause::Driver(error);
                    return Err(Failure { statement, cause });
                }
            }
        }
        match fault {
            Some(error) => Err(Failure {
                statement,
                cause: Cause::Rows(error),
            }),
            None => Ok(()),
        }
    }

    /// Carries out statements that give no rows.
    pub(crate) async fn execute(self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        self.run(connection, |_, _| Ok(())).await
    }
}
