//! Which store to use, and where.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use uno::{MemoryStore, PgStore, SqliteStore};

use crate::outside::Ledger;

/// What `--store` says.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    Memory,
    Sqlite(PathBuf),
    Postgres(String),
}

impl Choice {
    /// Reads the argument. The file of the embedded store is named for the input, so that each input has its own.
    pub fn parse(text: &str, input: &str) -> anyhow::Result<Self> {
        match text {
            "memory" => Ok(Self::Memory),
            "sqlite" => Ok(Self::Sqlite(directory()?.join(format!("{input}.db")))),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::Postgres(url.to_owned()))
            }
            other => match other
                .strip_prefix("sqlite:")
                .filter(|file| !file.is_empty())
            {
                Some(file) => Ok(Self::Sqlite(file.into())),
                // The text is not repeated: it may be a URL with a password in it.
                None => {
                    bail!("unknown store; use `sqlite`, `sqlite:FILE`, `memory` or `postgres://…`")
                }
            },
        }
    }
}

/// The folder for what runs leave behind.
pub fn directory() -> anyhow::Result<PathBuf> {
    let directory = PathBuf::from("target/orders");
    fs::create_dir_all(&directory)
        .with_context(|| format!("can't make the folder {}", directory.display()))?;
    Ok(directory)
}

/// A store that is gone with the process.
pub fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}

/// The embedded store in this file.
pub async fn sqlite(file: &Path, fresh: bool) -> anyhow::Result<Arc<SqliteStore>> {
    if fresh {
        for suffix in ["", "-wal", "-shm"] {
            remove(&with_suffix(file, suffix))?;
        }
    }
    Ok(Arc::new(SqliteStore::open(file).await?))
}

/// The store on a server.
pub async fn postgres(url: &str) -> anyhow::Result<Arc<PgStore>> {
    Ok(Arc::new(PgStore::connect(url)?))
}

/// The services outside: the customers' mailbox, and the statisticians.
#[derive(Clone, Debug)]
pub struct World {
    pub mailbox: Arc<Ledger>,
    pub sales: Arc<Ledger>,
}

/// Services that are gone with the process, as the memory store is.
pub fn in_memory_world() -> World {
    World {
        mailbox: Arc::new(Ledger::in_memory()),
        sales: Arc::new(Ledger::in_memory()),
    }
}

/// Services that keep what they were told in files beside the store.
pub fn world_beside(store: &Path, fresh: bool) -> anyhow::Result<World> {
    let open = |suffix| {
        let file = with_suffix(store, suffix);
        if fresh {
            remove(&file)?;
        }
        let ledger =
            Ledger::open(&file).with_context(|| format!("can't open {}", file.display()))?;
        anyhow::Ok(Arc::new(ledger))
    };
    Ok(World {
        mailbox: open(".mailbox")?,
        sales: open(".sales")?,
    })
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_names_a_store_and_errors_keep_secrets() {
        assert_eq!(Choice::parse("memory", "x").unwrap(), Choice::Memory);
        assert_eq!(
            Choice::parse("sqlite:a.db", "x").unwrap(),
            Choice::Sqlite("a.db".into())
        );
        assert_eq!(
            Choice::parse("postgres://h/d", "x").unwrap(),
            Choice::Postgres("postgres://h/d".into())
        );
        let error = Choice::parse("mysql://me:secret@h/d", "x")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
