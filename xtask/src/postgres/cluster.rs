//! One throw-away cluster: made, started on a free port, and stopped.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context as _, Result, bail};

use super::account::Account;
use super::binaries::Binaries;
use super::guard::Guard;

/// What a test run may write; below this, the memory file system is left alone.
const ROOM: u64 = 2 << 30;
/// Another program may take the free port before the server does.
const ATTEMPTS: usize = 5;

/// A running server that only this machine reaches, with an empty database and a superuser `postgres` without a password.
#[derive(Debug)]
pub(crate) struct Cluster {
    directory: PathBuf,
    binaries: Binaries,
    account: Account,
    port: u16,
    guard: Guard,
}

impl Cluster {
    /// Makes and starts a cluster.
    pub(crate) fn start() -> Result<Self> {
        let binaries = super::find_or_install()?;
        let account = Account::choose()?;
        let directory = directory_for(&account)?;
        // Before anything is made that would have to be cleaned up.
        let guard = Guard::start(&directory, &binaries, &account)
            .inspect_err(|_| drop(fs::remove_dir(&directory)))?;
        let mut cluster = Self {
            directory,
            binaries,
            account,
            port: 0,
            guard,
        };
        cluster.make().context("failed to make a test cluster")?;
        cluster.launch().context("failed to start a test cluster")?;
        eprintln!(
            "PostgreSQL of {} on 127.0.0.1:{}, data in {}",
            cluster.binaries.folder().display(),
            cluster.port,
            cluster.directory.display()
        );
        Ok(cluster)
    }

    /// Sets `DATABASE_URL` for `command`, and takes the caller's own libpq settings away, which would change what it means.
    pub(crate) fn offer_to(&self, command: &mut Command) {
        forget_libpq_settings(command);
        command.env(
            "DATABASE_URL",
            format!("postgres://postgres@127.0.0.1:{}/postgres", self.port),
        );
    }

    /// Sets libpq's variables, so that `psql` without arguments finds the cluster, and the programs of its version.
    pub(crate) fn offer_to_libpq(&self, command: &mut Command) {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain([self.binaries.folder().to_path_buf()]);
        if let Ok(path) = env::join_paths(folders) {
            command.env("PATH", path);
        }
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "postgres");
    }

    /// The process group that shall not outlive the cluster, should we be killed.
    pub(crate) fn ends_with(&mut self, group: Option<u32>) {
        self.guard.kills(group);
    }

    /// Stops the server and removes its data.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.guard.kills(None);
        self.guard.release()
    }

    fn make(&self) -> Result<()> {
        let data = data_folder(&self.directory);
        let mut initdb = self.command("initdb");
        initdb
            .args(["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8"])
            .args(["--locale=C", "-D"])
            .arg(&data);
        run(&mut initdb)?;

        let file = data.join("postgresql.conf");
        let mut settings = fs::read_to_string(&file).context("failed to read the settings")?;
        // `fsync` and `synchronous_commit` stay on: the Postgres store refuses a server that may forget a commit.
        // A page torn by a power cut is nothing that these data live to see.
        write!(
            settings,
            "\nlisten_addresses = '127.0.0.1'\n\
             unix_socket_directories = '{}'\n\
             max_connections = 300\n\
             full_page_writes = off\n",
            self.directory.display()
        )?;
        fs::write(&file, settings).context("failed to write the settings")
    }

    fn launch(&mut self) -> Result<()> {
        let mut attempt = 1;
        loop {
            self.port = free_port().context("failed to find a free port")?;
            let log = self.directory.join("server.log");
            let mut pg_ctl = self.command("pg_ctl");
            pg_ctl
                .args(["start", "-w", "-t", "120", "-s"])
                .arg("-D")
                .arg(data_folder(&self.directory))
                .arg("-l")
                .arg(&log)
                .args(["-o", &format!("-p {}", self.port)]);
            let Err(error) = run(&mut pg_ctl) else {
                return Ok(());
            };
            if attempt == ATTEMPTS {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(error.context(one_line(&log)));
            }
            attempt += 1;
        }
    }

    fn command(&self, program: &str) -> Command {
        self.account
            .command(self.binaries.program(program), &self.directory)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // On the good path `stop` has released the guard, and this finds nothing to do.
        if let Err(error) = self.guard.release() {
            eprintln!("{error:#}");
        }
    }
}

/// Where the data of a cluster lie in its directory.
pub(super) fn data_folder(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// Takes every `PG…` variable away: they would send a program of ours to the caller's own server.
pub(super) fn forget_libpq_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
}

/// A new directory that `account` owns and can reach, in memory if there is room.
fn directory_for(account: &Account) -> Result<PathBuf> {
    let memory = Path::new("/dev/shm");
    let mut parents = vec![env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    // The server flushes at each commit, as the store demands; in memory that costs nothing.
    if room_in(memory).is_some_and(|room| room >= ROOM) {
        parents.insert(0, memory.into());
    }
    for parent in parents {
        let Some(directory) = new_folder(&parent) else {
            continue;
        };
        account.give(&directory)?;
        let reached = account
            .command("test", Path::new("/"))
            .arg("-w")
            .arg(&directory)
            .status()
            .is_ok_and(|status| status.success());
        if reached {
            return Ok(directory);
        }
        fs::remove_dir(&directory).context("failed to remove a directory just made")?;
    }
    bail!("no temporary directory that the PostgreSQL server can write to");
}

fn new_folder(parent: &Path) -> Option<PathBuf> {
    for number in 0_u16..1000 {
        let folder = parent.join(format!("uno-pg-{}-{number}", process::id()));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Some(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
    }
    None
}

/// The bytes free on the file system of `folder`.
fn room_in(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    // Header, then: file system, blocks, used, available, …
    let text = String::from_utf8(output.stdout).ok()?;
    let kibibytes: u64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kibibytes * 1024)
}

fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Runs `command` quietly; what it said goes into the error.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("failed to start {name}"))?;
    if !output.status.success() {
        bail!(
            "{}: {}",
            output.status,
            one_line(&String::from_utf8_lossy(&output.stderr))
        );
    }
    Ok(())
}

/// The end of what a program said, as one line.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}
