//! The derive of `Event`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, DeriveInput, Expr, ExprLit, Lit, LitStr, Meta, MetaNameValue, Token,
    punctuated::Punctuated,
};

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
            "deprecated",
            "crate",
        ],
        &mut errors,
    );
    refuse_generics(input, "an event", &mut errors);
    let ident = &input.ident;
    let name = stored_name(ident, options.name.as_ref(), "event", &mut errors);
    let version = upcast::version(options.version.as_ref(), &mut errors);
    let Chain {
        steps,
        from_older,
        types,
    } = version.map_or_else(Chain::default, |version| {
        upcast::chain(ident, &options, version, &mut errors)
    });
    let former = other_names(options.formerly.as_ref(), Some(&name), &mut errors);
    let doc = doc(&input.attrs);
    let deprecated = deprecated(&input.attrs, options.deprecated.as_ref(), &mut errors);
    errors.finish()?;

    let deprecated = match deprecated {
        Some(note) => quote!(::core::option::Option::Some(#note)),
        None => quote!(::core::option::Option::None),
    };
    let schemas = types
        .iter()
        .map(|(version, ty)| schema(*version, &quote!(#ty)));
    let schemas = schemas.chain([schema(version.unwrap_or(1), &quote!(#ident))]);

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
                const DEPRECATED: ::core::option::Option<&'static str> = #deprecated;
                const SCHEMAS: &'static [__uno::EventSchema] = &[#(#schemas),*];

                #from_older
            }
        },
    ))
}

/// The schema of a version, if its type has one: that is known when the types are, so it is not asked for here.
fn schema(version: u32, ty: &TokenStream) -> TokenStream {
    quote! {
        __uno::EventSchema::new(#version, || {
            #[allow(unused_imports)]
            use __uno::{HasSchema as _, NoSchema as _};
            (&__uno::Probe::<#ty>::new()).describe()
        })
    }
}

/// Why the event is not recorded any more: the note of `#[deprecated]`, or what the option says.
fn deprecated(
    attributes: &[Attribute],
    option: Option<&LitStr>,
    errors: &mut Errors,
) -> Option<String> {
    let attribute = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("deprecated"));
    if let (Some(_), Some(option)) = (attribute, option) {
        errors.at(option, "`#[deprecated]` says it already");
    }
    if let Some(option) = option {
        return Some(option.value());
    }
    let text = |value: &Expr| match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    };
    let note = match &attribute?.meta {
        Meta::NameValue(meta) => text(&meta.value),
        // What is wrong with it, the compiler says.
        Meta::List(list) => list
            .parse_args_with(Punctuated::<MetaNameValue, Token![,]>::parse_terminated)
            .ok()
            .and_then(|entries| {
                let mut notes = entries.iter().filter(|entry| entry.path.is_ident("note"));
                notes.find_map(|entry| text(&entry.value))
            }),
        Meta::Path(_) => None,
    };
    Some(note.unwrap_or_default())
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
