//! [`Specification`]: a rule about things of the domain, as a value.

/// A rule that a candidate satisfies or does not. Rules are combined with [`and`](Self::and), [`or`](Self::or) and
/// [`not`](Self::not), and every function from a candidate to `bool` is one.
///
/// ```
/// use uno_domain::Specification;
///
/// struct Order { total_cents: i64, paid: bool }
///
/// struct LargerThan { cents: i64 }
/// impl Specification<Order> for LargerThan {
///     fn is_satisfied_by(&self, order: &Order) -> bool { order.total_cents > self.cents }
/// }
/// fn is_paid(order: &Order) -> bool { order.paid }
///
/// let worth_a_call = LargerThan { cents: 100_000 }.and(Specification::not(is_paid));
///
/// let orders = [Order { total_cents: 250_000, paid: false }, Order { total_cents: 250_000, paid: true }];
/// let chosen = orders.iter().filter(|order| worth_a_call.is_satisfied_by(order));
/// assert_eq!(chosen.count(), 1);
/// ```
///
/// # Contract
/// 1. The answer depends on the rule and the candidate alone, and changes neither.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a specification for `{T}`",
    note = "implement `Specification<{T}>` for it, or use a function `fn(&{T}) -> bool`"
)]
pub trait Specification<T: ?Sized> {
    /// Whether the candidate satisfies the rule.
    fn is_satisfied_by(&self, candidate: &T) -> bool;

    /// Satisfied by what satisfies both. The other rule is asked only when this one is satisfied.
    fn and<S: Specification<T>>(self, other: S) -> And<Self, S>
    where
        Self: Sized,
    {
        And(self, other)
    }

    /// Satisfied by what satisfies at least one. The other rule is asked only when this one is not satisfied.
    fn or<S: Specification<T>>(self, other: S) -> Or<Self, S>
    where
        Self: Sized,
    {
        Or(self, other)
    }

    /// Satisfied by what does not satisfy this one.
    fn not(self) -> Not<Self>
    where
        Self: Sized,
    {
        Not(self)
    }
}

const _: fn(&dyn Specification<str>) = |_| {};

impl<T: ?Sized, F: Fn(&T) -> bool> Specification<T> for F {
    fn is_satisfied_by(&self, candidate: &T) -> bool {
        self(candidate)
    }
}

impl<T: ?Sized> Specification<T> for Box<dyn Specification<T>> {
    fn is_satisfied_by(&self, candidate: &T) -> bool {
        (**self).is_satisfied_by(candidate)
    }
}

impl<T: ?Sized> Specification<T> for Box<dyn Specification<T> + Send + Sync> {
    fn is_satisfied_by(&self, candidate: &T) -> bool {
        (**self).is_satisfied_by(candidate)
    }
}

/// Satisfied by what satisfies every rule of a list; by everything when the list is empty.
///
/// ```
/// use uno_domain::{Specification, all};
///
/// let rules: Vec<Box<dyn Specification<u32>>> = vec![Box::new(|n: &u32| *n > 2), Box::new(|n: &u32| n % 2 == 0)];
/// let rule = all(rules);
/// assert!(rule.is_satisfied_by(&4));
/// assert!(!rule.is_satisfied_by(&5));
/// ```
pub fn all<S>(rules: impl IntoIterator<Item = S>) -> All<S> {
    All(rules.into_iter().collect())
}

/// Satisfied by what satisfies at least one rule of a list; by nothing when the list is empty.
///
/// ```
/// use uno_domain::{Specification, any};
///
/// let rule = any([10, 20].map(|wanted| move |n: &u32| *n == wanted));
/// assert!(rule.is_satisfied_by(&20));
/// assert!(!rule.is_satisfied_by(&15));
/// ```
pub fn any<S>(rules: impl IntoIterator<Item = S>) -> Any<S> {
    Any(rules.into_iter().collect())
}

/// Two rules that must both be satisfied: see [`Specification::and`].
#[derive(Clone, Copy, Debug)]
pub struct And<A, B>(A, B);

/// Two rules of which one must be satisfied: see [`Specification::or`].
#[derive(Clone, Copy, Debug)]
pub struct Or<A, B>(A, B);

/// A rule that must not be satisfied: see [`Specification::not`].
#[derive(Clone, Copy, Debug)]
pub struct Not<S>(S);

/// A list of rules that must all be satisfied: see [`all`].
#[derive(Clone, Debug)]
pub struct All<S>(Vec<S>);

/// A list of rules of which one must be satisfied: see [`any`].
#[derive(Clone, Debug)]
pub struct Any<S>(Vec<S>);

impl<T: ?Sized, A: Specification<T>, B: Specification<T>> Specification<T> for And<A, B> {
    fn is_satisfied_by(&self, candidate: &T) -> bool {
        self.0.is_satisfied_by(candidate) && self.1.is_satisfied_by(candidate)
    }
}

impl<T: ?Sized, A: Specification<T>, B: Specification<T>> Specification<T> for Or<A, B> {
    fn is_satisfied_by(&self, candidate: &T) -> bool {
        self.0.is_satisfied_by(candidate) || self.1.is_satisfied_by(candidate)
    }
}

impl<T: ?Sized, S: Specification<T>> Specification<T> for Not<S> {
    fn is_satisfied_by(&self, candidate: &T) -> bool {
        !self.0.is_satisfied_by(candidate)
    }
}

impl<T: ?Sized, S: Specification<T>> Specification<T> for All<S> {
    fn is_satisfied_by(&self, candidate: &T) -> bool {
        self.0.iter().all(|rule| rule.is_satisfied_by(candidate))
    }
}

impl<T: ?Sized, S: Specification<T>> Specification<T> for Any<S> {
    fn is_satisfied_by(&self, candidate: &T) -> bool {
        self.0.iter().any(|rule| rule.is_satisfied_by(candidate))
    }
}
