//! The inbox: which messages were handled, and what came of each.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uno_core::{
    AppendError, BoxError, CommitError, ExpectedVersion::NoStream, InboxRecord, InboxStore as _,
    InboxWrite, Payload, ProcessStatus, ProcessStore as _, ProcessWrite, Stale, StreamAppend,
    TimerStore as _, truncate_to_micros,
};
use uuid::Uuid;

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, event, events, json, new_uuid, stream},
};

/// Guarantee 2: what came of a message is loaded back equal, with the store's time.
pub async fn what_came_of_a_message_comes_back_equal<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let outputs = json("{ \"b\" : [1E2, -0.0] ,\"a\":\"\\u0001é\" }");
    for id in [new_uuid(), Uuid::nil(), Uuid::max()] {
        let before = now(t).await?;
        t.commit(|commit| {
            let write = InboxWrite::new("mailer", id, outputs.clone());
            commit.inbox.push(write);
        })
        .await?;
        let after = now(t).await?;
        let found = t.store().load_inbox("mailer", &[id]).await?;
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].id(), found[0].outputs().as_str()),
            (id, outputs.as_str())
        );
        let time = found[0].handled_at();
        assert!((before..=after).contains(&time), "{found:?}");
        assert_eq!(time, truncate_to_micros(time), "whole microseconds");
    }
    Ok(())
}

/// Guarantee 1: a message that was handled already is stale, and the error says which it is.
pub async fn a_message_is_remembered_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (id, new) = (new_uuid(), new_uuid());
    handle(t, "mailer", id, "1").await?;
    stale(handle(t, "mailer", id, "2").await, "mailer", id);
    let twice = t
        .commit(|commit| {
            let write = || InboxWrite::new("mailer", new, json("1"));
            commit.inbox = vec![write(), write()];
        })
        .await;
    stale(twice.map(drop), "mailer", new);
    let found = t.store().load_inbox("mailer", &[id, new]).await?;
    assert_eq!(outputs(&found), [(id, "1")], "the first outputs stay");
    Ok(())
}

/// Guarantee 1: when one message of a commit was handled already, nothing of the commit happens.
pub async fn a_message_handled_before_undoes_everything<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (old, new, last) = (new_uuid(), new_uuid(), new_uuid());
    handle(t, "mailer", old, "1").await?;
    let result = t
        .commit(|commit| {
            let write = |id| InboxWrite::new("mailer", id, json("2"));
            commit.inbox = vec![write(new), write(old), write(last)];
            let write = ProcessWrite::new("order", "a", 0, ProcessStatus::Running, json("1"));
            commit.processes.push(write);
            let append = StreamAppend::new(stream("a"), NoStream, events(1));
            commit.appends.push(append);
        })
        .await;
    stale(result.map(drop), "mailer", old);
    let found = t.store().load_inbox("mailer", &[old, new, last]).await?;
    assert_eq!(outputs(&found), [(old, "1")]);
    assert_eq!(t.stream(&stream("a")).await?, []);
    let keys = ["a".to_owned()];
    assert_eq!(t.store().load_processes("order", &keys).await?, []);
    Ok(())
}

/// Guarantee 1: when the commit fails for another reason, the message was not handled.
pub async fn a_failed_commit_remembers_nothing<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let id = new_uuid();
    t.append(&stream("a"), NoStream, &[event()]).await?;
    let result = t
        .commit(|commit| {
            commit.inbox.push(InboxWrite::new("mailer", id, json("1")));
            let append = StreamAppend::new(stream("a"), NoStream, events(1));
            commit.appends.push(append);
        })
        .await;
    assert!(result.is_err_and(|error| error.is_conflict()));
    assert_eq!(t.store().load_inbox("mailer", &[id]).await?, []);
    handle(t, "mailer", id, "2").await?;
    let found = t.store().load_inbox("mailer", &[id]).await?;
    assert_eq!(outputs(&found), [(id, "2")]);
    Ok(())
}

/// `load_inbox`: the messages that were handled, each once, in any order.
pub async fn messages_that_were_handled_are_loaded_once_each<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let ids: Vec<_> = std::iter::repeat_with(new_uuid).take(3).collect();
    t.commit(|commit| {
        let write = |id: &Uuid| InboxWrite::new("mailer", *id, json("1"));
        commit.inbox = ids.iter().map(write).collect();
    })
    .await?;
    let asked = [ids[2], new_uuid(), ids[0], ids[2], ids[2]];
    let found = t.store().load_inbox("mailer", &asked).await?;
    let mut found: Vec<_> = found.iter().map(InboxRecord::id).collect();
    found.sort_unstable();
    let mut expected = [ids[0], ids[2]];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(t.store().load_inbox("mailer", &[]).await?, []);
    Ok(())
}

/// Guarantee 2: consumers are apart.
pub async fn consumers_are_apart<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let id = new_uuid();
    handle(t, "mailer", id, "1").await?;
    handle(t, "Mailer", id, "2").await?;
    let found = t.store().load_inbox("mailer", &[id]).await?;
    assert_eq!(outputs(&found), [(id, "1")]);
    let found = t.store().load_inbox("Mailer", &[id]).await?;
    assert_eq!(outputs(&found), [(id, "2")]);
    let long = "x".repeat(513);
    for nobody in ["", "nobody", "mailer\0", &long] {
        assert_eq!(t.store().load_inbox(nobody, &[id]).await?, []);
        let pruned = t.store().prune_inbox(nobody, Duration::ZERO).await?;
        assert_eq!(pruned, 0);
    }
    Ok(())
}

/// `prune_inbox`: what was handled longer ago is forgotten and may be handled again; what was handled since, and by others,
/// stays.
pub async fn what_is_old_is_forgotten<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    // What must be gone is known in every round, what must be there only in one in which less time passes than between the two.
    for round in 1..=20 {
        let (consumer, old, new) = (
            format!("mailer {round}"),
            [new_uuid(), new_uuid()],
            new_uuid(),
        );
        for id in old {
            handle(t, &consumer, id, "1").await?;
            handle(t, "biller", id, "1").await?;
        }
        let found = t.store().load_inbox(&consumer, &old).await?;
        let last = found.iter().map(InboxRecord::handled_at).max();
        let last = last.ok_or("nothing was handled")?;
        passed(t, last + Duration::from_millis(20) * round).await?;
        handle(t, &consumer, new, "1").await?;
        let handled = t.store().load_inbox(&consumer, &[new]).await?[0].handled_at();

        let before = now(t).await?;
        let age = (before - last).to_std()? - Duration::from_micros(1);
        let pruned = t.store().prune_inbox(&consumer, age).await?;
        let after = now(t).await?;
        assert_eq!(t.store().load_inbox(&consumer, &old).await?, []);
        assert_eq!(t.store().load_inbox("biller", &old).await?.len(), 2);
        handle(t, &consumer, old[0], "2").await?;
        let again = t.store().load_inbox(&consumer, &old).await?;
        assert_eq!(outputs(&again), [(old[0], "2")]);
        if after - age <= handled {
            assert_eq!(pruned, 2);
            let left = t.store().load_inbox(&consumer, &[new]).await?;
            assert_eq!(outputs(&left), [(new, "1")]);
            return Ok(());
        }
    }
    Err("so much time passes in every call that nothing can be told apart".into())
}

/// `prune_inbox`: an age that nothing has, or that no time is as long ago as, forgets nothing.
pub async fn what_is_younger_is_not_forgotten<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let id = new_uuid();
    handle(t, "mailer", id, "1").await?;
    let long = Duration::from_secs(4000 * 365 * 24 * 3600);
    for age in [Duration::from_secs(3600), long, Duration::MAX] {
        assert_eq!(t.store().prune_inbox("mailer", age).await?, 0, "{age:?}");
    }
    let found = t.store().load_inbox("mailer", &[id]).await?;
    assert_eq!(outputs(&found), [(id, "1")]);
    passed(t, found[0].handled_at()).await?;
    assert_eq!(t.store().prune_inbox("mailer", Duration::ZERO).await?, 1);
    assert_eq!(t.store().load_inbox("mailer", &[id]).await?, []);
    Ok(())
}

/// `prune_inbox`: however much is old, all of it is forgotten.
pub async fn much_is_forgotten_at_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let count = 2500;
    t.commit(|commit| {
        let write = |_| InboxWrite::new("mailer", new_uuid(), json("1"));
        commit.inbox = (0..count).map(write).collect();
    })
    .await?;
    let now = now(t).await?;
    passed(t, now).await?;
    let pruned = t.store().prune_inbox("mailer", Duration::ZERO).await?;
    assert_eq!(pruned, count);
    assert_eq!(t.store().prune_inbox("mailer", Duration::ZERO).await?, 0);
    Ok(())
}

/// `load_inbox`: hostile texts as consumers and outputs are nothing but texts.
pub async fn hostile_consumers_are_nothing_but_consumers<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for text in HOSTILE {
        let (id, output) = (new_uuid(), Payload::encode(text)?);
        handle(t, text, id, output.as_str()).await?;
        let found = t.store().load_inbox(text, &[id]).await?;
        assert_eq!(outputs(&found), [(id, output.as_str())]);
        passed(t, found[0].handled_at()).await?;
        assert_eq!(t.store().prune_inbox(text, Duration::ZERO).await?, 1);
    }
    Ok(())
}

/// [`Limits::check_commit`](uno_core::Limits::check_commit): consumers that can't be kept are refused.
pub async fn consumers_that_cannot_be_kept_are_refused<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let beside = new_uuid();
    for bad in ["", "a\0b", &"x".repeat(513)] {
        let result = t
            .commit(|commit| {
                let write = |consumer: &str, id| InboxWrite::new(consumer, id, json("1"));
                commit.inbox = vec![write("mailer", beside), write(bad, new_uuid())];
            })
            .await;
        match result {
            Err(CommitError::Append(AppendError::Refused(refusal))) => {
                assert_eq!(refusal.field(), "inbox.consumer", "{refusal}");
            }
            other => panic!("expected {bad:?} to be refused, and got {other:?}"),
        }
    }
    assert_eq!(t.store().load_inbox("mailer", &[beside]).await?, []);
    Ok(())
}

async fn handle<H: BackendHarness>(
    t: &Trial<H>,
    consumer: &str,
    id: Uuid,
    outputs: &str,
) -> Result<(), CommitError> {
    let write = InboxWrite::new(consumer, id, json(outputs));
    t.commit(|commit| commit.inbox.push(write)).await.map(drop)
}

/// The store's time.
async fn now<H: BackendHarness>(t: &Trial<H>) -> Result<DateTime<Utc>, BoxError> {
    Ok(t.store().due_timers("nobody", 0).await?.now())
}

/// Waits until a moment has passed by the store's clock.
async fn passed<H: BackendHarness>(t: &Trial<H>, moment: DateTime<Utc>) -> Result<(), BoxError> {
    while now(t).await? <= moment {
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn outputs(records: &[InboxRecord]) -> Vec<(Uuid, &str)> {
    records
        .iter()
        .map(|record| (record.id(), record.outputs().as_str()))
        .collect()
}

#[track_caller]
fn stale(result: Result<(), CommitError>, consumer: &str, id: Uuid) {
    match result {
        Err(CommitError::Stale(Stale::Inbox {
            consumer: of,
            id: found,
        })) => assert_eq!((of.as_str(), found), (consumer, id)),
        other => panic!("expected {id} of {consumer} to be stale, and got {other:?}"),
    }
}
