//! `orders audit`: what happened, the newest first, by who did it, what it was and when; and `orders why`: what an event goes back to, and what came of it.
//!
//! Both only read the log. They may look on while the application runs elsewhere.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Args;
use uno::{
    core::{CausationLimits, CorrelationId, EventId, EventName},
    prelude::*,
};
use uuid::Uuid;

/// What to look for. What is not said does not matter.
#[derive(Args, Debug)]
pub struct Options {
    /// On whose behalf.
    #[arg(long)]
    actor: Option<String>,
    /// What goes back to the same beginning: the correlation id.
    #[arg(long)]
    correlation: Option<Uuid>,
    /// The stored name of the event, such as `order_placed`; may be given several times.
    #[arg(long = "type", value_name = "NAME")]
    names: Vec<String>,
    /// Recorded at this time or later, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Recorded before this time.
    #[arg(long, value_name = "TIME")]
    before: Option<DateTime<Utc>>,
    /// The log as it was at this time: what was recorded later is left out, and is not looked at.
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// The oldest first.
    #[arg(long)]
    oldest: bool,
    /// How many events at most.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Goes on behind this position, which the last line of the page before has.
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
}

/// Which event, and in which form.
#[derive(Args, Debug)]
pub struct Why {
    /// The event's id, as `orders audit` shows it.
    event: Uuid,
    /// As a flowchart for Mermaid.
    #[arg(long)]
    mermaid: bool,
    /// How many events at most.
    #[arg(long, default_value_t = 200)]
    limit: usize,
}

impl Options {
    fn filter(&self) -> anyhow::Result<EventFilter> {
        let mut filter = EventFilter::all();
        if let Some(actor) = &self.actor {
            filter = filter.actor(actor.as_str());
        }
        if let Some(id) = self.correlation {
            filter = filter.correlation_id(CorrelationId::from_uuid(id));
        }
        if !self.names.is_empty() {
            let names = self.names.iter().cloned().map(EventName::new);
            filter = filter.names(names.collect::<Result<Vec<_>, _>>()?);
        }
        if let Some(time) = self.since {
            filter = filter.recorded_from(time);
        }
        if let Some(time) = self.before {
            filter = filter.recorded_before(time);
        }
        Ok(filter)
    }

    fn read(&self) -> anyhow::Result<ReadLog> {
        let place = self.after.map(Position::new).transpose()?;
        let mut read = if self.oldest {
            ReadLog::after(place.unwrap_or(Position::START))
        } else {
            ReadLog::before(place.unwrap_or(Position::MAX))
        };
        if let Some(time) = self.at {
            read = read.as_of(AsOf::Time(time));
        }
        Ok(read.filter(self.filter()?).limit(self.limit))
    }
}

/// Prints a page of the log, an event a line. Whether all is well, which it is when it gets there.
pub async fn list<B: Backend>(store: Arc<B>, options: &Options) -> anyhow::Result<bool> {
    let page = store.read_log(options.read()?).await?;
    for event in page.events() {
        let metadata = event.metadata();
        let actor = metadata.actor().unwrap_or("-").escape_debug();
        println!(
            "{:>8}  {}  {}  {:<20} {}  {actor}",
            event.position().get(),
            event.recorded_at().format("%F %T%.6f"),
            event.id(),
            event.name().as_str(),
            event.stream(),
        );
    }
    Ok(true)
}

/// Prints the tree of an event. Whether there is such an event.
pub async fn why<B: Backend>(store: Arc<B>, options: &Why) -> anyhow::Result<bool> {
    let limits = CausationLimits::new().events(options.limit);
    let event = EventId::from_uuid(options.event);
    let tree = store.causation_of(event, limits).await?;
    let tree = tree.with_context(|| format!("there is no event {event}"))?;
    if options.mermaid {
        print!("{}", tree.to_mermaid());
    } else {
        print!("{tree}");
    }
    Ok(true)
}
