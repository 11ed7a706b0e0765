//! The check of a catalogue: what is missing in it, and what looks wrong.

use std::fmt;

use super::{Catalogue, EventEntry, fields};

/// What the check of a catalogue has found.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Event, EventSet};
/// use uno_cqrs::Catalogue;
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct PlaceOrder {}
///
/// let mut catalogue = Catalogue::new("shop");
/// catalogue.add_events(PlaceOrder::EVENTS);
/// let found = catalogue.check();
/// assert_eq!(found.faults(), ["place_order has no doc comment: say what it tells"]);
/// assert!(found.warnings()[0].starts_with("place_order has no word in the past tense"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogueFindings {
    faults: Vec<String>,
    warnings: Vec<String>,
}

impl CatalogueFindings {
    /// What must not be: events that nobody has documented.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// What a person should look at: names without a word in the past tense, fields that nobody has described, versions without a schema.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl fmt::Display for CatalogueFindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (faults, warnings) = (self.faults.len(), self.warnings.len());
        write!(
            f,
            "{faults} faults and {warnings} warnings in the catalogue"
        )?;
        self.faults
            .iter()
            .try_for_each(|fault| write!(f, "\n* {fault}"))?;
        let mut warnings = self.warnings.iter();
        warnings.try_for_each(|warning| write!(f, "\n* warning: {warning}"))
    }
}

pub(super) fn check(catalogue: &Catalogue) -> CatalogueFindings {
    let mut found = CatalogueFindings::default();
    for event in &catalogue.events {
        check_event(event, &mut found);
    }
    found
}

fn check_event(event: &EventEntry, found: &mut CatalogueFindings) {
    let name = &event.name;
    if event.doc.trim().is_empty() {
        let fault = format!("{name} has no doc comment: say what it tells");
        found.faults.push(fault);
    }
    if !is_past_tense(name) {
        found.warnings.push(format!(
            "{name} has no word in the past tense: an event is named for what has happened, as in order_placed"
        ));
    }
    for version in &event.versions {
        let number = version.version;
        let Some(schema) = &version.schema else {
            found.warnings.push(format!(
                "{name} version {number} has no schema: derive `JsonSchema` for its type, and switch on the feature `schema`"
            ));
            continue;
        };
        // What fields of former versions meant can't always be said any more.
        let undocumented = fields::of(schema)
            .into_iter()
            .filter(|field| field.doc.is_empty());
        for field in undocumented.filter(|_| number == event.version) {
            let path = field.path;
            found
                .warnings
                .push(format!("field {path} of {name} has no doc comment"));
        }
    }
}

/// Whether a word of the name is in the past tense, as far as that can be seen.
fn is_past_tense(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.split('_').any(|word| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let regular = word.len() > 3 && word.ends_with("ed") && !NOT_PAST.contains(&word);
        regular || IRREGULAR.contains(&word)
    })
}

/// Words that only look like it.
const NOT_PAST: &[&str] = &[
    "bleed", "breed", "creed", "deed", "embed", "exceed", "feed", "greed", "heed", "indeed",
    "need", "proceed", "reed", "seed", "shed", "sled", "speed", "succeed", "weed",
];

/// Participles that do not end in `ed`.
const IRREGULAR: &[&str] = &[
    "arisen",
    "become",
    "been",
    "begun",
    "bent",
    "bet",
    "bid",
    "bitten",
    "blown",
    "born",
    "borne",
    "bound",
    "bought",
    "broken",
    "brought",
    "built",
    "burnt",
    "caught",
    "chosen",
    "come",
    "cut",
    "dealt",
    "done",
    "drawn",
    "driven",
    "drunk",
    "eaten",
    "fallen",
    "fed",
    "felt",
    "forbidden",
    "forgiven",
    "forgotten",
    "fought",
    "found",
    "frozen",
    "given",
    "gone",
    "gotten",
    "grown",
    "had",
    "heard",
    "held",
    "hidden",
    "hit",
    "hurt",
    "kept",
    "known",
    "laid",
    "learnt",
    "led",
    "left",
    "lent",
    "let",
    "lit",
    "lost",
    "made",
    "meant",
    "met",
    "mistaken",
    "overdrawn",
    "overridden",
    "overtaken",
    "paid",
    "put",
    "quit",
    "read",
    "rebuilt",
    "redone",
    "repaid",
    "reset",
    "resent",
    "ridden",
    "risen",
    "run",
    "said",
    "seen",
    "sent",
    "set",
    "shaken",
    "shipped",
    "shown",
    "shut",
    "slept",
    "sold",
    "sought",
    "spent",
    "split",
    "spoken",
    "spread",
    "stolen",
    "stood",
    "struck",
    "stuck",
    "sworn",
    "swept",
    "taken",
    "taught",
    "thought",
    "thrown",
    "told",
    "torn",
    "undergone",
    "understood",
    "undertaken",
    "undone",
    "upheld",
    "withdrawn",
    "withheld",
    "won",
    "worn",
    "woken",
    "written",
];

#[cfg(test)]
mod tests {
    use super::is_past_tense;

    #[test]
    fn a_name_tells_what_has_happened() {
        for good in [
            "order_placed",
            "shop.order_placed",
            "item_put_in",
            "user_logged_in",
            "money_sent",
            "cash_withdrawn",
            "stopped",
            "renamed2",
        ] {
            assert!(is_past_tense(good), "{good}");
        }
        for bad in [
            "order",
            "place_order",
            "order_placed.v",
            "order_need",
            "succeed",
            "bed",
            "red_card",
            "embed",
        ] {
            assert!(!is_past_tense(bad), "{bad}");
        }
    }
}
