//! How are connections, bodies, deadlines, the upstream and the end of the process dealt with?

mod audit;
mod bodies;
mod budget;
mod callers;
mod connections;
mod drain;
mod endings;
mod http2;
mod make;
mod operators;
mod process;
mod tls;
mod upstream;
