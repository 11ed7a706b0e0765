//! One phase: a new store, rebuilds under load and disasters, and a verdict.
//!
//! Long because a phase is one story: servers, builders, disasters and judgement share what they know.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use uno::SqliteStore;
use uno_core::{DocumentStore, EventName, EventStore, NewEvent, Payload, SchemaVersion};
use uno_core::{ExpectedVersion, StreamAppend, StreamId};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

use super::{
    Control, Doom, Plan, Role,
    books::CATEGORY,
    evidence::Folder,
    outside::Outside,
    process::{Ending, Process, Processes, Wish},
    reader::read,
    records::name_of,
    worker::{Notes, append, store_file},
};
use crate::{campaign::Grounds, judge::Verdict, session::Schema, tally::Tally};

/// How often it is looked how things are.
const LOOK: Duration = Duration::from_millis(5);
/// How long anything may take that is to come to an end.
const STANDSTILL: Duration = Duration::from_secs(180);
/// How many events are appended at once to begin with.
const FILL: u64 = 500;

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
/// When it can't be run; what is wrong with the read model is in the verdict.
pub async fn run_phase(grounds: &Grounds, plan: &Plan, postgres: bool) -> Result<Outcome> {
    let name = format!("torture_{}_rebuild_{}", std::process::id(), plan.number);
    let folder = grounds.folder.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let (store, outside, schema) = if postgres {
        let schema = Schema::new(name)?;
        let options = PgOptions::from_url(grounds.database.url())?
            .schema(SchemaName::new(schema.as_str())?)
            .max_connections(4);
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
    let processes = Processes {
        grounds,
        plan,
        folder,
        schema,
        disasters: Tally::default(),
        verdict: Verdict::default(),
    };
    let mut phase = Phase {
        plan,
        processes,
        outside,
        rng: Rng::with_seed(plan.seed),
        servers: Vec::new(),
        next_kill: Instant::now(),
        calm_from: Instant::now() + plan.hardship,
        folder: Folder::default(),
        newest: 1,
    };
    phase.go_through(&store).await?;
    let Phase {
        mut processes,
        mut outside,
        folder,
        ..
    } = phase;
    Notes::gather(&processes.folder, &mut processes.verdict)?;
    let verdict = &mut processes.verdict;
    verdict.facts.add("events", folder.events());
    // What went wrong is left for whoever looks at it.
    if verdict.broken.sum() == 0 || plan.control.is_some() {
        outside.drop_schema().await?;
        fs::remove_dir_all(&processes.folder).context("failed to remove the files of a phase")?;
    }
    Ok(Outcome {
        verdict: processes.verdict,
        disasters: processes.disasters,
    })
}

/// The store as those see it who are in this process.
struct Store {
    events: Arc<dyn EventStore>,
    documents: Arc<dyn DocumentStore>,
}

impl Store {
    fn of<S: EventStore + DocumentStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            events: Arc::<S>::clone(&store),
            documents: store,
        }
    }
}

struct Phase<'p> {
    plan: &'p Plan,
    processes: Processes<'p>,
    outside: Outside,
    rng: Rng,
    servers: Vec<Process>,
    /// When the next of those that serve is killed.
    next_kill: Instant,
    /// From when on nobody dies, until the next thing is begun.
    calm_from: Instant,
    folder: Folder,
    /// The highest generation that has served.
    newest: u32,
}

impl Phase<'_> {
    async fn go_through(&mut self, store: &Store) -> Result<()> {
        self.fill(&*store.events).await?;
        for which in 0..self.plan.servers {
            let server = self.serve(which)?;
            self.servers.push(server);
        }
        self.until_it_is_there().await?;
        let Plan {
            accounts,
            kills_server,
            ..
        } = *self.plan;
        let done = AtomicBool::new(false);
        let reading = read(Arc::clone(&store.documents), accounts, kills_server, &done);
        let written = Arc::new(AtomicBool::new(false));
        let rng = self.rng.fork();
        let writing = write(
            Arc::clone(&store.events),
            rng,
            accounts,
            Arc::clone(&written),
        );
        let rebuilding = async {
            let rebuilt = self.rebuild_often().await;
            // To its end: an append that is dropped may be carried out when all is believed to be quiet.
            written.store(true, Ordering::Relaxed);
            let ended = writing.await.context("the writer panicked");
            let rested = match rebuilt.and(ended) {
                Ok(()) => self.come_to_rest().await,
                failed => failed,
            };
            done.store(true, Ordering::Relaxed);
            rested
        };
        let (rested, seen) = tokio::join!(rebuilding, reading);
        rested?;
        let verdict = &mut self.processes.verdict;
        verdict.facts.add_all(&seen.facts);
        verdict.broken.add_all(&seen.broken);
        verdict.examples.extend(seen.examples);
        Ok(())
    }

    async fn rebuild_often(&mut self) -> Result<()> {
        let mut built = 0;
        while built < self.plan.rebuilds {
            built += self.rebuild().await?;
            if self.processes.verdict.broken.get("stuck") > 0 {
                break;
            }
            if self.rng.u8(..4) == 0 {
                self.go_back().await?;
            }
            self.drop_kept().await?;
        }
        self.processes.verdict.facts.add("rebuilds", built);
        Ok(())
    }

    /// A log to begin with.
    async fn fill(&mut self, store: &dyn EventStore) -> Result<()> {
        let mut left = self.plan.events;
        while left > 0 {
            let mut appends = Vec::new();
            let first = self.rng.u64(..self.plan.accounts);
            let mut here = left.min(FILL);
            left -= here;
            for n in 0..self.plan.accounts {
                let count = here.min(self.rng.u64(1..=40));
                if count == 0 {
                    break;
                }
                here -= count;
                let account = (first + n) % self.plan.accounts;
                let stream = StreamId::new(CATEGORY, account.to_string())?;
                let events = (0..count).map(|_| self.event()).collect::<Result<_>>()?;
                appends.push(StreamAppend::new(stream, ExpectedVersion::Any, events));
            }
            // What did not fit into this one.
            left += here;
            store
                .append(appends)
                .await
                .context("the log can't be filled")?;
        }
        Ok(())
    }

    fn event(&mut self) -> Result<NewEvent> {
        let cents = self.rng.i64(-1000..1000);
        let payload = Payload::from_json(format!(r#"{{"cents":{cents}}}"#))?;
        let name = EventName::new("moved")?;
        Ok(NewEvent::from_payload(name, SchemaVersion::FIRST, payload))
    }

    fn serve(&mut self, which: u64) -> Result<Process> {
        let may_die = self.kills();
        let wish = Wish {
            role: Role::Serve,
            which,
            batch: 1,
            doom: self.doom(may_die),
        };
        self.processes.start(wish)
    }

    /// In the control of swaps nobody dies: what is looked for is who is faster.
    fn kills(&self) -> bool {
        self.plan.control != Some(Control::Unguarded) && Instant::now() < self.calm_from
    }

    async fn until_it_is_there(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < STANDSTILL {
            sleep(LOOK).await;
            self.look_after_servers().await?;
            if self.outside.record().await.is_ok() {
                return Ok(());
            }
        }
        bail!("the read model was not begun");
    }

    /// Starts anew who has died of those that serve, and kills one now and then.
    async fn look_after_servers(&mut self) -> Result<()> {
        let kill = self.kills() && Instant::now() >= self.next_kill;
        let victim = kill.then(|| self.rng.usize(..self.servers.len().max(1)));
        for which in 0..self.servers.len() {
            let server = &mut self.servers[which];
            let mut ended = self.processes.look(server)?;
            if ended.is_none() && victim == Some(which) {
                ended = Some(self.processes.kill(server).await?);
            }
            if ended.is_some() {
                self.servers[which] = self.serve(which as u64)?;
            }
        }
        if kill {
            self.next_kill = Instant::now() + Duration::from_millis(self.rng.u64(300..2_000));
        }
        Ok(())
    }

    /// Has the read model rebuilt once, or twice if two builders come to do so; judges it, and tells how often.
    async fn rebuild(&mut self) -> Result<u64> {
        let record = self.outside.record().await?;
        let newest = record.generations.keys().max().copied().unwrap_or(1);
        let target = record.building().unwrap_or(newest.max(self.newest) + 1);
        let two = self.plan.control.is_none() && self.rng.u8(..3) == 0;
        self.processes
            .verdict
            .facts
            .add("rebuilds by two", two.into());
        let mut deaths = match self.plan.control {
            None => self.rng.u64(2..=7),
            // One that goes on is what is looked for: the first dies in the middle, and no other.
            Some(Control::Skips) => 1,
            Some(Control::Unguarded) => 0,
        };
        self.calm_from = Instant::now() + self.plan.hardship;
        let server_dies = self.plan.kills_server && self.rng.bool();
        let mut server_dies = server_dies.then(|| Duration::from_millis(self.rng.u64(50..600)));
        let start = Instant::now();
        let mut builders = Vec::new();
        for which in 0..1 + u64::from(two) {
            let amid = self.plan.control == Some(Control::Skips);
            let doom = match amid {
                true => Some(Doom::amid(&mut self.rng)),
                false => self.doom(deaths > 0),
            };
            builders.push(self.build(target, which, doom)?);
        }
        let mut next_death = self.next_death();
        while !builders.is_empty() {
            sleep(LOOK).await;
            self.look_after_servers().await?;
            if server_dies.is_some_and(|after| start.elapsed() > after) {
                server_dies = None;
                self.kill_server().await?;
            }
            let kills = deaths > 0 && self.plan.control.is_none();
            let victim = kills && Instant::now() >= next_death;
            let mut victim = victim.then(|| self.rng.usize(..builders.len()));
            for which in (0..builders.len()).rev() {
                let mut ended = self.processes.look(&mut builders[which])?;
                if ended.is_none() && victim == Some(which) {
                    ended = Some(self.processes.kill(&mut builders[which]).await?);
                    victim = None;
                    next_death = self.next_death();
                }
                match ended {
                    None => {}
                    Some(Ending::Done) => drop(builders.remove(which)),
                    Some(Ending::Again) => {
                        deaths = deaths.saturating_sub(1);
                        let doom = self.doom(deaths > 0);
                        builders[which] = self.build(target, which as u64, doom)?;
                    }
                }
            }
            if start.elapsed() > STANDSTILL {
                let how = || format!("generation {target} was not built");
                self.processes.verdict.breach("stuck", 1, how);
                break;
            }
        }
        let before = self.newest;
        self.newest = self.newest.max(self.outside.record().await?.serving()?);
        self.judge().await?;
        Ok(u64::from(self.newest - before))
    }

    /// Half of those who may die do so by themselves, at a point; the others are for us to kill.
    fn doom(&mut self, may_die: bool) -> Option<Doom> {
        let by_itself = may_die && self.rng.bool();
        by_itself.then(|| Doom::draw(&mut self.rng))
    }

    fn build(&mut self, target: u32, which: u64, doom: Option<Doom>) -> Result<Process> {
        let batch = match self.plan.control {
            // Many batches, so that there is a middle.
            Some(Control::Skips) => usize::try_from(self.plan.events / 16 + 1)?,
            _ => self.rng.usize(100..1_500),
        };
        let wish = Wish {
            role: Role::Build(target),
            which,
            batch,
            doom,
        };
        self.processes.start(wish)
    }

    /// Some of them come before it has begun, some when all is done.
    fn next_death(&mut self) -> Instant {
        let most = 50 + self.plan.events / 25;
        Instant::now() + Duration::from_millis(self.rng.u64(20..most.max(60)))
    }

    async fn kill_server(&mut self) -> Result<()> {
        let ours = self.processes.schema.is_some();
        let server = self.processes.grounds.server.clone();
        if let Some(server) = server.filter(|_| ours) {
            server.kill().await?;
            sleep(Duration::from_millis(self.rng.u64(..300))).await;
            server.start().await?;
            self.processes
                .disasters
                .add("servers of the database, killed", 1);
            self.outside.reconnect().await?;
        }
        Ok(())
    }

    /// Compares every generation that serves or is kept with the log, as they are in this moment.
    async fn judge(&mut self) -> Result<()> {
        let record = self.outside.record().await?;
        let mut served = record.kept();
        served.push(record.serving()?);
        for generation in served {
            let name = name_of(generation);
            let snapshot = self.outside.snapshot(&name, self.folder.last()).await?;
            let wrong = self.folder.judge(&snapshot);
            let verdict = &mut self.processes.verdict;
            verdict.facts.add("generations that were judged", 1);
            verdict.facts.add(
                "documents that were judged",
                snapshot.documents.len() as u64,
            );
            verdict.breach("no fold", wrong.is_some().into(), || {
                format!("{name}: {}", wrong.unwrap_or_default())
            });
        }
        Ok(())
    }

    /// Lets the one before serve again.
    async fn go_back(&mut self) -> Result<()> {
        if self.plan.control.is_some() || self.outside.record().await?.kept().is_empty() {
            return Ok(());
        }
        self.has_done(Role::Back).await?;
        self.processes.verdict.facts.add("returns", 1);
        self.judge().await
    }

    /// Drops what is kept, but for one now and then.
    async fn drop_kept(&mut self) -> Result<()> {
        for generation in self.outside.record().await?.kept() {
            if self.rng.u8(..4) > 0 {
                self.has_done(Role::Drop(generation)).await?;
                self.processes.verdict.facts.add("drops", 1);
            }
        }
        Ok(())
    }

    /// Has processes do one thing, until one has done it. The first two may die over it.
    async fn has_done(&mut self, role: Role) -> Result<()> {
        let start = Instant::now();
        self.calm_from = start + self.plan.hardship;
        let mut deaths = if self.kills() { self.rng.u64(..=2) } else { 0 };
        while start.elapsed() < STANDSTILL {
            let may_die = deaths > 0 && role != Role::Settle;
            let wish = Wish {
                role,
                which: 0,
                batch: 1,
                doom: self.doom(may_die),
            };
            let mut process = self.processes.start(wish)?;
            let kill = may_die && wish.doom.is_none();
            let kill = kill.then(|| Instant::now() + Duration::from_millis(self.rng.u64(10..200)));
            deaths = deaths.saturating_sub(1);
            let ended = loop {
                sleep(LOOK).await;
                self.look_after_servers().await?;
                if let Some(ended) = self.processes.look(&mut process)? {
                    break ended;
                }
                if kill.is_some_and(|kill| Instant::now() >= kill) {
                    break self.processes.kill(&mut process).await?;
                }
                if start.elapsed() > STANDSTILL {
                    break Ending::Again;
                }
            };
            if ended == Ending::Done {
                return Ok(());
            }
        }
        let mut stand = Vec::new();
        for generation in self.outside.record().await?.generations.into_keys() {
            let name = name_of(generation);
            let snapshot = self.outside.snapshot(&name, i64::MAX).await?;
            stand.push(format!("{name} at {:?}", snapshot.lanes));
        }
        let how = || format!("{role} has come to no end: {}", stand.join(", "));
        self.processes.verdict.breach("stuck", 1, how);
        Ok(())
    }

    /// Nothing is written any more, and nobody dies; then every generation has all of the log, and nothing is left of those that were
    /// dropped.
    async fn come_to_rest(&mut self) -> Result<()> {
        for mut server in std::mem::take(&mut self.servers) {
            drop(server.child.stdin.take());
            match timeout(Duration::from_secs(30), server.child.wait()).await {
                Ok(status) => {
                    let status = status?;
                    self.processes.has_ended(server.wish, status);
                }
                Err(_) => {
                    let how = || "it did not end when it was asked to".to_owned();
                    self.processes.verdict.breach("process", 1, how);
                }
            }
        }
        self.has_done(Role::Settle).await?;
        let record = self.outside.record().await?;
        let mut served = record.kept();
        served.push(record.serving()?);
        for generation in &served {
            let name = name_of(*generation);
            let snapshot = self.outside.snapshot(&name, self.folder.last()).await?;
            let wrong = self.folder.judge_whole(&snapshot);
            let verdict = &mut self.processes.verdict;
            verdict.breach("behind", wrong.is_some().into(), || {
                format!("{name}: {}", wrong.unwrap_or_default())
            });
        }
        let known: Vec<String> = record.generations.keys().map(|one| name_of(*one)).collect();
        for name in self.outside.left().await? {
            let is_left = !known.contains(&name);
            let verdict = &mut self.processes.verdict;
            verdict.breach("left over", is_left.into(), || name);
        }
        for parked in self.outside.parked().await? {
            self.processes.verdict.breach("parked", 1, || parked);
        }
        Ok(())
    }
}

/// Appends all the time, also when everybody else who does has just died.
fn write(
    store: Arc<dyn EventStore>,
    mut rng: Rng,
    accounts: u64,
    done: Arc<AtomicBool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        while !done.load(Ordering::Relaxed) {
            // One that is refused would be refused to those who serve as well, and they tell.
            let _ = append(&*store, &mut rng, accounts).await;
            sleep(Duration::from_millis(rng.u64(2..10))).await;
        }
    })
}
