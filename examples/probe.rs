//! p
use dcams_gateway::config::*;
fn main() {
    let p: std::path::PathBuf = std::env::args().nth(1).unwrap().into();
    match load_with_secrets(&Source::of_process(p, vec![])) {
        Ok((l, _)) => println!("OK {}", l.warnings),
        Err(f) => println!("{f}"),
    }
    if std::env::args().nth(2).is_some() {
        println!("{:#}", json_schema());
    }
}
