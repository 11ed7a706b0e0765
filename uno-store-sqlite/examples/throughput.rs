//! How fast the store is here: `cargo run --release -p uno-store-sqlite --example throughput [seconds [directory [which]]]`.
//!
//! Every figure of the store stands beside what one transaction for each append reaches in the same run on the same disk, with the
//! same tables: the relations are the point.
#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{sync::Mutex, task::JoinSet};
use uno_core::{
    Acknowledgement, Commit, DocumentStore, DocumentWrite, EventName, EventStore, ExpectedVersion,
    Metadata, NewEvent, NewMessage, Payload, ProcessStatus, ProcessWrite, ReadStream,
    SchemaVersion, StreamAppend, StreamId, Transactional,
};
use uno_store_sqlite::SqliteStore;
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// About 300 bytes, as events often have.
const PAYLOAD: &str = r#"{"order":"0190f3a0-0000-7000-8000-000000000000","customer":"0190f3a0-0000-7000-8000-000000000001","items":[{"product":"emma","quantity":1,"price":1299},{"product":"persuasion","quantity":2,"price":999}],"total":3297,"currency":"USD","note":"please leave the parcel with the neighbours, thank you"}"#;

const CALLERS: [usize; 3] = [1, 32, 128];

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let directory = arguments
        .next()
        .map_or_else(env::temp_dir, PathBuf::from)
        .join("uno-throughput");
    let which = arguments.next().unwrap_or_default();
    fs::create_dir_all(&directory)?;
    let span = Duration::from_secs(seconds);
    println!(
        "{:<44} {:>9} {:>9} {:>9}   µs of processor time for each",
        "per second, with so many callers", 1, 32, 128
    );
    let table: [(&str, Measure); 5] = [
        ("append, one transaction for each", |path, callers, span| {
            Box::pin(alone(path, callers, span))
        }),
        ("append, by the store", |path, callers, span| {
            Box::pin(appends(path, callers, span))
        }),
        (
            "commit: event, process, message, ack, doc",
            |path, callers, span| Box::pin(commits(path, callers, span)),
        ),
        ("read of a stream of 10 events", |path, callers, span| {
            Box::pin(reads(path, callers, span))
        }),
        ("read of a document", |path, callers, span| {
            Box::pin(documents(path, callers, span))
        }),
    ];
    for (what, measure) in table {
        if what.contains(&which) {
            figures(what, &directory, span, measure).await?;
        }
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}

type Measure = fn(PathBuf, usize, Duration) -> Pin<Box<dyn Future<Output = Outcome<f64>> + Send>>;

async fn figures(what: &str, directory: &Path, span: Duration, measure: Measure) -> Outcome<()> {
    let mut line = format!("{what:<44}");
    let mut costs = String::new();
    for callers in CALLERS {
        let path = directory.join(format!("{callers}.db"));
        for end in ["", "-wal", "-shm"] {
            let file = directory.join(format!("{callers}.db{end}"));
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        let before = processor_time();
        let rate = measure(path, callers, span).await?;
        let spent = processor_time()
            .zip(before)
            .map(|(after, before)| after.saturating_sub(before));
        line += &format!(" {rate:>9.0}");
        if let Some(spent) = spent {
            costs += &format!(
                " {:>6.0}",
                spent.as_secs_f64() * 1e6 / (rate * span.as_secs_f64())
            );
        }
    }
    println!("{line}  {costs}");
    Ok(())
}

type Action = Pin<Box<dyn Future<Output = Outcome<()>> + Send>>;

/// Has so many callers do something again and again, and counts how often in a second. An action is told by whom and for which
/// time it is done.
async fn repeat(
    callers: usize,
    span: Duration,
    act: impl Fn(usize, u64) -> Action + Send + Sync + 'static,
) -> Outcome<f64> {
    let act = Arc::new(act);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let act = Arc::clone(&act);
        tasks.spawn(async move {
            let mut done = 0;
            while started.elapsed() < span {
                act(caller, done).await?;
                done += 1;
            }
            Outcome::Ok(done)
        });
    }
    let mut done = 0;
    while let Some(result) = tasks.join_next().await {
        done += result??;
    }
    Ok(done as f64 / started.elapsed().as_secs_f64())
}

fn event() -> Outcome<NewEvent> {
    Ok(NewEvent::from_payload(
        EventName::new("order_placed")?,
        SchemaVersion::FIRST,
        Payload::from_json(PAYLOAD)?,
    ))
}

/// A stream of its own for every caller and ten turns. Keys rise with time, as those made of version 7 UUIDs do.
fn stream(caller: usize, turn: u64) -> Outcome<StreamId> {
    Ok(StreamId::new(
        "order",
        format!("{:08}-{caller}", turn / 10),
    )?)
}

async fn open(path: PathBuf) -> Outcome<SqliteStore> {
    let store = SqliteStore::open(path).await?;
    store.migrate().await?;
    Ok(store)
}

async fn appends(path: PathBuf, callers: usize, span: Duration) -> Outcome<f64> {
    let store = open(path).await?;
    let rate = repeat(callers, span, move |caller, turn| {
        let store = store.clone();
        Box::pin(async move {
            let append =
                StreamAppend::new(stream(caller, turn)?, ExpectedVersion::Any, vec![event()?]);
            store.append(vec![append]).await?;
            Ok(())
        })
    });
    rate.await
}

/// What is done without grouping: the version is read and the event inserted in a transaction of its own, one after the other.
async fn alone(path: PathBuf, callers: usize, span: Duration) -> Outcome<f64> {
    open(path.clone()).await?.close().await;
    let connection =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await?;
    let connection = Arc::new(Mutex::new(connection));
    let rate = repeat(callers, span, move |caller, turn| {
        let connection = Arc::clone(&connection);
        Box::pin(async move {
            let (stream, event) = (stream(caller, turn)?, event()?);
            let (category, key) = (stream.category().as_str(), stream.key());
            let mut connection = connection.lock().await;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let version: Option<i64> = sqlx::query_scalar(
                "SELECT max(version) FROM uno_events WHERE category = ? AND key = ?",
            )
            .bind(category)
            .bind(key)
            .fetch_one(&mut *transaction)
            .await?;
            sqlx::query(
                "INSERT INTO uno_events (id, category, key, version, name, schema_version, payload, occurred_at, recorded_at) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(event.id().as_uuid().as_bytes().to_vec())
            .bind(category)
            .bind(key)
            .bind(version.unwrap_or(0) + 1)
            .bind(event.name().as_str())
            .bind(1)
            .bind(event.payload().as_str())
            .bind(event.occurred_at().timestamp_micros())
            .bind(event.occurred_at().timestamp_micros())
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(())
        })
    });
    rate.await
}

/// What a step of a saga comes to.
async fn commits(path: PathBuf, callers: usize, span: Duration) -> Outcome<f64> {
    let store = open(path).await?;
    let rate = repeat(callers, span, move |caller, turn| {
        let store = store.clone();
        Box::pin(async move {
            let id = |turn: u64| Uuid::from_u128((u128::from(turn) << 64) + caller as u128);
            let message = |turn| {
                NewMessage::new(
                    "commands",
                    id(turn),
                    "key",
                    "charge",
                    body(),
                    Metadata::new(),
                )
            };
            let mut commit = Commit::new();
            commit.appends.push(StreamAppend::new(
                stream(caller, turn)?,
                ExpectedVersion::Any,
                vec![event()?],
            ));
            let key = format!("{:08}-{caller}", turn / 8);
            commit.processes.push(ProcessWrite::new(
                "fulfilment",
                key.as_str(),
                turn % 8,
                ProcessStatus::Running,
                body(),
            ));
            commit
                .documents
                .push(DocumentWrite::put("orders", key, body()));
            commit.messages.push(message(turn + 1));
            if turn > 0 {
                commit
                    .acknowledgements
                    .push(Acknowledgement::new("commands", id(turn)));
            }
            store.commit(commit).await?;
            Ok(())
        })
    });
    rate.await
}

fn body() -> Payload {
    Payload::from_stored(PAYLOAD)
}

async fn reads(path: PathBuf, callers: usize, span: Duration) -> Outcome<f64> {
    let store = open(path).await?;
    for caller in 0..callers {
        let events = (0..10).map(|_| event()).collect::<Outcome<Vec<_>>>()?;
        store
            .append(vec![StreamAppend::new(
                stream(caller, 0)?,
                ExpectedVersion::NoStream,
                events,
            )])
            .await?;
    }
    let rate = repeat(callers, span, move |caller, _| {
        let store = store.clone();
        Box::pin(async move {
            let events = store
                .read_stream(ReadStream::forward(stream(caller, 0)?))
                .await?;
            if events.len() == 10 {
                Ok(())
            } else {
                Err("events are missing".into())
            }
        })
    });
    rate.await
}

async fn documents(path: PathBuf, callers: usize, span: Duration) -> Outcome<f64> {
    let store = open(path).await?;
    let mut commit = Commit::new();
    commit.documents.extend(
        (0..callers).map(|caller| DocumentWrite::put("orders", caller.to_string(), body())),
    );
    store.commit(commit).await?;
    let rate = repeat(callers, span, move |caller, _| {
        let store = store.clone();
        Box::pin(async move {
            let found = store
                .load_documents("orders", &[caller.to_string()])
                .await?;
            if found.len() == 1 {
                Ok(())
            } else {
                Err("the document is missing".into())
            }
        })
    });
    rate.await
}

/// What this process has taken of the processors so far, where the system tells (Linux): in ticks of 10 ms.
fn processor_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may have spaces; after its closing parenthesis, these are the 12th and the 13th field.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}
