//! [`Options`]: what is said in `#[event(…)]` and `#[command(…)]`.

use proc_macro2::{Ident, TokenTree};
use syn::{
    Attribute, Data, DeriveInput, Expr, Field, LitInt, LitStr, Path, Token, Type,
    ext::IdentExt as _,
    parenthesized,
    parse::{Parse, ParseStream},
};

use crate::errors::Errors;

/// Everything that was said, wherever it was said.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) path: Option<Path>,
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) upcast: Option<Vec<Step>>,
    pub(crate) upcast_elsewhere: Option<Ident>,
    pub(crate) formerly: Option<Vec<LitStr>>,
    pub(crate) ignore: Option<Vec<LitStr>>,
    pub(crate) deprecated: Option<LitStr>,
}

/// One step of an upcast chain.
pub(crate) struct Step {
    pub(crate) from: LitInt,
    pub(crate) how: How,
}

/// How a step is taken.
pub(crate) enum How {
    /// `1 = rename_weight`: by a function on the tree.
    Function(Expr),
    /// `1: OrderPlacedV1`: the type of the old shape turns into the next one.
    From(Type),
}

impl Options {
    /// Reads the options of a type. `known` are those that this derive has.
    pub(crate) fn read(
        input: &DeriveInput,
        helper: &'static str,
        known: &'static [&'static str],
        errors: &mut Errors,
    ) -> Self {
        let mut options = Self::default();
        for attribute in input
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident(helper))
        {
            let read = attribute.parse_args_with(|stream: ParseStream<'_>| {
                while !stream.is_empty() {
                    if let Err(error) = options.read_one(stream, known) {
                        errors.add(error);
                        skip_to_comma(stream)?;
                    }
                    if !stream.is_empty() {
                        stream.parse::<Token![,]>()?;
                    }
                }
                Ok(())
            });
            if let Err(error) = read {
                errors.add(error);
            }
        }
        refuse_inside(input, helper, errors);
        options
    }

    fn read_one(&mut self, stream: ParseStream<'_>, known: &[&str]) -> syn::Result<()> {
        // `crate` is a keyword, so an identifier in the wider sense is asked for.
        let key = stream.call(Ident::parse_any)?;
        let text = key.to_string();
        if !known.contains(&text.as_str()) {
            let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
            return Err(syn::Error::new(
                key.span(),
                format_args!("unknown option `{text}`; there is {}", known.join(", ")),
            ));
        }
        let first = match text.as_str() {
            "crate" => self.path.replace(path(&value(stream)?)?).is_none(),
            "name" => self.name.replace(value(stream)?).is_none(),
            "version" => self.version.replace(value(stream)?).is_none(),
            "upcast" => self.upcast.replace(steps(stream)?).is_none(),
            "formerly" => self.formerly.replace(names(stream)?).is_none(),
            "deprecated" => self.deprecated.replace(value(stream)?).is_none(),
            "ignore" => self.ignore.replace(names(stream)?).is_none(),
            _ => self.upcast_elsewhere.replace(key.clone()).is_none(),
        };
        if first {
            Ok(())
        } else {
            Err(syn::Error::new(
                key.span(),
                format_args!("`{text}` is given twice"),
            ))
        }
    }
}

fn value<T: Parse>(stream: ParseStream<'_>) -> syn::Result<T> {
    stream.parse::<Token![=]>()?;
    stream.parse()
}

fn path(text: &LitStr) -> syn::Result<Path> {
    text.parse_with(Path::parse_mod_style).map_err(|_| {
        let message = format!(
            "{:?} is not a path to a crate, such as \"::uno_core\"",
            text.value()
        );
        syn::Error::new(text.span(), message)
    })
}

fn steps(stream: ParseStream<'_>) -> syn::Result<Vec<Step>> {
    let content;
    parenthesized!(content in stream);
    let steps = content.parse_terminated(
        |step| {
            let from = step.parse()?;
            let how = if step.peek(Token![:]) {
                step.parse::<Token![:]>()?;
                How::From(step.parse()?)
            } else {
                How::Function(value(step)?)
            };
            Ok(Step { from, how })
        },
        Token![,],
    )?;
    Ok(steps.into_iter().collect())
}

fn names(stream: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    let content;
    parenthesized!(content in stream);
    let names = content.parse_terminated(|name| name.parse::<LitStr>(), Token![,])?;
    Ok(names.into_iter().collect())
}

/// After an error, goes on with the next option, so that its errors are seen as well.
fn skip_to_comma(stream: ParseStream<'_>) -> syn::Result<()> {
    while !stream.is_empty() && !stream.peek(Token![,]) {
        stream.parse::<TokenTree>()?;
    }
    Ok(())
}

/// The compiler lets helper attributes stand anywhere in the type; one that would do nothing is an error.
fn refuse_inside(input: &DeriveInput, helper: &str, errors: &mut Errors) {
    let mut refuse = |attributes: &[Attribute]| {
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident(helper))
        {
            errors.at(
                attribute,
                format_args!("`#[{helper}(…)]` belongs on the type, not inside it"),
            );
        }
    };
    let mut fields =
        |fields: &syn::Fields| fields.iter().for_each(|field: &Field| refuse(&field.attrs));
    match &input.data {
        Data::Struct(data) => fields(&data.fields),
        Data::Enum(data) => data
            .variants
            .iter()
            .for_each(|variant| fields(&variant.fields)),
        Data::Union(_) => {}
    }
    if let Data::Enum(data) = &input.data {
        data.variants
            .iter()
            .for_each(|variant| refuse(&variant.attrs));
    }
}

/// Stored things have one shape: a type with parameters would be many types under one name.
pub(crate) fn refuse_generics(input: &DeriveInput, what: &str, errors: &mut Errors) {
    if !input.generics.params.is_empty() {
        errors.at(
            &input.generics,
            format_args!("{what} can't have generic parameters: its stored name stands for one type; wrap the concrete type in a struct"),
        );
    }
}
