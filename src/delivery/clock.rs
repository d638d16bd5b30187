//! The one place that asks what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, UTC.
#[allow(clippy::disallowed_methods, reason = "this is the place that the ban on clocks sends everybody to")]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A clock that never runs backwards, for waiting and for rates.
#[allow(clippy::disallowed_methods, reason = "this is the place that the ban on clocks sends everybody to")]
pub fn monotonic() -> Instant {
    Instant::now()
}
