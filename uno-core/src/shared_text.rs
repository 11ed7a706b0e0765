//! [`SharedText`]: a short text that many things have in common.

use std::{
    borrow::Cow,
    cmp::Ordering,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// A text that is part of the program, or is shared: a clone copies nothing. Every recorded event has the name of its type and its
/// category, and there are few of either.
#[derive(Clone)]
pub(crate) enum SharedText {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Deref for SharedText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<Cow<'static, str>> for SharedText {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Static(text),
            Cow::Owned(text) => Self::Shared(text.into()),
        }
    }
}

// Texts compare, and hash, as what they are, wherever they are kept.

impl PartialEq for SharedText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SharedText {}

impl PartialOrd for SharedText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SharedText {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for SharedText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn it_is_the_same_wherever_it_is_kept() {
        let kept = SharedText::from(Cow::Borrowed("order_placed"));
        let shared = SharedText::from(Cow::Owned("order_placed".to_owned()));
        let later = SharedText::from(Cow::Owned("order_shipped".to_owned()));
        assert!(matches!(shared, SharedText::Shared(_)));
        assert!(kept == shared && kept < later && later > shared);
        let hashed = HashSet::from([kept.clone(), shared.clone(), later.clone()]);
        let ordered = BTreeSet::from([later, shared, kept]);
        assert_eq!((hashed.len(), ordered.len()), (2, 2));
    }
}
