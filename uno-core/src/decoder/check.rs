//! Whether the chains of old events are whole, and [`RegistrationError`], which shows the one that is not.

use std::fmt::Write as _;

use super::rules::{Node, OfName, Rules, Step};
use crate::{EventDescriptor, EventName, NameError, SchemaVersion};

/// What is wrong with what was registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The name can't be stored.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Two steps start from the same version.
    #[error("two steps start from version {from} of event {name}")]
    Duplicate {
        /// The event's name.
        name: String,
        /// The version both start from.
        from: SchemaVersion,
    },
    /// Two rules about a name can't both be.
    #[error("event {name} has two rules, and one of them is for all of its versions")]
    Contradiction {
        /// The event's name.
        name: String,
    },
    /// No step leads on from a version.
    #[error("the chain of event {name} has a gap: {chain}; no step starts from version {from}")]
    Gap {
        /// The event's name.
        name: String,
        /// The version that no step starts from.
        from: SchemaVersion,
        /// The chain as it is, with its gaps.
        chain: String,
    },
    /// A step starts from the current version of an event, or from one that it does not have.
    #[error("a step from version {from} leads beyond event {name}, which is at version {version}")]
    Beyond {
        /// The event's name.
        name: String,
        /// The version that the step starts from.
        from: SchemaVersion,
        /// The version that the event has now.
        version: SchemaVersion,
    },
    /// An event type of today was renamed or retired.
    #[error("event {name} is an event type of today, and can't be renamed or retired")]
    Current {
        /// The event's name.
        name: String,
    },
    /// A rule leads to an event that no registered set has, or to a version that it does not have.
    #[error(
        "{from} leads to version {version} of event {name}, which is in none of the registered sets"
    )]
    Nowhere {
        /// What leads there.
        from: String,
        /// The name it leads to.
        name: String,
        /// The version it leads to.
        version: SchemaVersion,
    },
    /// A chain comes back to where it was.
    #[error("the chain {chain} never ends")]
    Cycle {
        /// The chain, from a place back to it.
        chain: String,
    },
}

/// Checks the rules by themselves, and that they lead to events that the sets have.
pub(super) fn check(rules: &Rules, sets: &[&EventDescriptor]) -> Result<(), RegistrationError> {
    if let Some(way) = rules.cycle() {
        let chain = way.iter().map(text).collect::<Vec<_>>().join(" → ");
        return Err(RegistrationError::Cycle { chain });
    }
    let leads_on = |name: &EventName| {
        rules.get(name.as_str()).is_some() || sets.iter().any(|set| set.is_stored_as(name.as_str()))
    };
    for (name, of_name) in rules.iter() {
        match of_name {
            OfName::Retired(_) => {}
            OfName::Renamed(to) => {
                if !leads_on(to) {
                    return Err(nowhere(
                        name.to_string(),
                        &(to.clone(), SchemaVersion::FIRST),
                    ));
                }
            }
            OfName::Steps(steps) => {
                for (from, step) in steps {
                    if let Step::Split { parts, .. } = step {
                        let lost = parts.iter().find(|part| !is_known(rules, sets, part));
                        if let Some(lost) = lost {
                            return Err(nowhere(text(&(name.clone(), *from)), lost));
                        }
                    }
                }
                let own = sets.iter().any(|set| set.is_stored_as(name.as_str()));
                if !own {
                    retired_chain(name, steps)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether a part of a split leads on to an event.
fn is_known(rules: &Rules, sets: &[&EventDescriptor], (name, version): &Node) -> bool {
    match rules.get(name.as_str()) {
        Some(OfName::Renamed(_) | OfName::Retired(_)) => true,
        Some(OfName::Steps(steps)) if steps.contains_key(version) => true,
        _ => sets
            .iter()
            .any(|set| set.is_stored_as(name.as_str()) && set.version() >= *version),
    }
}

/// The chain of a name that no type has any more: it begins with the first version and ends with a split.
fn retired_chain(
    name: &EventName,
    steps: &std::collections::BTreeMap<SchemaVersion, Step>,
) -> Result<(), RegistrationError> {
    // Without a split it is the chain of a type that no registered set has: a reader of that type checks it.
    let Some((last, _)) = steps
        .iter()
        .find(|(_, step)| matches!(step, Step::Split { .. }))
    else {
        return Ok(());
    };
    let last = *last;
    if let Some((beyond, _)) = steps.iter().find(|(from, _)| **from > last) {
        return Err(RegistrationError::Beyond {
            name: name.to_string(),
            from: *beyond,
            version: last,
        });
    }
    gap(name.as_str(), last, |from| steps.contains_key(&from))
}

/// Checks that every older version of an event type leads to the current one.
pub(super) fn check_one(
    rules: &Rules,
    descriptor: &EventDescriptor,
) -> Result<(), RegistrationError> {
    EventName::new(descriptor.name())?;
    let name = descriptor.name();
    let empty = std::collections::BTreeMap::new();
    let steps = match rules.get(name) {
        None => &empty,
        Some(OfName::Steps(steps)) => steps,
        Some(_) => {
            return Err(RegistrationError::Current {
                name: name.to_owned(),
            });
        }
    };
    let own = |from| {
        let own = descriptor.upcasters().iter();
        own.filter(|step| step.from() == from).count()
    };
    if let Some((from, _)) = steps
        .iter()
        .find(|(from, _)| **from >= descriptor.version())
    {
        return Err(RegistrationError::Beyond {
            name: name.to_owned(),
            from: *from,
            version: descriptor.version(),
        });
    }
    for from in versions_below(descriptor.version()) {
        if own(from) + usize::from(steps.contains_key(&from)) > 1 {
            return Err(RegistrationError::Duplicate {
                name: name.to_owned(),
                from,
            });
        }
    }
    gap(name, descriptor.version(), |from| {
        own(from) > 0 || steps.contains_key(&from)
    })?;
    for former in descriptor.former_names() {
        EventName::new(*former)?;
        if rules.get(former).is_some() {
            return Err(RegistrationError::Contradiction {
                name: (*former).to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether a step starts from each version before the last.
fn gap(
    name: &str,
    last: SchemaVersion,
    has_step: impl Fn(SchemaVersion) -> bool,
) -> Result<(), RegistrationError> {
    let Some(from) = versions_below(last).find(|from| !has_step(*from)) else {
        return Ok(());
    };
    // Long chains are shown around the gap.
    let first = from.get().saturating_sub(3).max(SchemaVersion::FIRST.get());
    let end = from.get().saturating_add(4).min(last.get());
    let mut chain = String::from(if first > SchemaVersion::FIRST.get() {
        "… "
    } else {
        ""
    });
    for version in (first..end).map(SchemaVersion::new) {
        let arrow = if has_step(version) { "→" } else { "✗" };
        let _ = write!(chain, "{version} {arrow} ");
    }
    if end < last.get() {
        chain.push_str("… ");
    }
    let _ = write!(chain, "{last}");
    Err(RegistrationError::Gap {
        name: name.to_owned(),
        from,
        chain,
    })
}

fn versions_below(last: SchemaVersion) -> impl Iterator<Item = SchemaVersion> {
    (SchemaVersion::FIRST.get()..last.get()).map(SchemaVersion::new)
}

fn nowhere(from: String, (name, version): &Node) -> RegistrationError {
    RegistrationError::Nowhere {
        from,
        name: name.to_string(),
        version: *version,
    }
}

fn text((name, version): &Node) -> String {
    format!("{name} {version}")
}
