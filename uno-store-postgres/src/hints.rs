//! Hints between processes: that something was committed. They are sent outside the commits, at most one in a while, and
//! nothing relies on them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use uno_core::EventId;

use crate::{fault::Fault, pool::Pool, shared::Shared};

/// The shortest time between two hints of one process. `NOTIFY` takes a lock that all who notify share, so a hint for each
/// commit would make them wait for one another.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the listener waits before it connects again, at first and at most.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

const NOTIFY: &str = "SELECT pg_notify($1, $2)";

/// What a store needs to send hints and to listen.
#[derive(Debug)]
pub(crate) struct Hints {
    /// Tells this process's own hints from those of others.
    origin: String,
    channel: String,
    sending: AtomicBool,
    due: AtomicBool,
    listening: AtomicBool,
    /// Closed when the store is gone, which ends the listener.
    alive: watch::Sender<()>,
}

impl Hints {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            origin: EventId::new().to_string(),
            channel: format!("uno_{schema}"),
            sending: AtomicBool::new(false),
            due: AtomicBool::new(false),
            listening: AtomicBool::new(false),
            alive: watch::Sender::new(()),
        }
    }
}

/// Sends a hint soon, unless one is about to be sent anyway.
pub(crate) fn send(pool: &Arc<Pool>) {
    let shared = pool.shared();
    if !shared.options.gives_hints() {
        return;
    }
    shared.hints.due.store(true, Ordering::SeqCst);
    if shared.hints.sending.swap(true, Ordering::SeqCst) {
        return;
    }
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        let shared = pool.shared();
        let hints = &shared.hints;
        loop {
            while hints.due.swap(false, Ordering::SeqCst) {
                // A hint that fails is not sent again: those who wait poll.
                let _sent = timeout(shared.options.answer_within(), notify(&pool)).await;
                sleep(PAUSE).await;
            }
            hints.sending.store(false, Ordering::SeqCst);
            // A commit may have come between the two; then this task goes on, unless another has begun.
            if !hints.due.load(Ordering::SeqCst) || hints.sending.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    });
}

async fn notify(pool: &Arc<Pool>) -> Result<(), Fault> {
    let shared = pool.shared();
    let permit = pool.permit().await.map_err(Fault::Store)?;
    let mut session = pool.session(permit).await?;
    let query = shared.sql(NOTIFY);
    let query = query
        .query(shared.options.is_prepared())
        .bind(&shared.hints.channel)
        .bind(&shared.hints.origin);
    query.execute(session.connection()).await?;
    session.give_back();
    Ok(())
}

/// Listens for the hints of other processes from now on, on a connection of its own.
pub(crate) fn listen(shared: &Arc<Shared>) {
    if !shared.options.gives_hints() || shared.hints.listening.swap(true, Ordering::SeqCst) {
        return;
    }
    // The task holds nothing of the store but what it needs to tell: it ends when the store does.
    let listener = Listener {
        options: shared.connect_options(),
        channel: shared.hints.channel.clone(),
        origin: shared.hints.origin.clone(),
        changes: shared.change_sender(),
    };
    let mut alive = shared.hints.alive.subscribe();
    tokio::spawn(async move {
        let mut pause = RECONNECT.0;
        loop {
            tokio::select! {
                _ = alive.changed() => return,
                heard = listener.run() => pause = if heard { RECONNECT.0 } else { (pause * 2).min(RECONNECT.1) },
            }
            tokio::select! {
                _ = alive.changed() => return,
                () = sleep(pause) => {}
            }
        }
    });
}

struct Listener {
    options: sqlx::postgres::PgConnectOptions,
    channel: String,
    origin: String,
    changes: watch::Sender<u64>,
}

impl Listener {
    fn tell(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Listens until the link fails; says whether it ever stood.
    async fn run(&self) -> bool {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(self.options.clone());
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(&self.channel).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let Ok(mut listener) = listening.await else {
            return false;
        };
        // What was committed before the channel was open may not have been heard.
        self.tell();
        loop {
            // Each notification is taken out at once and leaves nothing but a number, so that no backlog can grow.
            match listener.try_recv().await {
                Ok(Some(hint)) if hint.payload() == self.origin => {}
                // A hint; or the link was lost and stands again, so that hints may have been missed.
                Ok(Some(_) | None) => self.tell(),
                Err(_) => return true,
            }
        }
    }
}
