//! The derives of `EventSet` and `CommandSet`: enums with one variant for each type.

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Fields, Type, Variant, spanned::Spanned as _};

use crate::{
    errors::Errors,
    names::other_names,
    options::{Options, refuse_generics},
    runtime::Runtime,
};

/// What the set is made of.
#[derive(Clone, Copy)]
pub(crate) enum Member {
    /// Event types.
    Event,
    /// Command types.
    Command,
}

impl Member {
    fn noun(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Command => "command",
        }
    }
}

/// The implementation of `EventSet` or `CommandSet` for an enum.
pub(crate) fn expand(
    input: &DeriveInput,
    runtime: Runtime,
    member: Member,
) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let noun = member.noun();
    let known: &[&str] = match member {
        Member::Event => &["ignore", "crate"],
        Member::Command => &["crate"],
    };
    let options = Options::read(input, noun, known, &mut errors);
    let ignored = other_names(options.ignore.as_ref(), None, &mut errors);
    let article = if noun == "event" { "an" } else { "a" };
    refuse_generics(input, &format!("{article} {noun} set"), &mut errors);
    let variants = payloads(input, noun, &mut errors);
    errors.finish()?;

    let members: Vec<_> = variants
        .iter()
        .enumerate()
        .map(|(index, variant)| Code::new(index, *variant))
        .collect();
    let items = match member {
        Member::Event => event_set(&input.ident, &members, &ignored),
        Member::Command => command_set(&input.ident, &members),
    };
    Ok(runtime.wrap(options.path.as_ref(), &items))
}

/// The variants, each with the one type it holds.
fn payloads<'i>(
    input: &'i DeriveInput,
    noun: &str,
    errors: &mut Errors,
) -> Vec<(&'i Ident, &'i Type)> {
    let Data::Enum(data) = &input.data else {
        errors.at(
            &input.ident,
            format_args!("a set is an enum with one variant for each {noun} type"),
        );
        return Vec::new();
    };
    if data.variants.is_empty() {
        errors.at(
            &input.ident,
            format_args!("a set has at least one variant, and each holds one {noun} type"),
        );
    }
    let mut seen = BTreeSet::new();
    let mut payloads = Vec::new();
    for variant in &data.variants {
        match payload(variant) {
            Some(payload) if seen.insert(payload.to_token_stream().to_string()) => {
                payloads.push((&variant.ident, payload));
            }
            Some(payload) => errors.at(
                payload,
                format_args!("another variant has this {noun} type already"),
            ),
            None => errors.at(
                variant,
                format_args!(
                    "a variant of a set holds one {noun} type, as in `{0}({0}Type)`",
                    variant.ident
                ),
            ),
        }
    }
    payloads
}

fn payload(variant: &Variant) -> Option<&Type> {
    match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            fields.unnamed.first().map(|field| &field.ty)
        }
        _ => None,
    }
}

/// What is emitted for one variant.
struct Code<'i> {
    variant: &'i Ident,
    payload: &'i Type,
    /// The constant that holds what the set does with the type.
    constant: Ident,
    /// The place of the type. Names that are emitted there still mean what they mean to the derive, whichever macro the
    /// type comes from.
    place: Span,
}

impl<'i> Code<'i> {
    fn new(index: usize, (variant, payload): (&'i Ident, &'i Type)) -> Self {
        let place = payload.span().resolved_at(Span::call_site());
        Self {
            variant,
            payload,
            constant: format_ident!("__MEMBER_{index}"),
            place,
        }
    }
}

fn event_set(ident: &Ident, members: &[Code<'_>], ignored: &[String]) -> TokenStream {
    let variants = &members
        .iter()
        .map(|member| member.variant)
        .collect::<Vec<_>>();
    let constants = &members
        .iter()
        .map(|member| &member.constant)
        .collect::<Vec<_>>();
    let declarations = declarations(members, &quote!(EventMember));
    let distinct = distinct(
        members,
        "event",
        &quote!(<#ident as __uno::EventSet>::EVENTS),
        &quote!(is_first_event),
    );
    let froms = froms(ident, members);
    let known = ignored.iter().map(|name| {
        let message = format!("{name:?} is the name of an event of the set, and can't be ignored");
        quote! {
            const _: () = ::core::assert!(
                !__uno::is_event(<#ident as __uno::EventSet>::EVENTS, #name),
                #message,
            );
        }
    });
    quote! {
        #(#known)*
        #declarations

        #[automatically_derived]
        impl __uno::EventSet for #ident {
            const EVENTS: &'static [__uno::EventDescriptor] = &[#(#constants.descriptor()),*];
            const IGNORED: &'static [&'static str] = &[#(#ignored),*];

            fn descriptor(&self) -> __uno::EventDescriptor {
                match self {
                    #(Self::#variants(_) => #constants.descriptor(),)*
                }
            }

            fn to_json(&self) -> ::core::result::Result<::std::string::String, __uno::JsonError> {
                match self {
                    #(Self::#variants(event) => #constants.to_json(event),)*
                }
            }

            fn from_json(
                name: &str,
                payload: &str,
            ) -> ::core::option::Option<::core::result::Result<Self, __uno::JsonError>> {
                #(if name == #constants.descriptor().name() {
                    return ::core::option::Option::Some(#constants.from_json(payload).map(Self::#variants));
                })*
                ::core::option::Option::None
            }

            fn from_older(
                name: &str,
                version: __uno::SchemaVersion,
                payload: &str,
            ) -> ::core::option::Option<::core::result::Result<Self, __uno::JsonError>> {
                #(if name == #constants.descriptor().name() {
                    let event = #constants.from_older(version, payload)?;
                    return ::core::option::Option::Some(event.map(Self::#variants));
                })*
                ::core::option::Option::None
            }

            fn from_tree(
                name: &str,
                payload: __uno::Value,
            ) -> ::core::option::Option<::core::result::Result<Self, __uno::JsonError>> {
                #(if name == #constants.descriptor().name() {
                    return ::core::option::Option::Some(#constants.from_tree(payload).map(Self::#variants));
                })*
                ::core::option::Option::None
            }

            fn check(&self) -> ::core::result::Result<(), __uno::Refusal> {
                match self {
                    #(Self::#variants(event) => #constants.check(event),)*
                }
            }
        }

        #[automatically_derived]
        impl __uno::IntoEvents<Self> for #ident {
            fn into_events(self) -> ::std::vec::Vec<Self> {
                ::std::vec![self]
            }
        }

        #froms
        #distinct
    }
}

fn command_set(ident: &Ident, members: &[Code<'_>]) -> TokenStream {
    let variants = &members
        .iter()
        .map(|member| member.variant)
        .collect::<Vec<_>>();
    let constants = &members
        .iter()
        .map(|member| &member.constant)
        .collect::<Vec<_>>();
    let declarations = declarations(members, &quote!(CommandMember));
    let distinct = distinct(
        members,
        "command",
        &quote!(<#ident as __uno::CommandSet>::COMMANDS),
        &quote!(is_first_command),
    );
    let froms = froms(ident, members);
    quote! {
        #declarations

        #[automatically_derived]
        impl __uno::CommandSet for #ident {
            const COMMANDS: &'static [__uno::CommandDescriptor] = &[#(#constants.descriptor()),*];

            fn descriptor(&self) -> __uno::CommandDescriptor {
                match self {
                    #(Self::#variants(_) => #constants.descriptor(),)*
                }
            }

            fn to_json(&self) -> ::core::result::Result<::std::string::String, __uno::JsonError> {
                match self {
                    #(Self::#variants(command) => #constants.to_json(command),)*
                }
            }
        }

        #froms
        #distinct
    }
}

/// The one place where each type is asked to be an event or a command.
fn declarations(members: &[Code<'_>], kind: &TokenStream) -> TokenStream {
    let declare = members.iter().map(|Code { payload, constant, place, .. }| {
        quote_spanned!(*place=> const #constant: __uno::#kind<#payload> = __uno::#kind::<#payload>::of();)
    });
    declare.collect()
}

fn froms(ident: &Ident, members: &[Code<'_>]) -> TokenStream {
    let from = members.iter().map(
        |Code {
             variant, payload, ..
         }| {
            quote! {
                #[automatically_derived]
                impl ::core::convert::From<#payload> for #ident {
                    fn from(member: #payload) -> Self {
                        Self::#variant(member)
                    }
                }
            }
        },
    );
    from.collect()
}

/// Two types can have one stored name; only the compiler knows it, so it is asked.
fn distinct(
    members: &[Code<'_>],
    noun: &str,
    list: &TokenStream,
    is_first: &TokenStream,
) -> TokenStream {
    let later = members.iter().enumerate().skip(1);
    let assertions = later.map(|(index, Code { variant, place, .. })| {
        let message = format!("the {noun} type of variant `{variant}` has the name of another {noun} type in the set");
        quote_spanned!(*place=> const _: () = ::core::assert!(__uno::#is_first(#list, #index), #message);)
    });
    assertions.collect()
}
