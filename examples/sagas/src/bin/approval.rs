//! Tells what happens in [`sagas::approval`].

use sagas::{approval::Approval, stage::tell};

/// Time is virtual: it goes by as soon as there is nothing to do.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> anyhow::Result<()> {
    tell::<Approval>().await
}
