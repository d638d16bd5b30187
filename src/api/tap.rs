//! `GET /tap/<id>`: a live sample of the events that pass a component, one JSON object a line.
//!
//! Events hold code, and in front of a `redact` secrets too. So it is asked who wants to see them: the peer's address
//! has to be one of this machine, unless the config says `tap = "everyone"`. A web page in a browser on this machine has
//! such an address as well. It can be told by what browsers add: an `Origin`, a `Sec-Fetch-Site`, or, where a page has
//! turned its own name into our address (DNS rebinding), that name in `Host`. A proxy is told by what it adds.
//!
//! Events become JSON here, on the task of the API. Lines that are no object are notes, for those who ask for them by
//! `notes=true`: `["skipped",N]`, `["end",WHY]`. A blank line now and then finds out whether anybody is still there.

use crate::codec::{Encoder, Encoding};
use crate::delivery::{Tap, clock};
use crate::event::{Event, Origin};
use crate::topology::{Status, TapPolicy, nearest};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use futures_util::Stream;
use futures_util::stream::unfold;
use hyper::body::{Frame, Incoming};
use hyper::header::{FORWARDED, HOST, HeaderMap, ORIGIN, VIA};
use hyper::{Request, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Taps at a time.
const TAPS_MAX: usize = 16;
/// Events that wait are sent together, up to so many bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often it is looked whether something else than an event is to be told.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After so long without an event, a blank line is sent.
const QUIET_MAX: Duration = Duration::from_secs(15);

/// Lines for as long as the tap is open.
pub type Lines = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// Why a request gets no tap: a status, and what to say.
pub struct Refused(pub StatusCode, pub Value);

fn refused(code: StatusCode, why: impl Into<String>) -> Refused {
    Refused(code, json!({"error": why.into()}))
}

/// Opens the tap that `request` from `peer` asks for; `open` counts those that are.
pub fn open(
    request: &Request<Incoming>,
    peer: SocketAddr,
    status: &Arc<Status>,
    open: &Arc<AtomicUsize>,
) -> Result<Lines, Refused> {
    may_see(status.tap(), peer.ip(), request.uri(), request.headers())
        .map_err(|why| refused(StatusCode::FORBIDDEN, why))?;
    let wanted = Wanted::read(request.uri()).map_err(|why| refused(StatusCode::BAD_REQUEST, why))?;
    let Some((component, port)) = status.find(&wanted.output) else {
        let outputs = status.outputs();
        let near = nearest(&wanted.output, outputs.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are `{}`", outputs.join("`, `")),
        };
        let error = format!("nothing passes at `{}`: {help}", wanted.output);
        return Err(Refused(StatusCode::NOT_FOUND, json!({"error": error, "outputs": outputs})));
    };
    let place = Place::take(open).ok_or_else(|| {
        let why = format!("{TAPS_MAX} taps are open: end one of them");
        refused(StatusCode::SERVICE_UNAVAILABLE, why)
    })?;
    let encoder = Encoder::new(&Encoding::default(), false)
        .map_err(|invalid| refused(StatusCode::INTERNAL_SERVER_ERROR, invalid.message))?;
    let flow = Flow {
        tap: component.tap(port.as_deref()),
        status: Arc::clone(status),
        wanted,
        encoder,
        told: 0,
        heard: clock::monotonic(),
        looked: clock::monotonic(),
        is_over: false,
        _place: place,
    };
    Ok(Box::pin(unfold(flow, Flow::step)))
}

/// Whether who asks may see events; else why not, and what to do.
fn may_see(policy: TapPolicy, peer: IpAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
    let is_here = |ip: IpAddr| ip.to_canonical().is_loopback();
    match policy {
        TapPolicy::Off => return Err("`tap = \"off\"` in `[api]` shows events to nobody".to_owned()),
        TapPolicy::Loopback if !is_here(peer) => {
            let do_it = "ask on the machine itself, or set `tap = \"everyone\"` in `[api]`";
            return Err(format!("events are shown to this machine only: {do_it}"));
        }
        TapPolicy::Loopback
            if headers.contains_key(FORWARDED) || headers.contains_key(VIA) || is_proxied(headers) =>
        {
            return Err("events are shown to this machine only, and this comes by a proxy".to_owned());
        }
        TapPolicy::Loopback | TapPolicy::Everyone => {}
    }
    let is_fetched = headers.get_all("sec-fetch-site").iter().any(|site| site != "none");
    if headers.contains_key(ORIGIN) || is_fetched {
        return Err("web pages may not see events".to_owned());
    }
    // A name may be anybody's who has it lead here. An address is what it is.
    let is_fine = |host: &str| match host_of(host) {
        Some(Host::Ip(ip)) => policy == TapPolicy::Everyone || is_here(ip),
        Some(Host::Localhost) => true,
        None => false,
    };
    let mut hosts = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let is_only = matches!((hosts.next(), hosts.next()), (Some(host), None) if is_fine(host));
    let is_asked = uri.authority().is_none_or(|authority| is_fine(authority.as_str()));
    match is_only && is_asked {
        true => Ok(()),
        false => {
            let which = if policy == TapPolicy::Everyone { "an IP address" } else { "127.0.0.1" };
            Err(format!("web pages may not see events: ask for them by {which}, not by a name"))
        }
    }
}

/// Whether a proxy says for whom it asks.
fn is_proxied(headers: &HeaderMap) -> bool {
    ["x-forwarded-for", "x-forwarded-host", "x-real-ip"].iter().any(|name| headers.contains_key(*name))
}

enum Host {
    Ip(IpAddr),
    Localhost,
}

/// What stands in front of the port; none where it is a name.
fn host_of(authority: &str) -> Option<Host> {
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return Some(Host::Ip(address.ip()));
    }
    let bare = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(authority);
    if let Ok(ip) = bare.parse() {
        return Some(Host::Ip(ip));
    }
    let name = authority.split_once(':').map_or(authority, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost").then_some(Host::Localhost)
}

/// What a request asks for.
struct Wanted {
    /// A component, or a port of one.
    output: String,
    /// Events to come; none where there is no end.
    left: Option<u64>,
    /// Whether each event says where it was read, as its member `%`.
    origin: bool,
    /// Whether notes are wanted.
    notes: bool,
}

impl Wanted {
    fn read(uri: &Uri) -> Result<Wanted, String> {
        let name = uri.path().strip_prefix("/tap/").unwrap_or_default();
        let output = percent_decode_str(name).decode_utf8_lossy().into_owned();
        let mut wanted = Wanted { output, left: None, origin: false, notes: false };
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("limit", number) => {
                    let number = number.parse().ok().filter(|number| *number > 0);
                    wanted.left = Some(number.ok_or("`limit` is a number of events, 1 or more")?);
                }
                ("origin", "true") => wanted.origin = true,
                ("notes", "true") => wanted.notes = true,
                ("origin" | "notes", "false") => {}
                _ => return Err("it may be asked with `limit=N`, `origin=true` and `notes=true`".to_owned()),
            }
        }
        Ok(wanted)
    }
}

/// One of the places that there are for taps; free again when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Place> {
        let more = |count| (count < TAPS_MAX).then_some(count + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(open)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A tap and who listens to it.
struct Flow {
    tap: Tap,
    status: Arc<Status>,
    wanted: Wanted,
    encoder: Encoder,
    /// How many skipped events the client knows of.
    told: u64,
    /// When it was sent something last.
    heard: Instant,
    /// When it was looked whether it may go on.
    looked: Instant,
    is_over: bool,
    _place: Place,
}

impl Flow {
    /// Waits for what there is to send next.
    async fn step(mut self) -> Option<(Result<Frame<Bytes>, Infallible>, Flow)> {
        let mut out = Vec::new();
        while out.is_empty() && !self.is_over {
            tokio::select! {
                biased;
                event = self.tap.next() => match event {
                    Some(event) => self.write_all(event, &mut out),
                    None => self.end("the component has ended", &mut out),
                },
                () = sleep(LOOK_EVERY) => self.look(&mut out),
            }
        }
        if out.is_empty() {
            return None;
        }
        self.heard = clock::monotonic();
        Some((Ok(Frame::data(out.into())), self))
    }

    /// Writes an event and those that wait behind it.
    fn write_all(&mut self, first: Event, out: &mut Vec<u8>) {
        let mut next = Some(first);
        while let Some(event) = next {
            self.write(&event, out);
            if let Some(left) = &mut self.wanted.left {
                *left -= 1;
                if *left == 0 {
                    return self.end("", out);
                }
            }
            next = if out.len() < CHUNK_BYTES { self.tap.next_now() } else { None };
        }
        // Where events never end, nothing else would be looked at.
        if clock::monotonic().duration_since(self.looked) >= LOOK_EVERY {
            self.look(out);
        }
    }

    fn write(&self, event: &Event, out: &mut Vec<u8>) {
        self.encoder.encode(event, out);
        if self.wanted.origin {
            // In front of the brace and the newline.
            out.truncate(out.len() - 2);
            let comma = if out.last() == Some(&b'{') { "" } else { "," };
            out.extend_from_slice(format!("{comma}\"%\":{}}}\n", origin(event.origin())).as_bytes());
        }
    }

    fn look(&mut self, out: &mut Vec<u8>) {
        self.looked = clock::monotonic();
        self.tell_of_skipped(out);
        if self.status.is_stopping() {
            self.end("it is stopping", out);
        } else if self.status.tap() == TapPolicy::Off {
            self.end("another config shows events to nobody", out);
        } else if self.status.find(&self.wanted.output).is_none() {
            self.end("another config has no such component or port", out);
        } else if out.is_empty() && self.looked.duration_since(self.heard) >= QUIET_MAX {
            out.push(b'\n');
        }
    }

    fn tell_of_skipped(&mut self, out: &mut Vec<u8>) {
        let skipped = self.tap.skipped();
        if skipped != std::mem::replace(&mut self.told, skipped) {
            self.note(&json!(["skipped", skipped]), out);
        }
    }

    fn end(&mut self, why: &str, out: &mut Vec<u8>) {
        self.is_over = true;
        self.tell_of_skipped(out);
        self.note(&json!(["end", why]), out);
    }

    fn note(&self, note: &Value, out: &mut Vec<u8>) {
        if self.wanted.notes {
            out.extend_from_slice(format!("{note}\n").as_bytes());
        }
    }
}

/// Where an event was read, by the names that programs use, without their `%`.
fn origin(origin: &Origin) -> Value {
    let stream = origin.stream();
    let received = i64::try_from(origin.received_ms()).ok().and_then(DateTime::from_timestamp_millis);
    let mut members = Map::new();
    members.insert("source".to_owned(), stream.source.as_str().into());
    for (name, value) in [("file", &stream.file), ("container", &stream.container), ("peer", &stream.peer)] {
        members.extend(value.as_ref().map(|value| (name.to_owned(), value.as_str().into())));
    }
    members.insert("offset".to_owned(), origin.offset().into());
    let received = received.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true);
    members.insert("received".to_owned(), received.into());
    members.insert("id".to_owned(), origin.id().into());
    if let Some(refusal) = &stream.refusal {
        members.insert("reject_reason".to_owned(), refusal.reason.as_str().into());
        members.extend(refusal.status.map(|status| ("reject_status".to_owned(), status.into())));
        members.insert("reject_answer".to_owned(), refusal.answer.as_str().into());
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(policy: TapPolicy, peer: &str, headers: &[(&'static str, &str)]) -> bool {
        let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        may_see(policy, peer.parse().unwrap(), &Uri::from_static("/tap/x"), &pairs.collect()).is_ok()
    }

    #[test]
    fn only_this_machine_sees_events_unless_told_otherwise() {
        use TapPolicy::{Everyone, Loopback, Off};
        let host = |host| [("host", host)];
        for (policy, peer, named, expected) in [
            (Loopback, "127.0.0.1", "127.0.0.1:8686", true),
            (Loopback, "127.8.9.1", "localhost:8686", true),
            (Loopback, "::ffff:127.0.0.1", "LOCALHOST", true),
            (Loopback, "::1", "[::1]:8686", true),
            (Loopback, "::1", "[::1]", true),
            (Loopback, "10.0.0.7", "127.0.0.1:8686", false),
            (Loopback, "127.0.0.1", "10.0.0.7:8686", false),
            (Loopback, "127.0.0.1", "page.example.org:8686", false),
            (Loopback, "127.0.0.1", "localhost.example.org", false),
            (Loopback, "127.0.0.1", "127.0.0.1.example.org", false),
            (Loopback, "127.0.0.1", "", false),
            (Everyone, "10.0.0.7", "10.0.0.8:8686", true),
            (Everyone, "10.0.0.7", "[fd00::8]:8686", true),
            (Everyone, "10.0.0.7", "page.example.org:8686", false),
            (Off, "127.0.0.1", "127.0.0.1:8686", false),
        ] {
            assert_eq!(may(policy, peer, &host(named)), expected, "{policy:?} {peer} {named}");
        }
        assert!(!may(Loopback, "127.0.0.1", &[]));
        assert!(!may(Loopback, "127.0.0.1", &[("host", "127.0.0.1"), ("host", "page.example.org")]));
    }

    #[test]
    fn what_a_browser_or_a_proxy_asks_for_is_refused() {
        let with = |policy, name, value| may(policy, "127.0.0.1", &[("host", "127.0.0.1:1"), (name, value)]);
        for policy in [TapPolicy::Loopback, TapPolicy::Everyone] {
            for (name, value) in [
                ("origin", "http://page.example.org"),
                ("origin", "null"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-origin"),
            ] {
                assert!(!with(policy, name, value), "{name}: {value}");
            }
            assert!(with(policy, "sec-fetch-site", "none"), "somebody has typed the address");
        }
        for name in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
            assert!(!with(TapPolicy::Loopback, name, "10.0.0.7"), "{name}");
            assert!(with(TapPolicy::Everyone, name, "10.0.0.7"), "{name}");
        }
        let absolute = Uri::from_static("http://page.example.org/tap/x");
        let host = [(HOST, "127.0.0.1".parse().unwrap())].into_iter().collect();
        assert!(may_see(TapPolicy::Loopback, "127.0.0.1".parse().unwrap(), &absolute, &host).is_err());
    }

    #[test]
    fn a_request_says_what_it_wants_or_is_refused() {
        let read = |uri: &'static str| Wanted::read(&Uri::from_static(uri));
        let wanted = read("/tap/a%20b.faults?limit=3&origin=true").ok().unwrap();
        assert_eq!((wanted.output.as_str(), wanted.left), ("a b.faults", Some(3)));
        assert!(wanted.origin && !wanted.notes);
        for uri in
            ["/tap/x?limit=0", "/tap/x?limit=", "/tap/x?limit=-1", "/tap/x?origin=maybe", "/tap/x?more"]
        {
            assert!(read(uri).is_err(), "{uri}");
        }
    }
}
