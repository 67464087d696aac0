//! Whether a file can be trusted
