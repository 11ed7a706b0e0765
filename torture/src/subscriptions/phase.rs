//! One phase: a new store, events and disasters for a time, and a verdict when all is quiet.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::{
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use uno::SqliteStore;
use uno_core::EventStore;
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

use super::{
    Control, DIARY, Disasters, LEDGER, Plan,
    appending::{APPENDERS, Acknowledged, append},
    diary::Diary,
    doom::Doom,
    evidence::Evidence,
    judge::judge,
    outside::Outside,
    poison::{Attempts, Poison},
    worker::{stops, store_file},
};
use crate::{
    campaign::Grounds,
    judge::Verdict,
    server::{OwnServer, signal},
    session::Schema,
    tally::Tally,
};

/// How often it is looked how things are.
const LOOK: Duration = Duration::from_millis(5);
/// How long nothing may move before it is taken for the end.
const STANDSTILL: Duration = Duration::from_secs(60);
/// `SIGABRT`: a process that has died by itself, as it had to.
const ABORTED: i32 = 6;

/// What came of a phase.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the judge says.
    pub verdict: Verdict,
    /// What went wrong meanwhile, as it was to.
    pub disasters: Tally,
}

/// Runs a phase.
///
/// # Errors
/// When it can't be run; what is wrong with the subscriptions is in the verdict.
pub async fn run_phase(grounds: &Grounds, plan: &Plan, postgres: bool) -> Result<Outcome> {
    let name = format!(
        "torture_{}_subscriptions_{}",
        std::process::id(),
        plan.number
    );
    let folder = grounds.folder.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let attempts = Attempts::new(&folder, plan.seed);
    attempts.create()?;
    let (store, mut outside, schema) = if postgres {
        let schema = Schema::new(name)?;
        let options = PgOptions::from_url(grounds.database.url())?
            .schema(SchemaName::new(schema.as_str())?)
            .max_connections(APPENDERS.try_into()?);
        let store = PgStore::new(options);
        store.migrate().await?;
        let outside = Outside::postgres(&grounds.database, &schema).await?;
        let store: Arc<dyn EventStore> = Arc::new(store);
        (store, outside, Some(schema))
    } else {
        let store = SqliteStore::open(store_file(&folder)).await?;
        store.migrate().await?;
        let outside = Outside::sqlite(&store_file(&folder)).await?;
        let store: Arc<dyn EventStore> = Arc::new(store);
        (store, outside, None)
    };
    outside.create().await?;
    let mut phase = Phase {
        grounds,
        plan,
        folder,
        schema,
        outside,
        attempts,
        rng: Rng::with_seed(plan.seed),
        processes: Vec::new(),
        disasters: Tally::default(),
        ends: Vec::new(),
    };
    let acknowledged = phase.go_through(store).await?;
    let verdict = judge(&phase.evidence(&acknowledged).await?);
    // What went wrong is left for whoever looks at it.
    if verdict.broken.sum() == 0 || plan.control.is_some() {
        phase.outside.drop_schema().await?;
        fs::remove_dir_all(&phase.folder).context("failed to remove the files of a phase")?;
    }
    Ok(Outcome {
        verdict,
        disasters: phase.disasters,
    })
}

struct Phase<'p> {
    grounds: &'p Grounds,
    plan: &'p Plan,
    folder: PathBuf,
    schema: Option<Schema>,
    outside: Outside,
    attempts: Attempts,
    rng: Rng,
    processes: Vec<Process>,
    disasters: Tally,
    /// Of what processes ended that had no reason to.
    ends: Vec<String>,
}

struct Process {
    child: Child,
    /// Until when it is stopped in its tracks.
    frozen: Option<Instant>,
}

impl Phase<'_> {
    async fn go_through(&mut self, store: Arc<dyn EventStore>) -> Result<Acknowledged> {
        for _ in 0..self.plan.workers {
            let process = self.start(true)?;
            self.processes.push(process);
        }
        let acknowledged = Acknowledged::default();
        let until = Instant::now() + Duration::from_millis(self.plan.millis);
        let mut appending = JoinSet::new();
        for share in 0..APPENDERS {
            let (store, acknowledged) = (Arc::clone(&store), acknowledged.clone());
            let Plan { seed, keys, .. } = *self.plan;
            appending.spawn(append(store, seed, keys, share, until, acknowledged));
        }
        let (mut disaster, mut server) = (Instant::now(), self.next_server());
        while !appending.is_empty() {
            sleep(LOOK).await;
            self.look_after(true)?;
            if Instant::now() >= disaster {
                self.harm().await?;
                disaster = Instant::now() + Duration::from_millis(self.rng.u64(100..900));
            }
            if let Some(server_of_ours) = self.server()
                && Instant::now() >= server
            {
                self.kill_server(&server_of_ours).await?;
                server = self.next_server();
            }
            while let Some(ended) = appending.try_join_next() {
                ended.context("an appender panicked")??;
            }
        }
        self.come_to_rest().await?;
        for process in std::mem::take(&mut self.processes) {
            self.end(process).await?;
        }
        Ok(acknowledged)
    }

    /// Nothing goes wrong any more, but for what events do; waits until all is handled, or nothing moves.
    async fn come_to_rest(&mut self) -> Result<()> {
        let (mut last, mut moved) = ((0, 0, 0), Instant::now());
        for look in 0_u64.. {
            sleep(LOOK).await;
            self.look_after(false)?;
            if look % 32 != 0 {
                continue;
            }
            let (events, rows) = self.outside.counts().await?;
            let mut lines: Vec<_> = Diary::read(&self.folder)?;
            lines.sort_unstable_by_key(|line| line.entry);
            lines.dedup_by_key(|line| line.entry);
            let now = (events, rows, lines.len() as u64);
            if now != last {
                (last, moved) = (now, Instant::now());
            }
            if rows >= events && now.2 >= events || moved.elapsed() > STANDSTILL {
                break;
            }
        }
        Ok(())
    }

    fn start(&mut self, doomed: bool) -> Result<Process> {
        let mut command = Command::new(&self.grounds.program);
        command
            .arg("subscriber")
            .arg("--folder")
            .arg(&self.folder)
            .args(["--seed", &self.plan.seed.to_string()]);
        if let Some(schema) = &self.schema {
            command
                .args(["--schema", schema.as_str()])
                .env("DATABASE_URL", self.grounds.database.url());
        }
        if let Some(control) = self.plan.control {
            command.args(["--control", control.name()]);
        }
        // Half of them die by themselves, at a point; the others are for us to kill.
        let between = self.plan.control == Some(Control::OutsideTransaction);
        let overlap = self.plan.control == Some(Control::Unfenced);
        if doomed && !overlap && (between || self.rng.bool()) {
            let doom = if between {
                Doom::before_save(&mut self.rng)
            } else {
                Doom::draw(&mut self.rng)
            };
            command.args(["--doom", &doom.to_string()]);
        }
        let complaints = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.folder.join("stderr.txt"))?;
        // Panics are expected, so where they come from is of no interest.
        command.env("RUST_BACKTRACE", "0");
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(complaints)
            .kill_on_drop(true)
            .spawn()
            .context("failed to start a process")?;
        Ok(Process {
            child,
            frozen: None,
        })
    }

    /// Starts anew who has died, and lets go on who was stopped long enough.
    fn look_after(&mut self, doomed: bool) -> Result<()> {
        for which in 0..self.processes.len() {
            let process = &mut self.processes[which];
            if process
                .frozen
                .is_some_and(|until| !doomed || Instant::now() >= until)
            {
                process.frozen = None;
                tell(&process.child, "CONT");
            }
            if let Some(status) = process.child.try_wait()? {
                self.has_died(status);
                self.processes[which] = self.start(doomed)?;
            }
        }
        Ok(())
    }

    fn has_died(&mut self, status: ExitStatus) {
        match status.signal() {
            // At its point, or by an event.
            Some(ABORTED) => self.disasters.add("processes that died by themselves", 1),
            _ => self.ends.push(status.to_string()),
        }
    }

    /// Kills a process, or stops it in its tracks.
    async fn harm(&mut self) -> Result<()> {
        let which = self.rng.usize(..self.processes.len());
        if self.plan.disasters == Disasters::Freezes && self.rng.u8(..3) > 0 {
            let pause = Duration::from_millis(self.rng.u64(100..4_000));
            let process = &mut self.processes[which];
            if process.frozen.is_none() {
                tell(&process.child, "STOP");
                process.frozen = Some(Instant::now() + pause);
                self.disasters.add("processes that were frozen", 1);
            }
            return Ok(());
        }
        let process = &mut self.processes[which];
        // SIGKILL: nothing in the process can do anything about it, and it need not be awake.
        process.child.start_kill()?;
        let status = process.child.wait().await?;
        match status.signal() {
            Some(9) => self.disasters.add("processes that were killed", 1),
            // It has died by itself just now.
            _ => self.has_died(status),
        }
        self.processes[which] = self.start(true)?;
        Ok(())
    }

    fn server(&self) -> Option<OwnServer> {
        let ours = self.schema.is_some() && self.plan.disasters == Disasters::Server;
        self.grounds.server.clone().filter(|_| ours)
    }

    fn next_server(&mut self) -> Instant {
        let millis = self.plan.millis;
        Instant::now() + Duration::from_millis(self.rng.u64(millis / 6..millis / 3))
    }

    async fn kill_server(&mut self, server: &OwnServer) -> Result<()> {
        server.kill().await?;
        sleep(Duration::from_millis(self.rng.u64(..400))).await;
        server.start().await?;
        self.disasters.add("servers that were killed", 1);
        self.outside.reconnect().await
    }

    /// Has a process end in order.
    async fn end(&mut self, mut process: Process) -> Result<()> {
        drop(process.child.stdin.take());
        match timeout(Duration::from_secs(30), process.child.wait()).await {
            Ok(status) => {
                let status = status?;
                // One that is still doomed may yet meet its point.
                if !status.success() && status.signal() != Some(ABORTED) {
                    self.ends.push(status.to_string());
                }
            }
            Err(_) => self
                .ends
                .push("it did not end when it was asked to".to_owned()),
        }
        Ok(())
    }

    async fn evidence(&mut self, acknowledged: &Acknowledged) -> Result<Evidence> {
        let mut evidence = Evidence {
            seed: self.plan.seed,
            log: self.outside.log().await?,
            acknowledged: acknowledged.all().into_iter().collect(),
            rows: self.outside.rows().await?,
            diary: Diary::read(&self.folder)?,
            stops: stops(&self.folder)?,
            ends: self.ends.clone(),
            ..Evidence::default()
        };
        for entry in evidence.log.keys() {
            if Poison::of(self.plan.seed, *entry).is_none() {
                continue;
            }
            for subscription in [LEDGER, DIARY] {
                let attempts = self.attempts.of(subscription, *entry)?;
                evidence.attempts.insert((subscription, *entry), attempts);
            }
        }
        Ok(evidence)
    }
}

fn tell(child: &Child, what: &str) {
    if let Some(process) = child.id() {
        signal(what, &[process.to_string()]);
    }
}
