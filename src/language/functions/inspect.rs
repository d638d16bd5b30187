//! `parse_elixir_inspect` and `to_elixir_inspect`.

use crate::livebook::inspect::{read_term, write_term};
use std::sync::LazyLock;
use vrl::compiler::prelude::*;

static FALSE: LazyLock<Value> = LazyLock::new(|| Value::Boolean(false));

static PARSE_PARAMETERS: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
    vec![
        Parameter::required("value", kind::BYTES, "The text."),
        Parameter::optional(
            "partial",
            kind::BOOLEAN,
            "Whether a term that was cut gives what is certain of it, instead of failing.",
        )
        .default(&FALSE),
    ]
});

/// `parse_elixir_inspect(value, partial)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParseElixirInspect;

impl Function for ParseElixirInspect {
    fn identifier(&self) -> &'static str {
        "parse_elixir_inspect"
    }

    fn summary(&self) -> &'static str {
        "reads an Elixir term as `inspect` prints it"
    }

    fn usage(&self) -> &'static str {
        "Maps become objects, and so do keyword lists (of a name that is repeated the first counts) and structs, whose \
         name is `__struct__`; lists and tuples become arrays; strings, binaries (`<<104, 105>>`), charlists and atoms \
         become strings; `nil`, `true`, `false` and numbers what they are; `~U[...]` a timestamp, other dates and times \
         a string. A key of a map that is no string and no atom is a name as it is printed. What is no data (pids, \
         functions, patterns, ranges, `#Name<...>`, `MapSet.new(...)`) becomes a string, as it is printed. A whole \
         number of more than 64 bits becomes a float."
    }

    fn category(&self) -> &'static str {
        Category::Parse.as_ref()
    }

    fn internal_failure_reasons(&self) -> &'static [&'static str] {
        &[
            "`value` is no Elixir term, or something stands behind it.",
            "A part was left out (`...`), or the text ends too soon, and `partial` is not `true`.",
            "Two keys of a map are the same as names, as `:a` and `\"a\"` are.",
        ]
    }

    fn return_kind(&self) -> u16 {
        kind::ANY
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARSE_PARAMETERS.as_slice()
    }

    fn examples(&self) -> &'static [Example] {
        &[
            example! {
                title: "Users, as in a text record",
                source: r#"parse_elixir_inspect!("[%{id: \"1\", name: \"Ann\"}, %{id: \"2\", name: nil}]")"#,
                result: Ok(r#"[{"id": "1", "name": "Ann"}, {"id": "2", "name": null}]"#),
            },
            example! {
                title: "Atoms, tuples and keys of any kind",
                source: r#"parse_elixir_inspect!("{:ok, %{1 => [a: 0.5], \"b\" => <<104, 105>>}}")"#,
                result: Ok(r#"["ok", {"1": {"a": 0.5}, "b": "hi"}]"#),
            },
            example! {
                title: "A list that was cut",
                source: r#"parse_elixir_inspect!("[%{id: \"1\", name: \"Maximi\" <> ...}, ...]", partial: true)"#,
                result: Ok(r#"[{"id": "1", "name": "Maximi"}]"#),
            },
            example! {
                title: "What is no term",
                source: r#"parse_elixir_inspect("see above") ?? "none""#,
                result: Ok(r#""none""#),
            },
        ]
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        let value = arguments.required("value");
        Ok(ParseCall { value, partial: arguments.optional("partial") }.as_expr())
    }
}

#[derive(Clone, Debug)]
struct ParseCall {
    value: Box<dyn Expression>,
    partial: Option<Box<dyn Expression>>,
}

impl FunctionExpression for ParseCall {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let text = self.value.resolve(ctx)?.try_bytes()?;
        let is_partial = match &self.partial {
            Some(partial) => partial.resolve(ctx)?.try_boolean()?,
            None => false,
        };
        read_term(&text, is_partial).map_err(|fault| format!("this is no whole Elixir term: {fault}").into())
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::any().fallible()
    }
}

/// `to_elixir_inspect(value)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToElixirInspect;

impl Function for ToElixirInspect {
    fn identifier(&self) -> &'static str {
        "to_elixir_inspect"
    }

    fn summary(&self) -> &'static str {
        "writes a value as Elixir's `inspect` prints it"
    }

    fn usage(&self) -> &'static str {
        "Strings are byte for byte what `inspect` of Elixir 1.18 to 1.20 prints: in quotes with Elixir's escapes, or as \
         `<<...>>` where they hold anything that is not printable. Objects become maps with string keys, sorted; a \
         timestamp becomes `~U[...]`, a pattern `~r/.../`. Nothing is left out for its length, and a list of numbers \
         stays one, as with `limit: :infinity, printable_limit: :infinity, charlists: :as_lists`. \
         `parse_elixir_inspect` reads it as the same value."
    }

    fn category(&self) -> &'static str {
        Category::Codec.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::BYTES
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[Parameter::required("value", kind::ANY, "The value.")];
        PARAMETERS
    }

    fn examples(&self) -> &'static [Example] {
        &[
            example! {
                title: "A string",
                source: r##"to_elixir_inspect("a\tb \"c\" #{d}")"##,
                result: Ok(r#""\"a\\tb \\\"c\\\" \\#{d}\"""#),
            },
            example! {
                title: "A string that is not printable",
                source: r#"to_elixir_inspect("a\0")"#,
                result: Ok(r#""<<97, 0>>""#),
            },
            example! {
                title: "An object",
                source: r#"to_elixir_inspect({"users": ["1", null], "ratio": 1000.0})"#,
                result: Ok(r#""%{\"ratio\" => 1.0e3, \"users\" => [\"1\", nil]}""#),
            },
        ]
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        Ok(WriteCall { value: arguments.required("value") }.as_expr())
    }
}

#[derive(Clone, Debug)]
struct WriteCall {
    value: Box<dyn Expression>,
}

impl FunctionExpression for WriteCall {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let mut text = Vec::new();
        write_term(&self.value.resolve(ctx)?, &mut text);
        Ok(Value::Bytes(text.into()))
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::bytes()
    }
}
