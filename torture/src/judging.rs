//! `uno-torture judge`: reads the files of a phase and the database, and says what it found, as JSON.

use std::fs;

use anyhow::{Context as _, Result};
use uno_torture::{
    judge::{Stored, judge},
    ledger::{History, Ledger},
    sequence::Sequence,
    session::{Database, Schema},
};

use crate::args::Judge;

pub(crate) async fn run(args: Judge) -> Result<bool> {
    let read = |path: std::path::PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
    };
    let history = History::parse(&read(args.folder.join(Ledger::FILE))?)?;
    let mut sequences = Vec::new();
    for entry in fs::read_dir(&args.folder).context("failed to list the files of the phase")? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(Sequence::ENDING) {
            sequences.extend(Sequence::parse(&read(path)?)?);
        }
    }
    sequences.sort_by(|a, b| a.name.cmp(&b.name));

    let stored = match args.file {
        Some(file) => Stored::read_sqlite(&file).await?,
        None => {
            let schema = Schema::new(args.schema.context("no log is named")?)?;
            let mut session = Database::from_env()?
                .connect("uno-torture-judge")
                .await
                .context("failed to reach the server")?;
            Stored::read_postgres(&mut session, &schema, args.times_rise).await?
        }
    };
    let verdict = judge(&history, &stored, &sequences);
    println!("{}", serde_json::to_string(&verdict)?);
    Ok(true)
}
