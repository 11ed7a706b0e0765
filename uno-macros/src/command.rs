//! The derive of `Command`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::{
    errors::Errors,
    names::stored_name,
    options::{Options, refuse_generics},
    runtime::Runtime,
};

/// The implementation of `Command` for a type.
pub(crate) fn expand(input: &DeriveInput, runtime: Runtime) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let options = Options::read(input, "command", &["name", "crate"], &mut errors);
    refuse_generics(input, "a command", &mut errors);
    let ident = &input.ident;
    let name = stored_name(ident, options.name.as_ref(), "command", &mut errors);
    errors.finish()?;

    Ok(runtime.wrap(
        options.path.as_ref(),
        &quote! {
            #[automatically_derived]
            impl __uno::Command for #ident {
                const NAME: &'static str = #name;
            }
        },
    ))
}
