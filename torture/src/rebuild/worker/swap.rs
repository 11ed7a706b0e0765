//! The control of swaps: both generations are compared, and some time later the new one serves.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use uno::cqrs::{Generation, RebuildError};
use uno_core::{
    Backend, Commit, CommitError, DocumentStore as _, DocumentWrite, Payload, Transactional as _,
};

use super::Process;
use crate::rebuild::books::BOOKS;

/// How long a machine that is busy may take between the one and the other.
const MOMENT: Duration = Duration::from_millis(100);
/// How many positions the one that serves goes on meanwhile at least, so that its readers see more.
const FURTHER: u64 = 40;

/// Builds a generation and swaps it in, as one would who had not thought of what comes between.
pub(super) async fn unguarded<B: Backend>(
    process: &Process<B>,
    generation: Generation,
) -> Result<(), RebuildError> {
    let Process { model, store, .. } = process;
    loop {
        model.build(generation).await?;
        let (status, serving) = (model.status().await?, model.serving().generation().await?);
        let at = |generation| {
            let found = status.generations.get(&generation);
            found.map(|found| found.position)
        };
        if at(generation) < at(serving) {
            continue;
        }
        // Others go on meanwhile, which nothing here looks at again.
        let compared = status.head.get();
        sleep(MOMENT).await;
        while model
            .status()
            .await?
            .generations
            .get(&serving)
            .is_some_and(|found| found.position.get() < compared + FURTHER)
        {
            sleep(MOMENT / 10).await;
        }
        sleep(MOMENT).await;
        let found = store
            .load_documents("uno.read_models", &[BOOKS.to_owned()])
            .await?;
        let Some(record) = found.first() else {
            continue;
        };
        let mut body: Value =
            serde_json::from_str(record.body().as_str()).unwrap_or_else(|_| json!({}));
        for entry in body["generations"].as_array_mut().into_iter().flatten() {
            if entry["number"] == generation.get() {
                entry["state"] = json!("serving");
            } else if entry["state"] == "serving" {
                entry["state"] = json!("kept");
            }
        }
        let put = DocumentWrite::put(
            "uno.read_models",
            BOOKS,
            Payload::from_stored(body.to_string()),
        );
        let mut commit = Commit::new();
        commit.documents.push(put.expecting(record.revision()));
        match store.commit(commit).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Stale(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
