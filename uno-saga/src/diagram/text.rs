//! Texts in diagrams, which mean nothing to Mermaid.

use std::{fmt::Write as _, time::Duration};

/// The longest text, in characters.
const LONGEST: usize = 120;

/// A text that is only a text wherever it stands: letters, digits, and what is harmless between them; all else as
/// character codes.
pub(super) fn text(raw: &str) -> String {
    let mut chars: Vec<char> = raw.chars().take(LONGEST + 1).collect();
    if chars.len() > LONGEST {
        chars.truncate(LONGEST - 1);
        chars.push('…');
    }
    let mut safe = String::new();
    for (place, &c) in chars.iter().enumerate() {
        let is_word = |place: Option<usize>| {
            let neighbour = place.and_then(|place| chars.get(place));
            neighbour.is_some_and(|c| c.is_alphanumeric() || *c == '_')
        };
        let (before, after) = (is_word(place.checked_sub(1)), is_word(Some(place + 1)));
        match c {
            // The word closes blocks, in any case, even within texts.
            'e' | 'E' if !before && is_end(&chars[place..]) => code(&mut safe, c),
            '_' | ',' => safe.push(c),
            '-' | '.' if before && after => safe.push(c),
            c if c.is_alphanumeric() => safe.push(c),
            c if c.is_whitespace() || c.is_control() => safe.push(' '),
            c => code(&mut safe, c),
        }
    }
    // Mermaid takes no empty text.
    if safe.trim().is_empty() {
        code(&mut safe, '∅');
    }
    safe
}

/// Whether this begins with the word `end`.
fn is_end(chars: &[char]) -> bool {
    let word = chars.iter().take(3).collect::<String>();
    let goes_on = chars.get(3).is_some_and(|c| c.is_alphanumeric());
    word.eq_ignore_ascii_case("end") && !goes_on
}

fn code(safe: &mut String, c: char) {
    // Writing to a string does not fail.
    let _ = write!(safe, "#{};", u32::from(c));
}

/// A time span in the largest units that say it exactly.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let micros = u64::from(span.subsec_micros());
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
        (micros / 1000, "ms"),
        (micros % 1000, "µs"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let said: Vec<_> = parts
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if said.is_empty() {
        return "0 s".to_owned();
    }
    said.join(" ")
}
