//! evaltrail turns the logs of a notebook server (Livebook) into an audit trail of code evaluation.
pub mod event;
