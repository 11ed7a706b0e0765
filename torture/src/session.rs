//! Sessions of our own with the database, past the store.

use std::{fmt, str::FromStr as _, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, PgConnection, SqlSafeStr as _, SqlStr,
    postgres::PgConnectOptions,
};
use tokio::time::{Instant, sleep};

/// The name of a schema. Only ours, so only letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(String);

impl Schema {
    /// The schema with this name.
    ///
    /// # Errors
    /// When it has any other character: it is put into SQL as it is.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        ensure!(
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "{name:?} is no schema of ours"
        );
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text of ours as a statement, with `{s}` replaced by the schema.
#[must_use]
pub fn sql(schema: &Schema, text: &str) -> SqlStr {
    // The text is ours, and so is the schema's name.
    AssertSqlSafe(text.replace("{s}", &schema.0)).into_sql_str()
}

/// Where the database is.
#[derive(Clone)]
pub struct Database {
    url: String,
    options: PgConnectOptions,
}

impl Database {
    /// The database with this URL.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_url(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .context("DATABASE_URL is not the URL of a Postgres database")?;
        Ok(Self {
            url: url.to_owned(),
            options: options.disable_statement_logging(),
        })
    }

    /// The database that `DATABASE_URL` names.
    ///
    /// # Errors
    /// When it names none.
    pub fn from_env() -> Result<Self> {
        let url = std::env::var("DATABASE_URL")
            .context("DATABASE_URL must name a PostgreSQL that may be tortured")?;
        Self::from_url(&url)
    }

    /// The URL with one more parameter.
    #[must_use]
    pub fn url_with(&self, parameter: &str, value: &str) -> String {
        let mark = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{mark}{parameter}={value}", self.url)
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.options.get_port()
    }

    /// A session under this name.
    ///
    /// # Errors
    /// When the server can't be reached.
    pub async fn connect(&self, application: &str) -> sqlx::Result<PgConnection> {
        self.options
            .clone()
            .application_name(application)
            .connect()
            .await
    }

    /// The driver's options for a session under this name.
    #[must_use]
    pub fn options(&self, application: &str) -> PgConnectOptions {
        self.options.clone().application_name(application)
    }

    /// A session under this name, as soon as the server lets us in.
    ///
    /// # Errors
    /// When it does not within a minute.
    pub async fn connect_patiently(&self, application: &str) -> Result<PgConnection> {
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            match self.connect(application).await {
                Ok(connection) => return Ok(connection),
                Err(error) if Instant::now() > give_up => {
                    return Err(error).context("the server does not come back");
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// Shows no password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("port", &self.port())
            .finish_non_exhaustive()
    }
}

/// Whether an error is the link's: what was asked may or may not have been done.
#[must_use]
pub fn is_link(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// The SQLSTATE of an error, if the server sent it.
#[must_use]
pub fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .map(|code| code.into_owned())
}
