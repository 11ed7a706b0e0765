//! Readers: each writes down what it is given, page by page, from the beginning to the end.

mod by_hand;
mod glimpses;
mod through_store;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use fastrand::Rng;
use sqlx::PgConnection;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};
use uno_store_postgres::PgStore;

use self::{
    by_hand::ByHand,
    glimpses::Glimpses,
    through_store::{Hints, ThroughStore},
};
use super::{
    Field,
    plan::{StorePlan, mix},
};
use crate::sequence::SequenceFile;

/// How far a phase has come, as far as readers care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Somebody may still write.
    Writing,
    /// Nobody writes any more, and this is the highest position there is.
    Quiet(i64),
}

/// How long a reader may take for the rest once all is quiet.
const REST_WITHIN: Duration = Duration::from_secs(120);

/// A page of what comes next.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) events: Vec<(i64, u128)>,
    /// Where the reader may put its checkpoint, if that is not the last event.
    pub(crate) checkpoint: Option<(i64, u128)>,
}

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum NoPage {
    /// The server is away for the moment.
    Link,
    /// Something that nothing explains.
    Strange(String),
}

/// Where pages come from.
pub(crate) enum Source {
    Store(ThroughStore),
    Hand(Box<ByHand>),
}

/// Starts the readers of a phase.
pub(crate) fn start(
    field: &Arc<Field>,
    writers: &PgStore,
    stage: &watch::Receiver<Stage>,
) -> Result<JoinSet<Result<()>>> {
    let mut rng = Rng::with_seed(mix(field.plan.seed, u64::MAX));
    let mut readers = JoinSet::new();
    let mut turn = field.plan.number;
    let mut add = |name: &str, category: Option<&'static str>, source: Source| -> Result<()> {
        turn += 1;
        if !field.plan.all_readers && turn.is_multiple_of(2) {
            return Ok(());
        }
        let file = SequenceFile::create(&field.folder, name, category)?;
        let reader = Reader {
            field: Arc::clone(field),
            source,
            file,
            stage: stage.clone(),
            after: 0,
        };
        readers.spawn(reader.run());
        Ok(())
    };
    let store = |name: &str, connections, pooler| {
        field.store(
            &format!("reader/{name}"),
            StorePlan {
                connections,
                grouping: true,
                pooler,
            },
        )
    };
    let pooler = rng.u8(..3) == 0;
    let lone = store("lone", 1, pooler)?;
    add(
        "poll-small-pages",
        None,
        Source::Store(ThroughStore::new(lone, rng.usize(5..60), None, Hints::None)),
    )?;
    let shared = store("shared", 4, false)?;
    add(
        "poll",
        None,
        Source::Store(ThroughStore::new(shared.clone(), 1000, None, Hints::None)),
    )?;
    add(
        "poll-category",
        Some("hot"),
        Source::Store(ThroughStore::new(
            shared,
            rng.usize(3..100),
            Some("hot"),
            Hints::None,
        )),
    )?;
    add(
        "hint",
        None,
        Source::Store(ThroughStore::new(
            store("hint", 2, false)?,
            200,
            None,
            Hints::Heard,
        )),
    )?;
    add(
        "hint-same-store",
        None,
        Source::Store(ThroughStore::new(writers.clone(), 200, None, Hints::Heard)),
    )?;
    let deaf = field.deaf_store("reader/deaf")?;
    add(
        "hints-lost",
        None,
        Source::Store(ThroughStore::new(deaf, 500, None, Hints::Lost)),
    )?;
    let by_hand = |name: &str, together| {
        Source::Hand(Box::new(ByHand::new(
            field.database.clone(),
            field.schema.clone(),
            field.application(&format!("reader/{name}")),
            together,
        )))
    };
    add("by-hand", None, by_hand("hand", 1))?;
    add(
        "by-hand-one-transaction",
        None,
        by_hand("transaction", rng.u32(5..50)),
    )?;
    let glimpses = Glimpses {
        store: field.store(
            "reader/glimpses",
            StorePlan {
                connections: 2,
                grouping: true,
                pooler: false,
            },
        )?,
        file: SequenceFile::create(&field.folder, "glimpses", None)?,
        rng: rng.fork(),
        stage: stage.clone(),
    };
    readers.spawn(glimpses.run());
    Ok(readers)
}

/// A reader.
struct Reader {
    field: Arc<Field>,
    source: Source,
    file: SequenceFile,
    stage: watch::Receiver<Stage>,
    after: i64,
}

impl Reader {
    async fn run(mut self) -> Result<()> {
        let mut empty = 0;
        let mut give_up: Option<Instant> = None;
        loop {
            // Read before the page: what was quiet before the page was asked for is all in it.
            let stage = *self.stage.borrow();
            let before = self.after;
            match self.source.page(self.after).await {
                Ok(page) => self.take(&page)?,
                Err(NoPage::Link) => sleep(Duration::from_millis(20)).await,
                Err(NoPage::Strange(message)) => {
                    self.file.unexplained(&message)?;
                    sleep(Duration::from_millis(20)).await;
                }
            }
            empty = if self.after > before { 0 } else { empty + 1 };
            if let Stage::Quiet(head) = stage {
                let late =
                    Instant::now() > *give_up.get_or_insert_with(|| Instant::now() + REST_WITHIN);
                if late || (empty >= 3 && self.after >= head) {
                    return self.file.end(self.after >= head);
                }
            }
            if empty > 0 {
                let quiet = stage != Stage::Writing;
                self.source.wait(&self.field, empty, quiet).await;
            }
        }
    }

    fn take(&mut self, page: &Page) -> Result<()> {
        for (position, id) in &page.events {
            self.file.given(*position, *id)?;
            self.after = self.after.max(*position);
        }
        if let Some((position, id)) = page.checkpoint {
            self.file.checkpoint(position, id)?;
            self.after = self.after.max(position);
        }
        Ok(())
    }
}

impl Source {
    async fn page(&mut self, after: i64) -> Result<Page, NoPage> {
        match self {
            Self::Store(store) => store.page(after).await,
            Self::Hand(hand) => hand.page(after).await,
        }
    }

    /// Waits until there may be more.
    async fn wait(&mut self, field: &Field, empty: u32, quiet: bool) {
        match self {
            Self::Store(store) if !quiet => store.wait(field, empty).await,
            _ => back_off(empty).await,
        }
    }
}

async fn back_off(empty: u32) {
    sleep(Duration::from_millis(5) * empty.min(4)).await;
}

/// The error of a session of our own, for a reader.
fn no_page(error: &sqlx::Error) -> NoPage {
    if crate::session::is_link(error) {
        NoPage::Link
    } else {
        NoPage::Strange(error.to_string())
    }
}

/// Rows of position and id.
async fn fetch(
    session: &mut PgConnection,
    text: sqlx::SqlStr,
    after: i64,
    up_to: i64,
    limit: i64,
) -> sqlx::Result<Vec<(i64, u128)>> {
    use sqlx::Row as _;
    let rows = sqlx::query(text)
        .bind(after)
        .bind(up_to)
        .bind(limit)
        .fetch_all(session)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, id(row.try_get(1)?))))
        .collect()
}

/// An id as the database sends it. One that has not 16 bytes is none of ours.
fn id(bytes: &[u8]) -> u128 {
    bytes.try_into().map_or(0, u128::from_be_bytes)
}
