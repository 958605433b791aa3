//! What exactly is found.
