//! The upcast chain of an event: whether it is complete, and the code for it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{LitInt, Type, spanned::Spanned as _};

use crate::{
    errors::Errors,
    options::{How, Options},
};

/// The chain of an event, as code.
#[derive(Default)]
pub(crate) struct Chain {
    /// The steps in order, as expressions of type `Upcaster`.
    pub(crate) steps: Vec<TokenStream>,
    /// The versions from which all steps are between types, as match arms that give the event from the text.
    pub(crate) from_older: Vec<TokenStream>,
    /// The types of former versions, where there are any.
    pub(crate) types: Vec<(u32, Type)>,
}

/// The schema version that was given, 1 when none was; `None` when it is not a version.
pub(crate) fn version(given: Option<&LitInt>, errors: &mut Errors) -> Option<u32> {
    given.map_or(Some(1), |given| number(given, errors))
}

/// The chain of steps.
///
/// Unless the rest is registered elsewhere, there must be a step from every version before the current one.
pub(crate) fn chain(ident: &Ident, options: &Options, version: u32, errors: &mut Errors) -> Chain {
    let mut steps: Vec<(u32, &LitInt, &How)> = Vec::new();
    for step in options.upcast.iter().flatten() {
        let Some(from) = number(&step.from, errors) else {
            continue;
        };
        if from >= version {
            errors.at(
                &step.from,
                format_args!("a step from version {from} leads beyond the event, which is at version {version}"),
            );
        } else if steps.iter().any(|(other, ..)| *other == from) {
            errors.at(
                &step.from,
                format_args!("two steps start from version {from}"),
            );
        } else {
            steps.push((from, &step.from, &step.how));
        }
    }
    steps.sort_by_key(|(from, ..)| *from);
    let missing = (1..version).find(|wanted| steps.iter().all(|(from, ..)| from != wanted));
    match (missing, &options.upcast_elsewhere) {
        (Some(missing), None) => {
            let at = options
                .version
                .as_ref()
                .map_or_else(|| ident.to_token_stream(), ToTokens::to_token_stream);
            let message = "add it to `upcast(…)`, or say `upcast_elsewhere` if it is registered with the decoder";
            errors.at(
                at,
                format_args!("no step leads on from version {missing}: {message}"),
            );
        }
        (None, Some(elsewhere)) => errors.at(
            elsewhere,
            "no step is missing here, so none can be registered elsewhere",
        ),
        _ => {}
    }
    Chain {
        steps: steps
            .iter()
            .map(|(from, at, how)| step(version, &steps, (*from, at, how), errors))
            .collect(),
        from_older: from_older(version, &steps),
        types: types(&steps),
    }
}

/// A step on the tree.
fn step(
    version: u32,
    steps: &[(u32, &LitInt, &How)],
    (from, at, how): (u32, &LitInt, &How),
    errors: &mut Errors,
) -> TokenStream {
    match how {
        How::Function(function) => {
            let span = function.span().resolved_at(Span::call_site());
            quote_spanned! {span=>
                __uno::Upcaster::new(#from, |payload| __uno::take_step(#function, payload))
            }
        }
        How::From(old) => {
            let next = steps.iter().find(|(other, ..)| *other == from + 1);
            let new = match next {
                Some((_, _, How::From(next))) => next.to_token_stream(),
                None if from + 1 == version => quote!(Self),
                _ => {
                    errors.at(
                        at,
                        format_args!("the step after it is not between types, so it can't be known which type `{}` turns into: write `{from} = uno_core::upcast::<{0}, …>`", old.to_token_stream()),
                    );
                    return TokenStream::new();
                }
            };
            let span = old.span().resolved_at(Span::call_site());
            quote_spanned! {span=>
                __uno::Upcaster::new(#from, __uno::typed_step::<#old, #new>)
            }
        }
    }
}

/// The types that old payloads have.
fn types(steps: &[(u32, &LitInt, &How)]) -> Vec<(u32, Type)> {
    let typed = steps.iter().filter_map(|(from, _, how)| match how {
        How::From(old) => Some((*from, old.clone())),
        How::Function(_) => None,
    });
    typed.collect()
}

/// The last steps, as long as they are between types, without a tree.
fn from_older(version: u32, steps: &[(u32, &LitInt, &How)]) -> Vec<TokenStream> {
    let mut arms = Vec::new();
    // From the last step back: the types that a payload goes through on its way.
    let mut types: Vec<&Type> = Vec::new();
    for (from, _, how) in steps.iter().rev() {
        let How::From(old) = how else { break };
        if u32::try_from(types.len()).map_or(true, |count| from + count + 1 != version) {
            break;
        }
        let later = types.iter().rev();
        let span = old.span().resolved_at(Span::call_site());
        arms.push(quote_spanned! {span=>
            #from => __uno::from_json::<#old>(payload).map(|old| {
                #(let old = <#later as ::core::convert::From<_>>::from(old);)*
                <Self as ::core::convert::From<_>>::from(old)
            }),
        });
        types.push(old);
    }
    arms
}

fn number(literal: &LitInt, errors: &mut Errors) -> Option<u32> {
    match literal.base10_parse::<u32>() {
        Ok(0) => {
            errors.at(literal, "schema versions start at 1");
            None
        }
        Ok(number) => Some(number),
        Err(error) => {
            errors.add(error);
            None
        }
    }
}
