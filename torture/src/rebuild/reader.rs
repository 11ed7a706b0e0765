//! A reader that outlives every process: reads everything at once, again and again, and notes what may not be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use uno::cqrs::Documents;
use uno_core::DocumentStore;

use super::{
    books::{ALL, Books},
    worker::is_transient_read,
};
use crate::judge::Verdict;

/// Reads until it is told to stop, and tells what it has seen. `server_dies`: then the store may be away for a moment.
pub(crate) async fn read(
    store: Arc<dyn DocumentStore>,
    accounts: u64,
    server_dies: bool,
    done: &AtomicBool,
) -> Verdict {
    let documents = Documents::<Books>::new(store);
    let mut keys: Vec<String> = (0..accounts).map(|account| account.to_string()).collect();
    keys.push(ALL.to_owned());
    let (mut verdict, mut seen) = (Verdict::default(), 0);
    while !done.load(Ordering::Relaxed) {
        match documents.get_many(&keys).await {
            Ok(books) => {
                let all = books.get(ALL).cloned().unwrap_or_default();
                let others = books.iter().filter(|(key, _)| *key != ALL);
                let (events, cents) = others.fold((0, 0), |(events, cents), (_, book)| {
                    (events + book.events, cents + book.cents)
                });
                let is_mixed = (events, cents) != (all.events, all.cents);
                verdict.breach("mixed", u64::from(is_mixed), || {
                    format!("{events} events of {cents} cents, and in all {all:?}")
                });
                let is_less = all.events < seen;
                verdict.breach("unread", u64::from(is_less), || {
                    format!("{} events after {seen}", all.events)
                });
                seen = all.events;
                verdict.facts.add("reads", 1);
            }
            Err(error) if server_dies && is_transient_read(&error) => {
                verdict.facts.add("reads while the server was away", 1);
            }
            Err(error) => verdict.breach("read failed", 1, || format!("{error:?}")),
        }
        sleep(Duration::from_millis(2)).await;
    }
    verdict
}
