//! The same log for readers with faults and without: who misses what.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::{
    Control, controls,
    tail::{Cursor, Protocol, SETUP},
};
use crate::{
    campaign::{Field, Grounds, Plan, foreign_writer, phase, quiet},
    sequence::SequenceFile,
    session::sql,
};

const ALL: [Protocol; 7] = [
    Protocol::TwoStatements,
    Protocol::VolatileFunction,
    Protocol::Naive,
    Protocol::OneStatement,
    Protocol::RepeatableRead,
    Protocol::StableFunction,
    Protocol::TransactionIds,
];

/// All readers at once, on a log that is written by hand with pauses before and after each append.
pub(super) async fn run(grounds: &Grounds, seed: u64, events: u64) -> Result<Vec<Control>> {
    let field = phase::open(grounds, plan(seed, events), "controls").await?;
    let mut session = field.database.connect("uno-torture-controls").await?;
    sqlx::raw_sql(sql(&field.schema, SETUP))
        .execute(&mut session)
        .await
        .context("failed to set up the controls")?;
    let race = Race::start(&field, &ALL)?;
    write(&field, 12, events).await?;
    race.end(&field).await?;
    let verdict = phase::judge(grounds, &field)
        .await
        .context("failed to judge the controls")?;
    let controls = controls(&verdict, &ALL)?;
    phase::clear_away(&field).await?;
    Ok(controls)
}

pub(super) fn plan(seed: u64, events: u64) -> Plan {
    Plan {
        events,
        past_the_functions: true,
        delay: Duration::from_millis(5),
        ..Plan::quiet(seed)
    }
}

/// Foreign writers, until so many events are acknowledged in all.
pub(super) async fn write(field: &Arc<Field>, writers: usize, events: u64) -> Result<()> {
    let mut tasks = JoinSet::new();
    for number in 0..writers {
        tasks.spawn(foreign_writer(Arc::clone(field), number, events));
    }
    phase::all(&mut tasks)
        .await
        .context("a writer of the controls failed")
}

/// Readers that follow the log until it is quiet.
pub(super) struct Race {
    quiet: watch::Sender<bool>,
    readers: JoinSet<Result<()>>,
}

impl Race {
    pub(super) fn start(field: &Arc<Field>, protocols: &[Protocol]) -> Result<Self> {
        let (quiet, watched) = watch::channel(false);
        let mut readers = JoinSet::new();
        for protocol in protocols {
            let file = SequenceFile::create(&field.folder, protocol.name(), None)?;
            readers.spawn(follow(Arc::clone(field), *protocol, file, watched.clone()));
        }
        Ok(Self { quiet, readers })
    }

    /// Waits until all is quiet, and the readers have had their last look.
    pub(super) async fn end(mut self, field: &Field) -> Result<()> {
        let mut session = field
            .database
            .connect_patiently("uno-torture-controls")
            .await?;
        quiet::settle(field, &mut session).await?;
        self.quiet.send_replace(true);
        field.ledger.flush()?;
        phase::all(&mut self.readers)
            .await
            .context("a reader of the controls failed")
    }
}

async fn follow(
    field: Arc<Field>,
    protocol: Protocol,
    mut file: SequenceFile,
    quiet: watch::Receiver<bool>,
) -> Result<()> {
    let mut session = field
        .database
        .connect(&field.application("reader/control"))
        .await?;
    let mut cursor = Cursor::default();
    let mut empty = 0;
    while empty < 3 {
        let was_quiet = *quiet.borrow();
        let events = protocol
            .page(&mut session, &field.schema, &mut cursor)
            .await
            .with_context(|| protocol.name())?;
        for (position, id) in &events {
            file.given(*position, *id)?;
        }
        if events.is_empty() {
            sleep(Duration::from_millis(1)).await;
            empty += u32::from(was_quiet);
        } else {
            empty = 0;
        }
    }
    file.end(true)
}
