//! [`PgOptions`]: how to reach a store, and how it shall behave.

mod url;

use std::{fmt, time::Duration};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use uno_core::Limits;

pub use self::url::PgOptionsError;
use crate::SchemaName;

/// How to reach a store in Postgres, and how it shall behave.
///
/// Neither `Debug` nor any error of this crate shows the password.
///
/// ```
/// use uno_store_postgres::{PgOptions, SchemaName};
/// let options = PgOptions::from_url("postgres://shop:secret@localhost:5432/shop")?
///     .schema(SchemaName::new("orders")?)
///     .max_connections(8);
/// assert_eq!(options.location(), "postgres://localhost:5432/shop (schema orders)");
/// assert!(!format!("{options:?}").contains("secret"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PgOptions {
    connect: PgConnectOptions,
    schema: SchemaName,
    max_connections: u32,
    deadline: Duration,
    lock_timeout: Duration,
    limits: Limits,
    grouping: bool,
    prepared: bool,
    hints: bool,
    lossy: bool,
}

impl PgOptions {
    /// Options from a URL such as `postgres://user:password@host:5432/database`.
    ///
    /// The parameters `schema`, `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host`, `hostaddr`, `port`, `dbname`,
    /// `user`, `password` and `application_name` may follow. What the URL does not say is taken from the variables that
    /// libpq uses (`PGHOST`, `PGPASSWORD`, …) and its password file.
    ///
    /// # Errors
    /// When the text is not such a URL, or has a parameter that is not known: a misspelt `sslmode` must not go unseen.
    pub fn from_url(url: &str) -> Result<Self, PgOptionsError> {
        let (connect, schema) = url::parse(url)?;
        Ok(Self {
            connect: connect.disable_statement_logging(),
            schema,
            max_connections: 10,
            deadline: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            grouping: true,
            prepared: true,
            hints: true,
            lossy: false,
        })
    }

    /// The schema that the store lives in; `uno` unless set.
    #[must_use]
    pub fn schema(mut self, schema: SchemaName) -> Self {
        self.schema = schema;
        self
    }

    /// What the server shows as the name of the application, in `pg_stat_activity` and in
    /// [`log_status`](crate::PgStore::log_status).
    #[must_use]
    pub fn application_name(mut self, name: &str) -> Self {
        self.connect = self.connect.application_name(name);
        self
    }

    /// How many connections the store may have at once, at least 1; 10 unless set. One more hears the
    /// hints of other processes, once somebody waits for them (see [`without_hints`](Self::without_hints)).
    #[must_use]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// How long the server may take for one answer before the connection is given up; 30 seconds unless set.
    /// The caller's own work within a commit is not limited by it.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long a commit waits for a stream that another process has locked; 10 seconds unless set.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How large events may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Carries out every commit in a transaction of its own, for comparison. Slower in every case but one caller.
    #[must_use]
    pub fn without_grouping(mut self) -> Self {
        self.grouping = false;
        self
    }

    /// For poolers in transaction mode, such as PgBouncer: keeps no prepared statements, sets nothing on the session, hears no
    /// hints, and puts every exchange in a transaction. Slower, since each exchange takes more round trips.
    ///
    /// Without it a store behind such a pooler fails as soon as connections change hands.
    #[must_use]
    pub fn for_transaction_pooler(mut self) -> Self {
        self.prepared = false;
        self.hints = false;
        self.connect = self
            .connect
            .statement_cache_capacity(0)
            .extra_float_digits(None);
        self
    }

    /// Neither sends nor hears hints of other processes: [`changed`](uno_core::EventStore::changed) then speaks of this
    /// process only.
    #[must_use]
    pub fn without_hints(mut self) -> Self {
        self.hints = false;
        self
    }

    /// Accepts a server that may lose what it acknowledged (`fsync = off` or `synchronous_commit = off`).
    ///
    /// For throw-away data only: after a crash of the server, events that were handled are gone, and their positions are
    /// given to others.
    #[must_use]
    pub fn danger_accept_lossy_durability(mut self) -> Self {
        self.lossy = true;
        self
    }

    /// Where the store is, without secrets: what errors show.
    #[must_use]
    pub fn location(&self) -> String {
        let host = self.connect.get_socket().map_or_else(
            || format!("{}:{}", self.connect.get_host(), self.connect.get_port()),
            |socket| socket.display().to_string(),
        );
        format!(
            "postgres://{host}/{} (schema {})",
            self.connect.get_database().unwrap_or_default(),
            self.schema
        )
    }

    pub(crate) fn connect(&self) -> &PgConnectOptions {
        &self.connect
    }

    pub(crate) fn schema_name(&self) -> &SchemaName {
        &self.schema
    }

    pub(crate) fn connections(&self) -> u32 {
        self.max_connections
    }

    pub(crate) fn answer_within(&self) -> Duration {
        self.deadline
    }

    /// The lock timeout as Postgres wants it; 0 would mean to wait for ever.
    pub(crate) fn lock_timeout_setting(&self) -> String {
        format!(
            "{}ms",
            self.lock_timeout.as_millis().clamp(1, 2_147_483_647)
        )
    }

    pub(crate) fn event_limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn is_grouping(&self) -> bool {
        self.grouping
    }

    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared
    }

    pub(crate) fn gives_hints(&self) -> bool {
        self.hints
    }

    pub(crate) fn accepts_lossy(&self) -> bool {
        self.lossy
    }
}

/// Shows no secret: the driver's own options print the password, so they are left out.
impl fmt::Debug for PgOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgOptions")
            .field("location", &self.location())
            .field("max_connections", &self.max_connections)
            .field("deadline", &self.deadline)
            .field("lock_timeout", &self.lock_timeout)
            .field("limits", &self.limits)
            .field("grouping", &self.grouping)
            .field("prepared", &self.prepared)
            .field("hints", &self.hints)
            .field("lossy", &self.lossy)
            .finish_non_exhaustive()
    }
}
