//! A stored snapshot with any byte flipped never changes what is loaded.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use uno_core::{
    Backend, Commit, EventId, Metadata, Payload, Snapshot, StreamId, Transactional, Version, Work,
};
use uno_domain::Aggregate;
use uno_store_memory::MemoryTx;
use uno_store_postgres::PgTx;
use uno_store_sqlite::SqliteTx;
use uno_testkit::conformance::{BackendHarness, Harness, TxOf};
use uno_uow::Runner;

use crate::{
    conformance::memory::MemoryHarness,
    postgres::PgHarness,
    sqlite::SqliteHarness,
    support::account::{Account, Moved},
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// A snapshot as its columns have it.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    version: i64,
    event: Vec<u8>,
    shape: Vec<u8>,
    checksum: u64,
    body: Vec<u8>,
}

/// Stores that what is stored of a snapshot can be changed in, behind their backs.
pub(super) trait RawSnapshots: BackendHarness {
    /// Work that does it; or a snapshot, where there is nothing behind the port.
    fn overwrite(raw: Raw) -> Result<Work<TxOf<Self>>, Raw>;
}

impl RawSnapshots for MemoryHarness {
    fn overwrite(raw: Raw) -> Result<Work<MemoryTx>, Raw> {
        Err(raw)
    }
}

impl RawSnapshots for SqliteHarness {
    fn overwrite(raw: Raw) -> Result<Work<SqliteTx>, Raw> {
        Ok(Box::new(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE uno_snapshots SET version = ?, event_id = ?, shape = CAST(? AS TEXT), \
                     checksum = ?, body = CAST(? AS TEXT)",
                )
                .bind(raw.version)
                .bind(raw.event)
                .bind(raw.shape)
                .bind(raw.checksum.cast_signed())
                .bind(raw.body)
                .execute(tx.connection())
                .await?;
                Ok(())
            })
        }))
    }
}

impl RawSnapshots for PgHarness {
    fn overwrite(raw: Raw) -> Result<Work<PgTx>, Raw> {
        Ok(Box::new(move |tx| {
            Box::pin(async move {
                let update = format!(
                    "UPDATE {}.snapshots SET version = $1, event_id = encode($2, 'hex')::uuid, \
                     shape = convert_from($3, 'UTF8'), checksum = $4, body = convert_from($5, 'UTF8')",
                    tx.schema()
                );
                sqlx::query(AssertSqlSafe(update))
                    .bind(raw.version)
                    .bind(raw.event)
                    .bind(raw.shape)
                    .bind(raw.checksum.cast_signed())
                    .bind(raw.body)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        }))
    }
}

async fn overwrite<H: RawSnapshots>(store: &Store<H>, raw: Raw) {
    let mut commit = Commit::new();
    match H::overwrite(raw) {
        Ok(work) => commit.work.push(work),
        Err(raw) => commit.snapshots.push(Snapshot::from_stored(
            stream(),
            Version::new(raw.version.cast_unsigned()).unwrap(),
            EventId::from_uuid(uuid::Uuid::from_slice(&raw.event).unwrap()),
            String::from_utf8(raw.shape).unwrap(),
            raw.checksum,
            Payload::from_stored(String::from_utf8(raw.body).unwrap()),
        )),
    }
    store.commit(commit).await.unwrap();
}

fn stream() -> StreamId {
    Account::stream_id(&"ada".to_owned()).unwrap()
}

/// The account, and whether a snapshot was turned down for it.
async fn load<B: Backend>(store: &Arc<B>) -> (Account, bool) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    let account = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
    let counts = runner.snapshot_counts();
    assert_eq!(counts.used + counts.rejected, 1, "{counts:?}");
    (account.state().clone(), counts.rejected == 1)
}

/// Each byte once, with one bit of it flipped, such that text stays text.
fn flips(good: &Raw) -> Vec<(String, Raw)> {
    let mut flips = Vec::new();
    let mut flip = |what: &str, at: usize, change: &dyn Fn(&mut Raw)| {
        let mut raw = good.clone();
        change(&mut raw);
        flips.push((format!("byte {at} of the {what}"), raw));
    };
    let bit = |at: usize| 1_u8 << (at % 7);
    for at in 0..good.event.len() {
        flip("event id", at, &|raw| raw.event[at] ^= bit(at));
    }
    for at in 0..good.shape.len() {
        flip("shape", at, &|raw| flip_text(&mut raw.shape, at));
    }
    for at in 0..8 {
        flip("checksum", at, &|raw| {
            raw.checksum ^= u64::from(bit(at)) << (8 * at);
        });
    }
    for at in 0..good.body.len() {
        flip("body", at, &|raw| flip_text(&mut raw.body, at));
    }
    // Upwards, since a store keeps the newest.
    for at in 0..8 {
        flip("version", at, &|raw| raw.version ^= 2 << (8 * at));
    }
    flips
}

/// Flips a bit of a byte such that the whole is still a text, and has no NUL.
fn flip_text(text: &mut [u8], at: usize) {
    for bit in (0..8).map(|n| 1_u8 << ((at + n) % 8)) {
        text[at] ^= bit;
        if text[at] != 0 && std::str::from_utf8(text).is_ok() {
            return;
        }
        text[at] ^= bit;
    }
    panic!("byte {at} can't be flipped");
}

async fn stored<B: Backend>(store: &Arc<B>) -> (Account, Raw) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    let mut account = uow.create::<Account>(&"ada".to_owned()).unwrap();
    let opened = account.state().open("Ada Lovelace, \"née\" Byron").unwrap();
    account.record(opened);
    for cents in [100, -30, 7, 1] {
        account.record(Moved { cents });
    }
    drop(account);
    runner.commit(uow).await.unwrap();
    let snapshot = store.load_snapshot(&stream()).await.unwrap().unwrap();
    let (account, rejected) = load(store).await;
    assert!(!rejected && account.balance == 78, "{account:?}");
    let raw = Raw {
        version: i64::try_from(snapshot.version().get()).unwrap(),
        event: snapshot.event_id().as_uuid().as_bytes().to_vec(),
        shape: snapshot.shape().as_bytes().to_vec(),
        checksum: snapshot.checksum(),
        body: snapshot.body().as_str().as_bytes().to_vec(),
    };
    (account, raw)
}

pub(super) async fn a_flipped_byte_never_changes_what_is_loaded<H: RawSnapshots>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (account, good) = stored(store).await;
    let flips = flips(&good);
    assert!(flips.len() > 80, "only {} bytes", flips.len());
    for (what, raw) in flips {
        overwrite::<H>(store, raw).await;
        let (loaded, rejected) = load(store).await;
        assert_eq!(loaded, account, "with {what} flipped");
        assert!(rejected, "{what} was flipped, and nobody noticed");
    }
}

/// What the port can't even say: the store calls it corrupt, and the loader goes on without it.
pub(super) async fn what_is_no_snapshot_at_all_never_changes_what_is_loaded<H: RawSnapshots>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (account, good) = stored(store).await;
    let negative = Raw {
        version: -5,
        ..good.clone()
    };
    let mut strange = vec![("a version below zero", negative)];
    if H::ONE_WRITER {
        // SQLite takes what it is given: an id that is too short, and a text that is none.
        let (mut short, mut broken) = (good.clone(), good.clone());
        short.event.pop();
        broken.body[3] ^= 0x80;
        strange.extend([("a short id", short), ("a broken text", broken)]);
    }
    for (what, raw) in strange {
        overwrite::<H>(store, raw).await;
        let (loaded, rejected) = load(store).await;
        assert_eq!(loaded, account, "{what}");
        assert!(rejected, "{what}");
    }
}
