//! What if nobody reads the records any more?

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::scene::Scene;
use crate::book::Book;
use crate::trail::{plain_upstream, telling};

#[test]
fn a_pipe_that_is_not_read_stops_what_requires_the_trail_until_it_is() {
    let upstream = plain_upstream();
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("records");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // Opened without waiting for the writer; read blocking, like any reader.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
    let mut reader = File::options().read(true).custom_flags(nonblocking).open(&fifo).unwrap();
    let setup = telling(&upstream).recording_to_stdout().stdout(fifo.to_str().unwrap());
    let mut scene = Scene::around("pipe not read", upstream, setup, None);
    rustix::io::ioctl_fionbio(&reader, false).unwrap();
    let refused = scene.assert_fails_closed();

    let text = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&text);
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            kept.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
    scene.assert_recovers(refused);
    let ended = scene.end_with(|| {
        reading.join().unwrap();
        Book::of_output(&String::from_utf8(text.lock().unwrap().clone()).unwrap())
    });
    ended.assert_complete();
}
