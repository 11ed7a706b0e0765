//! Hash chains over the events of the Uno framework, and their verification.
//!
//! A [`HashChain`] is fed by a durable subscription and gives each event of the log a [`Link`]: a hash of the link of the event before it in the stream
//! and of the event itself, with every field as it is stored. A [`Verifier`] works the links out again and names the first event of each stream
//! that was changed, taken away or put in.
//!
//! ```
//! use std::sync::Arc;
//! use uno_core::{EventName, EventStore, ExpectedVersion, NewEvent, Payload, SchemaVersion, StreamAppend, StreamId};
//! use uno_events::SubscriptionManager;
//! use uno_integrity::{ChainName, HashChain};
//! use uno_store_memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new());
//! let chain = HashChain::new(ChainName::new("ledger")?, store.clone());
//! let verifier = chain.verifier(store.clone());
//!
//! let manager = SubscriptionManager::new(store.clone(), store.clone());
//! manager.subscribe(chain.subscription())?;
//! manager.start_all().await?;
//!
//! let opened = NewEvent::from_payload(EventName::new("opened")?, SchemaVersion::FIRST, Payload::from_json("{}")?);
//! let account = StreamId::new("account", "7")?;
//! store.append(vec![StreamAppend::new(account.clone(), ExpectedVersion::NoStream, vec![opened])]).await?;
//! manager.until_idle().await?;
//!
//! let verification = verifier.verify_stream(&account).await?;
//! assert!(verification.is_good());
//! assert_eq!((verification.verified(), verification.waiting()), (1, 0));
//! manager.stop_all().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it shows, and what it does not
//!
//! Whoever changes what is in the log, past the store, has to change the links as well, or is found out. If the chain is [keyed](HashChain::keyed), that
//! takes the key, too; if it is kept in another store than the log, it takes both. Who can do neither but keeps a link elsewhere
//! ([`Verifier::link`]) can compare it later: one link stands for its stream from the first event up to its own.
//!
//! An event has no link until the subscription has come to it, usually some milliseconds after its commit; what is done to it before that is not seen.
//! Nor is it seen when a whole stream is taken away *with* its links; a copy of its last link elsewhere shows that.

mod chain;
mod chain_key;
mod chain_name;
mod link;
mod segment;
mod verification;
mod verifier;

pub use crate::{
    chain::{ChainError, HashChain},
    chain_key::ChainKey,
    chain_name::{ChainName, ChainNameError},
    link::{Link, NotALink},
    verification::{Breach, BreachKind, Verification},
    verifier::Verifier,
};
