//! What a user would notice, held against the real program.
//!
//! The modules run the built binary in a temporary directory, with no environment but `TZ=UTC`, and look at its
//! output, its messages and its exit code. Only where a run for each case would take too long (`chunks`, `mutations`)
//! is the library called instead. What is expected is written down from what evaltrail promises, and from what
//! Livebook is known to write.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may panic, talk, and look at the clock"
)]

mod api;
mod book;
mod cases;
mod chunks;
mod config_tests;
mod configs;
mod contributing_example;
mod corpus;
mod corpus_wrapped;
mod crash;
mod dashboards;
mod dead_letters;
mod describe;
mod dice;
mod disk_buffer;
mod evaluations;
mod explain;
mod faults;
mod file_model;
mod file_sink;
mod file_source;
mod files;
mod files_once;
mod graph;
mod harness;
mod http_chain;
mod http_client;
mod http_crash;
mod http_curl;
mod http_idle;
mod http_limits;
mod http_nginx;
mod http_server;
mod http_sink;
mod http_tls;
mod inproc;
mod json_shapes;
mod logs;
mod memory;
mod mutations;
mod options;
mod own_logs;
mod packaging;
mod policy;
mod presets;
mod process;
mod progress;
mod ready;
mod receiver;
mod redact;
mod registry;
mod reload;
mod reload_sinks;
mod schema;
mod schemas;
mod signals;
mod simulation;
mod soak;
mod start_up;
mod systemd;
mod tap;
mod text;
mod tools;
mod top;
mod trail;
mod trail_crash;
mod trail_keygen;
mod trail_refused;
mod trail_show;
mod trail_verify;
mod unwrap;
mod vector;
mod vrl_command;
mod vrl_examples;
mod vrl_flow;
mod vrl_functions;
mod vrl_prompt;
mod vrl_remap;
mod wrap;
