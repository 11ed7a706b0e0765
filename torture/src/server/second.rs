//! [`SecondServer`]: for those who were given a server that others use too, and want to kill one.

use std::{
    fs::{self, DirBuilder},
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{OwnServer, program, signal};
use crate::session::Database;

/// A server that is made from the programs of another one, and is gone when this is dropped.
#[derive(Debug)]
pub struct SecondServer {
    directory: PathBuf,
    server: OwnServer,
}

/// Another program may take the free port before the server does.
const ATTEMPTS: u8 = 5;

impl SecondServer {
    /// Makes and starts a server. The one that `beside` names must be on this machine, since its programs and its account are
    /// used; nothing else of it is.
    ///
    /// # Errors
    /// When it is not, or the new one can't be made.
    pub async fn start(beside: &Database, name: &str) -> Result<Self> {
        let first = OwnServer::find(beside).await.context(
            "a server to be killed can only be made beside one on this machine: unset DATABASE_URL for one of its own",
        )?;
        let directory = folder_for(&first.data, name)?;
        let mut second = Self {
            server: OwnServer {
                database: beside.clone(),
                data: directory.join("data"),
                programs: first.programs,
                log: directory.join("server.log"),
            },
            directory,
        };
        second.make()?;
        for attempt in 1.. {
            let port = free_port().context("failed to find a free port")?;
            second.server.database =
                Database::from_url(&format!("postgres://postgres@127.0.0.1:{port}/postgres"))?;
            match second.server.start().await {
                Ok(()) => break,
                Err(_) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error).context("failed to start a second server"),
            }
        }
        Ok(second)
    }

    /// The server, which may be killed.
    #[must_use]
    pub fn server(&self) -> &OwnServer {
        &self.server
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.server.database
    }

    fn make(&self) -> Result<()> {
        let data = &self.server.data;
        let mut initdb = program(&self.server.programs, "initdb", &self.directory)?;
        initdb
            .args(["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8"])
            .args(["--locale=C", "-D"])
            .arg(data);
        let status = initdb.status().context("failed to run initdb")?;
        ensure!(
            status.success(),
            "initdb could not make a second server: {status}"
        );
        let mut settings = fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))
            .context("failed to open the settings of a second server")?;
        writeln!(
            settings,
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nmax_connections = 300",
            self.directory.display()
        )
        .context("failed to write the settings of a second server")
    }
}

impl Drop for SecondServer {
    fn drop(&mut self) {
        let give_up = Instant::now() + Duration::from_secs(10);
        while Instant::now() < give_up {
            match self.server.processes() {
                Ok(processes) if !processes.is_empty() => signal("KILL", &processes),
                _ => break,
            }
            thread::sleep(Duration::from_millis(5));
        }
        // What stays behind is in a folder for temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A folder that the account of the server with these data owns.
fn folder_for(data: &Path, name: &str) -> Result<PathBuf> {
    // In the folder of a throw-away server, so that whoever removes that one removes this one too, should we be killed.
    let parent = data
        .parent()
        .filter(|parent| {
            let name = parent.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("uno-pg-")
        })
        .map_or_else(std::env::temp_dir, Path::to_path_buf);
    let folder = parent.join(format!("uno-pg-{name}-{}", std::process::id()));
    DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("failed to make {}", folder.display()))?;
    let owner = fs::metadata(data).context("failed to look at the server's data")?;
    chown(&folder, Some(owner.uid()), Some(owner.gid()))
        .context("failed to give a folder to the server's account")?;
    Ok(folder)
}

fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
