//! The derive of `Event`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, DeriveInput, Expr, Lit, Meta};

use crate::{
    errors::Errors,
    names::{other_names, stored_name},
    options::{Options, refuse_generics},
    runtime::Runtime,
    upcast::{self, Chain},
};

/// The implementation of `Event` for a type.
pub(crate) fn expand(input: &DeriveInput, runtime: Runtime) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let options = Options::read(
        input,
        "event",
        &[
            "name",
            "version",
            "upcast",
            "upcast_elsewhere",
            "formerly",
            "crate",
        ],
        &mut errors,
    );
    refuse_generics(input, "an event", &mut errors);
    let ident = &input.ident;
    let name = stored_name(ident, options.name.as_ref(), "event", &mut errors);
    let version = upcast::version(options.version.as_ref(), &mut errors);
    let Chain { steps, from_older } = version.map_or_else(Chain::default, |version| {
        upcast::chain(ident, &options, version, &mut errors)
    });
    let former = other_names(options.formerly.as_ref(), Some(&name), &mut errors);
    let doc = doc(&input.attrs);
    errors.finish()?;

    let from_older = (!from_older.is_empty()).then(|| {
        quote! {
            fn from_older(
                version: __uno::SchemaVersion,
                payload: &str,
            ) -> ::core::option::Option<::core::result::Result<Self, __uno::JsonError>> {
                ::core::option::Option::Some(match version.get() {
                    #(#from_older)*
                    _ => return ::core::option::Option::None,
                })
            }
        }
    });
    Ok(runtime.wrap(
        options.path.as_ref(),
        &quote! {
            #[automatically_derived]
            impl __uno::Event for #ident {
                const NAME: &'static str = #name;
                const VERSION: __uno::SchemaVersion = __uno::SchemaVersion::new(#version);
                const UPCASTERS: &'static [__uno::Upcaster] = &[#(#steps),*];
                const FORMER_NAMES: &'static [&'static str] = &[#(#former),*];
                const DOC: &'static str = #doc;

                #from_older
            }
        },
    ))
}

/// The doc comment of the type, line by line.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(meta) = &attribute.meta else {
            return None;
        };
        match &meta.value {
            Expr::Lit(literal) if meta.path.is_ident("doc") => match &literal.lit {
                Lit::Str(line) => Some(line.value()),
                _ => None,
            },
            _ => None,
        }
    });
    let lines: Vec<String> = lines
        .map(|line| {
            line.strip_prefix(' ')
                .unwrap_or(&line)
                .trim_end()
                .to_owned()
        })
        .collect();
    lines.join("\n").trim().to_owned()
}
