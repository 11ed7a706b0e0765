//! [`DecoderBuilder`]: collects what is known of old events, and checks that it fits together.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{
    Decoder, RegistrationError,
    check::{check, check_one},
    rules::{OfName, Rules, Step},
};
use crate::{
    BoxError, EventDescriptor, EventName, EventPart, EventSet, SchemaVersion, UpcastFn,
    upcast::SplitFn,
};

/// Collects event sets and rules for old events, and checks that they fit together.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Decoder, Event, EventPart, EventSet, SchemaVersion};
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct ItemAdded { product: String }
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(version = 2, upcast_elsewhere)]
/// struct OrderPlaced { total_cents: i64 }
/// #[derive(EventSet)]
/// enum OrderEvent { ItemAdded(ItemAdded), Placed(OrderPlaced) }
///
/// let decoder = Decoder::builder()
///     .events::<OrderEvent>()
///     // One step of a chain, from version 1 to 2.
///     .upcast("order_placed", 1, |mut old| {
///         old["total_cents"] = old["total"].take();
///         Ok(old)
///     })
///     .rename("item_put_in", "item_added")
///     .split("cart_ordered", 1, [("item_added", 1), ("order_placed", 2)], |old| {
///         let product = old["product"].as_str().unwrap_or_default().to_owned();
///         Ok(vec![
///             EventPart::of(&ItemAdded { product })?,
///             EventPart::new("order_placed", SchemaVersion::new(2), old),
///         ])
///     })
///     .retire("page_viewed", "analytics has moved out")
///     .build()?;
/// # let _ = decoder;
/// # Ok::<(), uno_core::RegistrationError>(())
/// ```
#[derive(Default)]
pub struct DecoderBuilder {
    sets: Vec<&'static [EventDescriptor]>,
    rules: Vec<(String, Rule)>,
}

enum Rule {
    Upcast(u32, UpcastFn),
    Rename(String),
    Split(u32, Vec<(String, u32)>, SplitFn),
    Retire(String),
}

impl DecoderBuilder {
    /// Has the chains of this set's events checked, and lets renames and splits lead to them.
    #[must_use]
    pub fn events<S: EventSet>(mut self) -> Self {
        self.sets.push(S::EVENTS);
        self
    }

    /// Registers a step from version `from` of the event named `name` to the next.
    #[must_use]
    pub fn upcast<F>(self, name: impl Into<String>, from: u32, step: F) -> Self
    where
        F: Fn(Value) -> Result<Value, BoxError> + Send + Sync + 'static,
    {
        self.rule(name, Rule::Upcast(from, Arc::new(step)))
    }

    /// What is stored as `old` is an event named `new`, in the same version of its shape.
    ///
    /// For an event type with a Rust type, `#[event(formerly("…"))]` says the same where it can't be forgotten.
    #[must_use]
    pub fn rename(self, old: impl Into<String>, new: impl Into<String>) -> Self {
        self.rule(old, Rule::Rename(new.into()))
    }

    /// What is stored as version `from` of `name` is read as several events, or as none.
    ///
    /// `parts` are the names and versions that `split` may return; a part in an old version goes on through its own chain.
    /// The name may be that of a type of today, whose old events held more than one fact: then one of the parts is its next version.
    #[must_use]
    pub fn split<N, F>(
        self,
        name: impl Into<String>,
        from: u32,
        parts: impl IntoIterator<Item = (N, u32)>,
        split: F,
    ) -> Self
    where
        N: Into<String>,
        F: Fn(Value) -> Result<Vec<EventPart>, BoxError> + Send + Sync + 'static,
    {
        let parts = parts
            .into_iter()
            .map(|(name, version)| (name.into(), version));
        self.rule(name, Rule::Split(from, parts.collect(), Arc::new(split)))
    }

    /// What is stored under this name, in whatever version, is dropped by every reader. The reason is for those who come later.
    #[must_use]
    pub fn retire(self, name: impl Into<String>, reason: impl Into<String>) -> Self {
        self.rule(name, Rule::Retire(reason.into()))
    }

    fn rule(mut self, name: impl Into<String>, rule: Rule) -> Self {
        self.rules.push((name.into(), rule));
        self
    }

    /// The decoder.
    ///
    /// # Errors
    /// When two rules are about the same event, a chain has a gap, leads to an event that no registered set has, or comes back
    /// to where it was, or a rule is about the current shape of an event.
    pub fn build(self) -> Result<Decoder, RegistrationError> {
        let mut rules = Rules::default();
        for (name, rule) in self.rules {
            add(&mut rules, event_name(name)?, rule)?;
        }
        let sets: Vec<_> = self.sets.into_iter().flatten().collect();
        check(&rules, &sets)?;
        for descriptor in &sets {
            check_one(&rules, descriptor)?;
        }
        Ok(Decoder {
            rules: Arc::new(rules),
        })
    }
}

fn event_name(name: impl Into<String>) -> Result<EventName, RegistrationError> {
    EventName::new(name.into()).map_err(RegistrationError::Name)
}

fn add(rules: &mut Rules, name: EventName, rule: Rule) -> Result<(), RegistrationError> {
    let text = name.to_string();
    let place = rules.entry(name);
    let (from, step) = match rule {
        Rule::Rename(to) => {
            return whole(place, text, OfName::Renamed(event_name(to)?));
        }
        Rule::Retire(reason) => {
            return whole(place, text, OfName::Retired(reason.into()));
        }
        Rule::Upcast(from, step) => (from, Step::Next(step)),
        Rule::Split(from, parts, split) => {
            let parts = parts
                .into_iter()
                .map(|(name, version)| Ok((event_name(name)?, SchemaVersion::new(version))))
                .collect::<Result<_, RegistrationError>>()?;
            (from, Step::Split { parts, split })
        }
    };
    let from = SchemaVersion::new(from);
    let (Ok(of_name) | Err(of_name)) = place;
    match of_name {
        OfName::Steps(steps) => match steps.insert(from, step) {
            None => Ok(()),
            Some(_) => Err(RegistrationError::Duplicate { name: text, from }),
        },
        _ => Err(RegistrationError::Contradiction { name: text }),
    }
}

/// Sets what is done with a name, whatever the version, if nothing was said of it.
fn whole(
    place: Result<&mut OfName, &mut OfName>,
    name: String,
    rule: OfName,
) -> Result<(), RegistrationError> {
    match place {
        Ok(place) => {
            *place = rule;
            Ok(())
        }
        Err(_) => Err(RegistrationError::Contradiction { name }),
    }
}

impl fmt::Debug for DecoderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<_> = self.rules.iter().map(|(name, _)| name).collect();
        f.debug_struct("DecoderBuilder")
            .field("sets", &self.sets)
            .field("rules", &rules)
            .finish()
    }
}
