//! The upcast chain of an event: whether it is complete, and the code for it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{LitInt, spanned::Spanned as _};

use crate::{errors::Errors, options::Options};

/// The schema version that was given, 1 when none was; `None` when it is not a version.
pub(crate) fn version(given: Option<&LitInt>, errors: &mut Errors) -> Option<u32> {
    given.map_or(Some(1), |given| number(given, errors))
}

/// The steps in order, as expressions of type `Upcaster`.
///
/// Unless the rest is registered elsewhere, there must be a step from every version before the current one.
pub(crate) fn chain(
    ident: &Ident,
    options: &Options,
    version: u32,
    errors: &mut Errors,
) -> Vec<TokenStream> {
    let mut steps = Vec::new();
    for step in options.upcast.iter().flatten() {
        let Some(from) = number(&step.from, errors) else {
            continue;
        };
        if from >= version {
            errors.at(
                &step.from,
                format_args!("a step from version {from} leads beyond the event, which is at version {version}"),
            );
        } else if steps.iter().any(|(other, _)| *other == from) {
            errors.at(
                &step.from,
                format_args!("two steps start from version {from}"),
            );
        } else {
            let function = &step.function;
            let span = function.span().resolved_at(Span::call_site());
            let code = quote_spanned! {span=>
                __uno::Upcaster::new(#from, |payload| __uno::take_step(#function, payload))
            };
            steps.push((from, code));
        }
    }
    steps.sort_by_key(|(from, _)| *from);
    let missing = (1..version).find(|wanted| steps.iter().all(|(from, _)| from != wanted));
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
    steps.into_iter().map(|(_, code)| code).collect()
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
