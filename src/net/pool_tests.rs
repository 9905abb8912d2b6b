//! Connections as the core sees them: shared, raced, lost and opened again.
