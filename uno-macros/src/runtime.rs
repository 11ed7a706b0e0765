//! [`Runtime`]: the crate that the emitted code refers to.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Path;

/// Which of our crates the user depends on.
#[derive(Clone, Copy)]
pub(crate) enum Runtime {
    /// `uno-core` by itself.
    Core,
    /// The facade.
    Facade,
}

impl Runtime {
    /// Puts the emitted items in a scope of their own, in which `__uno` is what they need, under whatever name the
    /// crate goes.
    pub(crate) fn wrap(self, given: Option<&Path>, items: &TokenStream) -> TokenStream {
        let path = match (given, self) {
            (Some(path), _) => path.to_token_stream(),
            (None, Self::Core) => quote!(::uno_core),
            (None, Self::Facade) => quote!(::uno),
        };
        // Whoever reads an event that is not recorded any more has said so already, where the type stands.
        quote! {
            #[allow(deprecated)]
            const _: () = {
                use #path::__private as __uno;
                #items
            };
        }
    }
}
