//! Handing out rows during a run, and what the templates of one iteration see.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use minijinja::value::{Object, Value};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::data::{DataSet, Order, RowSource};
use super::place::IterationPlace;
use super::random::{Purpose, stream};
use super::secret::Redactions;
use crate::measure::numbers::Numbers;

/// The name under which functions of templates find the [`Bindings`]; no template can write it.
const ITSELF: &str = "@";

/// Hands out rows, and numbers to iterations; shared by all users of a run.
#[derive(Debug, Clone)]
pub struct Feeder {
    scopes: Arc<[Scope]>,
    /// Numbers of iterations that an earlier part of the run has done.
    done: Arc<Numbers>,
}

/// Hands out the rows of one scenario.
#[derive(Clone)]
struct Scope(Arc<Shared>);

struct Shared {
    data: DataSet,
    seed: u64,
    cursors: Vec<Cursor>,
    /// The number of the next iteration, unless that is done already.
    next: AtomicU64,
}

/// How far a source was handed out, and the newest epoch's order where it is shuffled.
struct Cursor {
    taken: AtomicU64,
    shuffled: RwLock<Shuffled>,
}

#[derive(Clone)]
struct Shuffled {
    epoch: u64,
    order: Arc<[u32]>,
}

impl Feeder {
    /// A feeder of these data and of those that stand beside them, each a scope of its own.
    pub(super) fn new(data: &DataSet, seed: u64) -> Feeder {
        let all = std::iter::once(data).chain(&data.others);
        let scopes = all.map(|data| Scope::new(data.clone(), seed)).collect();
        Feeder { scopes, done: Arc::default() }
    }

    /// The same, of a run that goes on: what is done is not handed out again. Sources whose rows are
    /// not what iterations are begin at their first row.
    pub fn without(self, done: Numbers) -> Feeder {
        for (id, scope) in (0..).zip(self.scopes.iter()) {
            let (first, _) = IterationPlace::ids(id);
            scope.0.next.store(done.missing_from(first) - first, Ordering::Relaxed);
        }
        Feeder { done: Arc::new(done), ..self }
    }

    /// For each scope, how many iterations are not done though later ones of it are: those that an
    /// earlier part of the run left unfinished.
    pub fn unfinished(&self) -> Vec<u64> {
        let scopes = 0..self.scopes.len() as u16;
        let holes = |scope| {
            let (from, to) = IterationPlace::ids(scope);
            self.done.holes(from, to)
        };
        scopes.map(holes).collect()
    }

    /// Whether an earlier part of the run has done this iteration.
    pub fn is_done(&self, place: IterationPlace) -> bool {
        self.done.contains(place.id())
    }

    /// What the templates of the next iteration see that is neither done nor begun: see
    /// [`Feeder::inputs`]. `scope` is the user's: where several scenarios run at once, each sees its
    /// own data, as if it ran alone.
    ///
    /// # Panics
    ///
    /// Where no user of the scenario has such a scope.
    pub fn iteration(&self, scope: u16, user: u32, iteration: u64) -> Inputs {
        self.inputs(self.next(scope), user, iteration)
    }

    /// What the templates of the iteration at `place` see. A row is taken from a source when a
    /// template first asks for it: an iteration that uses no row of a source takes none. Where an
    /// iteration is one row of a source, or a batch of them, they are those of its place.
    ///
    /// `iteration` is the user's own count, from 0.
    ///
    /// # Panics
    ///
    /// As [`Feeder::iteration`].
    pub fn inputs(&self, place: IterationPlace, user: u32, iteration: u64) -> Inputs {
        self.scopes[usize::from(place.scope)].iteration(place, user, iteration)
    }

    /// How many data rows the iteration at `place` stands for.
    ///
    /// # Panics
    ///
    /// As [`Feeder::iteration`].
    pub fn rows_of(&self, place: IterationPlace) -> u64 {
        let scope = &self.scopes[usize::from(place.scope)];
        scope.0.data.row_source.map_or(1, |source| scope.rows_of(source, place.number))
    }

    /// The next iteration that is neither done nor begun.
    fn next(&self, scope: u16) -> IterationPlace {
        let next = &self.scopes[usize::from(scope)].0.next;
        loop {
            let place = IterationPlace { scope, number: next.fetch_add(1, Ordering::Relaxed) };
            if !self.is_done(place) {
                return place;
            }
        }
    }
}

impl Scope {
    fn new(data: DataSet, seed: u64) -> Scope {
        let cursor = |_| Cursor {
            taken: AtomicU64::new(0),
            shuffled: RwLock::new(Shuffled { epoch: u64::MAX, order: Arc::from([]) }),
        };
        let cursors = (0..data.sources.len()).map(cursor).collect();
        Scope(Arc::new(Shared { data, seed, cursors, next: AtomicU64::new(0) }))
    }

    fn iteration(&self, place: IterationPlace, user: u32, iteration: u64) -> Inputs {
        let data = &self.0.data;
        let rows: Box<[OnceLock<Value>]> = data.sources.iter().map(|_| OnceLock::new()).collect();
        let mut generator = stream(self.0.seed, user, iteration, Purpose::Template);
        let batch = data.row_source.map(|source| self.batch(source, place.number, &mut generator));
        if let (Some(RowSource { index, batch: None, .. }), Some([row])) =
            (data.row_source, batch.as_deref())
        {
            rows[index].get_or_init(|| row.clone());
        }
        let (feeder, generator) = (self.clone(), Mutex::new(generator));
        let iteration =
            Iteration { feeder, place, user, number: iteration, generator, rows, batch };
        Inputs(Arc::new(Bindings::new(iteration)))
    }

    /// The rows of the iteration with this number: the same in a run that goes on.
    fn batch(
        &self,
        source: RowSource,
        number: u64,
        generator: &mut Xoshiro256PlusPlus,
    ) -> Vec<Value> {
        let first = number.saturating_mul(self.0.data.rows_at_once(source));
        self.rows(source.index, first, self.rows_of(source, number), generator)
    }

    /// Rows of the iteration with this number: a whole batch, or what the limit leaves of it.
    fn rows_of(&self, source: RowSource, number: u64) -> u64 {
        let whole = self.0.data.rows_at_once(source);
        let before = number.saturating_mul(whole);
        source.limit.map_or(whole, |limit| limit.saturating_sub(before).min(whole))
    }

    /// The next `count` rows of a source.
    fn take(&self, source: usize, count: u64, generator: &mut Xoshiro256PlusPlus) -> Vec<Value> {
        let first = self.0.cursors[source].taken.fetch_add(count, Ordering::Relaxed);
        self.rows(source, first, count, generator)
    }

    /// So many rows of a source, from number `first` on, as if it had no end.
    fn rows(
        &self,
        source: usize,
        first: u64,
        count: u64,
        generator: &mut Xoshiro256PlusPlus,
    ) -> Vec<Value> {
        let rows = &self.0.data.sources[source].rows;
        let order = self.0.data.sources[source].order;
        if order == Order::Random {
            return (0..count)
                .map(|_| rows[generator.random_range(0..rows.len())].clone())
                .collect();
        }
        let length = rows.len() as u64;
        let row = |number: u64| {
            let place = (number % length) as usize;
            match order {
                Order::Shuffle => self.shuffled(source, number / length)[place] as usize,
                Order::Next | Order::Random => place,
            }
        };
        (first..first + count).map(|number| rows[row(number)].clone()).collect()
    }

    /// The order of one epoch: a pure function of seed, source and epoch, of which the newest is
    /// kept. Who is late and still in an older epoch makes that one's order again.
    fn shuffled(&self, source: usize, epoch: u64) -> Arc<[u32]> {
        let kept = &self.0.cursors[source].shuffled;
        {
            let kept = kept.read().unwrap_or_else(PoisonError::into_inner);
            if kept.epoch == epoch {
                return Arc::clone(&kept.order);
            }
        }
        let length = self.0.data.sources[source].rows.len() as u32;
        let mut order: Vec<u32> = (0..length).collect();
        order.shuffle(&mut stream(self.0.seed, source as u32, epoch, Purpose::Shuffle));
        let made = Shuffled { epoch, order: order.into() };
        let mut kept = kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.epoch == u64::MAX || kept.epoch < epoch {
            *kept = made.clone();
        }
        made.order
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("data", &self.0.data).field("seed", &self.0.seed).finish()
    }
}

/// What the templates of one iteration see; all of its steps see the same rows.
#[derive(Debug, Clone)]
pub struct Inputs(pub(super) Arc<Bindings>);

impl Inputs {
    /// The root of a template's names.
    pub(super) fn context(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.0))
    }

    /// Which iteration of the run it is.
    pub fn place(&self) -> IterationPlace {
        self.0.iteration.place
    }

    /// Data rows that the iteration stands for: those of its batch, and 1 where it has none.
    pub fn row_count(&self) -> u64 {
        self.0.iteration.batch.as_ref().map_or(1, |batch| batch.len() as u64)
    }
}

/// Names with their values.
pub(super) type Named = Vec<(Arc<str>, Value)>;

/// The names that one request sees, and their values.
pub(super) struct Bindings {
    iteration: Arc<Iteration>,
    /// Values of earlier steps.
    pub values: Named,
    /// What this request of a fan-out is made for.
    pub elements: Named,
    /// Its place in the fan-out, from 0.
    pub index: usize,
    /// Random numbers of this request of a fan-out alone: its requests may be made at any time.
    generator: Option<Mutex<Xoshiro256PlusPlus>>,
}

/// What all steps of an iteration share.
struct Iteration {
    feeder: Scope,
    /// Which one of the run it is.
    place: IterationPlace,
    user: u32,
    number: u64,
    generator: Mutex<Xoshiro256PlusPlus>,
    rows: Box<[OnceLock<Value>]>,
    /// Rows that it took at its beginning, where it is one or several.
    batch: Option<Vec<Value>>,
}

/// The name of a request's place in its fan-out.
pub(super) const INDEX: &str = "index";

/// The name of the rows that an iteration is, where it is some.
pub(super) const ROWS: &str = "rows";

/// Names that [`Bindings`] has besides the data sources.
pub(super) const NAMES: [&str; 4] = ["env", "user", "iteration", INDEX];

impl Bindings {
    fn new(iteration: Iteration) -> Bindings {
        Bindings {
            iteration: Arc::new(iteration),
            values: Named::new(),
            elements: Named::new(),
            index: 0,
            generator: None,
        }
    }

    /// The same iteration with other values of earlier steps.
    pub fn with_values(&self, values: Named) -> Bindings {
        Bindings {
            iteration: Arc::clone(&self.iteration),
            values,
            elements: self.elements.clone(),
            index: self.index,
            generator: None,
        }
    }

    /// The same iteration, for one request of a fan-out.
    pub fn for_element(&self, elements: Named, index: usize) -> Bindings {
        let generator = Xoshiro256PlusPlus::from_rng(&mut *self.generator());
        Bindings {
            iteration: Arc::clone(&self.iteration),
            values: self.values.clone(),
            elements,
            index,
            generator: Some(Mutex::new(generator)),
        }
    }

    /// The bindings of the iteration for which a template is rendered.
    pub fn of<'a>(state: &minijinja::State<'_, '_>, found: &'a mut Value) -> Option<&'a Bindings> {
        *found = state.lookup(ITSELF)?;
        found.downcast_object_ref::<Bindings>()
    }

    pub fn data(&self) -> &DataSet {
        &self.iteration.feeder.0.data
    }

    pub fn redactions(&self) -> &Redactions {
        &self.data().redactions
    }

    /// The next `count` rows of a source.
    pub fn draw(&self, source: usize, count: usize) -> Vec<Value> {
        self.iteration.feeder.take(source, count as u64, &mut self.generator())
    }

    /// The random numbers for templates.
    pub fn generator(&self) -> std::sync::MutexGuard<'_, Xoshiro256PlusPlus> {
        let generator = self.generator.as_ref().unwrap_or(&self.iteration.generator);
        generator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All rows of a source, or the elements of a value.
    pub fn list(&self, name: &str) -> Option<Value> {
        let value = |named: &Named| {
            named.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone())
        };
        value(&self.values).or_else(|| {
            let source = self.data().index(name)?;
            Some(self.data().sources[source].rows.iter().cloned().collect())
        })
    }
}

impl Iteration {
    /// The iteration's row of a source.
    fn row(&self, source: usize) -> Value {
        let taken = || {
            let mut generator = self.generator.lock().unwrap_or_else(PoisonError::into_inner);
            self.feeder.take(source, 1, &mut generator).pop().unwrap_or_default()
        };
        self.rows[source].get_or_init(taken).clone()
    }
}

impl Object for Bindings {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "env" => return Some(self.data().environment.clone()),
            "user" => return Some(Value::from(self.iteration.user)),
            "iteration" => return Some(Value::from(self.iteration.number)),
            INDEX => return Some(Value::from(self.index)),
            ITSELF => return Some(Value::from_dyn_object(Arc::clone(self))),
            _ => {}
        }
        let mut own = self.elements.iter().chain(&self.values);
        match (own.find(|(name, _)| **name == *key), &self.iteration.batch) {
            (Some((_, value)), _) => Some(value.clone()),
            (None, Some(batch)) if key == ROWS => Some(batch.iter().cloned().collect()),
            (None, _) => self.data().index(key).map(|source| self.iteration.row(source)),
        }
    }
}

impl fmt::Debug for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Iteration { user, number, .. } = &*self.iteration;
        write!(f, "Bindings(user {user}, iteration {number}, index {})", self.index)
    }
}
