//! How are requests sent, and how long does each take?

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::sync::Barrier;

use crate::lines::{Door, Line, Outcome, Shot, open};

/// What came of a load.
#[derive(Default)]
pub struct Tally {
    pub requests: u64,
    pub elapsed: Duration,
    pub cpu: Duration,
    pub latencies: Vec<Duration>,
}

/// A clock of what the contestant has spent.
pub type Cpu<'a> = &'a dyn Fn() -> Duration;

/// Runs `load` on a runtime of this thread's own.
pub fn run<T>(load: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(load)
}

/// Each of `lines` sends its next request when its last is answered; what the first `warm` brings is not counted.
pub async fn saturate(
    door: &Door,
    shot: &Shot,
    lines: usize,
    warm: Duration,
    time: Duration,
    cpu: Cpu<'_>,
) -> Outcome<Tally> {
    saturate_with(door, &[shot.clone()].into(), lines, warm, time, cpu).await
}

/// The same with several requests in turn.
pub async fn saturate_with(
    door: &Door,
    shots: &Arc<[Shot]>,
    lines: usize,
    warm: Duration,
    time: Duration,
    cpu: Cpu<'_>,
) -> Outcome<Tally> {
    let (over, counting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for (number, mut line) in open(door, lines).await?.into_iter().enumerate() {
        let (over, counting, count, shots) = (over.clone(), counting.clone(), count.clone(), shots.clone());
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            let mut turns = (number..).step_by(lines);
            while !over.load(Ordering::Relaxed) {
                let shot = &shots[turns.next().unwrap_or(number) % shots.len()];
                let started = Instant::now();
                line.exchange(shot).await?;
                count.fetch_add(1, Ordering::Relaxed);
                if counting.load(Ordering::Relaxed) {
                    latencies.push(started.elapsed());
                }
            }
            Ok::<_, String>(latencies)
        }));
    }
    tokio::time::sleep(warm).await;
    counting.store(true, Ordering::Relaxed);
    let (started, spent, before) = (Instant::now(), cpu(), count.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let (elapsed, cpu) = (started.elapsed(), cpu() - spent);
    let requests = count.load(Ordering::Relaxed) - before;
    over.store(true, Ordering::Relaxed);
    Ok(Tally { requests, elapsed, cpu, latencies: gather(tasks).await? })
}

/// As many requests as fit into `time` after what a first one took, within `bounds`. What is not as it must be shows in the
/// first one, before anything is timed.
pub async fn fitting(
    door: &Door,
    shot: &Shot,
    lines: usize,
    time: Duration,
    bounds: (u64, u64),
    cpu: Cpu<'_>,
) -> Outcome<Tally> {
    let first = batch(door, shot, 1, 1, cpu).await?;
    let fit = (time.as_secs_f64() / first.elapsed.as_secs_f64()) as u64;
    batch(door, shot, lines, fit.clamp(bounds.0, bounds.1), cpu).await
}

/// So many requests altogether, on so many lines: the whole cost of each, where a single one takes long.
pub async fn batch(door: &Door, shot: &Shot, lines: usize, requests: u64, cpu: Cpu<'_>) -> Outcome<Tally> {
    let left = Arc::new(AtomicU64::new(requests));
    let opened = open(door, lines).await?;
    let (started, spent) = (Instant::now(), cpu());
    let tasks = opened.into_iter().map(|mut line| {
        let (left, shot) = (left.clone(), shot.clone());
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            let take = |left: u64| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let started = Instant::now();
                line.exchange(&shot).await?;
                latencies.push(started.elapsed());
            }
            Ok::<_, String>(latencies)
        })
    });
    let latencies = gather(tasks.collect()).await?;
    Ok(Tally { requests, elapsed: started.elapsed(), cpu: cpu() - spent, latencies })
}

/// So many requests a second, whatever becomes of those before; a request that must wait for its line has waited.
pub async fn at_rate(
    door: &Door,
    shot: &Shot,
    lines: usize,
    per_second: u32,
    time: Duration,
    cpu: Cpu<'_>,
) -> Outcome<Tally> {
    let opened = open(door, lines).await?;
    let step = Duration::from_secs(1) / per_second;
    let (begin, spent) = (Instant::now(), cpu());
    let tasks = opened.into_iter().enumerate().map(|(number, mut line)| {
        let shot = shot.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            let mut due = begin + step * number as u32;
            while due < begin + time {
                // The timer's own lateness, up to a millisecond, is not the contestant's.
                let late = Instant::now() > due;
                tokio::time::sleep_until(due.into()).await;
                let started = if late { due } else { Instant::now() };
                line.exchange(&shot).await?;
                latencies.push(started.elapsed());
                due += step * lines as u32;
            }
            Ok::<_, String>(latencies)
        })
    });
    let latencies = gather(tasks.collect()).await?;
    let requests = latencies.len() as u64;
    Ok(Tally { requests, elapsed: begin.elapsed(), cpu: cpu() - spent, latencies })
}

/// All lines send all but the last bytes of their upload; when all have, the rest: all are in flight at once.
pub async fn at_once(address: SocketAddr, shot: &Shot, lines: usize, cpu: Cpu<'_>) -> Outcome<Tally> {
    const LAST: usize = 64;
    let barrier = Arc::new(Barrier::new(lines));
    let opened = open(&Door::Http1(address), lines).await?;
    let (started, spent) = (Instant::now(), cpu());
    let tasks = opened.into_iter().map(|line| {
        let (barrier, shot) = (barrier.clone(), shot.clone());
        tokio::spawn(async move {
            let Line::Http1(mut line) = line else { return Err("not HTTP/1.1".to_owned()) };
            let begun = Instant::now();
            let (most, last) = shot.message.split_at(shot.message.len() - LAST);
            line.stream.write_all(most).await.map_err(|error| format!("sending: {error}"))?;
            barrier.wait().await;
            line.stream.write_all(last).await.map_err(|error| format!("sending: {error}"))?;
            line.receive(&shot).await?;
            Ok(vec![begun.elapsed()])
        })
    });
    // A line that fails leaves the others at the barrier.
    let all = tokio::time::timeout(Duration::from_secs(30), gather(tasks.collect())).await;
    let latencies = all.map_err(|_| "not answered within 30 s".to_owned())??;
    Ok(Tally { requests: lines as u64, elapsed: started.elapsed(), cpu: cpu() - spent, latencies })
}

async fn gather(tasks: Vec<tokio::task::JoinHandle<Outcome<Vec<Duration>>>>) -> Outcome<Vec<Duration>> {
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.map_err(|error| error.to_string())??);
    }
    Ok(latencies)
}
