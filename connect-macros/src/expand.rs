//! Writes the implementations.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Field, Fields, Ident, LitStr, Result};

use crate::attributes::{Declaration, FieldOption, default_group};

/// The implementations for `input`.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let fields = named_fields(input)?;
    let group = default_group(&input.attrs)?;
    let mut parts = Parts::default();
    for field in fields {
        parts.add(field, group.as_ref())?;
    }
    let name = &input.ident;
    let Parts {
        definitions,
        reads,
        names,
    } = parts;
    Ok(quote! {
        impl ::connect_core::config::ConnectorConfig for #name {
            fn definition() -> ::connect_core::config::ConfigDef {
                let mut definition = ::connect_core::config::ConfigDef::default();
                #(#definitions)*
                definition
            }

            fn read(reader: &mut ::connect_core::config::OptionReader) -> ::core::option::Option<Self> {
                #(#reads)*
                ::core::option::Option::Some(Self { #(#names: #names?,)* })
            }
        }

        impl<'de> ::connect_core::__private::serde::Deserialize<'de> for #name {
            fn deserialize<D>(deserializer: D) -> ::core::result::Result<Self, D::Error>
            where
                D: ::connect_core::__private::serde::Deserializer<'de>,
            {
                ::connect_core::config::deserialize(deserializer)
            }
        }
    })
}

#[derive(Default)]
struct Parts {
    definitions: Vec<TokenStream>,
    reads: Vec<TokenStream>,
    names: Vec<Ident>,
}

impl Parts {
    fn add(&mut self, field: &Field, group: Option<&LitStr>) -> Result<()> {
        let Some(name) = &field.ident else {
            return Err(syn::Error::new_spanned(field, "fields need names"));
        };
        let kind = &field.ty;
        match FieldOption::of(field)? {
            FieldOption::Flatten => {
                self.definitions.push(quote! {
                    definition.extend(<#kind as ::connect_core::config::ConnectorConfig>::definition());
                });
                self.reads.push(quote! {
                    let #name = <#kind as ::connect_core::config::ConnectorConfig>::read(reader);
                });
            }
            FieldOption::Declared(declaration) => {
                let key = &declaration.name;
                self.definitions
                    .push(option_definition(&declaration, kind, group));
                self.reads
                    .push(quote! { let #name = reader.take::<#kind>(#key); });
            }
        }
        self.names.push(name.clone());
        Ok(())
    }
}

fn option_definition(
    declaration: &Declaration,
    field_type: &syn::Type,
    group: Option<&LitStr>,
) -> TokenStream {
    let name = &declaration.name;
    let documentation = &declaration.documentation;
    let settings = [
        declaration
            .default
            .as_ref()
            .map(|text| quote! { .default_text(#text) }),
        declaration.importance.as_ref().map(|level| {
            quote! { .importance(::connect_core::config::Importance::#level) }
        }),
        declaration
            .group
            .as_ref()
            .or(group)
            .map(|text| quote! { .group(#text) }),
        declaration
            .display
            .as_ref()
            .map(|text| quote! { .display(#text) }),
        declaration.width.as_ref().map(|width| {
            quote! { .width(::connect_core::config::Width::#width) }
        }),
        declaration.validator.as_ref().map(|check| {
            quote! { .validator({ use ::connect_core::config::Validator; #check }) }
        }),
        declaration.kind.as_ref().map(|kind| {
            quote! { .kind(::connect_core::config::OptionType::#kind) }
        }),
        declaration
            .unsupported
            .as_ref()
            .map(|why| quote! { .unsupported(#why) }),
    ];
    let settings = settings.into_iter().flatten();
    quote! {
        definition.push(
            ::connect_core::config::OptionDef::of::<#field_type>(#name, #documentation) #(#settings)*
        );
    }
}

fn named_fields(
    input: &DeriveInput,
) -> Result<&syn::punctuated::Punctuated<Field, syn::Token![,]>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(&fields.named),
            _ => Err(syn::Error::new_spanned(input, "fields need names")),
        },
        _ => Err(syn::Error::new_spanned(
            input,
            "only a struct can hold options",
        )),
    }
}
