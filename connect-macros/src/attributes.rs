//! Reads `#[option(…)]`, `#[config(…)]` and doc comments.

use syn::{Attribute, Expr, ExprLit, Field, Ident, Lit, LitStr, Meta, Result};

/// What `#[option(…)]` of a field says.
pub(crate) enum FieldOption {
    /// The field's own options stand here.
    Flatten,
    /// The field is one option.
    Declared(Box<Declaration>),
}

/// One declared option.
#[derive(Default)]
pub(crate) struct Declaration {
    pub(crate) name: Option<LitStr>,
    pub(crate) default: Option<LitStr>,
    pub(crate) importance: Option<Ident>,
    pub(crate) group: Option<LitStr>,
    pub(crate) display: Option<LitStr>,
    pub(crate) width: Option<Ident>,
    pub(crate) validator: Option<Expr>,
    pub(crate) kind: Option<Ident>,
    pub(crate) unsupported: Option<LitStr>,
    pub(crate) documentation: String,
}

impl FieldOption {
    pub(crate) fn of(field: &Field) -> Result<Self> {
        let mut declaration = Declaration {
            documentation: documentation(&field.attrs),
            ..Declaration::default()
        };
        let mut flatten = false;
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("option")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("flatten") {
                    flatten = true;
                    return Ok(());
                }
                declaration.read(&meta)
            })?;
        }
        if flatten {
            return Ok(Self::Flatten);
        }
        if declaration.name.is_none() {
            let text = "every field needs #[option(name = \"…\")] or #[option(flatten)]";
            return Err(syn::Error::new_spanned(field, text));
        }
        Ok(Self::Declared(Box::new(declaration)))
    }
}

impl Declaration {
    fn read(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> Result<()> {
        let Some(key) = meta.path.get_ident() else {
            return Err(meta.error("expected a plain key"));
        };
        match key.to_string().as_str() {
            "name" => self.name = Some(meta.value()?.parse()?),
            "default" => self.default = Some(meta.value()?.parse()?),
            "importance" => self.importance = Some(meta.value()?.parse()?),
            "group" => self.group = Some(meta.value()?.parse()?),
            "display" => self.display = Some(meta.value()?.parse()?),
            "width" => self.width = Some(meta.value()?.parse()?),
            "validator" => self.validator = Some(meta.value()?.parse()?),
            "kind" => self.kind = Some(meta.value()?.parse()?),
            "unsupported" => self.unsupported = Some(meta.value()?.parse()?),
            _ => return Err(meta.error("unknown key of #[option]")),
        }
        Ok(())
    }
}

/// The `group` of `#[config(…)]`.
pub(crate) fn default_group(attributes: &[Attribute]) -> Result<Option<LitStr>> {
    let mut group = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("config")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("group") {
                group = Some(meta.value()?.parse()?);
                return Ok(());
            }
            Err(meta.error("unknown key of #[config]"))
        })?;
    }
    Ok(group)
}

/// The lines of the doc comment, joined by spaces; an empty line becomes a line break.
fn documentation(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for line in attributes.iter().filter_map(doc_line) {
        let line = line.trim();
        if line.is_empty() {
            text.push('\n');
        } else {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push(' ');
            }
            text.push_str(line);
        }
    }
    text
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) if pair.path.is_ident("doc") => Some(text.value()),
        _ => None,
    }
}
