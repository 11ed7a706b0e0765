//! Loading checkpoints.

use uno_core::{
    Checkpoint, CheckpointStore as _, CheckpointWrite, EventId, EventStore as _,
    ExpectedVersion::Any, Lane, Position, StoreEpoch,
};
use uuid::Uuid;

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, event, stream, subscription},
};

/// `load_checkpoint`: none, when it was never saved.
pub async fn a_subscription_that_never_saved_has_no_checkpoint<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    assert_eq!(
        t.store()
            .load_checkpoint(&subscription("a"), Lane::FIRST)
            .await?,
        None
    );
    assert_eq!(t.store().list_checkpoints().await?, []);
    let start = Checkpoint::start(StoreEpoch::new());
    t.store()
        .save_checkpoint(CheckpointWrite::new(subscription("b"), None, start))
        .await?;
    assert_eq!(
        t.store()
            .load_checkpoint(&subscription("a"), Lane::FIRST)
            .await?,
        None
    );
    Ok(())
}

/// Guarantee 2: a checkpoint comes back equal: epoch, position, and event id or none.
pub async fn a_checkpoint_comes_back_equal<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let receipt = t.append(&stream("a"), Any, &[event()]).await?;
    let (position, id) = t.store().head().await?.last().ok_or("no event")?;
    let foreign = StoreEpoch::from_uuid(Uuid::max());
    for (number, checkpoint) in [
        Checkpoint::start(receipt.epoch()),
        Checkpoint::after(receipt.epoch(), position, id),
        Checkpoint::after(foreign, Position::MAX, EventId::from_uuid(Uuid::nil())),
        Checkpoint::start(foreign),
        Checkpoint::after(foreign, Position::START, EventId::from_uuid(Uuid::max())),
    ]
    .into_iter()
    .enumerate()
    {
        let name = subscription(&format!("{number}"));
        t.store()
            .save_checkpoint(CheckpointWrite::new(name.clone(), None, checkpoint))
            .await?;
        assert_eq!(
            t.store().load_checkpoint(&name, Lane::FIRST).await?,
            Some(checkpoint)
        );
    }
    Ok(())
}

/// `list_checkpoints`: all of them, by the bytes of their names.
pub async fn checkpoints_are_listed_by_name<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mut names = vec!["b", "a", "Z", "é", "e", "10", "9", "_", "a b", "中", "a"];
    names.pop();
    for (number, name) in (1..).zip(&names) {
        t.store()
            .save_checkpoint(CheckpointWrite::new(subscription(name), None, at(number)?))
            .await?;
    }
    let mut expected: Vec<_> = names.iter().zip(1..).collect();
    expected.sort_unstable();
    let listed = t.store().list_checkpoints().await?;
    assert_eq!(listed.len(), names.len());
    for ((name, lane, checkpoint), (expected, number)) in listed.into_iter().zip(expected) {
        assert_eq!(
            (name.as_str(), lane, checkpoint),
            (*expected, Lane::FIRST, at(number)?)
        );
    }
    Ok(())
}

/// [`SubscriptionName`](uno_core::SubscriptionName): any text of 1 to 128 bytes without control characters, each a subscription of its own.
pub async fn subscriptions_with_like_names_are_apart<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let long = "x".repeat(128);
    let mut names = vec![
        "a",
        "A",
        "a ",
        " a",
        "é",
        "e\u{301}",
        "%",
        "_",
        &long,
        &long[1..],
    ];
    names.extend(
        HOSTILE
            .into_iter()
            .filter(|name| !name.chars().any(char::is_control)),
    );
    for (number, name) in (1..).zip(&names) {
        t.store()
            .save_checkpoint(CheckpointWrite::new(subscription(name), None, at(number)?))
            .await?;
    }
    for (number, name) in (1..).zip(&names) {
        assert_eq!(
            t.store()
                .load_checkpoint(&subscription(name), Lane::FIRST)
                .await?,
            Some(at(number)?),
            "{name:?}"
        );
    }
    assert_eq!(t.store().list_checkpoints().await?.len(), names.len());
    Ok(())
}

fn at(number: u64) -> Result<Checkpoint, uno_core::OutOfRange> {
    let id = EventId::from_uuid(Uuid::from_u128(u128::from(number)));
    Ok(Checkpoint::after(
        StoreEpoch::from_uuid(Uuid::nil()),
        Position::new(number)?,
        id,
    ))
}
