//! Being told of changes, and making the store ready again.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use uno_core::{BoxError, EventStore, ExpectedVersion::Any, StoreChange};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{event, events, stream},
};

/// `changed`: a change that came before the call, but after the mark, is told at once.
pub async fn a_change_after_the_mark_is_told_at_once<H: Harness>(t: &Trial<H>) -> Outcome {
    let mark = t.store().change();
    t.append(&stream("a"), Any, &[event()]).await?;
    told(&**t.store(), mark).await?;
    told(&**t.store(), mark).await
}

/// `changed`: who waits is woken by an append.
pub async fn who_waits_is_woken_by_an_append<H: Harness>(t: &Trial<H>) -> Outcome {
    for _ in 0..5 {
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let (store, mark) = (Arc::clone(t.store()), t.store().change());
                tokio::spawn(async move { told(&*store, mark).await })
            })
            .collect();
        // Gives them time to begin waiting; that they do is not needed for the case to hold.
        tokio::task::yield_now().await;
        t.append(&stream("a"), Any, &[event()]).await?;
        for waiting in waiting {
            waiting.await??;
        }
    }
    Ok(())
}

/// `changed`: dropping it is safe, and loses nothing for the next.
pub async fn waiting_for_a_change_can_be_given_up<H: Harness>(t: &Trial<H>) -> Outcome {
    for _ in 0..10 {
        let mark = t.store().change();
        // It may come for nothing, so either is right; what matters is that it is dropped.
        let _either = timeout(Duration::from_millis(1), t.store().changed(mark)).await;
        t.append(&stream("a"), Any, &[event()]).await?;
        told(&**t.store(), mark).await?;
    }
    assert_eq!(t.log().await?.len(), 10);
    Ok(())
}

/// `migrate`: does nothing when that is done, and keeps everything.
pub async fn migrating_again_changes_nothing<H: Harness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), Any, &events(3)).await?;
    let (log, head) = (t.log().await?, t.store().head().await?);
    for _ in 0..3 {
        t.store().migrate().await?;
    }
    assert_eq!((t.log().await?, t.store().head().await?), (log, head));
    t.append(&stream("a"), Any, &events(1)).await?;
    assert_eq!(t.stream(&stream("a")).await?.len(), 4);
    Ok(())
}

/// `migrate`: may be called by many at once, and while others append.
pub async fn many_may_migrate_at_once<H: Harness>(t: &Trial<H>) -> Outcome {
    let migrating: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(t.store());
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for _ in 0..5 {
        t.append(&stream("a"), Any, &events(2)).await?;
    }
    for migrating in migrating {
        migrating.await??;
    }
    assert_eq!(t.stream(&stream("a")).await?.len(), 10);
    Ok(())
}

async fn told(store: &dyn EventStore, mark: StoreChange) -> Result<(), BoxError> {
    timeout(Duration::from_secs(30), store.changed(mark))
        .await
        .map_err(|_| "the change was not told".into())
}
