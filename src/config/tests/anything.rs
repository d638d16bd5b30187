//! Whatever the text: no panic, and every place is in it.

use super::components::{TESTED, variable};
use super::sources;
use crate::config::{Environment, load};
use proptest::prelude::*;

const PIECES: [&str; 40] = [
    "[sources.demo]\n",
    "[sources.b]\n",
    "[transforms.t]\n",
    "[sinks.out]\n",
    "[sinks]\n",
    "[[sources]]\n",
    "[sources.demo.decoding]\n",
    "type = \"demo\"\n",
    "type = \"pass\"\n",
    "type = \"out\"\n",
    "type = \"${TYPE:-null}\"\n",
    "type = \"null\"\n",
    "type = 5\n",
    "inputs = [\"demo\"]\n",
    "inputs = [\"t*\", \"demo.faults\", \"*\"]\n",
    "inputs = [\"*.?*\", \"${IN}\", 5]\n",
    "inputs = []\n",
    "_format = \"livebook_json\"\n",
    "_format = \"${SECRET}\"\n",
    "count = \"${COUNT}\"\n",
    "count = 1e9\n",
    "rate = \"é ${ NONE\"\n",
    "rate = inf\n",
    "size = 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_ffff_f\n",
    "size = -9223372036854775808\n",
    "on = 1979-05-27\n",
    "on = {}\n",
    "decoding.codec = []\n",
    "decoding = { codec = \"livebook_text\", timezone = '${SECRET}' }\n",
    "ports = [\"é é\", [[{}]]]\n",
    "uri = \"\"\"\nhttp\"\"\"\n",
    "uri = \"${SECRET}\"\r\n",
    "_token = \"\\u00e9${NONE:?é}\"\n",
    "_headers = { \"é\" = \"x\", b = 5 }\n",
    "buffer.max_events = 0\n",
    "data_dir = \"é\"\n",
    "é",
    "= ",
    "]\n",
    "\"",
];

proptest! {
    #[test]
    fn no_text_makes_it_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24), at in 0usize..24) {
        let (first, second) = pieces.split_at(at.min(pieces.len()));
        let files = sources(&[&first.concat(), &second.concat()]);
        for environment in [Environment::Of(&variable), Environment::Absent] {
            let diagnostics = match load(&files, &TESTED, environment) {
                Ok(loaded) => loaded.warnings,
                Err(diagnostics) => diagnostics,
            };
            for one in diagnostics {
                let also = one.more.iter().map(|(place, _)| place);
                for place in one.at.iter().chain(also) {
                    prop_assert!(files[place.file].text.get(place.span.clone()).is_some(), "{one:?}");
                }
                let text = format!("{one:?}");
                prop_assert!(!text.contains("hunter2") && !text.contains("1_000"), "{text}");
            }
        }
    }
}
