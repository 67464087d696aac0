//! Whether the gateway answers, is ready, and is reachable from outside.

pub(crate) mod exposure;
pub(crate) mod liveness;
pub(crate) mod readiness;
