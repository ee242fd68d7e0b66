//! Replies from a template.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::super::request::Asked;
use super::words;

const NAME: &str = "reply";

/// Most words that a template may ask for at once.
const MOST_WORDS: u32 = 100_000;

/// A template that has been read.
#[derive(Debug)]
pub(super) struct Template(Environment<'static>);

impl Template {
    /// # Errors
    /// The template is none, with the line.
    pub(super) fn new(text: &str) -> Result<Template, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .add_template_owned(NAME, text.to_owned())
            .map_err(|error| format!("`template` cannot be read: {error}"))?;
        Ok(Template(environment))
    }

    /// The reply to a request; its draws come from `generator`.
    ///
    /// # Errors
    /// What the template cannot do with this request.
    pub(super) fn render(
        &self,
        asked: &Asked<'_>,
        (number, choice): (u64, u32),
        generator: &mut Xoshiro256PlusPlus,
    ) -> Result<String, String> {
        let messages = (asked.messages.iter())
            .map(|message| context! { role => &*message.role, content => &*message.text });
        let messages: Vec<Value> = messages.collect();
        // Functions of a template own what they use: they share the generator, which then goes on
        // from where they left it.
        let shared = Arc::new(Mutex::new(generator.clone()));
        let context = context! {
            messages,
            prompt => asked.prompt(),
            model => asked.model.as_deref().unwrap_or_default(),
            n => asked.n,
            number,
            choice,
            random => random(&shared),
            words => some_words(&shared),
        };
        let rendered = self.0.get_template(NAME).and_then(|template| template.render(context));
        generator.clone_from(&shared.lock().unwrap_or_else(PoisonError::into_inner));
        rendered.map_err(|error| format!("the reply's template failed: {error}"))
    }
}

/// Whether a text is a template.
///
/// # Errors
/// Why it is none.
pub(super) fn check(text: &str) -> Result<(), String> {
    Template::new(text).map(drop)
}

type Shared = Arc<Mutex<Xoshiro256PlusPlus>>;

fn random(shared: &Shared) -> Value {
    let shared = Arc::clone(shared);
    Value::from_function(move |low: i64, high: i64| {
        if low > high {
            let text = format!("random({low}, {high}) ends before it begins");
            return Err(Error::new(ErrorKind::InvalidOperation, text));
        }
        let mut generator = shared.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(words::between(low, high, &mut *generator))
    })
}

fn some_words(shared: &Shared) -> Value {
    let shared = Arc::clone(shared);
    Value::from_function(move |count: u32| {
        let mut text = String::new();
        let mut generator = shared.lock().unwrap_or_else(PoisonError::into_inner);
        words::append(&mut text, count.min(MOST_WORDS), &mut *generator);
        text
    })
}
