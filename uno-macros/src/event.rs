//! The derive of `Event`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::{
    errors::Errors,
    names::stored_name,
    options::{Options, refuse_generics},
    runtime::Runtime,
    upcast,
};

/// The implementation of `Event` for a type.
pub(crate) fn expand(input: &DeriveInput, runtime: Runtime) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let options = Options::read(
        input,
        "event",
        &["name", "version", "upcast", "upcast_elsewhere", "crate"],
        &mut errors,
    );
    refuse_generics(input, "an event", &mut errors);
    let ident = &input.ident;
    let name = stored_name(ident, options.name.as_ref(), "event", &mut errors);
    let version = upcast::version(options.version.as_ref(), &mut errors);
    let steps = version.map_or_else(Vec::new, |version| {
        upcast::chain(ident, &options, version, &mut errors)
    });
    errors.finish()?;

    Ok(runtime.wrap(
        options.path.as_ref(),
        &quote! {
            #[automatically_derived]
            impl __uno::Event for #ident {
                const NAME: &'static str = #name;
                const VERSION: __uno::SchemaVersion = __uno::SchemaVersion::new(#version);
                const UPCASTERS: &'static [__uno::Upcaster] = &[#(#steps),*];
            }
        },
    ))
}
