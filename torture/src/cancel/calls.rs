//! [`Call`]: every call of a store that can be dropped.

use std::time::Duration;

use anyhow::{Context as _, Result};
use fastrand::Rng;
use sqlx::{PgConnection, Row as _};
use tokio::time::sleep;
use uno_core::{
    Category, Checkpoint, CheckpointStore, CheckpointWrite, Commit, DocumentStore as _,
    DocumentWrite, EventFilter, EventStore as _, EventStoreExt as _, Metadata, NewMessage, Payload,
    Position, ProcessStatus, ProcessStore as _, ProcessWrite, ReadLog, ReadStream, Snapshot,
    StoreEpoch, StreamId, SubscriptionName, Transactional as _, Version,
};
use uno_store_postgres::{PgStore, PgTx};

use super::dropping::Dropped;
use crate::{
    campaign::{
        Field,
        batch::{Draft, Part},
        row,
    },
    session::{Schema, sql},
};

macro_rules! calls {
    ($($call:ident: $name:literal,)*) => {
        /// A call of a store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Call {
            $(#[doc = $name] $call,)*
        }

        impl Call {
            pub(super) const ALL: [Self; [$($name),*].len()] = [$(Self::$call),*];

            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$call => $name,)*
                }
            }
        }
    };
}

calls! {
    Append: "append",
    AppendMany: "append to several streams",
    CommitPlain: "commit of everything but work",
    CommitWork: "commit with work",
    CommitSlowWork: "commit with work that takes its time",
    CommitFailingWork: "commit with work that fails",
    Migrate: "migrate",
    ReadStream: "read_stream",
    ReadStreamBackward: "read_stream backward",
    ReadLog: "read_log",
    ReadLogFiltered: "read_log of a category",
    Head: "head",
    Changed: "changed",
    Pages: "pages",
    LoadSnapshot: "load_snapshot",
    LoadCheckpoint: "load_checkpoint",
    SaveCheckpoint: "save_checkpoint",
    ListCheckpoints: "list_checkpoints",
    LoadDocuments: "load_documents",
    ScanDocuments: "scan_documents",
    LoadProcesses: "load_processes",
    ListProcesses: "list_processes",
    ReadQueue: "read_queue",
    QueueDepth: "queue_depth",
}

/// Where plain commits put their documents and messages.
const PLACE: &str = "torture";

/// Events of whole commits without their document or message, documents and messages without their event.
const HALVES: &str = "SELECT count(*) FROM (SELECT e.id FROM {s}.events e JOIN {s}.streams s ON s.id = e.stream \
        WHERE s.category = 'whole' AND (e.payload ->> 'index') = '0') e \
    FULL JOIN (SELECT d.key::uuid AS id FROM {s}.documents d WHERE d.collection = 'torture') d ON d.id = e.id \
    FULL JOIN (SELECT q.id FROM {s}.queue q WHERE q.queue = 'torture') q ON q.id = coalesce(e.id, d.id) \
    FULL JOIN (SELECT p.key::uuid AS id FROM {s}.processes p WHERE p.process = 'torture') p ON p.id = coalesce(e.id, d.id, q.id) \
    WHERE e.id IS NULL OR d.id IS NULL OR q.id IS NULL OR p.id IS NULL";

/// How many commits are there in part.
pub(super) async fn halves(session: &mut PgConnection, schema: &Schema) -> Result<u64> {
    let count: i64 = sqlx::query(sql(schema, HALVES))
        .fetch_one(session)
        .await?
        .try_get(0)?;
    Ok(count.cast_unsigned())
}

impl Call {
    /// Calls, and drops. Whether the call came to its end before.
    pub(super) async fn run(
        self,
        field: &Field,
        store: &PgStore,
        number: usize,
        rng: &mut Rng,
        how: Dropped,
    ) -> Result<bool> {
        let stream = StreamId::new("warm", number.to_string())?;
        let ended = match self {
            Self::Append
            | Self::AppendMany
            | Self::CommitPlain
            | Self::CommitWork
            | Self::CommitSlowWork
            | Self::CommitFailingWork => {
                return self.write(field, store, number, rng, how).await;
            }
            Self::Migrate => how.drop(store.migrate()).await.transpose()?.is_some(),
            Self::ReadStream => how
                .drop(store.read_stream(ReadStream::forward(stream)))
                .await
                .transpose()?
                .is_some(),
            Self::ReadStreamBackward => how
                .drop(store.read_stream(ReadStream::backward(stream).limit(5)))
                .await
                .transpose()?
                .is_some(),
            Self::ReadLog => how
                .drop(store.read_log(ReadLog::before(Position::MAX).limit(100)))
                .await
                .transpose()?
                .is_some(),
            Self::ReadLogFiltered => {
                let read = ReadLog::after(Position::START)
                    .filter(EventFilter::all().categories([Category::new("whole")?]));
                how.drop(store.read_log(read.limit(10)))
                    .await
                    .transpose()?
                    .is_some()
            }
            Self::Head => how.drop(store.head()).await.transpose()?.is_some(),
            Self::Changed => how.drop(store.changed(store.change())).await.is_some(),
            Self::Pages => {
                let mut pages = store.pages(Position::START, EventFilter::all(), 20);
                how.drop(pages.next_page()).await.transpose()?.is_some()
            }
            Self::LoadSnapshot => how
                .drop(store.load_snapshot(&stream))
                .await
                .transpose()?
                .is_some(),
            Self::LoadCheckpoint => how
                .drop(store.load_checkpoint(&SubscriptionName::new("torture")?))
                .await
                .transpose()?
                .is_some(),
            Self::SaveCheckpoint => {
                let name = SubscriptionName::new(format!("s{}", rng.u64(..)))?;
                let write = CheckpointWrite::new(name, None, Checkpoint::start(StoreEpoch::new()));
                how.drop(store.save_checkpoint(write))
                    .await
                    .transpose()?
                    .is_some()
            }
            Self::ListCheckpoints => how
                .drop(store.list_checkpoints())
                .await
                .transpose()?
                .is_some(),
            Self::LoadDocuments => how
                .drop(store.load_documents(PLACE, &["a".to_owned()]))
                .await
                .transpose()?
                .is_some(),
            Self::ScanDocuments => how
                .drop(store.scan_documents(PLACE, None, 10))
                .await
                .transpose()?
                .is_some(),
            Self::LoadProcesses => how
                .drop(store.load_processes(PLACE, &["a".to_owned()]))
                .await
                .transpose()?
                .is_some(),
            Self::ListProcesses => how
                .drop(store.list_processes(PLACE, &[], None, 10))
                .await
                .transpose()?
                .is_some(),
            Self::ReadQueue => how
                .drop(store.read_queue(PLACE, 0, 10))
                .await
                .transpose()?
                .is_some(),
            Self::QueueDepth => how
                .drop(store.queue_depth(PLACE))
                .await
                .transpose()?
                .is_some(),
        };
        Ok(ended)
    }

    /// The calls that write: what they were to write is in the ledger.
    async fn write(
        self,
        field: &Field,
        store: &PgStore,
        number: usize,
        rng: &mut Rng,
        how: Dropped,
    ) -> Result<bool> {
        let mut part = |category, key: String| Part::any(category, key, rng.u32(1..=5));
        let parts = match self {
            Self::AppendMany => vec![
                part("warm", number.to_string()),
                part("other", number.to_string()),
            ],
            Self::CommitPlain => vec![part("whole", number.to_string())],
            _ => vec![part("warm", number.to_string())],
        };
        let rows = matches!(
            self,
            Self::CommitWork | Self::CommitSlowWork | Self::CommitFailingWork
        );
        let draft = Draft::intend(field, parts, rows)?;
        let appends = draft.appends(field.ledger.space())?;
        let outcome = match self {
            Self::Append | Self::AppendMany => how
                .drop(store.append(appends))
                .await
                .map(|outcome| outcome.map_err(Into::into)),
            Self::CommitPlain => how.drop(store.commit(whole(field, &draft)?)).await,
            _ => {
                let mut commit = Commit::new();
                commit.appends = appends;
                let pause = if self == Self::CommitSlowWork {
                    Duration::from_micros(rng.u64(..3000))
                } else {
                    Duration::ZERO
                };
                commit.work.push(row::work(
                    &field.schema,
                    draft.batch,
                    pause,
                    self == Self::CommitFailingWork,
                ));
                if self == Self::CommitSlowWork {
                    commit.work.push(slow(pause));
                }
                how.drop(store.commit(commit)).await
            }
        };
        let ended = outcome.is_some();
        match outcome {
            None => field.ledger.unknown(draft.batch)?,
            Some(Ok(receipt)) => field.receipt(draft.batch, draft.events(), &receipt)?,
            Some(Err(uno_core::CommitError::Work(_))) if self == Self::CommitFailingWork => {
                field
                    .ledger
                    .failed(draft.batch, crate::ledger::Failure::RolledBack)?;
            }
            Some(Err(error)) => {
                return Err(error)
                    .with_context(|| format!("{} failed, though nobody meant it to", self.name()));
            }
        }
        Ok(ended)
    }
}

/// Work that waits in the database.
fn slow(pause: Duration) -> uno_core::Work<PgTx> {
    Box::new(move |tx: &mut PgTx| {
        Box::pin(async move {
            sqlx::query("SELECT pg_sleep($1)")
                .bind(pause.as_secs_f64())
                .execute(tx.connection())
                .await?;
            sleep(pause).await;
            Ok(())
        })
    })
}

/// A commit of everything that is data, all of it named after its first event.
fn whole(field: &Field, draft: &Draft) -> Result<Commit<PgTx>> {
    let first = field.ledger.space().event_id(draft.batch, 0);
    let body = Payload::encode(&draft.batch)?;
    let mut commit = Commit::new();
    commit.appends = draft.appends(field.ledger.space())?;
    let stream = commit.appends[0].stream().clone();
    commit
        .documents
        .push(DocumentWrite::put(PLACE, first.to_string(), body.clone()));
    commit.messages.push(NewMessage::new(
        PLACE,
        *first.as_uuid(),
        "key",
        "message",
        body.clone(),
        Metadata::new(),
    ));
    commit.processes.push(ProcessWrite::new(
        PLACE,
        first.to_string(),
        0,
        ProcessStatus::Running,
        body.clone(),
    ));
    commit.snapshots.push(Snapshot::new(
        stream,
        Version::new(1)?,
        first,
        "shape",
        body,
    ));
    Ok(commit)
}
