//! WebSockets against servers on loopback.
