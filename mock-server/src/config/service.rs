//! The services by name.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use crate::document::suggestion;

/// The name of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum ServiceName {
    /// Sentiment of texts, as a FastAPI service with a model behind it
    Inference,
    /// Chat completions in OpenAI's and in Azure's form, streaming included
    Llm,
    /// Rows of which each fans out into several chat completions
    MultiQuery,
    /// Answers of several points in time, joined by a narrative
    Ensemble,
}

impl ServiceName {
    /// All services.
    pub const ALL: [ServiceName; 4] =
        [ServiceName::Inference, ServiceName::Llm, ServiceName::MultiQuery, ServiceName::Ensemble];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceName::Inference => "inference",
            ServiceName::Llm => "llm",
            ServiceName::MultiQuery => "multi-query",
            ServiceName::Ensemble => "ensemble",
        }
    }

    /// Where it listens unless it is told otherwise.
    pub fn default_port(self) -> u16 {
        match self {
            ServiceName::Inference => 8000,
            ServiceName::Llm => 8001,
            ServiceName::MultiQuery => 8002,
            ServiceName::Ensemble => 8003,
        }
    }

    /// Whether it calls a chat completions service.
    pub fn calls_upstream(self) -> bool {
        matches!(self, ServiceName::MultiQuery | ServiceName::Ensemble)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ServiceName {
    type Err = String;

    /// The service of this name, or which one was probably meant.
    fn from_str(name: &str) -> Result<ServiceName, String> {
        ServiceName::ALL
            .into_iter()
            .find(|service| service.as_str() == name)
            .ok_or_else(|| suggestion(name, ServiceName::ALL.map(ServiceName::as_str)))
    }
}
