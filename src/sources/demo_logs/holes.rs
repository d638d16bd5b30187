//! What fills the `‹holes›` of a template.
//!
//! No value needs an escape in JSON or in an Elixir literal, and none begins with `{`: a template's fixed parts are
//! escaped once, when it is read, and a value is the same bytes in every form. A test holds the words to that.

use super::prng::{mix, scale};

/// What a template is filled from. The same facts give the same text, in whichever form: that is how the second
/// record of an evaluation repeats the first.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Decides every random value.
    pub seed: u64,
    /// The name of the user that the record is about.
    pub name: &'a str,
    /// How long the work took that the record speaks of.
    pub elapsed_ms: u64,
}

impl Facts<'static> {
    /// Facts about nobody.
    pub fn of_seed(seed: u64) -> Self {
        Facts { seed, name: "", elapsed_ms: 0 }
    }
}

/// A place to fill.
#[derive(Debug)]
pub struct Hole {
    kind: Kind,
    /// Tells holes of one kind apart: from the marker's whole text.
    salt: u64,
}

#[derive(Debug)]
enum Kind {
    Word(&'static [&'static str]),
    Number { low: u64, end: u64 },
    Random { alphabet: &'static [u8], length: usize },
    Name,
    Elapsed,
}

/// As in Livebook's own ids, which are base32 in lower case. A power of two, as every alphabet here.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE16: &[u8; 16] = b"0123456789abcdef";

const WORDS: [(&str, &[&str]); 12] = [
    (
        "table",
        &[
            "orders",
            "invoices",
            "shipments",
            "visits",
            "readings",
            "refunds",
            "tickets",
            "trips",
            "deliveries",
            "leases",
            "donations",
            "tides",
        ],
    ),
    (
        "field",
        &[
            "amount", "quantity", "duration", "weight", "score", "latency", "price", "distance", "rating",
            "depth", "humidity", "mileage",
        ],
    ),
    (
        "group",
        &["region", "country", "status", "plan", "category", "warehouse", "channel", "harbour", "crew"],
    ),
    (
        "var",
        &[
            "result", "sample", "snapshot", "totals", "recent", "cleaned", "subset", "report", "window",
            "df", "rows",
        ],
    ),
    (
        "module",
        &[
            "Forecast",
            "Ledger",
            "Inventory",
            "Harbour",
            "Tariff",
            "Beehive",
            "Timetable",
            "Almanac",
            "Orchard",
        ],
    ),
    (
        "city",
        &[
            "Tromsø",
            "Kraków",
            "大阪",
            "Valparaíso",
            "Reykjavík",
            "Zürich",
            "Nairobi",
            "Łódź",
            "Αθήνα",
            "Bergen",
            "Tartu",
            "Київ",
            "Porto",
            "Cork",
            "Hội An",
        ],
    ),
    (
        "person",
        &["Ilse", "Mateusz", "Nkechi", "Søren", "Yuki", "Zoë", "Tomás", "Aroha", "Dariusz", "Leïla", "Bram"],
    ),
    (
        "host",
        &[
            "api.example.com",
            "data.example.org",
            "metrics.example.net",
            "warehouse.example.com",
            "open.example.org",
        ],
    ),
    ("app", &["tide-tables", "stock-count", "rota", "invoice-check", "beehive-monitor", "crew-planner"]),
    (
        "page",
        &[
            "intro-to-livebook",
            "elixir-and-livebook",
            "intro-to-kino",
            "intro-to-explorer",
            "vm-introspection",
        ],
    ),
    ("status", &["200", "200", "200", "200", "200", "200", "302", "304"]),
    ("colour", &["F87171", "FBBF24", "34D399", "60A5FA", "A78BFA", "F472B6"]),
];

impl Hole {
    /// Reads what stands between the marks: a kind, and a label behind a colon where there are several of it.
    pub fn parse(marker: &str) -> Option<Self> {
        let kind = marker.split(':').next()?;
        let salt = marker.bytes().fold(0, |salt, byte| mix(salt ^ u64::from(byte)));
        Some(Hole { kind: Kind::parse(kind)?, salt })
    }

    /// Appends the value that the facts give it.
    pub fn write(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        let draw = mix(facts.seed ^ self.salt);
        match self.kind {
            Kind::Word(words) => {
                let at = scale(draw, words.len() as u64) as usize;
                out.extend_from_slice(words.get(at).copied().unwrap_or_default().as_bytes());
            }
            Kind::Number { low, end } => write_number(low + scale(draw, end - low), out),
            Kind::Random { alphabet, length } => write_random(draw, alphabet, length, out),
            Kind::Name => out.extend_from_slice(facts.name.as_bytes()),
            Kind::Elapsed if facts.elapsed_ms == 0 => {
                write_number(100 + scale(draw, 900), out);
                out.extend_from_slice("µs".as_bytes());
            }
            Kind::Elapsed => {
                write_number(facts.elapsed_ms, out);
                out.extend_from_slice(b"ms");
            }
        }
    }
}

impl Kind {
    fn parse(name: &str) -> Option<Self> {
        if let Some((_, words)) = WORDS.iter().find(|(kind, _)| *kind == name) {
            return Some(Kind::Word(words));
        }
        Some(match name {
            "d1" => Kind::Number { low: 2, end: 10 },
            "d2" => Kind::Number { low: 10, end: 100 },
            "d3" => Kind::Number { low: 100, end: 1000 },
            "d4" => Kind::Number { low: 1000, end: 10_000 },
            "d6" => Kind::Number { low: 100_000, end: 1_000_000 },
            "year" => Kind::Number { low: 2019, end: 2026 },
            "id" => Kind::Random { alphabet: BASE32, length: 32 },
            "asset" => Kind::Random { alphabet: BASE32, length: 26 },
            "request" => Kind::Random { alphabet: BASE64, length: 18 },
            "hex" => Kind::Random { alphabet: BASE16, length: 12 },
            "name" => Kind::Name,
            "elapsed" => Kind::Elapsed,
            _ => return None,
        })
    }
}

/// Appends `number` in decimal.
pub fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

fn write_random(mut draw: u64, alphabet: &[u8], length: usize, out: &mut Vec<u8>) {
    let bits = alphabet.len().trailing_zeros();
    let mut left = 0;
    let mut pool = 0;
    for _ in 0..length {
        if left < bits {
            draw = mix(draw.wrapping_add(1));
            pool = draw;
            left = u64::BITS;
        }
        let at = (pool as usize) & (alphabet.len() - 1);
        out.push(alphabet.get(at).copied().unwrap_or(b'a'));
        pool >>= bits;
        left -= bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::string::quote_into;
    use crate::livebook::inspect::write_literal;

    fn write(marker: &str, seed: u64) -> String {
        let mut out = Vec::new();
        Hole::parse(marker).unwrap().write(&Facts { seed, name: "Ada", elapsed_ms: 7 }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn words_are_the_same_in_every_form() {
        for word in WORDS.iter().flat_map(|(_, words)| words.iter()) {
            let (mut json, mut literal) = (Vec::new(), Vec::new());
            quote_into(word.as_bytes(), &mut json);
            write_literal(word.as_bytes(), &mut literal);
            let quoted = format!("\"{word}\"").into_bytes();
            assert_eq!((&json, &literal), (&quoted, &quoted));
            assert!(!word.starts_with('{'));
        }
    }

    #[test]
    fn a_value_depends_on_the_whole_marker_and_on_the_seed() {
        assert_eq!(write("id", 1), write("id", 1));
        assert_ne!(write("id", 1), write("id", 2));
        assert_ne!(write("id", 1), write("id:b", 1));
        assert_eq!(write("id", 1).len(), 32);
        assert_eq!((write("name", 1).as_str(), write("elapsed", 1).as_str()), ("Ada", "7ms"));
        assert!((0..500).all(|seed| write("d3", seed).len() == 3));
        assert!(Hole::parse("nothing").is_none());
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
