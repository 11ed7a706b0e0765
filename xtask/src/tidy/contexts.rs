//! The contexts of the order application know each other by events and commands only.
//!
//! A context is a folder `src/contexts/<name>/`, or a file of that name.
//! The compiler lets any module use any other, so the paths in its files are read here, wherever they stand: in `use` trees, with `super`, and in the middle of an expression.

use super::files::SourceFile;
use super::mask::{is_word, mask};

/// Where the crate with the contexts lies.
const SOURCES: &str = "examples/orders/src/";
/// The module that holds them.
const CONTEXTS: &str = "contexts";
/// What a context shows to the others.
const OPEN: [&str; 2] = ["events", "commands"];
/// Where a path starts that can leave the module it stands in; the last is the crate's name, as its tests and binaries see it.
const ROOTS: [&str; 4] = ["crate", "self", "super", "orders"];

/// Complains about each path from one context into another that its events and commands do not cover.
pub(super) fn check(file: &SourceFile) -> Vec<String> {
    let Some(module) = file.path.strip_prefix(SOURCES).and_then(module_of) else {
        return Vec::new();
    };
    let [first, own, ..] = module.as_slice() else {
        return Vec::new();
    };
    if first != CONTEXTS {
        return Vec::new();
    }
    paths(&file.text, &module)
        .into_iter()
        .filter(|path| !path.allowed_in(own))
        .map(|path| {
            format!(
                "{}:{}: context `{own}` uses `{}`; it may use another context's `events` and `commands` only",
                file.path,
                path.line,
                path.written()
            )
        })
        .collect()
}

/// `contexts/payment/model.rs` is the module `contexts::payment::model`.
fn module_of(path: &str) -> Option<Vec<String>> {
    let path = path.strip_suffix(".rs")?;
    Some(path.split('/').map(str::to_owned).collect())
}

/// A path from the root of the crate, as written on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    line: usize,
    segments: Vec<String>,
    /// Whether it ends in `::*`.
    glob: bool,
}

impl Path {
    fn allowed_in(&self, own: &str) -> bool {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            // `use crate::*` brings `contexts` in by the back door.
            [] => !self.glob,
            // With the parent of all contexts in hand, any of them can be reached under another name.
            [CONTEXTS] => false,
            [CONTEXTS, context, rest @ ..] => {
                *context == own || rest.first().is_some_and(|part| OPEN.contains(part))
            }
            _ => true,
        }
    }

    fn written(&self) -> String {
        let mut written = "crate".to_owned();
        for segment in &self.segments {
            written.push_str("::");
            written.push_str(segment);
        }
        if self.glob {
            written.push_str("::*");
        }
        written
    }
}

/// All paths in `source` that start at a root, with `self` and `super` resolved against `module`.
fn paths(source: &str, module: &[String]) -> Vec<Path> {
    let masked = mask(source);
    let mut reader = Reader {
        tokens: tokens(&masked),
        at: 0,
        module: module.to_vec(),
        inline: Vec::new(),
        depth: 0,
        found: Vec::new(),
    };
    while reader.at < reader.tokens.len() {
        reader.step();
    }
    reader.found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// `::`
    Into,
    Sign(char),
}

fn tokens(masked: &str) -> Vec<(usize, Token<'_>)> {
    let mut tokens = Vec::new();
    for (number, text) in masked.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(sign) = rest.chars().next() {
            // A raw name means the same module as the name.
            let bare = rest.strip_prefix("r#").unwrap_or(rest);
            let word = bare.len() - bare.trim_start_matches(is_word).len();
            let (token, after) = if word > 0 {
                (Token::Word(&bare[..word]), &bare[word..])
            } else if let Some(after) = rest.strip_prefix("::") {
                (Token::Into, after)
            } else {
                (Token::Sign(sign), &rest[sign.len_utf8()..])
            };
            tokens.push((number + 1, token));
            rest = after.trim_start();
        }
    }
    tokens
}

struct Reader<'a> {
    tokens: Vec<(usize, Token<'a>)>,
    at: usize,
    /// The module at this place, inline modules included.
    module: Vec<String>,
    /// The depth of braces at which each open inline module began.
    inline: Vec<usize>,
    depth: usize,
    found: Vec<Path>,
}

impl<'a> Reader<'a> {
    fn step(&mut self) {
        match self.token(0) {
            Some(Token::Sign('{')) => {
                if let (Some(Token::Word("mod")), Some(Token::Word(name))) =
                    (self.before(2), self.before(1))
                {
                    self.inline.push(self.depth);
                    self.module.push(name.to_owned());
                }
                self.depth += 1;
            }
            Some(Token::Sign('}')) => {
                self.depth = self.depth.saturating_sub(1);
                if self.inline.last() == Some(&self.depth) {
                    self.inline.pop();
                    self.module.pop();
                }
            }
            Some(Token::Word(word)) if ROOTS.contains(&word) && self.starts_a_path() => {
                self.tree(Vec::new(), true);
                return;
            }
            _ => {}
        }
        self.at += 1;
    }

    /// Reads a path, or a tree of them, from its first word on.
    fn tree(&mut self, mut segments: Vec<String>, mut first: bool) {
        let line = self.tokens.get(self.at).map_or(0, |(line, _)| *line);
        loop {
            match self.token(0) {
                Some(Token::Word(word)) => {
                    self.descend(&mut segments, word, first);
                    first = false;
                    self.at += 1;
                    if self.token(0) != Some(Token::Into) {
                        self.found.push(Path {
                            line,
                            segments,
                            glob: false,
                        });
                        return;
                    }
                    self.at += 1;
                }
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    self.found.push(Path {
                        line,
                        segments,
                        glob: true,
                    });
                    return;
                }
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    self.branches(&segments);
                    return;
                }
                // Something generic follows, as in `crate::ids::<T>`.
                _ => {
                    self.found.push(Path {
                        line,
                        segments,
                        glob: false,
                    });
                    return;
                }
            }
        }
    }

    /// Reads what stands between the braces of a `use` tree.
    fn branches(&mut self, segments: &[String]) {
        loop {
            match self.token(0) {
                None => return,
                Some(Token::Sign('}')) => {
                    self.at += 1;
                    return;
                }
                Some(Token::Sign('{' | '*') | Token::Word(_)) => {
                    self.tree(segments.to_vec(), false);
                    self.skip_alias();
                }
                Some(_) => self.at += 1,
            }
        }
    }

    /// Steps over `as name` within braces.
    fn skip_alias(&mut self) {
        if self.token(0) == Some(Token::Word("as")) {
            self.at += 2;
        }
    }

    fn descend(&self, segments: &mut Vec<String>, word: &str, first: bool) {
        match word {
            "crate" | "orders" if first => segments.clear(),
            "self" if first => segments.clone_from(&self.module),
            "super" if first => {
                segments.clone_from(&self.module);
                segments.pop();
            }
            "self" => {}
            "super" => {
                segments.pop();
            }
            name => segments.push(name.to_owned()),
        }
    }

    /// Whether the word here is the start of a path, and not a later part of one, a method's `self`, or a visibility.
    fn starts_a_path(&self) -> bool {
        // `use ::orders::…` starts one; `other::self::…` does not.
        if self.before(1) == Some(Token::Into)
            && matches!(self.before(2), Some(Token::Word(word)) if word != "use")
        {
            return false;
        }
        let visibility = match self.before(1) {
            Some(Token::Sign('(')) => self.before(2),
            Some(Token::Word("in")) if self.before(2) == Some(Token::Sign('(')) => self.before(3),
            _ => None,
        };
        if visibility == Some(Token::Word("pub")) {
            return false;
        }
        let follows = self.token(1);
        follows == Some(Token::Into) || follows == Some(Token::Word("as"))
    }

    fn token(&self, ahead: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + ahead).map(|(_, token)| *token)
    }

    fn before(&self, back: usize) -> Option<Token<'a>> {
        let at = self.at.checked_sub(back)?;
        self.tokens.get(at).map(|(_, token)| *token)
    }
}

#[cfg(test)]
mod tests;
