//! Why a command could not do what was asked, and the exit code that says so.

/// Exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All verdicts passed.
    Passed = 0,
    /// A verdict failed.
    Failed = 1,
    /// Bad input: command line, scenario, run folder.
    BadInput = 2,
    /// The run could not be carried out.
    CannotRun = 3,
    /// The run is not valid, or the answer is not clear.
    Invalid = 4,
    /// Storage failed.
    Storage = 5,
    /// Interrupted by SIGINT; the report is saved.
    Interrupted = 130,
    /// Ended by SIGTERM or SIGHUP; the report is saved.
    Terminated = 143,
}

/// An error that ends a command. The text says what is wrong and the next step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, a scenario or a run folder is wrong.
    #[error("{0}")]
    BadInput(String),
    /// The same, shown with the lines that it is about and under headings of its own.
    #[error("{0}")]
    Diagnosed(String),
    /// The target cannot be reached or started.
    #[error("{0}")]
    CannotRun(String),
    /// A signal arrived before there was anything to report on.
    #[error("interrupted before the load had begun: there is nothing to report")]
    Interrupted(Exit),
    /// A file could not be written or read.
    #[error("{what}: {source}")]
    Storage {
        /// What was being done, with the path.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// For `map_err`: `what` says what was being done, with the path.
    pub fn storage(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Storage { what, source }
    }

    /// The exit code that belongs to this error.
    pub fn exit(&self) -> Exit {
        match self {
            Error::BadInput(_) | Error::Diagnosed(_) => Exit::BadInput,
            Error::CannotRun(_) => Exit::CannotRun,
            Error::Interrupted(exit) => *exit,
            Error::Storage { .. } => Exit::Storage,
        }
    }
}
