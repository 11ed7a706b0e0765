//! One phase: a new log, writers and readers and disasters on it, quiet, and the verdict.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use tokio::{sync::watch, task::JoinSet};
use uno_core::EventStore as _;

use super::{
    Field,
    bystander::Bystander,
    chaos,
    plan::{Plan, StorePlan, mix},
    quiet,
    readers::{self, Stage},
    row,
    writer::Writer,
};
use crate::{
    ids::IdSpace,
    judge::{
        Verdict,
        process::{self, Log},
    },
    ledger::Ledger,
    server::OwnServer,
    session::{Database, Schema, sql},
};

/// Where phases take place.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// The database.
    pub database: Database,
    /// The server, if it is ours to kill and to change.
    pub server: Option<OwnServer>,
    /// Where the files go.
    pub folder: PathBuf,
    /// This program: the judge is a process of its own.
    pub program: PathBuf,
}

/// Runs one phase, and has it judged. What was counted meanwhile is among the facts.
///
/// The schema and the files of a phase that breaks a law are left for a person to look at.
///
/// # Errors
/// When the phase can't be run; a broken law is no error.
pub async fn run_phase(grounds: &Grounds, plan: Plan) -> Result<Verdict> {
    let deadlocks = grounds
        .server
        .as_ref()
        .map_or(0, |server| server.logged(DEADLOCK));
    let name = plan.number.to_string();
    let field = open(grounds, plan, &name).await?;
    fight(grounds, &field).await?;

    field.ledger.flush()?;
    let mut verdict = judge(grounds, &field).await.context("failed to judge")?;
    let counted = field.counted();
    let seen = match &grounds.server {
        Some(server) => server.logged(DEADLOCK) - deadlocks,
        None => counted.get("deadlocks seen"),
    };
    let not_found = counted.get("own appends not found");
    verdict.breach("own-appends", not_found, || {
        format!("{not_found} in the phase")
    });
    verdict.breach("deadlocks", seen, || format!("{seen} in the phase"));
    verdict.facts.add_all(&counted);
    if verdict.broken.sum() == 0 {
        clear_away(&field).await?;
    }
    Ok(verdict)
}

/// A new log, and a new folder for what is written down about it.
pub(crate) async fn open(grounds: &Grounds, plan: Plan, name: &str) -> Result<Arc<Field>> {
    let schema = Schema::new(format!("torture_{}_{name}", std::process::id()))?;
    let folder = grounds.folder.join(schema.as_str());
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let ledger = Ledger::create(&folder, IdSpace::new(mix(plan.seed, 1)))?;
    let field = Arc::new(Field::new(
        grounds.database.clone(),
        schema,
        folder,
        plan,
        ledger,
    ));
    prepare(grounds, &field).await?;
    Ok(field)
}

/// Removes a log in which nothing was wrong.
pub(crate) async fn clear_away(field: &Field) -> Result<()> {
    let mut session = field
        .database
        .connect_patiently("uno-torture-phase")
        .await?;
    sqlx::raw_sql(sql(&field.schema, "DROP SCHEMA {s} CASCADE"))
        .execute(&mut session)
        .await?;
    fs::remove_dir_all(&field.folder).context("failed to remove the files of a phase")
}

/// What the server writes down when it has to break one.
pub(crate) const DEADLOCK: &str = "deadlock detected";

/// Makes the schema, and sets the server.
async fn prepare(grounds: &Grounds, field: &Field) -> Result<()> {
    let store = field.store(
        "prepare",
        StorePlan {
            connections: 1,
            grouping: true,
            pooler: false,
        },
    )?;
    store.migrate().await.context("failed to migrate")?;
    let mut session = field.database.connect("uno-torture-phase").await?;
    row::create(&mut session, &field.schema).await?;
    let start = sqlx::query(sql(
        &field.schema,
        "SELECT setval('{s}.events_position', $1, true)",
    ));
    start.bind(field.plan.start).execute(&mut session).await?;
    if let Some(server) = &grounds.server {
        let delay = field.plan.commit_delay.to_string();
        // With full pages in its log: a write that is killed half-way tears a page, power cut or not.
        server
            .set(
                &mut session,
                &[
                    ("full_page_writes", "on"),
                    ("commit_siblings", "0"),
                    ("commit_delay", &delay),
                ],
            )
            .await?;
    }
    Ok(())
}

/// Writers against disasters, with readers looking on; returns when all are done and all is quiet.
async fn fight(grounds: &Grounds, field: &Arc<Field>) -> Result<()> {
    let (stage, watched) = watch::channel(Stage::Writing);
    let mut stores = Vec::new();
    for (number, plan) in field.plan.stores.iter().enumerate() {
        stores.push(field.store(&format!("store{number}"), *plan)?);
    }
    let bystander = Bystander::start(field).await?;
    let mut readers = readers::start(field, &stores[0], &watched)?;
    let mut writers: JoinSet<Result<()>> = JoinSet::new();
    for number in 0..field.plan.writers {
        writers.spawn(Writer::new(Arc::clone(field), stores.clone(), number).run());
    }
    let chaos = tokio::spawn(chaos::run(Arc::clone(field), grounds.server.clone()));

    let written = all(&mut writers).await;
    // A writer that failed leaves the others where they are; the phase is lost, so they end.
    field.stop();
    let wrecked = chaos.await.context("the disasters panicked")?;
    written.context("a writer failed")?;
    wrecked.context("a disaster failed")?;
    drop(stores);

    let mut session = field
        .database
        .connect_patiently("uno-torture-phase")
        .await?;
    let head = quiet::settle(field, &mut session).await?;
    stage.send_replace(Stage::Quiet(head));
    all(&mut readers).await.context("a reader failed")?;
    // Only now: nobody may have waited for it.
    bystander.end().await;
    Ok(())
}

pub(crate) async fn all(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(task) = tasks.join_next().await {
        task.context("a task panicked")??;
    }
    Ok(())
}

/// Asks the judge, who is another process.
pub(crate) async fn judge(grounds: &Grounds, field: &Field) -> Result<Verdict> {
    let log = Log::Postgres {
        database: &field.database,
        schema: &field.schema,
        times_rise: !field.plan.past_the_functions,
    };
    process::ask(&grounds.program, &field.folder, log).await
}
