//! One phase: a new store, events and disasters for a time, and a verdict when all is quiet.
//!
//! Long because a phase is one story: processes, disasters, rest and relief share what they know.

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
use uno_core::{EventStore, ParkingStore};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

use super::{
    Control, DIARY, Disasters, LEDGER, Plan,
    appending::{APPENDERS, Acknowledged, Entry, append},
    diary::Diary,
    doom::Doom,
    evidence::{Evidence, Tried},
    judge::judge,
    outside::Outside,
    poison::{Attempts, Poison},
    relief,
    worker::{LEASE, stops, store_file},
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
    let attempts = Attempts::new(&folder, plan.recipe());
    attempts.create()?;
    let (store, mut outside, schema) = if postgres {
        let schema = Schema::new(name)?;
        let options = PgOptions::from_url(grounds.database.url())?
            .schema(SchemaName::new(schema.as_str())?)
            .max_connections(APPENDERS.try_into()?);
        let store = PgStore::new(options);
        store.migrate().await?;
        let outside = Outside::postgres(&grounds.database, &schema).await?;
        (Store::of(store), outside, Some(schema))
    } else {
        let store = SqliteStore::open(store_file(&folder)).await?;
        store.migrate().await?;
        let outside = Outside::sqlite(&store_file(&folder)).await?;
        (Store::of(store), outside, None)
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
        evidence: Evidence {
            seed: plan.seed,
            recipe: plan.recipe(),
            apart: plan.apart,
            ..Evidence::default()
        },
    };
    phase.go_through(&store).await?;
    phase.gather(&store).await?;
    let verdict = judge(&phase.evidence);
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
    evidence: Evidence,
}

/// The store as those who append and those who relieve parked keys see it.
struct Store {
    events: Arc<dyn EventStore>,
    parking: Arc<dyn ParkingStore>,
}

impl Store {
    fn of<S: EventStore + ParkingStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            events: Arc::<S>::clone(&store),
            parking: store,
        }
    }
}

struct Process {
    child: Child,
    /// Its number, also when it is dead.
    number: u32,
    /// Until when it is stopped in its tracks.
    frozen: Option<Instant>,
}

impl Phase<'_> {
    async fn go_through(&mut self, store: &Store) -> Result<()> {
        for which in 0..self.plan.workers {
            let process = self.start(usize::try_from(which)?, true)?;
            self.processes.push(process);
        }
        let acknowledged = Acknowledged::default();
        let until = Instant::now() + Duration::from_millis(self.plan.millis);
        let mut appending = JoinSet::new();
        for share in 0..APPENDERS {
            let (store, acknowledged) = (Arc::clone(&store.events), acknowledged.clone());
            let Plan { seed, keys, .. } = *self.plan;
            appending.spawn(append(store, seed, keys, share, until, acknowledged));
        }
        let (mut disaster, mut server) = (Instant::now(), self.next_server());
        while !appending.is_empty() {
            sleep(LOOK).await;
            self.look_after(true)?;
            if Instant::now() >= disaster && self.plan.disasters != Disasters::None {
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
        self.evidence.acknowledged = acknowledged.all().into_iter().collect();
        self.come_to_rest(store, false).await?;
        self.relieve(store).await?;
        self.come_to_rest(store, true).await?;
        for process in std::mem::take(&mut self.processes) {
            self.end(process).await?;
        }
        Ok(())
    }

    /// Looks what is parked, mends handlers, and has everything that is parked handled or passed over, under a last few disasters.
    async fn relieve(&mut self, store: &Store) -> Result<()> {
        let log = self.outside.log().await?;
        let parked = relief::look(&*store.parking, &log, &mut self.rng).await?;
        self.evidence.tried = self.tried(log.keys())?;
        let handled = (self.outside.rows().await?, Diary::read(&self.folder)?);
        for one in &parked {
            let Some(first) = one.entries.first() else {
                continue;
            };
            let is_ahead = |entry: &Entry| entry.key == first.key && entry.seq >= first.seq;
            let entries: Vec<Entry> = match one.subscription {
                LEDGER => handled.0.iter().map(|row| row.entry).collect(),
                _ => handled.1.iter().map(|line| line.entry).collect(),
            };
            let ahead = entries.into_iter().filter(is_ahead);
            self.evidence
                .ahead
                .extend(ahead.map(|entry| (one.subscription, entry)));
        }
        self.attempts.mend()?;
        relief::ask(&*store.parking, &parked).await?;
        if !parked.is_empty() && self.plan.disasters != Disasters::None {
            for _ in 0..3 {
                self.look_after(false)?;
                self.harm().await?;
                sleep(Duration::from_millis(self.rng.u64(..150))).await;
            }
        }
        self.evidence.parked = parked;
        Ok(())
    }

    /// Nothing goes wrong any more, but for what events do; waits until all is handled or parked, or nothing moves. When it was said
    /// what to do with what is parked, that is done too.
    async fn come_to_rest(&mut self, store: &Store, relieved: bool) -> Result<()> {
        let standstill = match self.plan.control {
            Some(_) => STANDSTILL / 6,
            None => STANDSTILL,
        };
        let passed = |phase: &Self, subscription: &str| -> u64 {
            let parked = phase.evidence.parked.iter();
            let parked = parked.filter(|parked| parked.subscription == subscription);
            parked.map(|parked| parked.passed_over().len() as u64).sum()
        };
        let (mut last, mut moved) = (Counts::default(), Instant::now());
        for look in 0_u64.. {
            sleep(LOOK).await;
            self.look_after(false)?;
            if look % 32 != 0 {
                continue;
            }
            let counts = self.counts(store).await?;
            if counts != last {
                (last, moved) = (counts, Instant::now());
            }
            let Counts {
                events,
                rows,
                lines,
                parked: (ledger, diary),
            } = counts;
            // What a process has in hand is let be for a while.
            if relieved && look % 256 == 224 {
                let again = relief::ask_again(&*store.parking).await?;
                self.evidence.asked_again += again;
            }
            let done = if relieved {
                let (ledger_passed, diary_passed) = (passed(self, LEDGER), passed(self, DIARY));
                ledger + diary == 0
                    && rows + ledger_passed >= events
                    && lines + diary_passed >= events
            } else {
                rows + ledger >= events && lines + diary >= events
            };
            if done || moved.elapsed() > standstill {
                break;
            }
        }
        Ok(())
    }

    async fn counts(&mut self, store: &Store) -> Result<Counts> {
        let (events, rows) = self.outside.counts().await?;
        let mut lines: Vec<_> = Diary::read(&self.folder)?;
        lines.sort_unstable_by_key(|line| line.entry);
        lines.dedup_by_key(|line| line.entry);
        Ok(Counts {
            events,
            rows,
            lines: lines.len() as u64,
            parked: relief::counts(&*store.parking).await?,
        })
    }

    fn start(&mut self, which: usize, doomed: bool) -> Result<Process> {
        let mut command = Command::new(&self.grounds.program);
        command
            .arg("subscriber")
            .arg("--folder")
            .arg(&self.folder)
            .args(["--lanes", &self.plan.lanes.to_string()])
            .args(["--attempts", &self.plan.attempts().to_string()]);
        if let Some(recipe) = self.plan.recipe() {
            command.args(["--poison", &recipe.to_string()]);
        }
        if self.plan.apart {
            command.args(["--only", [LEDGER, DIARY][which % 2]]);
        }
        if self.plan.named {
            command.args(["--name", &format!("worker-{which}")]);
        }
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
        let calm = self.plan.disasters == Disasters::None;
        let doomed = doomed && !overlap && !calm && (between || self.rng.bool());
        if doomed {
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
        let number = child
            .id()
            .context("a process that was started has a number")?;
        if doomed {
            self.evidence.harmed.insert(number);
        }
        Ok(Process {
            child,
            number,
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
                let number = process.number;
                self.has_died(number, status);
                self.processes[which] = self.start(which, doomed)?;
            }
        }
        Ok(())
    }

    fn has_died(&mut self, number: u32, status: ExitStatus) {
        self.evidence.dead.insert(number);
        match status.signal() {
            // At its point, or by an event.
            Some(ABORTED) => self.disasters.add("processes that died by themselves", 1),
            _ => self.evidence.ends.push(status.to_string()),
        }
    }

    /// Kills a process, or stops it in its tracks.
    async fn harm(&mut self) -> Result<()> {
        let which = self.rng.usize(..self.processes.len());
        // Without a fence it is those who wake up too late that must be caught.
        let unfenced = self.plan.control == Some(Control::Unfenced);
        if unfenced || self.plan.disasters == Disasters::Freezes && self.rng.u8(..3) > 0 {
            // Somebody has to be awake to overtake those who sleep.
            let awake = self.processes.iter().filter(|one| one.frozen.is_none());
            if unfenced && awake.count() < 2 {
                return Ok(());
            }
            // Most of them for longer than a lease; without a fence also for as long as it takes to notice that it has run out, and to
            // write something.
            let least = if unfenced { 2.0 } else { 0.5 };
            let pause = LEASE.mul_f64(least + (3.0 - least) * self.rng.f64());
            let process = &mut self.processes[which];
            if process.frozen.is_none() {
                tell(&process.child, "STOP");
                self.evidence.harmed.insert(process.number);
                process.frozen = Some(Instant::now() + pause);
                self.disasters.add("processes that were frozen", 1);
            }
            return Ok(());
        }
        let process = &mut self.processes[which];
        // SIGKILL: nothing in the process can do anything about it, and it need not be awake.
        process.child.start_kill()?;
        let (number, status) = (process.number, process.child.wait().await?);
        match status.signal() {
            Some(9) => {
                self.evidence.dead.insert(number);
                self.evidence.harmed.insert(number);
                self.disasters.add("processes that were killed", 1);
            }
            // It has died by itself just now.
            _ => self.has_died(number, status),
        }
        self.processes[which] = self.start(which, true)?;
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
        self.evidence.servers += 1;
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
                    self.evidence.ends.push(status.to_string());
                }
            }
            Err(_) => self
                .evidence
                .ends
                .push("it did not end when it was asked to".to_owned()),
        }
        Ok(())
    }

    /// Everything that the judge is to see and has not yet.
    async fn gather(&mut self, store: &Store) -> Result<()> {
        self.evidence.log = self.outside.log().await?;
        self.evidence.rows = self.outside.rows().await?;
        self.evidence.diary = Diary::read(&self.folder)?;
        self.evidence.stops = stops(&self.folder)?;
        self.evidence.attempts = self.tried(self.evidence.log.keys())?;
        self.evidence.left = relief::left(&*store.parking).await?;
        Ok(())
    }

    fn tried<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Result<Tried> {
        let mut tried = Tried::new();
        for entry in entries.filter(|entry| Poison::of(self.plan.recipe(), **entry).is_some()) {
            for subscription in [LEDGER, DIARY] {
                let attempts = self.attempts.of(subscription, *entry)?;
                tried.insert((subscription, *entry), attempts);
            }
        }
        Ok(tried)
    }
}

/// How far things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    events: u64,
    /// Events in the table.
    rows: u64,
    /// Events in the diary.
    lines: u64,
    /// Events that are parked, of the one subscription and of the other.
    parked: (u64, u64),
}

fn tell(child: &Child, what: &str) {
    if let Some(process) = child.id() {
        signal(what, &[process.to_string()]);
    }
}
