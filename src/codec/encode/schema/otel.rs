//! OpenTelemetry's log data model, as OTLP/JSON: each line is a whole export request with one record in it, which is
//! what the file receivers of collectors take.
//!
//! Fields are those of the Logs Data Model (OpenTelemetry specification 1.55.0,
//! <https://opentelemetry.io/docs/specs/otel/logs/data-model/>), severity numbers those of its appendix B, the JSON form
//! that of OTLP 1.5.0 (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: 64-bit integers as strings,
//! trace ids in hexadecimal), `log.*` and `error.type` those of the semantic conventions 1.27.0.
//!
//! A record without a time that can be read has no `timeUnixNano`: the model says to go by `observedTimeUnixNano`
//! then, which is when it was received.

use super::object::Object;
use super::record::{Kind, Record};
use crate::event::Place;
use crate::event::json::scan::Scan;
use crate::event::json::string::quote_into;
use crate::event::json::{Flaw, Json};
use crate::livebook::EVALUATE;

/// Containers inside each other that become values of the model; what lies deeper is kept as its JSON text. Readers of
/// protobuf stop at 100 levels, of which each of these is three.
const DEPTH_MAX: u32 = 16;
const TRACE_ID_DIGITS: usize = 32;
const SPAN_ID_DIGITS: usize = 16;

/// Appends the record as one request.
pub fn write(mut record: Record<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"livebook"}}]},"scopeLogs":[{"scope":"#,
    );
    Object::write(out, |scope| {
        scope.string("name", "evaltrail");
        scope.string("version", env!("CARGO_PKG_VERSION"));
    });
    out.extend_from_slice(b",\"logRecords\":[");
    Object::write(out, |log| write_record(&mut record, log));
    out.extend_from_slice(b"]}]}]}");
}

fn write_record(record: &mut Record<'_>, log: &mut Object<'_>) {
    if let Some(time) = record.time_ns() {
        record.take_time(time);
        log.string("timeUnixNano", &time.to_string());
    }
    log.string("observedTimeUnixNano", &record.received_ns().to_string());
    if let Some(level) = record.take_string(Place::Top, "severity") {
        if let Some(number) = severity_number(level) {
            log.scalar("severityNumber", number);
        }
        log.json("severityText", level);
    }
    if record.kind() == Kind::Evaluation {
        record.pass_over(Place::Metadata, "event");
        log.string("eventName", EVALUATE);
    } else if let Some(name) = record.take_string(Place::Metadata, "event") {
        log.json("eventName", name);
    }
    let body = if record.kind() == Kind::Fault { "detail" } else { "message" };
    if let Some(message) = record.see(Place::Top, body) {
        record.pass_over(Place::Top, body);
        write_any(message, log.member(b"body"));
    }
    write_trace(record, log);
    let out = log.member(b"attributes");
    out.push(b'[');
    write_attributes(record, &mut Attributes { out, is_empty: true });
    out.push(b']');
}

/// Elixir's levels are those of syslog.
fn severity_number(level: Json<'_>) -> Option<u32> {
    match level.inner()? {
        b"debug" => Some(5),
        b"info" => Some(9),
        b"notice" => Some(10),
        b"warning" | b"warn" => Some(13),
        b"error" => Some(17),
        b"critical" => Some(18),
        b"alert" => Some(19),
        b"emergency" => Some(21),
        _ => None,
    }
}

/// Writes the ids of trace and span where they are such: a span means nothing without its trace.
fn write_trace(record: &mut Record<'_>, log: &mut Object<'_>) {
    let id_of = |record: &Record<'_>, name, digits| {
        let text = String::from_utf8(record.see(Place::Top, name)?.string()?.into_owned()).ok()?;
        let is_id = text.len() == digits
            && text.bytes().all(|b| b.is_ascii_hexdigit())
            && text.bytes().any(|b| b != b'0');
        is_id.then_some(text)
    };
    let Some(trace) = id_of(record, "trace", TRACE_ID_DIGITS) else { return };
    record.pass_over(Place::Top, "trace");
    log.string("traceId", &trace);
    if let Some(span) = id_of(record, "span", SPAN_ID_DIGITS) {
        record.pass_over(Place::Top, "span");
        log.string("spanId", &span);
    }
}

fn write_attributes(record: &mut Record<'_>, attributes: &mut Attributes<'_>) {
    if let Some(id) = record.id() {
        attributes.string("log.record.uid", &id);
    }
    if let Some(file) = record.file() {
        attributes.string("log.file.path", file);
    }
    if record.kind() == Kind::Fault {
        for (name, key) in [("reason", "error.type"), ("raw", "log.record.original")] {
            if let Some(value) = record.take_string(Place::Top, name) {
                write_any(value, attributes.begin("", key.as_bytes()));
                attributes.end();
            }
        }
    }
    for (name, value) in record.take_own() {
        attributes.any("livebook.", name.as_bytes(), value);
    }
    for (place, prefix) in [(Place::Metadata, "livebook.metadata."), (Place::Top, "livebook.record.")] {
        for (name, value) in record.rest(place) {
            attributes.any(prefix, name, value);
        }
    }
}

/// The list of attributes. Keys are unique: what is not known has a prefix that nothing else has.
struct Attributes<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl Attributes<'_> {
    fn begin(&mut self, prefix: &str, name: &[u8]) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.is_empty { b"{\"key\":\"" } else { b",{\"key\":\"" });
        self.is_empty = false;
        self.out.extend_from_slice(prefix.as_bytes());
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b"\",\"value\":");
        self.out
    }

    fn end(&mut self) {
        self.out.push(b'}');
    }

    fn any(&mut self, prefix: &str, name: &[u8], value: Json<'_>) {
        write_any(value, self.begin(prefix, name));
        self.end();
    }

    fn string(&mut self, key: &str, text: &str) {
        Object::write(self.begin("", key.as_bytes()), |any| any.string("stringValue", text));
        self.end();
    }
}

/// Appends a JSON value as a typed value of the model.
fn write_any(value: Json<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    if write_value(value.text(), &mut Scan::new(value.text()), 0, out).is_err() {
        // Not reached, since every value is valid; a text is still better than half a value.
        out.truncate(start);
        write_text(value.text(), out);
    }
}

fn write_value(text: &[u8], scan: &mut Scan<'_>, depth: u32, out: &mut Vec<u8>) -> Result<(), Flaw> {
    let first = scan.next_token();
    if depth >= DEPTH_MAX || !matches!(first, Some(b'{' | b'[')) {
        let piece = scan.value()?;
        write_scalar(text.get(piece.start..piece.end).unwrap_or_default(), out);
        return Ok(());
    }
    let is_object = scan.take(b'{');
    let (opening, close): (&[u8], u8) = if is_object {
        (b"{\"kvlistValue\":{\"values\":[", b'}')
    } else {
        scan.expect(b'[', "`[`")?;
        (b"{\"arrayValue\":{\"values\":[", b']')
    };
    out.extend_from_slice(opening);
    let mut is_done = scan.take(close);
    while !is_done {
        if is_object {
            let name = scan.name()?;
            out.extend_from_slice(b"{\"key\":\"");
            out.extend_from_slice(text.get(name.start..name.end).unwrap_or_default());
            out.extend_from_slice(b"\",\"value\":");
        }
        write_value(text, scan, depth + 1, out)?;
        if is_object {
            out.push(b'}');
        }
        if scan.take(b',') {
            out.push(b',');
        } else {
            scan.expect(close, "the end of a container")?;
            is_done = true;
        }
    }
    out.extend_from_slice(b"]}}");
    Ok(())
}

/// Appends a string, number, `true`, `false` or `null`. A number that neither kind of the model can hold stays a text.
fn write_scalar(text: &[u8], out: &mut Vec<u8>) {
    let number = std::str::from_utf8(text).unwrap_or_default();
    let is_whole = number.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let wrap = |before: &[u8], after: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(before);
        out.extend_from_slice(text);
        out.extend_from_slice(after);
    };
    match text.first() {
        Some(b'"') => wrap(b"{\"stringValue\":", b"}", out),
        Some(b't' | b'f') => wrap(b"{\"boolValue\":", b"}", out),
        Some(b'n') | None => out.extend_from_slice(b"{}"),
        Some(b'{' | b'[') => write_text(text, out),
        _ if is_whole && number.parse::<i64>().is_ok() => wrap(b"{\"intValue\":\"", b"\"}", out),
        _ if !is_whole && number.parse::<f64>().is_ok_and(f64::is_finite) => {
            wrap(b"{\"doubleValue\":", b"}", out);
        }
        _ => write_text(text, out),
    }
}

/// Appends a JSON text as a string.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"stringValue\":");
    quote_into(text, out);
    out.push(b'}');
}
