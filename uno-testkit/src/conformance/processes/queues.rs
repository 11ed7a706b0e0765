//! Queues of messages.

use uno_core::{
    Acknowledgement, AppendError, BoxError, CommitError, CorrelationId, Metadata, NewMessage,
    ProcessStore as _, QueuedMessage, Stale, truncate_to_micros,
};
use uuid::Uuid;

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, json, new_uuid},
};

/// Guarantee 2: messages are read in the order of their commits, and within a commit in its order.
pub async fn messages_are_read_in_the_order_they_were_added<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let mut added = Vec::new();
    for count in [3, 1, 4] {
        // Ids that sort the other way round, so that no order of ids can stand in for that of the queue.
        let highest = u128::MAX - added.len() as u128;
        let ids: Vec<_> = (0..count).map(|at| Uuid::from_u128(highest - at)).collect();
        t.commit(|commit| commit.messages = ids.iter().map(|id| message("mail", *id)).collect())
            .await?;
        added.extend(ids);
    }
    let found = t.store().read_queue("mail", 0, 100).await?;
    assert_eq!(ids(&found), added);
    assert!(
        found.is_sorted_by(|a, b| a.number() < b.number()),
        "numbers rise along the queue"
    );
    assert!(
        found.iter().all(|queued| queued.number() > 0),
        "and begin above 0, where readers start"
    );
    Ok(())
}

/// [`NewMessage`]: a message comes back equal, with all of its metadata.
pub async fn a_message_comes_back_equal<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_causation_id(new_uuid())
        .with_actor("ada")
        .with_tenant("")
        .with_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?)
        .with_header("é", "\"'\\");
    let payload = json("{ \"b\" : [1E2, -0.0] ,\"a\":\"\\u0001é\" }");
    let messages = [
        NewMessage::new(
            "mail",
            new_uuid(),
            "key",
            "send_mail",
            payload.clone(),
            metadata,
        ),
        NewMessage::new(
            "mail",
            Uuid::nil(),
            "Key ",
            "x",
            json("null"),
            Metadata::new(),
        ),
        NewMessage::new(
            "mail",
            Uuid::max(),
            &"k".repeat(512) as &str,
            "x",
            json("1"),
            Metadata::new().with_actor(""),
        ),
    ];
    t.commit(|commit| commit.messages = messages.to_vec())
        .await?;
    let found = t.store().read_queue("mail", 0, 100).await?;
    assert!(
        found.iter().map(QueuedMessage::message).eq(&messages),
        "{found:?}"
    );
    assert_eq!(found[0].message().payload().as_str(), payload.as_str());
    assert!(
        found
            .iter()
            .all(|queued| queued.enqueued_at() == truncate_to_micros(queued.enqueued_at())),
        "whole microseconds"
    );
    Ok(())
}

/// `read_queue`: from a number on, at most so many.
pub async fn a_queue_is_read_from_a_number_on<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let added = add(t, "mail", 6).await?;
    let all = t.store().read_queue("mail", 0, usize::MAX).await?;
    assert_eq!(ids(&all), added);
    for (at, queued) in all.iter().enumerate() {
        assert_eq!(
            t.store().read_queue("mail", queued.number(), 100).await?,
            all[at + 1..]
        );
        let page = t.store().read_queue("mail", queued.number() - 1, 2).await?;
        assert_eq!(page, all[at..(at + 2).min(6)]);
    }
    for after in [i64::MAX.cast_unsigned(), 1 << 63, u64::MAX] {
        assert_eq!(
            t.store().read_queue("mail", after, 100).await?,
            [],
            "after {after}"
        );
    }
    assert_eq!(t.store().read_queue("mail", 0, 0).await?, []);
    Ok(())
}

/// [`NewMessage::queue`]: queues are apart, and one that nobody wrote to is empty.
pub async fn queues_are_apart<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (mail, other, id) = (
        add(t, "mail", 2).await?,
        add(t, "Mail", 1).await?,
        new_uuid(),
    );
    t.commit(|commit| {
        commit.messages = vec![
            message("mail", id),
            message("Mail", id),
            message("letters", id),
        ];
    })
    .await?;
    assert_eq!(
        ids(&t.store().read_queue("mail", 0, 10).await?),
        [mail, vec![id]].concat()
    );
    assert_eq!(
        ids(&t.store().read_queue("Mail", 0, 10).await?),
        [other, vec![id]].concat()
    );
    assert_eq!(t.store().read_queue("nothing", 0, 10).await?, []);
    acknowledge(t, "mail", id).await?;
    assert_eq!(t.store().read_queue("mail", 0, 10).await?.len(), 2);
    assert_eq!(
        t.store().read_queue("Mail", 0, 10).await?.len(),
        2,
        "the message of that id in another queue stays"
    );
    Ok(())
}

/// Guarantee 3: a message stays until it is acknowledged, whatever its place.
pub async fn a_message_stays_until_it_is_acknowledged<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mut left = add(t, "mail", 5).await?;
    for at in [2, 0, 2, 1, 0] {
        assert_eq!(ids(&t.store().read_queue("mail", 0, 10).await?), left);
        assert_eq!(
            ids(&t.store().read_queue("mail", 0, 10).await?),
            left,
            "reading takes nothing off"
        );
        acknowledge(t, "mail", left.remove(at)).await?;
    }
    assert_eq!(t.store().read_queue("mail", 0, 10).await?, []);
    Ok(())
}

/// Guarantee 3: acknowledging a message that is not there, or no longer, is stale, and the error says which it is.
pub async fn a_message_is_acknowledged_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let added = add(t, "mail", 2).await?;
    acknowledge(t, "mail", added[0]).await?;
    let elsewhere = add(t, "letters", 1).await?[0];
    for id in [added[0], new_uuid(), elsewhere] {
        stale(acknowledge(t, "mail", id).await, "mail", id);
    }
    let twice = t
        .commit(|commit| {
            commit.acknowledgements = vec![
                Acknowledgement::new("mail", added[1]),
                Acknowledgement::new("mail", added[1]),
            ];
        })
        .await;
    stale(twice.map(drop), "mail", added[1]);
    assert_eq!(ids(&t.store().read_queue("mail", 0, 10).await?), [added[1]]);
    assert_eq!(
        ids(&t.store().read_queue("letters", 0, 10).await?),
        [elsewhere]
    );
    Ok(())
}

/// Guarantee 3: when one message of a commit is gone, none of them is acknowledged and none is added.
pub async fn a_stale_acknowledgement_undoes_the_others<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (added, gone) = (add(t, "mail", 2).await?, new_uuid());
    let result = t
        .commit(|commit| {
            commit.acknowledgements = [added[0], gone, added[1]]
                .map(|id| Acknowledgement::new("mail", id))
                .to_vec();
            commit.messages.push(message("mail", new_uuid()));
        })
        .await;
    stale(result.map(drop), "mail", gone);
    assert_eq!(ids(&t.store().read_queue("mail", 0, 10).await?), added);
    Ok(())
}

/// Guarantee 4: a message id is refused while it is in the queue, and twice in one commit.
pub async fn a_message_id_occurs_once_in_a_queue<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let added = add(t, "mail", 1).await?;
    let twice = new_uuid();
    for messages in [
        vec![message("mail", added[0])],
        vec![message("mail", new_uuid()), message("mail", added[0])],
        vec![message("mail", twice), message("mail", twice)],
    ] {
        let result = t.commit(|commit| commit.messages = messages).await;
        assert!(
            matches!(&result, Err(CommitError::Append(AppendError::Refused(_)))),
            "{result:?}"
        );
    }
    assert_eq!(ids(&t.store().read_queue("mail", 0, 10).await?), added);
    Ok(())
}

/// Guarantee 4: once a message is gone, its id may come again, at the end.
pub async fn a_message_id_may_come_again_once_it_is_gone<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let added = add(t, "mail", 2).await?;
    acknowledge(t, "mail", added[0]).await?;
    t.commit(|commit| commit.messages.push(message("mail", added[0])))
        .await?;
    assert_eq!(
        ids(&t.store().read_queue("mail", 0, 10).await?),
        [added[1], added[0]]
    );
    acknowledge(t, "mail", added[0]).await?;
    assert_eq!(ids(&t.store().read_queue("mail", 0, 10).await?), [added[1]]);
    Ok(())
}

/// Guarantee 2: a number is never used again, also when the queue is empty: a reader goes on behind what it has seen.
pub async fn a_number_is_never_used_again<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mut seen = 0;
    for _ in 0..5 {
        let added = add(t, "mail", 2).await?;
        let found = t.store().read_queue("mail", seen, 10).await?;
        assert_eq!(ids(&found), added, "behind {seen}");
        seen = found[1].number();
        t.commit(|commit| {
            commit.acknowledgements = added
                .iter()
                .map(|id| Acknowledgement::new("mail", *id))
                .collect();
        })
        .await?;
    }
    Ok(())
}

/// `queue_depth`: how many wait, and since when the oldest does.
pub async fn the_depth_of_a_queue<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    assert_eq!(t.store().queue_depth("mail").await?, (0, None));
    let added = [add(t, "mail", 1).await?, add(t, "mail", 2).await?].concat();
    add(t, "letters", 4).await?;
    for left in [3, 2, 1] {
        let oldest = t.store().read_queue("mail", 0, 1).await?[0].enqueued_at();
        assert_eq!(t.store().queue_depth("mail").await?, (left, Some(oldest)));
        acknowledge(t, "mail", added[3 - usize::try_from(left)?]).await?;
    }
    assert_eq!(t.store().queue_depth("mail").await?, (0, None));
    assert_eq!(t.store().queue_depth("letters").await?.0, 4);
    Ok(())
}

/// `read_queue`: hostile texts as queues, keys and names are nothing but texts.
pub async fn hostile_messages_are_nothing_but_messages<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for text in HOSTILE {
        let hostile = NewMessage::new(
            text,
            new_uuid(),
            text,
            text,
            json("1"),
            Metadata::new().with_actor(text).with_header(text, text),
        );
        t.commit(|commit| commit.messages.push(hostile.clone()))
            .await?;
        let found = t.store().read_queue(text, 0, 10).await?;
        assert_eq!((found.len(), found[0].message()), (1, &hostile), "{text:?}");
        acknowledge(t, text, hostile.id()).await?;
        assert_eq!(t.store().queue_depth(text).await?, (0, None));
    }
    Ok(())
}

fn message(queue: &str, id: Uuid) -> NewMessage {
    NewMessage::new(queue, id, "key", "message", json("{}"), Metadata::new())
}

/// Adds so many messages in one commit.
async fn add<H: BackendHarness>(
    t: &Trial<H>,
    queue: &str,
    count: usize,
) -> Result<Vec<Uuid>, BoxError> {
    let ids: Vec<_> = std::iter::repeat_with(new_uuid).take(count).collect();
    t.commit(|commit| commit.messages = ids.iter().map(|id| message(queue, *id)).collect())
        .await?;
    Ok(ids)
}

async fn acknowledge<H: BackendHarness>(
    t: &Trial<H>,
    queue: &str,
    id: Uuid,
) -> Result<(), CommitError> {
    t.commit(|commit| {
        commit
            .acknowledgements
            .push(Acknowledgement::new(queue, id));
    })
    .await
    .map(drop)
}

fn ids(messages: &[QueuedMessage]) -> Vec<Uuid> {
    messages
        .iter()
        .map(|queued| queued.message().id())
        .collect()
}

#[track_caller]
fn stale(result: Result<(), CommitError>, queue: &str, id: Uuid) {
    match result {
        Err(CommitError::Stale(Stale::Message {
            queue: of,
            id: found,
        })) => assert_eq!((of.as_str(), found), (queue, id)),
        other => panic!("expected {id} of {queue} to be stale, and got {other:?}"),
    }
}
