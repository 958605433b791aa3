//! Does a byte cost the same in a large body, and a request the same among many callers and connections?

use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use crate::alone::Told;
use crate::contestants::{CALLERS, CONNECTIONS, Contestant, Running, Variant, start};
use crate::figures::median;
use crate::goals::{line, unmeasured};
use crate::lines::{Door, Held, Outcome, Shot};
use crate::load;
use crate::plan::{Contest, LARGE_LINES, LINES};
use crate::traffic::SIZES;

const ROUNDS: usize = 3;
/// What is flat may rise by this.
const FLAT: f64 = 1.15;
/// The size whose CPU per byte the others are compared with, and the least that is compared: below it the cost of the
/// request hides that of its bytes.
const COMPARED_WITH: usize = 1_000_000;
const COMPARED_FROM: usize = 100_000;
/// Connections that are opened at the same time.
const TOGETHER: usize = 64;
/// About so many bytes are sent of each size in a round.
const BYTES_A_ROUND: usize = 50_000_000;

pub fn measure(contest: &Contest<'_>) -> Outcome<Told> {
    let start = |contestant| start(contestant, Variant::Tls, contest.upstream(Variant::Tls), &contest.place);
    let mut told = Told::default();
    told.tables.push_str("**growth**: CPU of the gateway alone, medians of three rounds; TLS upstream\n\n");
    told.add(with_size(contest, &start(Contestant::Gateway)?)?);
    let crowded = start(Contestant::Crowded)?;
    told.add(with_callers(contest, &crowded)?);
    told.add(with_connections(contest, &crowded)?);
    Ok(told)
}

fn with_size(contest: &Contest<'_>, running: &Running) -> Outcome<Told> {
    let (door, cpu) = (Door::Http1(running.address), || running.process.cpu());
    let shots: Vec<_> = contest.traffic.sized.iter().map(|case| Shot::new(case, true)).collect();
    let requests = rounds_of(SIZES.len(), |size| {
        let send = |requests| load::run(load::batch(&door, &shots[size], LARGE_LINES, requests, &cpu));
        send(LARGE_LINES as u64)?;
        let tally = send((BYTES_A_ROUND / SIZES[size]).clamp(4, 500) as u64)?;
        Ok(tally.cpu.as_secs_f64() * 1e6 / tally.requests as f64)
    })?;
    // The least body is nearly nothing but the request: what others cost beyond it is their bytes'.
    let bytes = |size: usize| contest.traffic.sized[size].bare.len() as f64;
    let a_byte = |size: usize| (requests[size] - requests[0]) * 1e3 / (bytes(size) - bytes(0));
    let of_size = |wanted: usize| SIZES.iter().position(|size| *size == wanted).map_or(f64::NAN, a_byte);
    let worst = (0..SIZES.len()).filter(|size| SIZES[*size] >= COMPARED_FROM).map(a_byte);
    let worst = most(&worst.collect::<Vec<_>>());
    let mut tables = String::new();
    row(&mut tables, "KB of an upload", SIZES.map(|size| size / 1000));
    tables.push_str(&format!("|---|{}\n", "--:|".repeat(SIZES.len())));
    row(&mut tables, "CPU µs a request", requests.iter().map(|cpu| format!("{cpu:.0}")));
    let beyond = (1..SIZES.len()).map(|size| format!("{:.2}", a_byte(size)));
    row(&mut tables, "CPU ns a byte beyond 1 KB", std::iter::once(String::new()).chain(beyond));
    tables.push('\n');
    let what = "growth: CPU a byte beyond 1 KB, most of 100 KB to 20 MB, × that of 1 MB";
    Ok(Told { tables, lines: vec![line(what, worst / of_size(COMPARED_WITH), FLAT)] })
}

fn with_callers(contest: &Contest<'_>, running: &Running) -> Outcome<Told> {
    let counts = [1, CALLERS / 4, CALLERS];
    let shots = counts.map(|callers| Shot::of_each(&contest.traffic.small, callers));
    let warm = contest.options.slice(600);
    let requests = rounds_of(counts.len(), |count| small_us(contest, running, &shots[count], warm))?;
    let mut tables = String::new();
    grid(&mut tables, "callers in turn", &counts, &requests);
    let what = format!("growth: CPU a request, up to {CALLERS} callers, × one caller");
    Ok(Told { tables, lines: vec![line(&what, most(&requests[1..]) / requests[0], FLAT)] })
}

/// The connections that are held stay open for a round, and are opened anew for the next.
fn with_connections(contest: &Contest<'_>, running: &Running) -> Outcome<Told> {
    // Half of what is allowed: the gateway has others beside them, and so has this process.
    let allowed = getrlimit(Resource::Nofile).current.map_or(CONNECTIONS, |most| most as usize / 2);
    let held_at_most = CONNECTIONS.min(allowed);
    let counts = [0, held_at_most / 10, held_at_most];
    let shots = Shot::of_each(&contest.traffic.small, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut held, before) = (Held::default(), running.process.descriptors());
    let requests = rounds_of(counts.len(), |count| {
        if counts[count] == 0 {
            held = Held::default();
            wait_for_closing(running, before)?;
        }
        runtime.block_on(held.grow(&Door::Http1(running.address), &shots[0], counts[count], TOGETHER))?;
        let cpu = small_us(contest, running, &shots, contest.options.slice(200))?;
        let descriptors = running.process.descriptors();
        if descriptors < counts[count] {
            return Err(format!(
                "the gateway holds {descriptors} descriptors, not {} connections",
                counts[count]
            ));
        }
        Ok(cpu)
    })?;
    let mut tables = String::new();
    grid(&mut tables, "idle connections beside 32 busy ones", &counts, &requests);
    let what = format!("growth: CPU a request, up to {held_at_most} idle connections beside 32, × none");
    let mut lines = vec![line(&what, most(&requests[1..]) / requests[0], FLAT)];
    if held_at_most < CONNECTIONS {
        let why = format!("descriptors (ulimit -Hn) are enough for {held_at_most}");
        lines.push(unmeasured(&format!("growth: {CONNECTIONS} connections"), &why));
    }
    Ok(Told { tables, lines })
}

/// What the gateway still has to close is no part of the next figure. What it opened to the upstream for those that
/// were opened together, two descriptors each, it keeps.
fn wait_for_closing(running: &Running, before: usize) -> Outcome<()> {
    let asked = Instant::now();
    while running.process.descriptors() > before + LINES + 2 * TOGETHER {
        if asked.elapsed() > Duration::from_secs(20) {
            return Err("the gateway does not close what callers have closed".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// CPU microseconds of a small request.
fn small_us(
    contest: &Contest<'_>,
    running: &Running,
    shots: &std::sync::Arc<[Shot]>,
    warm: Duration,
) -> Outcome<f64> {
    let (door, cpu) = (Door::Http1(running.address), || running.process.cpu());
    let time = contest.options.slice(300);
    let tally = load::run(load::saturate_with(&door, shots, LINES, warm, time, &cpu))?;
    Ok(tally.cpu.as_secs_f64() * 1e6 / tally.requests.max(1) as f64)
}

/// Medians of rounds, each of which has every step.
fn rounds_of(steps: usize, mut measure: impl FnMut(usize) -> Outcome<f64>) -> Outcome<Vec<f64>> {
    let mut figures = vec![Vec::new(); steps];
    for _ in 0..ROUNDS {
        for (step, figures) in figures.iter_mut().enumerate() {
            figures.push(measure(step)?);
        }
    }
    Ok(figures.into_iter().filter_map(median).collect())
}

fn most(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}

fn grid(text: &mut String, title: &str, counts: &[usize], requests: &[f64]) {
    row(text, title, counts);
    let _ = writeln!(text, "|---|{}", "--:|".repeat(counts.len()));
    row(text, "CPU µs a request", requests.iter().map(|cpu| format!("{cpu:.1}")));
    text.push('\n');
}

fn row<T: Display>(text: &mut String, title: &str, cells: impl IntoIterator<Item = T>) {
    let _ = write!(text, "| {title} ");
    for cell in cells {
        let _ = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
}
