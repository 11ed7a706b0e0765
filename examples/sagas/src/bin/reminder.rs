//! Tells what happens in [`sagas::reminder`].

use sagas::{reminder::Reminder, stage::tell};

/// Time is virtual: it goes by as soon as there is nothing to do.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> anyhow::Result<()> {
    tell::<Reminder>().await
}
