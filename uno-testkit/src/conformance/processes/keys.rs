//! The messages of a queue with one key: what waits behind an instance that is parked.

use uno_core::{Acknowledgement, BoxError, Metadata, NewMessage, ProcessStore as _, QueuedMessage};
use uuid::Uuid;

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, json, new_uuid},
};

/// Guarantee 2: the messages of a key are those that the queue has, in its order.
pub async fn messages_of_a_key_are_read_in_order<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    // Ids that sort the other way round, so that no order of ids can stand in for that of the queue.
    let id = |number: u128| Uuid::from_u128(u128::MAX - number);
    for round in 0..4 {
        let keys = ["a", "b", "a", "c"];
        t.commit(|commit| {
            let messages = (round * 4..).zip(keys);
            let messages = messages.map(|(number, key)| message("mail", key, id(number)));
            commit.messages = messages.collect();
        })
        .await?;
    }
    let all = t.store().read_queue("mail", 0, 100).await?;
    for (key, count) in [("a", 8), ("b", 4), ("c", 4)] {
        let expected = of(&all, key);
        assert_eq!(expected.len(), count);
        let found = t.store().read_queue_of("mail", key, 0, 100).await?;
        assert_eq!(found, expected, "{key}");
    }
    Ok(())
}

/// `read_queue_of`: from a number on, at most so many.
pub async fn messages_of_a_key_are_read_from_a_number_on<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for key in ["a", "b", "a", "a", "b", "a"] {
        add(t, "mail", key).await?;
    }
    let all = of(&t.store().read_queue("mail", 0, 100).await?, "a");
    for (at, queued) in all.iter().enumerate() {
        let number = queued.number();
        let rest = t.store().read_queue_of("mail", "a", number, 100).await?;
        assert_eq!(rest, all[at + 1..]);
        let page = t.store().read_queue_of("mail", "a", number - 1, 2).await?;
        assert_eq!(page, all[at..(at + 2).min(4)]);
    }
    for after in [i64::MAX.cast_unsigned(), 1 << 63, u64::MAX] {
        let rest = t.store().read_queue_of("mail", "a", after, 100).await?;
        assert_eq!(rest, [], "after {after}");
    }
    assert_eq!(t.store().read_queue_of("mail", "a", 0, 0).await?, []);
    Ok(())
}

/// Guarantee 3: a message of a key stays until it is acknowledged, and goes then.
pub async fn messages_of_a_key_stay_until_they_are_acknowledged<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let mut left = Vec::new();
    for _ in 0..3 {
        left.push(add(t, "mail", "a").await?);
        add(t, "mail", "b").await?;
    }
    for at in [1, 1, 0] {
        for _ in 0..2 {
            assert_eq!(read(t, "mail", "a").await?, left);
        }
        let id = left.remove(at);
        t.commit(|commit| {
            commit
                .acknowledgements
                .push(Acknowledgement::new("mail", id));
        })
        .await?;
    }
    assert!(read(t, "mail", "a").await?.is_empty());
    assert_eq!(read(t, "mail", "b").await?.len(), 3);
    Ok(())
}

/// [`NewMessage::key`]: keys are apart, and so are queues.
pub async fn keys_are_apart<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mut made = Vec::new();
    for (queue, key) in [("mail", "a"), ("mail", "A"), ("Mail", "a"), ("mail", "aa")] {
        made.push((queue, key, add(t, queue, key).await?));
    }
    for (queue, key, id) in made {
        assert_eq!(read(t, queue, key).await?, [id], "{queue} {key}");
    }
    let long = "x".repeat(513);
    for nobody in ["", "nobody", "a\0b", "a\0", &long] {
        assert!(read(t, "mail", nobody).await?.is_empty(), "{nobody:?}");
        assert!(read(t, nobody, "a").await?.is_empty(), "{nobody:?}");
    }
    Ok(())
}

/// `read_queue_of`: hostile texts as queues and keys are nothing but texts.
pub async fn hostile_keys_are_nothing_but_keys<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for text in HOSTILE {
        let id = add(t, text, text).await?;
        add(t, text, "beside").await?;
        assert_eq!(read(t, text, text).await?, [id], "{text:?}");
    }
    Ok(())
}

fn message(queue: &str, key: &str, id: Uuid) -> NewMessage {
    NewMessage::new(queue, id, key, "message", json("{}"), Metadata::new())
}

async fn add<H: BackendHarness>(t: &Trial<H>, queue: &str, key: &str) -> Result<Uuid, BoxError> {
    let id = new_uuid();
    let message = message(queue, key, id);
    t.commit(|commit| commit.messages.push(message)).await?;
    Ok(id)
}

async fn read<H: BackendHarness>(
    t: &Trial<H>,
    queue: &str,
    key: &str,
) -> Result<Vec<Uuid>, BoxError> {
    let found = t.store().read_queue_of(queue, key, 0, usize::MAX).await?;
    Ok(found.iter().map(|queued| queued.message().id()).collect())
}

/// The messages with this key.
fn of(messages: &[QueuedMessage], key: &str) -> Vec<QueuedMessage> {
    let of_key = messages
        .iter()
        .filter(|queued| queued.message().key() == key);
    of_key.cloned().collect()
}
