//! Services as processes of their own: started in the order in which they need each other, heard, and
//! stopped with this one.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;
use toml::{Table, Value};

use super::{Args, Error, SETTINGS, announce, settings_variable, unless_gone, until_told};
use crate::Behaviour;
use crate::config::{Config, Given, ServiceName};
use crate::fleet::{Post, reachable};

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(10);

/// How long a process may take to leave: longer than it allows its own requests.
const LEAVE: Duration = Duration::from_secs(15);

/// Runs each service in a process of its own.
pub(super) fn run(
    args: &Args,
    given: &Given,
    config: &Config,
    host: &str,
    posts: Vec<Post>,
    prefix: &[&str],
    out: &mut dyn Write,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        until_told(args.ends_with_stdin(), &shutdown)?;
        let mut processes = Vec::new();
        let ran = async {
            let start = Start { args, given, config, host, prefix };
            start.all(&posts, &mut processes).await?;
            processes.sort_by_key(|process| place(&posts, process.service));
            let addresses: Vec<_> =
                processes.iter().map(|process| (process.service, process.address)).collect();
            announce::addresses(out, &addresses)?;
            unless_gone(announce::examples(out, &addresses))?;
            tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                service = first_to_end(&mut processes) => Err(Error::Apart(format!(
                    "the process of {service} has ended by itself: all are stopped"
                ))),
            }
        };
        let ran = ran.await;
        let stopped = stop(processes, out).await;
        ran.and(stopped.map_err(Error::Io))
    })
}

fn place(posts: &[Post], service: ServiceName) -> usize {
    posts.iter().position(|post| post.service == service).unwrap_or(posts.len())
}

/// A service in a process of its own.
struct Process {
    service: ServiceName,
    address: SocketAddr,
    child: Child,
    /// Apart from the child, whose waiting would close it: its end is what stops the process.
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What processes are started with.
struct Start<'a> {
    args: &'a Args,
    given: &'a Given,
    config: &'a Config,
    host: &'a str,
    prefix: &'a [&'a str],
}

impl Start<'_> {
    /// Starts all: the llm service first, for others need its address.
    async fn all(&self, posts: &[Post], processes: &mut Vec<Process>) -> Result<(), Error> {
        let (first, others): (Vec<&Post>, Vec<&Post>) =
            posts.iter().partition(|post| post.service == ServiceName::Llm);
        let mut llm = None;
        for post in first.into_iter().chain(others) {
            let endpoint = llm.filter(|_| post.needs_llm);
            let process = self.one(post, endpoint).await?;
            if post.service == ServiceName::Llm {
                llm = Some(process.address);
            }
            processes.push(process);
        }
        Ok(())
    }

    async fn one(&self, post: &Post, endpoint: Option<SocketAddr>) -> Result<Process, Error> {
        let service = post.service;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(self.prefix).args([service.as_str(), "--until-stdin-closes", "--relayed"]);
        command.args(["--host", self.host, "--port", &post.port.to_string()]);
        if let Some(file) = self.args.config() {
            command.arg("--config").arg(file);
        }
        command.env(SETTINGS, settings_variable(&self.settings(post, endpoint)));
        // In a group of its own: Ctrl-C at the terminal reaches only the process that asks the others
        // for their ledgers. What goes wrong is told on the same standard error.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no output to read"))?;
        let mut lines = BufReader::new(output).lines();
        let failed = |why: &str| Error::Apart(format!("the process of {service} {why}"));
        let line = tokio::time::timeout(START, lines.next_line())
            .await
            .map_err(|_| failed("does not listen"))??
            .ok_or_else(|| failed("did not start; it says why above"))?;
        let address = line
            .strip_prefix(&format!("{service} listening on http://"))
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| failed(&format!("named no address, but said: {line}")))?;
        Ok(Process { service, address, child, input, lines })
    }

    /// Settings of a service beside those of the file, in their order.
    fn settings(&self, post: &Post, endpoint: Option<SocketAddr>) -> Vec<String> {
        let mut sets = Vec::new();
        let presets = self.given.presets.iter().filter(|(service, _)| *service == post.service);
        sets.extend(presets.map(|(_, preset)| format!("preset={}", preset.name())));
        let given = self.given.sets.iter().filter(|set| set.service() == post.service);
        sets.extend(given.map(|set| set.text().to_owned()));
        if let Some(address) = endpoint {
            sets.push(format!("upstream.endpoint=\"http://{}\"", reachable(address)));
        }
        sets.extend(changed(&self.config.behaviour(post.service), &post.behaviour));
        sets
    }
}

/// What is different where a service was fitted to those that call it.
fn changed(configured: &Behaviour, fitted: &Behaviour) -> Vec<String> {
    let (Behaviour::Llm(configured), Behaviour::Llm(fitted)) = (configured, fitted) else {
        return Vec::new();
    };
    let before = Table::try_from(configured).unwrap_or_default();
    let after = Table::try_from(fitted).unwrap_or_default();
    let differs = |(key, value): &(String, Value)| before.get(key) != Some(value);
    after.into_iter().filter(differs).map(|(key, value)| format!("{key}={value}")).collect()
}

/// Waits until one of the processes ends, which they do not do by themselves.
async fn first_to_end(processes: &mut [Process]) -> ServiceName {
    let ends = processes.iter_mut().map(|process| {
        Box::pin(async {
            // An error here is as bad as an end.
            let _ = process.child.wait().await;
            process.service
        })
    });
    select_all(ends).await.0
}

/// Lets all processes go, one that others call after these, and writes what each says at its end.
async fn stop(processes: Vec<Process>, out: &mut dyn Write) -> io::Result<()> {
    let services: Vec<ServiceName> = processes.iter().map(|process| process.service).collect();
    let (called, callers): (Vec<Process>, Vec<Process>) =
        processes.into_iter().partition(|process| process.service == ServiceName::Llm);
    let mut said = join_all(callers.into_iter().map(last_words)).await;
    said.extend(join_all(called.into_iter().map(last_words)).await);
    for service in services {
        for (_, text) in said.iter().filter(|(speaker, _)| *speaker == service) {
            unless_gone(out.write_all(text.as_bytes()))?;
        }
    }
    unless_gone(out.flush())
}

/// Lets a process go and hears what it says at its end.
async fn last_words(mut process: Process) -> (ServiceName, String) {
    drop(process.input.take());
    let mut text = String::new();
    let ended = async {
        // A process that cannot be read is one that has ended.
        while let Ok(Some(line)) = process.lines.next_line().await {
            text += &line;
            text.push('\n');
        }
        process.child.wait().await
    };
    if tokio::time::timeout(LEAVE, ended).await.is_err() {
        // It is ours, and it had its time. One that is gone meanwhile needs no signal.
        let _ = process.child.kill().await;
    }
    (process.service, text)
}
