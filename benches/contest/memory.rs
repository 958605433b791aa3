//! How much memory do many uploads at once need: in a fresh process, after sustained load, and when they do not fit?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::alone::Told;
use crate::contestants::{Contestant, Running, Variant, start};
use crate::goals::line;
use crate::lines::{Door, Outcome, Shot, connect};
use crate::load::{self, Cpu};
use crate::plan::{AT_ONCE, Contest, LARGE_LINES, LINES};
use crate::wire::read_message;

/// Of the crowded gateway, its default.
const BYTE_BUDGET: f64 = 128.0 * 1024.0 * 1024.0;
const OVERHEAD: f64 = 32.0 * 1024.0 * 1024.0;
/// Uploads at once when they do not fit: of 5 MB each three times the budget.
const FLOOD: usize = 80;
/// So many callers send them; this process holds a message for each.
const FLOODING: usize = 16;
/// Turns after the sustained load, of which the worst counts.
const TURNS: usize = 3;
const NO_CPU: Cpu<'static> = &|| Duration::ZERO;

pub fn measure(contest: &Contest<'_>) -> Outcome<Told> {
    let start = |contestant| start(contestant, Variant::Tls, contest.upstream(Variant::Tls), &contest.place);
    let upload = Shot::new(&contest.traffic.upload, true);
    let in_flight = (contest.traffic.upload.bare.len() * AT_ONCE) as f64;
    let running = start(Contestant::Gateway)?;
    let turn = || peak_of(&running, load::at_once(running.address, &upload, AT_ONCE, NO_CPU));
    let fresh = turn()?.1 / in_flight;
    load::run(sustained(contest, &running))?;
    let after = (0..TURNS).map(|_| Ok(turn()?.1 / in_flight)).collect::<Outcome<Vec<_>>>()?;
    drop(running);
    let crowded = start(Contestant::Crowded)?;
    let uploads = Shot::of_each(&contest.traffic.upload, FLOODING);
    let time = contest.options.slice(2000);
    let flood = flood(crowded.address, &uploads, FLOOD, time);
    let ((taken, refused), flooded) = peak_of(&crowded, flood)?;
    if taken == 0 || refused == 0 {
        return Err(format!("of the uploads that do not fit {taken} were taken and {refused} refused"));
    }
    let limit = (1.25f64.mul_add(BYTE_BUDGET, OVERHEAD) / 1e6).round();
    let flooded =
        line("M: peak RSS above idle, MB, 80 uploads at once, byte budget 134 MB", flooded / 1e6, limit);
    let lines = vec![
        line("M: peak RSS above idle, × bytes in flight, fresh", fresh, 1.1),
        line("M: the same after sustained load", after.into_iter().fold(0.0, f64::max), 1.25),
        format!("{flooded}; {taken} were taken and {refused} refused"),
    ];
    Ok(Told { lines, ..Told::default() })
}

/// What comes of a load, and the most bytes that were resident during it beyond those of the idle process.
fn peak_of<T>(running: &Running, load: impl Future<Output = Outcome<T>>) -> Outcome<(T, f64)> {
    running.process.forget_peak();
    let came = load::run(load)?;
    Ok((came, running.process.peak_kib().saturating_sub(running.process.idle_kib) as f64 * 1024.0))
}

/// Small requests, uploads and answers of 5 MB, all at once.
async fn sustained(contest: &Contest<'_>, running: &Running) -> Outcome<()> {
    let (traffic, time) = (&contest.traffic, contest.options.slice(3000));
    let (small, upload) = (Shot::new(&traffic.small, true), Shot::new(&traffic.upload, true));
    let (download, door) = (Shot::new(&traffic.download, true), Door::Http1(running.address));
    let saturate = |shot, lines| load::saturate(&door, shot, lines, Duration::ZERO, time, NO_CPU);
    let (smalls, large) = (saturate(&small, LINES), saturate(&upload, LARGE_LINES));
    tokio::try_join!(smalls, large, saturate(&download, LARGE_LINES))?;
    Ok(())
}

/// More than fits, for so long: a refusal is an answer, too, and who was refused comes again. Gives how many requests
/// succeeded, and how many did not.
async fn flood(
    address: SocketAddr,
    shots: &Arc<[Shot]>,
    lines: usize,
    time: Duration,
) -> Outcome<(u64, u64)> {
    let over = Instant::now() + time;
    let tasks: Vec<_> = (0..lines)
        .map(|number| {
            let shots = shots.clone();
            tokio::spawn(async move {
                let (mut taken, mut refused) = (0, 0);
                for turn in (number..).step_by(lines) {
                    if Instant::now() > over {
                        break;
                    }
                    let tried = tokio::time::timeout(
                        Duration::from_secs(10),
                        attempt(address, &shots[turn % shots.len()]),
                    );
                    if matches!(tried.await, Ok(Ok(true))) {
                        taken += 1;
                    } else {
                        refused += 1;
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                (taken, refused)
            })
        })
        .collect();
    let mut sum = (0, 0);
    for task in tasks {
        let (taken, refused) = task.await.map_err(|error| error.to_string())?;
        sum = (sum.0 + taken, sum.1 + refused);
    }
    Ok(sum)
}

/// One request on a connection of its own, whose answer may come before it is sent: whether it succeeded.
async fn attempt(address: SocketAddr, shot: &Shot) -> Outcome<bool> {
    let (mut reader, mut writer) = connect(address).await?.into_split();
    let mut buffer = Vec::new();
    let (_, answered) = tokio::join!(writer.write_all(&shot.message), read_message(&mut reader, &mut buffer));
    answered.map_err(|error| error.to_string())?;
    Ok(buffer.starts_with(b"HTTP/1.1 200"))
}
