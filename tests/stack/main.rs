//! What does the stack promise around its stages, and what stands in the audit about it?

mod audit_lines;
mod documented;
mod fixture;
mod order;
mod panics;
