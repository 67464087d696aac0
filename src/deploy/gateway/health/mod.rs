//! Whether the gateway answers, is ready, and is reachable from outside.

pub mod exposure;
pub mod liveness;
pub mod readiness;
