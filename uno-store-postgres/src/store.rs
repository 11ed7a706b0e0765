//! [`PgStore`]: events, and everything else, in a Postgres database.

mod checkpoints;
mod commits;
mod documents;
mod events;
mod import;
mod inbox;
mod lanes;
mod parking;
mod processes;
mod status;
mod timers;

use std::{fmt, sync::Arc};

use uno_core::StoreError;

pub use self::{
    import::{ImportError, ImportFailure, Imported},
    status::{Appending, LogStatus},
};
use crate::{PgOptions, PgOptionsError, committer::Committer, pool::Pool, shared::Shared};

/// A store in a schema of a Postgres database: implements every port of [`uno_core`].
///
/// Cheap to clone; clones share their connections. It is used within a Tokio runtime. It opens connections when they are
/// needed, so making one succeeds even if the server is not there; the first call says so.
///
/// ```no_run
/// use uno_core::EventStore as _;
/// use uno_store_postgres::PgStore;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PgStore::connect("postgres://shop@localhost/shop")?;
/// store.migrate().await?;
/// println!("{:?}", store.head().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PgStore {
    shared: Arc<Shared>,
    reads: Arc<Pool>,
    work: Arc<Pool>,
    committer: Arc<Committer>,
}

impl PgStore {
    /// A store at a URL, with the options it says: see [`PgOptions::from_url`].
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn connect(url: &str) -> Result<Self, PgOptionsError> {
        Ok(Self::new(PgOptions::from_url(url)?))
    }

    /// A store with these options.
    #[must_use]
    pub fn new(options: PgOptions) -> Self {
        let sizes = Sizes::of(options.connections());
        let shared = Arc::new(Shared::new(options));
        let reads = Pool::new(Arc::clone(&shared), sizes.reads);
        let pool = |size| match size {
            0 => Arc::clone(&reads),
            size => Pool::new(Arc::clone(&shared), size),
        };
        let (lanes, work) = (pool(sizes.lanes), pool(sizes.work));
        let committer = Committer::new(Arc::clone(&shared), lanes, Arc::clone(&work), &sizes);
        Self {
            shared,
            reads,
            work,
            committer,
        }
    }

    /// Where the store is, without secrets.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.shared.location
    }
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgStore")
            .field("options", &self.shared.options)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}

/// How the connections are divided. What may wait for the user's code, or for others' locks, never takes the last
/// connection from what does not: so a crowd of readers makes no commit wait, and work that reads through the store finds a
/// connection. 0 stands for those of the reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// For reads, which are short.
    pub(crate) reads: u32,
    /// For groups of commits.
    pub(crate) lanes: u32,
    /// For commits with work, and those that have to wait for a stream that somebody else has locked.
    pub(crate) work: u32,
}

impl Sizes {
    fn of(connections: u32) -> Self {
        match connections {
            0 | 1 => Self {
                reads: 1,
                lanes: 0,
                work: 0,
            },
            2 => Self {
                reads: 1,
                lanes: 0,
                work: 1,
            },
            3..=5 => Self {
                reads: (connections - 1).div_ceil(2),
                lanes: 1,
                work: (connections - 1) / 2,
            },
            _ => Self {
                reads: (connections - 2).div_ceil(2),
                lanes: 2,
                work: (connections - 2) / 2,
            },
        }
    }
}

/// A text that Postgres can't be asked for: no stored text has a NUL.
fn askable(text: &str) -> bool {
    !text.contains('\0')
}

fn corrupt(what: impl fmt::Display) -> StoreError {
    StoreError::Corrupt {
        what: what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_divided_without_one_too_many() {
        for connections in 1..100 {
            let Sizes { reads, lanes, work } = Sizes::of(connections);
            assert_eq!(reads + lanes + work, connections);
            assert!(reads > 0 && lanes <= 2);
            assert_eq!(lanes == 0, connections < 3);
            assert_eq!(work == 0, connections < 2);
        }
    }
}
