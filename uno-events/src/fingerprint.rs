//! [`fingerprint`]: what errors that look alike have in common.

/// The longest fingerprint, in characters.
const LONGEST: usize = 200;

/// What errors that look alike have in common: the text with what differs from one case to the next taken out.
///
/// * What stands in quotes (`"…"`, `'…'` and `` `…` ``) becomes `"?"`. An apostrophe within a word is no quote.
/// * Words with a digit in them become `#`: numbers, ids, dates, hexadecimal. A word is letters, digits and what joins them (`-`, `_`, `.`, `:`
///   between two of them), so a UUID or a time is one. So does a hexadecimal word of eight or more letters.
/// * White space of any length becomes one space, and the text ends after 200 characters.
///
/// ```
/// use uno_events::fingerprint;
///
/// assert_eq!(fingerprint("order 1742 of \"Ada\" not found"), "order # of \"?\" not found");
/// assert_eq!(fingerprint("order 9 of \"Bob\" not found"), "order # of \"?\" not found");
/// ```
#[must_use]
pub fn fingerprint(error: &str) -> String {
    let characters: Vec<char> = error.trim().chars().collect();
    let (mut print, mut at, mut length) = (String::new(), 0, 0);
    while at < characters.len() && length < LONGEST {
        let (text, next) = piece(&characters, at);
        length += text.chars().count();
        print.push_str(&text);
        at = next;
    }
    print.chars().take(LONGEST).collect()
}

/// What stands for the piece of text at a place, and where the next one begins.
fn piece(characters: &[char], at: usize) -> (String, usize) {
    let first = characters[at];
    if first.is_whitespace() {
        let next = end_of(characters, at, char::is_whitespace);
        return (" ".to_owned(), next);
    }
    if matches!(first, '"' | '\'' | '`') {
        let closing = (at + 1..characters.len()).find(|place| closes(characters, *place, first));
        return match closing {
            Some(closing) => ("\"?\"".to_owned(), closing + 1),
            None => (first.to_string(), at + 1),
        };
    }
    if !first.is_alphanumeric() {
        return (first.to_string(), at + 1);
    }
    let next = end_of_word(characters, at);
    let word: String = characters[at..next].iter().collect();
    let hexadecimal = word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    if hexadecimal || word.chars().any(|c| c.is_ascii_digit()) {
        return ("#".to_owned(), next);
    }
    (word, next)
}

fn end_of(characters: &[char], at: usize, belongs: impl Fn(char) -> bool) -> usize {
    let rest = characters[at..].iter();
    at + rest.take_while(|c| belongs(**c)).count()
}

/// A word goes on over what joins two letters or digits.
fn end_of_word(characters: &[char], at: usize) -> usize {
    let mut next = at;
    while let Some(character) = characters.get(next) {
        let joins = matches!(character, '-' | '_' | '.' | ':' | '\'')
            && characters
                .get(next + 1)
                .is_some_and(|c| c.is_alphanumeric());
        if !character.is_alphanumeric() && !joins {
            break;
        }
        next += 1;
    }
    next
}

/// Whether a quote ends here: one that is like the first and is not escaped.
fn closes(characters: &[char], place: usize, quote: char) -> bool {
    characters[place] == quote && characters[place - 1] != '\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_taken_out() {
        let rows = [
            ("", ""),
            ("timed out", "timed out"),
            ("order 17 not found", "order # not found"),
            ("  order\n\t17  not found ", "order # not found"),
            (
                "id 0198c7a2-6f3e-7a10-b1d5-3f9f0c4c5b6a is gone",
                "id # is gone",
            ),
            ("at 2026-11-25T03:04:05.123Z: down", "at #: down"),
            ("commit deadbeefcafe", "commit #"),
            ("the facade faded", "the facade faded"),
            (
                "user \"Ada \\\"L\\\"\" said 'no' to `x`",
                "user \"?\" said \"?\" to \"?\"",
            ),
            ("can't be, isn't", "can't be, isn't"),
            ("it said \"no", "it said \"no"),
            ("10.0.0.1:5432 refused", "# refused"),
            ("order-1742 is at version 3", "# is at version #"),
            ("größe ß", "größe ß"),
            ("HTTP 503: 12ms", "HTTP #: #"),
        ];
        for (text, print) in rows {
            assert_eq!(fingerprint(text), print, "{text:?}");
        }
    }

    #[test]
    fn it_is_bounded_and_says_nothing_new_of_itself() {
        let long = "word ".repeat(10_000);
        assert_eq!(fingerprint(&long).chars().count(), LONGEST);
        for text in ["order 17 of \"Ada\"", &long] {
            let once = fingerprint(text);
            assert_eq!(fingerprint(&once), once.trim(), "{once:?}");
        }
    }
}
