//! The command line of the reference services, for this package's binary and for any other that
//! wants to offer them.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::latency::{Distribution, Latency};
use crate::ledger::Snapshot;
use crate::{Behaviour, Engine, Inference, Spend};

/// Threads that read requests and write responses; the work itself has threads of its own.
const SERVING_THREADS: usize = 2;

/// Which reference service to run, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    service: Service,
}

#[derive(Debug, Clone, Subcommand)]
enum Service {
    /// Sentiment of texts, as a FastAPI service with a model behind it
    Inference(InferenceArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct ListenArgs {
    /// Address or name of the interface to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Shut down when standard input ends: a parent that dies takes the service with it
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

#[derive(Debug, Clone, clap::Args)]
struct InferenceArgs {
    #[command(flatten)]
    listen: ListenArgs,
    /// How requests share the model
    #[arg(long, value_enum, default_value_t = EngineArg::Threaded)]
    engine: EngineArg,
    /// Threads of the threaded engine [default: 4]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Service time of every request
    #[arg(long, value_name = "TIME", default_value = "75ms", value_parser = duration)]
    base: Duration,
    /// Service time added for every text
    #[arg(long, value_name = "TIME", default_value = "2.5ms", value_parser = duration)]
    per_item: Duration,
    /// The base varies by up to this much either way, evenly; at most the base itself
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration)]
    jitter: Duration,
    /// What a prediction does in that time
    #[arg(long, value_enum, default_value_t = SpendArg::Sleep)]
    spend: SpendArg,
    /// Seed of the jitter: the same seed gives the same service times
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineArg {
    /// One request at a time; the health check waits too
    Blocking,
    /// One request a worker at a time; the health check answers at once
    Threaded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SpendArg {
    /// Its thread sleeps
    Sleep,
    /// Its thread computes, for that much CPU time
    Cpu,
}

/// Why a service could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two options contradict each other.
    #[error("{0}")]
    Arguments(String),
    /// Another process listens on the port.
    #[error(
        "port {port} on {host} is already in use: stop the program that listens there, \
         or choose another port with --port (0 takes any free one)"
    )]
    PortInUse {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {host} port {port}: {source}; check --host and --port")]
    Listen {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// Threads, signals or output failed.
    #[error("the service cannot run: {0}")]
    Io(#[from] io::Error),
}

/// Runs the service until SIGINT or SIGTERM and writes its ledger as a short summary.
///
/// The first line on `out`, flushed as soon as connections are accepted, is
/// `SERVICE listening on http://HOST:PORT`.
///
/// # Errors
/// [`Error::Arguments`] before anything is started; the others when the service cannot be started,
/// or `out` cannot be written.
pub fn run(args: Args, out: &mut dyn Write) -> Result<(), Error> {
    let Service::Inference(args) = args.service;
    let behaviour = Behaviour::Inference(args.behaviour()?);
    let listener = args.listen.bind()?;
    let address = listener.local_addr()?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SERVING_THREADS)
        .enable_all()
        .build()?;
    let ledger = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        if args.listen.until_stdin_closes {
            cancel_at_end_of_stdin(shutdown.clone())?;
        }
        let listener = tokio::net::TcpListener::from_std(listener)?;
        announce(out, &behaviour, address)?;
        tokio::spawn(cancel_on_signal(signals, shutdown.clone()));
        crate::run(listener, shutdown, behaviour).await
    })?;
    match summarise(out, &ledger) {
        // Whoever started the service is gone; there is nobody to tell.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

impl InferenceArgs {
    fn behaviour(&self) -> Result<Inference, Error> {
        let engine = match (self.engine, self.workers) {
            (EngineArg::Blocking, None) => Engine::Blocking,
            (EngineArg::Blocking, Some(_)) => {
                return Err(Error::Arguments(
                    "--workers has no meaning with --engine blocking, which serves one request at \
                     a time: leave it out, or use --engine threaded"
                        .to_owned(),
                ));
            }
            (EngineArg::Threaded, None) => Engine::default(),
            (EngineArg::Threaded, Some(workers)) => Engine::Threaded { workers },
        };
        let base = Distribution::around(self.base, self.jitter).ok_or_else(|| {
            Error::Arguments(format!(
                "--jitter {:?} is longer than --base {:?}, and no service time can be negative: \
                 raise --base or lower --jitter",
                self.jitter, self.base
            ))
        })?;
        let spend = match self.spend {
            SpendArg::Sleep => Spend::Sleep,
            SpendArg::Cpu => Spend::Cpu,
        };
        let latency = Latency { base, per_item: self.per_item };
        Ok(Inference { engine, latency, spend, seed: self.seed })
    }
}

impl ListenArgs {
    /// A listener of the standard library: its queue of connections not yet accepted is as long as
    /// the system allows, so that thousands of clients can connect at once.
    fn bind(&self) -> Result<TcpListener, Error> {
        let (host, port) = (self.host.clone(), self.port);
        let listener = TcpListener::bind((host.as_str(), port)).map_err(|source| {
            if source.kind() == io::ErrorKind::AddrInUse {
                Error::PortInUse { host, port }
            } else {
                Error::Listen { host, port, source }
            }
        })?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

/// A duration with a unit, such as `90ms`, `2.5ms`, `1s` or `250us`, or a plain `0`.
fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let expected = || "expected a number and a unit, such as 90ms, 2.5ms, 1s or 0".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, seconds) = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .ok_or_else(expected)?;
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(expected());
    }
    let number: f64 = number.parse().map_err(|_| expected())?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err("at most one hour (3600s)".to_owned()),
    }
}

/// Longest service time that can be asked for.
const LONGEST: Duration = Duration::from_secs(3_600);

fn announce(out: &mut dyn Write, behaviour: &Behaviour, address: SocketAddr) -> io::Result<()> {
    writeln!(out, "{} listening on http://{address}", behaviour.service())?;
    out.flush()?;
    let (path, body) = match behaviour {
        Behaviour::Inference(_) => ("/predict", r#"{"text": "A great product"}"#),
    };
    writeln!(
        out,
        "try: curl -s http://{address}{path} -H 'content-type: application/json' -d '{body}'"
    )?;
    out.flush()
}

async fn cancel_on_signal((mut int, mut term): (Signal, Signal), shutdown: CancellationToken) {
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    shutdown.cancel();
}

/// On a thread of its own, since a read from standard input cannot be cancelled.
fn cancel_at_end_of_stdin(shutdown: CancellationToken) -> io::Result<()> {
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        // An error ends the input as the end of file does: either way, no parent is there.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        shutdown.cancel();
    })?;
    Ok(())
}

fn summarise(out: &mut dyn Write, ledger: &Snapshot) -> io::Result<()> {
    let requests = ledger.requests;
    writeln!(
        out,
        "\n{}: {} requests answered and {} abandoned in {:.1} s; at most {} in flight; \
         {} texts; {} connections",
        ledger.service,
        requests.answered,
        requests.abandoned,
        ledger.elapsed_s,
        ledger.peak_in_flight,
        ledger.items,
        ledger.sockets.accepted,
    )?;
    if requests.answered > 0 {
        writeln!(
            out,
            "{:<24} {:>6} {:>9} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "route", "status", "count", "mean ms", "p50 ms", "p95 ms", "p99 ms", "max ms"
        )?;
    }
    for (name, route) in &ledger.routes {
        for (status, f) in &route.statuses {
            writeln!(
                out,
                "{name:<24} {status:>6} {:>9} {:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
                f.count, f.mean_ms, f.p50_ms, f.p95_ms, f.p99_ms, f.max_ms
            )?;
        }
    }
    out.flush()
}
