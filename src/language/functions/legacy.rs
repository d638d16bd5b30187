//! `parse_livebook_legacy`.

use crate::livebook::EVALUATE;
use crate::livebook::inspect::Extent;
use crate::livebook::legacy::read_legacy;
use crate::livebook::users::whole_chars;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vrl::compiler::prelude::*;

/// `parse_livebook_legacy(message)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParseLivebookLegacy;

impl Function for ParseLivebookLegacy {
    fn identifier(&self) -> &'static str {
        "parse_livebook_legacy"
    }

    fn summary(&self) -> &'static str {
        "reads the message of an evaluation's legacy record"
    }

    fn usage(&self) -> &'static str {
        "Reads `Evaluating code`, `Session mode: ...`, `Code: ...`, as Livebook writes it into `message`, with white \
         space that a collector may have collapsed. Gives what the transform `legacy_message` would put into \
         `metadata`: `event`, `session_mode`, and `code`, or `code_base64` where the source is not UTF-8. Where the \
         message was cut, `code` is what is certain of the source and `code_incomplete` is true; nothing is guessed. \
         The second record of the evaluation, which may have the rest, is not looked for: that is the transform's part."
    }

    fn category(&self) -> &'static str {
        Category::Parse.as_ref()
    }

    fn internal_failure_reasons(&self) -> &'static [&'static str] {
        &["`message` is no legacy message of Livebook."]
    }

    fn return_kind(&self) -> u16 {
        kind::OBJECT
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[Parameter::required("message", kind::BYTES, "The message.")];
        PARAMETERS
    }

    fn examples(&self) -> &'static [Example] {
        &[
            example! {
                title: "A whole message",
                source: r#"parse_livebook_legacy!("Evaluating code\n  Session mode: default\n  Code: \"1 + 1\"")"#,
                result: Ok(r#"{"code": "1 + 1", "event": "code.evaluate", "session_mode": "default"}"#),
            },
            example! {
                title: "A message that was cut",
                source: r#"parse_livebook_legacy!("Evaluating code\n  Session mode: app\n  Code: \"IO.pu (truncated)")"#,
                result: Ok(
                    r#"{"code": "IO.pu", "code_incomplete": true, "event": "code.evaluate", "session_mode": "app"}"#,
                ),
            },
            example! {
                title: "Another message",
                source: r#"parse_livebook_legacy("GET /") ?? {}"#,
                result: Ok("{}"),
            },
        ]
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        Ok(Call { message: arguments.required("message") }.as_expr())
    }
}

#[derive(Clone, Debug)]
struct Call {
    message: Box<dyn Expression>,
}

impl FunctionExpression for Call {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        read(&self.message.resolve(ctx)?.try_bytes()?)
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        let maybe = |kind: Kind| kind.or_undefined();
        let members: [(&str, Kind); 5] = [
            ("event", Kind::bytes()),
            ("session_mode", Kind::bytes()),
            ("code", maybe(Kind::bytes())),
            ("code_base64", maybe(Kind::bytes())),
            ("code_incomplete", maybe(Kind::boolean())),
        ];
        let members = members.into_iter().map(|(name, kind)| (Field::from(name), kind));
        TypeDef::object(Collection::from(members.collect::<std::collections::BTreeMap<_, _>>())).fallible()
    }
}

fn read(message: &[u8]) -> Resolved {
    let Some(legacy) = read_legacy(message) else {
        return Err(
            "this is no legacy message of Livebook: one begins with `Evaluating code`, then says the \
                    `Session mode:` and the `Code:`"
                .into(),
        );
    };
    let mut bytes = legacy.code.bytes;
    let mut members = ObjectMap::new();
    if legacy.code.extent != Extent::Whole {
        bytes.truncate(whole_chars(&bytes));
        members.insert("code_incomplete".into(), Value::Boolean(true));
    }
    if simdutf8::basic::from_utf8(&bytes).is_ok() {
        members.insert("code".into(), Value::Bytes(bytes.into()));
    } else {
        members.insert("code_base64".into(), Value::from(STANDARD.encode(bytes)));
    }
    members.insert("event".into(), Value::from(EVALUATE));
    members.insert("session_mode".into(), Value::Bytes(Bytes::copy_from_slice(legacy.mode)));
    Ok(Value::Object(members))
}
