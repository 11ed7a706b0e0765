//! Many who handle messages, move instances and fire timers at once.

use std::{sync::Arc, time::Duration};

use tokio::sync::Barrier;
use uno_core::{
    Acknowledgement, BoxError, Commit, CommitError, Due, ExpectedVersion::Any, InboxStore as _,
    InboxWrite, Metadata, NewMessage, NewTimer, ProcessStatus, ProcessStore as _, ProcessWrite,
    Stale, StreamAppend, TimerStore as _, TimerWrite, Transactional as _,
};
use uuid::Uuid;

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{event, json, new_uuid, stream},
    together::{finish, start, succeed},
};

/// Guarantee 1: of many who save an instance at the same revision, exactly one does.
pub async fn of_many_who_save_an_instance_one_does<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for revision in 0..8 {
        let barrier = Arc::new(Barrier::new(10));
        let tasks = start(10, |number| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            async move {
                let mut commit = Commit::new();
                let body = json(&format!("[{revision},{number}]"));
                commit.processes.push(ProcessWrite::new(
                    "order",
                    "a",
                    revision,
                    ProcessStatus::Running,
                    body.clone(),
                ));
                barrier.wait().await;
                (body, store.commit(commit).await)
            }
        });
        let mut won = Vec::new();
        for (body, result) in finish(tasks).await? {
            match result {
                Ok(_) => won.push(body),
                Err(CommitError::Stale(Stale::Process { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = t.store().load_processes("order", &["a".to_owned()]).await?;
        assert_eq!((won.len(), found[0].revision()), (1, revision + 1));
        assert_eq!(found[0].body(), &won[0]);
    }
    Ok(())
}

/// Guarantee 3: a message is handled with effect once, however many try.
pub async fn a_message_is_handled_once_however_many_try<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let ids: Vec<_> = std::iter::repeat_with(new_uuid).take(20).collect();
    t.commit(|commit| commit.messages = ids.iter().map(|id| message(*id)).collect())
        .await?;
    let tasks = start(6, |_| {
        let store = Arc::clone(t.store());
        async move {
            let mut handled = 0;
            loop {
                let waiting = store.read_queue("mail", 0, 3).await?;
                let Some(queued) = waiting.last() else {
                    return Ok::<_, BoxError>(handled);
                };
                let mut commit = Commit::new();
                commit
                    .acknowledgements
                    .push(Acknowledgement::new("mail", queued.message().id()));
                commit
                    .appends
                    .push(StreamAppend::new(stream("effects"), Any, vec![event()]));
                match store.commit(commit).await {
                    Ok(_) => {
                        handled += 1;
                        assert!(handled <= 20, "messages were handled again and again");
                    }
                    Err(CommitError::Stale(Stale::Message { .. })) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    });
    let handled: usize = succeed(tasks).await?.into_iter().sum();
    assert_eq!(
        (handled, t.stream(&stream("effects")).await?.len()),
        (20, 20)
    );
    assert_eq!(t.store().queue_depth("mail").await?, (0, None));
    Ok(())
}

/// Guarantee 2: a reader that goes on behind what it has seen sees every message, once, in order, while many are added.
pub async fn a_reader_of_a_queue_sees_every_message_once<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let writers = start(6, |_| {
        let store = Arc::clone(t.store());
        async move {
            for round in 0..10 {
                let mut commit = Commit::new();
                commit.messages = (0..=round % 3).map(|_| message(new_uuid())).collect();
                if round % 4 == 0 {
                    commit
                        .work
                        .push(Box::new(|_| Box::pin(async { Err("in vain".into()) })));
                }
                match store.commit(commit).await {
                    Ok(_) | Err(CommitError::Work(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    });
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let ended = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let page = t.store().read_queue("mail", after, 3).await?;
        match page.last() {
            Some(last) => {
                assert!(
                    last.number() > after,
                    "a page behind {after} ends at {}",
                    last.number()
                );
                after = last.number();
            }
            None if ended => break,
            None => tokio::task::yield_now().await,
        }
        seen.extend(page);
    }
    succeed(writers).await?;
    let all = t.store().read_queue("mail", 0, usize::MAX).await?;
    assert_eq!((seen.len(), &seen), (all.len(), &all));
    // Rounds 0, 4 and 8 failed; of the other seven, each adds one, two or three.
    assert_eq!(all.len(), 6 * (2 + 3 + 1 + 3 + 1 + 2 + 1));
    Ok(())
}

/// Guarantee 4: of many who add the same message at once, one does.
pub async fn of_many_who_add_a_message_one_does<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for _ in 0..5 {
        let (id, barrier) = (new_uuid(), Arc::new(Barrier::new(8)));
        let tasks = start(8, |_| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            async move {
                let mut commit = Commit::new();
                commit.messages.push(message(id));
                barrier.wait().await;
                store.commit(commit).await
            }
        });
        let mut added = 0;
        for result in finish(tasks).await? {
            match result {
                Ok(_) => added += 1,
                Err(CommitError::Append(uno_core::AppendError::Refused(_))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = t.store().read_queue("mail", 0, 100).await?;
        assert_eq!(
            (
                added,
                found
                    .iter()
                    .filter(|queued| queued.message().id() == id)
                    .count()
            ),
            (1, 1)
        );
    }
    Ok(())
}

/// Guarantee 3 of [`TimerStore`](uno_core::TimerStore): a timer fires with effect once, however many try.
pub async fn a_timer_fires_once_however_many_try<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for round in 1..=6 {
        let (id, barrier) = (new_uuid(), Arc::new(Barrier::new(8)));
        let due = Due::After(Duration::ZERO);
        let timer = NewTimer::new("order", "a", id, due, json("{}"), Metadata::new());
        t.commit(|commit| commit.timers.push(TimerWrite::Set(timer)))
            .await?;
        let tasks = start(8, |_| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            async move {
                let process = "order".to_owned();
                let mut commit = Commit::new();
                commit.timers.push(TimerWrite::Fire { process, id });
                let append = StreamAppend::new(stream("effects"), Any, vec![event()]);
                commit.appends.push(append);
                barrier.wait().await;
                store.commit(commit).await
            }
        });
        let mut fired = 0;
        for result in finish(tasks).await? {
            match result {
                Ok(_) => fired += 1,
                Err(CommitError::Stale(Stale::Timer { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        assert_eq!(fired, 1);
        assert_eq!(t.stream(&stream("effects")).await?.len(), round);
    }
    Ok(())
}

/// Guarantee 1 of [`TimerStore`](uno_core::TimerStore): commits that touch the same timers in whatever order all come to their
/// end, and nobody sees half of one.
pub async fn commits_to_the_same_timers_do_not_deadlock<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    const TIMERS: usize = 7;
    let ids: Arc<Vec<_>> = Arc::new(std::iter::repeat_with(new_uuid).take(TIMERS).collect());
    let writers = start(6, |number| {
        let (store, ids) = (Arc::clone(t.store()), Arc::clone(&ids));
        async move {
            for round in 0..10 {
                let mut ids = ids.to_vec();
                ids.rotate_left((number + round) % TIMERS);
                if number % 2 == 0 {
                    ids.reverse();
                }
                let body = json(&format!("[{number},{round}]"));
                let write = |id| {
                    let (process, due) = ("order", Due::After(Duration::from_secs(3600)));
                    if (number + round) % 3 == 0 {
                        let process = process.to_owned();
                        return TimerWrite::Cancel { process, id };
                    }
                    let metadata = Metadata::new();
                    TimerWrite::Set(NewTimer::new(process, "a", id, due, body.clone(), metadata))
                };
                let mut commit = Commit::new();
                commit.timers = ids.into_iter().map(write).collect();
                if round % 4 == 3 {
                    // One that waits, alone, for whoever has the timers.
                    commit.work.push(Box::new(|_| Box::pin(async { Ok(()) })));
                }
                store.commit(commit).await?;
            }
            Ok::<_, CommitError>(())
        }
    });
    loop {
        let ended = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let listed = t.store().list_timers("order", "a").await?;
        assert!([0, TIMERS].contains(&listed.len()), "{listed:?}");
        assert!(
            listed
                .windows(2)
                .all(|pair| pair[0].payload() == pair[1].payload()),
            "{listed:?}"
        );
        if ended {
            break;
        }
        tokio::task::yield_now().await;
    }
    succeed(writers).await?;
    Ok(())
}

/// Guarantee 1 of [`InboxStore`](uno_core::InboxStore): a message is handled with effect once, however often it is delivered.
pub async fn a_message_delivered_often_is_handled_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for round in 1..=6 {
        let (id, barrier) = (new_uuid(), Arc::new(Barrier::new(8)));
        let tasks = start(8, |number| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            async move {
                let outputs = json(&format!("{number}"));
                let mut commit = Commit::new();
                commit
                    .inbox
                    .push(InboxWrite::new("mailer", id, outputs.clone()));
                let append = StreamAppend::new(stream("effects"), Any, vec![event()]);
                commit.appends.push(append);
                barrier.wait().await;
                (outputs, store.commit(commit).await)
            }
        });
        let mut handled = Vec::new();
        for (outputs, result) in finish(tasks).await? {
            match result {
                Ok(_) => handled.push(outputs),
                Err(CommitError::Stale(Stale::Inbox { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = t.store().load_inbox("mailer", &[id]).await?;
        let found: Vec<_> = found
            .iter()
            .map(|record| record.outputs().clone())
            .collect();
        assert_eq!((handled.len(), found), (1, handled));
        assert_eq!(t.stream(&stream("effects")).await?.len(), round);
    }
    Ok(())
}

fn message(id: Uuid) -> NewMessage {
    NewMessage::new("mail", id, "key", "message", json("{}"), Metadata::new())
}
