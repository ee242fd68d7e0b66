//! Kinds and lists of faults as they are written in settings.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize as Derive, Serialize};

use super::kind::NAMED;
use super::{Faults, Kind, Preset, Rule};

/// A kind as it is written: a status as a number or in quotes, or a name.
#[derive(Debug, Clone, Serialize, Derive)]
#[serde(untagged, expecting = "a status from 400 to 599, or the name of a fault")]
pub(super) enum Written {
    Status(u16),
    Name(String),
}

impl TryFrom<Written> for Kind {
    type Error = String;

    fn try_from(written: Written) -> Result<Kind, String> {
        let status = match &written {
            Written::Status(status) => Some(*status),
            Written::Name(name) => name.parse().ok(),
        };
        match (status, written) {
            (Some(status @ 400..=599), _) => Ok(Kind::Status(status)),
            (Some(status), _) => Err(format!("a fault's status is from 400 to 599, not {status}")),
            (None, Written::Name(name)) => {
                let found = NAMED.iter().find(|(known, _)| *known == name);
                found.map(|(_, kind)| *kind).ok_or_else(|| {
                    // As serde says it of an enum, so that the nearest name can be told.
                    let known: Vec<String> =
                        NAMED.iter().map(|(known, _)| format!("`{known}`")).collect();
                    format!("unknown variant `{name}`, expected one of {}", known.join(", "))
                })
            }
            (None, Written::Status(status)) => Err(format!("{status} is no status")),
        }
    }
}

impl From<Kind> for Written {
    fn from(kind: Kind) -> Written {
        match kind {
            Kind::Status(status) => Written::Status(status),
            named => Written::Name(named.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Faults {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Faults;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of faults, such as [{ kind = 429, rate = 0.05 }], or a preset")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Faults, E> {
                name.parse::<Preset>().map(Preset::faults).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Faults, A::Error> {
                let rules = Vec::<Rule>::deserialize(SeqAccessDeserializer::new(list))?;
                Faults::new(rules).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(List)
    }
}
