//! evaltrail turns the logs of a notebook server (Livebook) into an audit trail of code evaluation.
//!
//! The modules are layers: each uses only those above it in this list. See ARCHITECTURE.md.

pub mod event;

pub mod livebook;

pub mod codec;

pub mod language;

pub mod transforms;

pub mod delivery;

pub mod net;

pub mod trail;

pub mod sources;

pub mod sinks;

pub mod topology;

pub mod api;

pub mod config;

pub mod cli;
