//! The command line of the reference services, for this package's binary and for any other that
//! wants to offer them.

mod announce;
mod apart;
mod args;
mod live;
mod summary;

use std::io::{self, Write};
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::document::{Diagnostic, Style, render};
use crate::fleet::{self, DEFAULT_HOST, Fleet, Post, muster};
use crate::ledger::Snapshot;
use crate::profiler;
pub use args::{Args, explained};

/// Threads that read requests and write responses, of the first service and of each further one; the
/// work itself has threads of its own.
const SERVING_THREADS: (usize, usize) = (2, 1);

/// The environment variable from which settings are taken, before those of the command line: keys
/// that stand in an argument can be seen by everybody on the machine.
pub const SETTINGS: &str = "MOCK_SERVER_SET";

/// Settings, each as behind `--set`, as the value of [`SETTINGS`].
pub fn settings_variable(sets: &[String]) -> String {
    serde_json::json!(sets).to_string()
}

/// Why services could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options contradict each other, or a file cannot be read.
    #[error("{0}")]
    Arguments(String),
    /// Settings are wrong: all that is, each with its place, as it is to be shown.
    #[error("{0}")]
    Settings(String),
    /// They cannot listen.
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
    /// One of the processes did not start, or ended.
    #[error("{0}")]
    Apart(String),
    /// Threads, signals or output failed.
    #[error("the service cannot run: {0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// Whether what was asked for is wrong, and not only impossible now.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Error::Arguments(_) | Error::Settings(_) | Error::Fleet(fleet::Error::SamePort { .. })
        )
    }
}

impl From<Vec<Diagnostic>> for Error {
    fn from(problems: Vec<Diagnostic>) -> Error {
        Error::Settings(render(&problems, Style::Plain))
    }
}

/// Runs the services until SIGINT or SIGTERM and writes the ledger of each as a short summary.
///
/// The first lines on `out`, flushed as soon as connections are accepted, are
/// `SERVICE listening on http://HOST:PORT`, one for each service, in the order in which they were
/// named. `prefix` is what stands before these arguments on the command line of this program, for
/// services that are run as processes of their own.
///
/// # Errors
/// Bad input before anything is started; others when a service cannot be started, or `out` cannot be
/// written.
pub fn run(args: Args, prefix: &[&str], out: &mut dyn Write) -> Result<(), Error> {
    let (given, mut config) = args.settings()?;
    let posts = muster(&config, args.services())?;
    args.check_preset(&posts)?;
    let host = config.host.get_or_insert_with(|| DEFAULT_HOST.to_owned()).clone();
    if args.shows() {
        return show(&config, &posts, out);
    }
    // While there is one thread: later, under load, it would be too late.
    profiler::prime();
    let ended = match args.is_apart() {
        true => apart::run(&args, &given, &config, &host, posts, prefix, out),
        false => together(&args, &host, posts, out),
    };
    match ended {
        // Whoever started the services is gone; there is nobody to tell.
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

/// Writes the settings in force as a document to start from.
fn show(config: &Config, posts: &[Post], out: &mut dyn Write) -> Result<(), Error> {
    let services: Vec<_> = posts.iter().map(|post| post.service).collect();
    let mut config = config.clone();
    posts.iter().for_each(|post| config.ports.set(post.service, post.port));
    let text = config::show(&config, &services).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Runs all services in this process.
fn together(args: &Args, host: &str, posts: Vec<Post>, out: &mut dyn Write) -> Result<(), Error> {
    let fleet = Fleet::bind(host, posts)?;
    let (addresses, ledgers) = (fleet.addresses(), fleet.ledgers());
    let (first, further) = SERVING_THREADS;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(first + further * (addresses.len() - 1))
        .enable_all()
        .build()?;
    let snapshots: Vec<Snapshot> = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        until_told(args.ends_with_stdin(), &shutdown)?;
        announce::addresses(out, &addresses)?;
        if !args.is_relayed() {
            unless_gone(announce::examples(out, &addresses))?;
        }
        let live = args.live().show(ledgers);
        tokio::select! {
            snapshots = fleet.run(shutdown) => snapshots,
            () = live => Ok(Vec::new()),
        }
    })?;
    snapshots.iter().try_for_each(|ledger| Ok(summary::summary(out, ledger)?))
}

/// Nobody needs to read what may be tried.
fn unless_gone(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Cancels `shutdown` at SIGINT, at SIGTERM and, if so asked, at the end of standard input.
fn until_told(with_stdin: bool, shutdown: &CancellationToken) -> io::Result<()> {
    let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    if with_stdin {
        cancel_at_end_of_stdin(shutdown.clone())?;
    }
    tokio::spawn(cancel_on_signal(signals, shutdown.clone()));
    Ok(())
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
