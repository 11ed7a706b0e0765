//! [`OwnServer`]: a throw-away server on this machine that may be killed and started again.

use std::{
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use fastrand::Rng;
use sqlx::{PgConnection, Row as _};
use tokio::time::{Instant, sleep};

use crate::session::Database;

mod second;

pub use second::SecondServer;

const WRITERS: &str = "SELECT a.pid FROM pg_catalog.pg_stat_activity a WHERE a.backend_type IN ('walwriter', 'background writer', 'checkpointer')";

/// A throw-away server on this machine, whose data nobody wants.
#[derive(Clone, Debug)]
pub struct OwnServer {
    database: Database,
    data: PathBuf,
    programs: PathBuf,
    log: PathBuf,
}

impl OwnServer {
    /// Finds out where the server of `database` lives. It must be on this machine, and we its superuser.
    ///
    /// # Errors
    /// When it is not, or does not answer.
    pub async fn find(database: &Database) -> Result<Self> {
        let mut connection = database
            .connect("uno-torture/server")
            .await
            .context("failed to reach the server")?;
        let row = sqlx::query(
            "SELECT current_setting('data_directory'), (SELECT c.setting FROM pg_catalog.pg_config c WHERE c.name = 'BINDIR'), \
             current_setting('fsync')",
        );
        let row = row
            .fetch_one(&mut connection)
            .await
            .context("failed to ask the server where it is")?;
        let data = PathBuf::from(row.try_get::<String, _>(0)?);
        let programs = PathBuf::from(row.try_get::<String, _>(1)?);
        ensure!(
            row.try_get::<&str, _>(2)? == "on",
            "the server has fsync off, which would excuse any loss"
        );
        ensure!(
            data.join("postmaster.pid").is_file(),
            "the server's data are not on this machine"
        );
        let log = data.parent().unwrap_or(&data).join("server.log");
        Ok(Self {
            database: database.clone(),
            data,
            programs,
            log,
        })
    }

    /// Changes settings of the server that need no restart.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn set(
        &self,
        connection: &mut PgConnection,
        settings: &[(&'static str, &str)],
    ) -> Result<()> {
        for (name, value) in settings {
            let text = format!("ALTER SYSTEM SET {name} = '{value}'");
            sqlx::raw_sql(sqlx::AssertSqlSafe(text))
                .execute(&mut *connection)
                .await?;
        }
        sqlx::raw_sql("SELECT pg_reload_conf()")
            .execute(&mut *connection)
            .await?;
        // The reload is a signal that each process answers when it gets to it.
        for (name, value) in settings {
            let give_up = Instant::now() + Duration::from_secs(10);
            loop {
                // In a new session, since this one may be the last to hear of it.
                let mut other = self.database.connect("uno-torture/server").await?;
                let query = sqlx::query("SELECT current_setting($1) = $2")
                    .bind(*name)
                    .bind(*value);
                if query.fetch_one(&mut other).await?.try_get(0)? {
                    break;
                }
                ensure!(
                    Instant::now() < give_up,
                    "the server does not take {name} = {value}"
                );
                sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Kills the postmaster and every process of its, at once and without warning.
    ///
    /// # Errors
    /// When they can't be killed.
    pub async fn kill(&self) -> Result<()> {
        let give_up = Instant::now() + Duration::from_secs(10);
        loop {
            let processes = self.processes()?;
            if processes.is_empty() && !self.is_listed() {
                return Ok(());
            }
            signal("KILL", &processes);
            ensure!(
                Instant::now() < give_up,
                "the server's processes can't be killed"
            );
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Kills one process of the server that serves a client. The others end too, since it may have left shared memory in
    /// disorder, and the postmaster starts anew by itself; returns when it lets us in.
    ///
    /// # Errors
    /// When it does not.
    pub async fn kill_one(&self, rng: &mut Rng) -> Result<()> {
        let mut session = self
            .database
            .connect_patiently("uno-torture/server")
            .await?;
        let begun = "SELECT a.pid FROM pg_catalog.pg_stat_activity a WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()";
        let give_up = Instant::now() + Duration::from_secs(30);
        // Our own session ends with all the others.
        while let Ok(rows) = sqlx::query(begun).fetch_all(&mut session).await {
            ensure!(Instant::now() < give_up, "a server survives its processes");
            let found: Vec<i32> = rows
                .iter()
                .map(|row| row.try_get(0))
                .collect::<sqlx::Result<_>>()?;
            // One that has ended by itself meanwhile does nothing to the server: then it is another's turn.
            if let Some(process) = rng.choice(found) {
                signal("KILL", &[process.to_string()]);
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.database
            .connect_patiently("uno-torture/server")
            .await?;
        Ok(())
    }

    /// Starts the server again, and waits until it lets us in.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(&self) -> Result<()> {
        let server = self.clone();
        tokio::task::spawn_blocking(move || server.run_pg_ctl())
            .await
            .context("the start was interrupted")??;
        self.database
            .connect_patiently("uno-torture/server")
            .await?;
        Ok(())
    }

    /// Stops those processes of the server in their tracks that write to disk of their own accord, until they are killed: what
    /// no client has flushed is then lost in a crash.
    ///
    /// # Errors
    /// When the server does not say which they are.
    pub async fn freeze_writers(&self, connection: &mut PgConnection) -> Result<()> {
        let found = sqlx::query(WRITERS)
            .fetch_all(connection)
            .await
            .context("failed to find the processes that write")?;
        for process in found {
            signal("STOP", &[process.try_get::<i32, _>(0)?.to_string()]);
        }
        Ok(())
    }

    /// How often the server's log has this text.
    #[must_use]
    pub fn logged(&self, text: &str) -> u64 {
        // Bytes, since a log may have anything in it.
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(text))
            .count() as u64
    }

    fn run_pg_ctl(&self) -> Result<()> {
        let mut command = program(&self.programs, "pg_ctl", &self.data)?;
        command
            .args(["start", "-w", "-t", "120", "-s", "-D"])
            .arg(&self.data)
            .arg("-l")
            .arg(&self.log)
            .args(["-o", &format!("-p {}", self.database.port())]);
        let status = command.status().context("failed to run pg_ctl")?;
        if !status.success() {
            bail!("pg_ctl could not start the server: {status}");
        }
        Ok(())
    }

    /// Whether the system still knows the postmaster, though it is dead: until then no other one starts.
    fn is_listed(&self) -> bool {
        let lock = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let process = lock.lines().next().unwrap_or_default();
        !process.is_empty() && Path::new("/proc").join(process).exists()
    }

    /// The server's processes: all of them work in the folder of its data.
    fn processes(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").context("failed to list the processes")? {
            let entry = entry.context("failed to list the processes")?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_process = name.bytes().all(|b| b.is_ascii_digit());
            // A process that is gone by now has no folder to work in.
            if is_process && works_in(&entry.path(), &self.data) {
                found.push(name);
            }
        }
        Ok(found)
    }
}

/// A program of the server, which runs as the owner of this folder, and in it.
fn program(programs: &Path, name: &str, folder: &Path) -> Result<Command> {
    let owner = fs::metadata(folder).context("failed to look at the server's folder")?;
    let mut command = Command::new(programs.join(name));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C is for us to act on.
    command.process_group(0);
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG"))
    {
        command.env_remove(name);
    }
    if fs::metadata("/proc/self").is_ok_and(|ours| ours.uid() != owner.uid()) {
        command.uid(owner.uid()).gid(owner.gid());
    }
    Ok(command)
}

fn works_in(process: &Path, folder: &Path) -> bool {
    let zombie = fs::read_to_string(process.join("stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    });
    !zombie && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder)
}

/// Sends a signal to processes.
pub(crate) fn signal(signal: &str, processes: &[String]) {
    // The shell's own `kill` is on every machine. That a process is gone already is what we want.
    let _ = Command::new("sh")
        .args(["-c", "s=$1; shift; kill -s \"$s\" -- \"$@\"", "sh", signal])
        .args(processes)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
