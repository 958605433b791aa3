//! Are questions to the log answered, by what stands in it and nothing else?

mod answers;
mod commands;
mod log;
mod maintenance;
mod speed;
