//! Replies from a file.

use std::io;
use std::path::Path;

use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Deserialize;
use serde_json::Value;

use super::super::request::Asked;
use super::super::settings::Pattern;
use super::words;
use super::written::Order;

/// Lines of a file that has been read.
#[derive(Debug)]
pub(super) struct Canned {
    order: Order,
    /// For prompts of a kind.
    matched: Vec<(Pattern, String)>,
    /// For all others; at least one.
    plain: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "match")]
    pattern: Option<Pattern>,
    content: Value,
}

impl Canned {
    /// # Errors
    /// The file cannot be read, a line is none, or there is none for every prompt.
    pub(super) fn read(file: &Path, order: Order) -> io::Result<Canned> {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            io::Error::new(error.kind(), format!("canned replies in {name}: {error}"))
        })?;
        let mut canned = Canned { order, matched: Vec::new(), plain: Vec::new() };
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line: Line = serde_json::from_str(line).map_err(|error| {
                let number = index + 1;
                io::Error::other(format!("canned replies in {name}, line {number}: {error}"))
            })?;
            let content = match line.content {
                Value::String(text) => text,
                other => other.to_string(),
            };
            match line.pattern {
                Some(pattern) => canned.matched.push((pattern, content)),
                None => canned.plain.push(content),
            }
        }
        match canned.plain.is_empty() {
            true => Err(io::Error::other(format!(
                "canned replies in {name}: no line is without `match`, so some prompts would get no \
                 reply; add one"
            ))),
            false => Ok(canned),
        }
    }

    /// The reply to a request.
    pub(super) fn reply(
        &self,
        asked: &Asked<'_>,
        (number, choice): (u64, u32),
        generator: &mut Xoshiro256PlusPlus,
    ) -> &str {
        let fits = |pattern: &Pattern| asked.messages.iter().any(|m| pattern.is_in(&m.text));
        let fitting = self.matched.iter().filter(|(pattern, _)| fits(pattern));
        let fitting: Vec<&str> = fitting.map(|(_, content)| content.as_str()).collect();
        let mut place = |length: usize| match self.order {
            Order::Next => (number.wrapping_add(choice.into()) % length as u64) as usize,
            Order::Random => words::between(0, length as i64 - 1, generator) as usize,
        };
        match fitting.len() {
            0 => &self.plain[place(self.plain.len())],
            length => fitting[place(length)],
        }
    }
}
