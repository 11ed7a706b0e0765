//! Timers: set, replaced, cancelled and fired.

use std::time::Duration;

use uno_core::{
    AppendError, CommitError, CorrelationId, Due, ExpectedVersion::NoStream, Metadata, NewTimer,
    ProcessStatus, ProcessStore as _, ProcessWrite, Stale, StreamAppend, Timer, TimerStore as _,
    TimerWrite,
};
use uuid::Uuid;

use super::setting::{
    LONG, cancel, due, fire, fired, ids, in_an_hour, past, pending, removed, set, timer,
};
use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, event, events, json, new_uuid, stream},
};

/// Guarantee 1: a timer is there from its commit on, and comes back equal, with all of its metadata.
pub async fn a_timer_comes_back_equal<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_causation_id(new_uuid())
        .with_actor("ada")
        .with_tenant("")
        .with_header("é", "\"'\\");
    let at = "2001-02-03T04:05:06.789012Z".parse()?;
    let payload = json("{ \"b\" : [1E2, -0.0] ,\"a\":\"\\u0001é\" }");
    for (id, key) in [(new_uuid(), "a"), (Uuid::nil(), "b"), (Uuid::max(), "c")] {
        let due = Due::At(at);
        let timer = NewTimer::new("order", key, id, due, payload.clone(), metadata.clone());
        set(t, [timer]).await?;
        let expected = Timer::new(key.to_owned(), id, at, payload.clone(), metadata.clone());
        let listed = t.store().list_timers("order", key).await?;
        assert_eq!(listed, std::slice::from_ref(&expected));
        assert_eq!(listed[0].payload().as_str(), payload.as_str());
        let due = t.store().due_timers("order", 10).await?;
        assert!(due.timers().contains(&expected), "{due:?}");
    }
    Ok(())
}

/// Guarantee 1: setting a timer that is there replaces when it is due, what it says and whose it is.
pub async fn a_timer_that_is_set_again_is_replaced<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (id, other) = (new_uuid(), new_uuid());
    let metadata = |actor| Metadata::new().with_actor(actor);
    let timer =
        |key, due, text, actor| NewTimer::new("order", key, id, due, json(text), metadata(actor));
    let (past, future) = (past(1)?, Due::After(LONG));
    set(
        t,
        [
            timer("a", past, "1", "ada"),
            in_an_hour("order", "a", other),
        ],
    )
    .await?;
    assert_eq!(due(t, "order").await?, [id]);
    set(t, [timer("a", future, "2", "bob")]).await?;
    assert!(due(t, "order").await?.is_empty(), "it is not due any more");
    let listed = t.store().list_timers("order", "a").await?;
    assert_eq!(ids(&listed), [other, id], "each is listed once");
    assert_eq!(
        (listed[1].payload(), listed[1].metadata()),
        (&json("2"), &metadata("bob"))
    );
    set(t, [timer("b", past, "3", "ada")]).await?;
    assert_eq!(due(t, "order").await?, [id], "it is due again");
    assert_eq!(pending(t, "order", "a").await?, [other]);
    assert_eq!(
        pending(t, "order", "b").await?,
        [id],
        "and of another instance"
    );
    fire(t, "order", id).await?;
    assert!(pending(t, "order", "b").await?.is_empty());
    Ok(())
}

/// Guarantee 1: a timer is there until it is fired or cancelled, however often it is read.
pub async fn a_timer_stays_until_it_is_fired_or_cancelled<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let made: Vec<_> = (1..=4).map(|number| (new_uuid(), number)).collect();
    for (id, number) in &made {
        set(t, [timer("order", "a", *id, past(*number)?)]).await?;
    }
    // The last one is the oldest.
    let mut left: Vec<_> = made.iter().rev().map(|(id, _)| *id).collect();
    for (at, by) in [
        (1, Way::Fire),
        (2, Way::Cancel),
        (0, Way::Cancel),
        (0, Way::Fire),
    ] {
        for _ in 0..2 {
            assert_eq!(due(t, "order").await?, left);
            assert_eq!(pending(t, "order", "a").await?, left);
        }
        let id = left.remove(at);
        match by {
            Way::Fire => fire(t, "order", id).await?,
            Way::Cancel => cancel(t, "order", id).await?,
        }
    }
    assert!(due(t, "order").await?.is_empty());
    let read = t.store().due_timers("order", 10).await?;
    assert_eq!(read.next_in(), None, "nothing is pending");
    Ok(())
}

enum Way {
    Fire,
    Cancel,
}

/// Guarantee 3: firing a timer that is not there, or no longer, is stale, and the error says which it is.
pub async fn a_timer_fires_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (fired, cancelled, elsewhere) = (new_uuid(), new_uuid(), new_uuid());
    let made = [
        timer("order", "a", fired, past(1)?),
        timer("order", "a", cancelled, past(1)?),
        timer("Order", "a", elsewhere, past(1)?),
    ];
    set(t, made).await?;
    fire(t, "order", fired).await?;
    cancel(t, "order", cancelled).await?;
    for id in [fired, cancelled, elsewhere, new_uuid()] {
        stale(fire(t, "order", id).await, "order", id);
    }
    assert_eq!(due(t, "Order").await?, [elsewhere]);
    set(t, [timer("order", "a", fired, past(1)?)]).await?;
    fire(t, "order", fired).await?;
    assert!(due(t, "order").await?.is_empty());
    Ok(())
}

/// [`TimerWrite::Fire`]: a timer is fired whether or not it is due; that is for whoever handles it to judge.
pub async fn a_timer_may_fire_before_it_is_due<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (early, other) = (new_uuid(), new_uuid());
    set(t, [early, other].map(|id| in_an_hour("order", "a", id))).await?;
    fire(t, "order", early).await?;
    assert_eq!(pending(t, "order", "a").await?, [other]);
    stale(fire(t, "order", early).await, "order", early);
    Ok(())
}

/// Guarantee 3: cancelling a timer that is not there does nothing, and the rest of the commit happens.
pub async fn a_missing_timer_is_cancelled_for_nothing<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (id, other) = (new_uuid(), new_uuid());
    set(t, [in_an_hour("order", "a", other)]).await?;
    for _ in 0..2 {
        let receipt = t
            .commit(|commit| {
                commit.timers.push(removed("order", id));
                commit.timers.push(removed("nobody", other));
                let append =
                    StreamAppend::new(stream("a"), uno_core::ExpectedVersion::Any, events(1));
                commit.appends.push(append);
            })
            .await?;
        assert!(receipt.position().is_some());
    }
    cancel(t, "order", id).await?;
    assert_eq!(pending(t, "order", "a").await?, [other]);
    assert_eq!(t.stream(&stream("a")).await?.len(), 2);
    Ok(())
}

/// Guarantee 3: when one timer of a commit is gone, nothing of the commit happens, before it or behind it.
pub async fn a_stale_timer_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (old, cancelled, new, gone) = (new_uuid(), new_uuid(), new_uuid(), new_uuid());
    set(t, [old, cancelled].map(|id| in_an_hour("order", "a", id))).await?;
    let before = t.store().list_timers("order", "a").await?;
    let result = t
        .commit(|commit| {
            commit.timers = vec![
                TimerWrite::Set(in_an_hour("order", "a", new)),
                fired("order", old),
                fired("order", gone),
                removed("order", cancelled),
            ];
            let write = ProcessWrite::new("order", "a", 0, ProcessStatus::Running, json("1"));
            commit
                .processes
                .push(write.with_history(1, vec![json("1")]));
            let append = StreamAppend::new(stream("a"), NoStream, events(1));
            commit.appends.push(append);
        })
        .await;
    stale(result.map(drop), "order", gone);
    assert_eq!(t.store().list_timers("order", "a").await?, before);
    assert_eq!(t.store().read_history("order", "a", 0, 10).await?, []);
    let keys = ["a".to_owned()];
    assert_eq!(t.store().load_processes("order", &keys).await?, []);
    assert_eq!(t.stream(&stream("a")).await?, []);
    Ok(())
}

/// Guarantee 1: when the commit fails for another reason, every timer is as it was.
pub async fn a_failed_commit_leaves_timers_as_they_were<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    t.append(&stream("a"), NoStream, &[event()]).await?;
    let made: Vec<_> = std::iter::repeat_with(new_uuid).take(3).collect();
    set(t, made.iter().map(|id| in_an_hour("order", "a", *id))).await?;
    let before = t.store().list_timers("order", "a").await?;
    let result = t
        .commit(|commit| {
            commit.timers = vec![
                TimerWrite::Set(timer("order", "b", made[0], Due::After(Duration::ZERO))),
                TimerWrite::Set(timer("order", "a", new_uuid(), Due::After(Duration::ZERO))),
                removed("order", made[1]),
                fired("order", made[2]),
            ];
            let append = StreamAppend::new(stream("a"), NoStream, events(1));
            commit.appends.push(append);
        })
        .await;
    assert!(result.is_err_and(|error| error.is_conflict()));
    assert_eq!(t.store().list_timers("order", "a").await?, before);
    assert_eq!(t.store().list_timers("order", "b").await?, []);
    assert!(due(t, "order").await?.is_empty());
    Ok(())
}

/// [`Transactional`](uno_core::Transactional): a commit whose events are stored already sets, cancels and fires nothing again.
pub async fn a_repeated_commit_sets_no_timer_again<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (first, new, set_since) = (new_uuid(), new_uuid(), new_uuid());
    set(t, [in_an_hour("order", "a", first)]).await?;
    let events = events(1);
    let commit = |commit: &mut uno_core::Commit<_>| {
        commit.timers = vec![
            TimerWrite::Set(in_an_hour("order", "a", new)),
            removed("order", set_since),
            fired("order", first),
        ];
        let append = StreamAppend::new(stream("a"), NoStream, events.clone());
        commit.appends.push(append);
    };
    let receipt = t.commit(commit).await?;
    assert_eq!(pending(t, "order", "a").await?, [new]);
    fire(t, "order", new).await?;
    set(t, [in_an_hour("order", "a", set_since)]).await?;
    assert_eq!(
        t.commit(commit).await?,
        receipt,
        "though it would be stale now"
    );
    assert_eq!(pending(t, "order", "a").await?, [set_since]);
    Ok(())
}

/// [`NewTimer::process`], [`NewTimer::key`]: timers of another process, and of another instance, are others.
pub async fn timers_of_processes_are_apart<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (id, other) = (new_uuid(), new_uuid());
    let made = [
        timer("order", "a", id, past(1)?),
        timer("Order", "a", id, past(1)?),
        timer("order", "A", other, past(2)?),
    ];
    set(t, made).await?;
    assert_eq!(due(t, "order").await?, [other, id]);
    assert_eq!(due(t, "Order").await?, [id]);
    assert_eq!(pending(t, "order", "A").await?, [other]);
    cancel(t, "order", id).await?;
    assert_eq!(
        due(t, "Order").await?,
        [id],
        "that of the other process stays"
    );
    assert_eq!(pending(t, "Order", "a").await?, [id]);
    let long = "x".repeat(513);
    for nobody in ["", "nobody", "a\0b", "order\0", &long] {
        let read = t.store().due_timers(nobody, 10).await?;
        assert_eq!(
            (read.timers().len(), read.next_in()),
            (0, None),
            "{nobody:?}"
        );
        assert!(pending(t, nobody, "a").await?.is_empty());
        assert!(pending(t, "order", nobody).await?.is_empty());
    }
    Ok(())
}

/// `list_timers`: hostile texts as processes, keys and metadata are nothing but texts.
pub async fn hostile_timers_are_nothing_but_timers<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for text in HOSTILE {
        let (id, metadata) = (
            new_uuid(),
            Metadata::new().with_actor(text).with_header(text, text),
        );
        set(
            t,
            [NewTimer::new(
                text,
                text,
                id,
                past(1)?,
                json("1"),
                metadata.clone(),
            )],
        )
        .await?;
        let listed = t.store().list_timers(text, text).await?;
        assert_eq!(ids(&listed), [id], "{text:?}");
        assert_eq!((listed[0].key(), listed[0].metadata()), (text, &metadata));
        assert_eq!(due(t, text).await?, [id]);
        fire(t, text, id).await?;
        assert!(pending(t, text, text).await?.is_empty());
    }
    Ok(())
}

/// [`Limits::check_commit`](uno_core::Limits::check_commit): a timer that occurs twice in a commit is refused, and so are names
/// that can't be kept.
pub async fn timers_that_cannot_be_kept_are_refused<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let id = new_uuid();
    let set_it = || TimerWrite::Set(in_an_hour("order", "a", id));
    for second in [set_it(), removed("order", id), fired("order", id)] {
        refused(t, "timers", vec![set_it(), second.clone()]).await;
        refused(t, "timers", vec![second, set_it()]).await;
    }
    for bad in ["", "a\0b", &"x".repeat(513)] {
        for write in [
            TimerWrite::Set(in_an_hour(bad, "a", id)),
            removed(bad, id),
            fired(bad, id),
        ] {
            refused(t, "timer.process", vec![write]).await;
        }
        let write = TimerWrite::Set(in_an_hour("order", bad, id));
        refused(t, "timer.key", vec![write]).await;
    }
    let metadata = Metadata::new().with_actor("\0");
    let bad = NewTimer::new("order", "a", id, Due::After(LONG), json("1"), metadata);
    refused(t, "metadata.actor", vec![TimerWrite::Set(bad)]).await;
    assert!(pending(t, "order", "a").await?.is_empty());
    Ok(())
}

async fn refused<H: BackendHarness>(t: &Trial<H>, field: &str, writes: Vec<TimerWrite>) {
    let result = t.commit(|commit| commit.timers = writes).await;
    match result {
        Err(CommitError::Append(AppendError::Refused(refusal))) => {
            assert_eq!(refusal.field(), field, "{refusal}");
        }
        other => panic!("expected {field} to be refused, and got {other:?}"),
    }
}

#[track_caller]
fn stale(result: Result<(), CommitError>, process: &str, id: Uuid) {
    match result {
        Err(CommitError::Stale(Stale::Timer {
            process: of,
            id: found,
        })) => assert_eq!((of.as_str(), found), (process, id)),
        other => panic!("expected {id} of {process} to be stale, and got {other:?}"),
    }
}
