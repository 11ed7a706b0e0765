//! One phase: a new store, so many orders, so many crashes, and a verdict.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use uno::{SqliteStore, core::EventStore as _};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

use super::{
    Plan,
    doom::Doom,
    evidence::Evidence,
    judge::judge,
    outside::{Outside, Progress},
    provider::{Memory, Provider},
    shopkeeper::{acknowledged, acknowledged_file, provider_file, store_file},
};
use crate::{
    campaign::Grounds,
    judge::Verdict,
    session::{Schema, sql},
    tally::Tally,
};

/// How often it is looked how far things are.
const LOOK: Duration = Duration::from_millis(4);
/// How long a process may take to come to its doom before it is killed.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long nothing may move before it is taken for the end.
const STANDSTILL: Duration = Duration::from_secs(60);
/// `SIGABRT`: a process that has died at its point.
const ABORTED: i32 = 6;

/// What came of a phase.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the judge says.
    pub verdict: Verdict,
    /// How processes died.
    pub crashes: Tally,
}

/// Runs a phase.
///
/// # Errors
/// When it can't be run; what is wrong with the sagas is in the verdict.
pub async fn run_phase(grounds: &Grounds, plan: &Plan, postgres: bool) -> Result<Outcome> {
    let name = format!("torture_{}_saga_{}", std::process::id(), plan.number);
    let folder = grounds.folder.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let memory = if plan.forgets {
        Memory::ForgetsKeys
    } else {
        Memory::HonoursKeys
    };
    Provider::found(&provider_file(&folder), memory).await?;
    let (outside, schema) = if postgres {
        let schema = Schema::new(name)?;
        let options =
            PgOptions::from_url(grounds.database.url())?.schema(SchemaName::new(schema.as_str())?);
        PgStore::new(options).migrate().await?;
        let session = grounds.database.connect("uno-torture-saga").await?;
        (Outside::Postgres(session, schema.clone()), Some(schema))
    } else {
        let store = SqliteStore::open(store_file(&folder)).await?;
        store.migrate().await?;
        store.close().await;
        (Outside::sqlite(&store_file(&folder)).await?, None)
    };
    let mut phase = Phase {
        grounds,
        plan,
        folder,
        schema,
        outside,
        rng: Rng::with_seed(plan.seed),
        crashes: Tally::default(),
        by_themselves: Vec::new(),
    };
    phase.go_through().await?;
    let outcome = phase.judge().await?;
    // What went wrong is left for whoever looks at it.
    if outcome.verdict.broken.sum() == 0 || plan.forgets {
        phase.clear_away().await?;
    }
    Ok(outcome)
}

struct Phase<'p> {
    grounds: &'p Grounds,
    plan: &'p Plan,
    folder: PathBuf,
    schema: Option<Schema>,
    outside: Outside,
    rng: Rng,
    crashes: Tally,
    /// What processes ended of that were not doomed to.
    by_themselves: Vec<String>,
}

/// A process and how it is to end.
struct Running {
    child: Child,
    doom: Option<Doom>,
    since: Instant,
    /// The last position of the log when it was started.
    from: i64,
}

impl Phase<'_> {
    async fn go_through(&mut self) -> Result<()> {
        let mut running = Vec::new();
        for share in 0..self.plan.processes {
            running.push(self.start(share, true).await?);
        }
        let (mut last, mut moved) = (Progress::default(), Instant::now());
        for look in 0_u64.. {
            sleep(LOOK).await;
            let position = self.outside.position().await?;
            for share in 0..self.plan.processes {
                let process = &mut running[usize::try_from(share)?];
                if self.has_died(process, position).await? {
                    let doomed = self.crashes.sum() < self.plan.crashes;
                    *process = self.start(share, doomed).await?;
                }
            }
            if look % 16 == 0 {
                let progress = self.outside.progress().await?;
                if progress != last {
                    (last, moved) = (progress, Instant::now());
                }
                let ended = progress.ended.cast_unsigned() >= self.plan.orders;
                if ended && progress.open == 0 || moved.elapsed() > STANDSTILL {
                    break;
                }
            }
        }
        for process in running {
            self.end(process).await?;
        }
        Ok(())
    }

    async fn start(&mut self, share: u64, doomed: bool) -> Result<Running> {
        let mut command = Command::new(&self.grounds.program);
        command
            .arg("shopkeeper")
            .arg("--folder")
            .arg(&self.folder)
            .args(["--seed", &self.plan.seed.to_string()])
            .args(["--orders", &self.plan.orders.to_string()])
            .args(["--share", &share.to_string()])
            .args(["--of", &self.plan.processes.to_string()]);
        if let Some(schema) = &self.schema {
            command
                .args(["--schema", schema.as_str()])
                .env("DATABASE_URL", self.grounds.database.url());
        }
        // The control is about what happens between the provider and the store: there at first, and often.
        let between = self.plan.forgets && (self.crashes.sum() == 0 || self.rng.bool());
        let doom = doomed.then(|| {
            if between {
                Doom::between(&mut self.rng)
            } else {
                Doom::draw(&mut self.rng)
            }
        });
        if let Some(doom) = doom {
            command.args(["--doom", &doom.to_string()]);
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start a process")?;
        Ok(Running {
            child,
            doom,
            since: Instant::now(),
            from: self.outside.position().await?,
        })
    }

    /// Whether a process is dead, by its own hand or by ours.
    async fn has_died(&mut self, process: &mut Running, position: i64) -> Result<bool> {
        if let Some(status) = process.child.try_wait()? {
            match process.doom {
                Some(doom) if status.signal() == Some(ABORTED) => self.crashes.add(doom.name(), 1),
                _ => self.by_itself(status).await,
            }
            return Ok(true);
        }
        let (due, how) = match process.doom {
            None => return Ok(false),
            Some(Doom::Killed(growth)) => (
                position - process.from >= growth.cast_signed(),
                Doom::Killed(growth).name(),
            ),
            Some(Doom::AtPoint(..)) => (false, ""),
        };
        let late = process.since.elapsed() > PATIENCE;
        if due || late {
            // SIGKILL: nothing in the process can do anything about it.
            process.child.start_kill()?;
            let status = process.child.wait().await?;
            match (status.signal(), late && !due) {
                (Some(9), false) => self.crashes.add(how, 1),
                (Some(9), true) => self.crashes.add("killed before its point", 1),
                // It has come to its point just now.
                (Some(ABORTED), _) => self
                    .crashes
                    .add(process.doom.map_or("killed", Doom::name), 1),
                _ => self.by_itself(status).await,
            }
        }
        Ok(due || late)
    }

    async fn by_itself(&mut self, status: ExitStatus) {
        self.by_themselves.push(status.to_string());
        // One that can't start must not make us start it without end, at once.
        sleep(Duration::from_millis(200)).await;
    }

    /// Has a process end in order.
    async fn end(&mut self, mut process: Running) -> Result<()> {
        drop(process.child.stdin.take());
        match timeout(Duration::from_secs(30), process.child.wait()).await {
            Ok(status) => {
                let status = status?;
                // One that was still doomed may yet meet its point.
                if !status.success() && process.doom.is_none() {
                    self.by_themselves.push(status.to_string());
                }
            }
            Err(_) => self
                .by_themselves
                .push("it did not end when it was asked to".to_owned()),
        }
        Ok(())
    }

    async fn judge(&mut self) -> Result<Outcome> {
        let mut evidence = Evidence {
            seed: self.plan.seed,
            orders: self.plan.orders,
            acknowledged: acknowledged(&acknowledged_file(&self.folder))?,
            ..Evidence::default()
        };
        self.outside.read(&mut evidence).await?;
        let provider = Provider::open(&provider_file(&self.folder), None).await?;
        (evidence.calls, evidence.accounts) = provider.books().await?;
        let mut verdict = judge(&evidence);
        for status in &self.by_themselves {
            verdict.breach("process", 1, || status.clone());
        }
        Ok(Outcome {
            verdict,
            crashes: self.crashes.clone(),
        })
    }

    async fn clear_away(&mut self) -> Result<()> {
        if let Outside::Postgres(session, schema) = &mut self.outside {
            sqlx::raw_sql(sql(schema, "DROP SCHEMA {s} CASCADE"))
                .execute(session)
                .await?;
        }
        remove(&self.folder)
    }
}

fn remove(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).context("failed to remove the files of a phase")
}
