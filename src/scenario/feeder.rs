//! Handing out rows during a run, and what the templates of one iteration see.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use minijinja::value::{Object, Value};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::data::{DataSet, Order, RowSource};
use super::random::{Purpose, stream};
use super::secret::Redactions;

/// The name under which functions of templates find the [`Bindings`]; no template can write it.
const ITSELF: &str = "@";

/// Hands out rows; shared by all users of a run.
#[derive(Debug, Clone)]
pub struct Feeder(Arc<[Scope]>);

/// Hands out the rows of one scenario.
#[derive(Clone)]
struct Scope(Arc<Shared>);

struct Shared {
    data: DataSet,
    seed: u64,
    cursors: Vec<Cursor>,
    /// Iterations that took rows at their beginning.
    batches: AtomicU64,
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
        Feeder(all.map(|data| Scope::new(data.clone(), seed)).collect())
    }

    /// What the templates of one iteration see. A row is taken from a source when a template first
    /// asks for it: an iteration that uses no row of a source takes none. Where an iteration is one
    /// row of a source, or a batch of them, it takes them here.
    ///
    /// `iteration` is the user's own count, from 0. `scope` is the user's: where several scenarios
    /// run at once, each sees its own data, as if it ran alone.
    ///
    /// # Panics
    ///
    /// Where no user of the scenario has such a scope.
    pub fn iteration(&self, scope: u16, user: u32, iteration: u64) -> Inputs {
        self.0[usize::from(scope)].iteration(user, iteration)
    }

    /// An iteration is not begun. Says how many data rows it stood for; they are not taken.
    ///
    /// # Panics
    ///
    /// As [`Feeder::iteration`].
    pub fn drop_iteration(&self, scope: u16) -> u64 {
        let scope = &self.0[usize::from(scope)];
        scope.0.data.row_source.map_or(1, |source| scope.next_batch(source))
    }
}

impl Scope {
    fn new(data: DataSet, seed: u64) -> Scope {
        let cursor = |_| Cursor {
            taken: AtomicU64::new(0),
            shuffled: RwLock::new(Shuffled { epoch: u64::MAX, order: Arc::from([]) }),
        };
        let cursors = (0..data.sources.len()).map(cursor).collect();
        Scope(Arc::new(Shared { data, seed, cursors, batches: AtomicU64::new(0) }))
    }

    fn iteration(&self, user: u32, iteration: u64) -> Inputs {
        let data = &self.0.data;
        let rows: Box<[OnceLock<Value>]> = data.sources.iter().map(|_| OnceLock::new()).collect();
        let mut generator = stream(self.0.seed, user, iteration, Purpose::Template);
        let batch = data.row_source.map(|source| self.batch(source, &mut generator));
        if let (Some(RowSource { index, batch: None, .. }), Some([row])) =
            (data.row_source, batch.as_deref())
        {
            rows[index].get_or_init(|| row.clone());
        }
        let (feeder, generator) = (self.clone(), Mutex::new(generator));
        let iteration = Iteration { feeder, user, number: iteration, generator, rows, batch };
        Inputs(Arc::new(Bindings::new(iteration)))
    }

    /// The rows of one iteration.
    fn batch(&self, source: RowSource, generator: &mut Xoshiro256PlusPlus) -> Vec<Value> {
        self.take(source.index, self.next_batch(source) as usize, generator)
    }

    /// Rows of the next iteration: a whole batch, or what the limit leaves of it.
    fn next_batch(&self, source: RowSource) -> u64 {
        let whole = self.0.data.rows_at_once(source);
        let before = self.0.batches.fetch_add(1, Ordering::Relaxed).saturating_mul(whole);
        source.limit.map_or(whole, |limit| limit.saturating_sub(before).min(whole))
    }

    /// The next `count` rows of a source.
    fn take(&self, source: usize, count: usize, generator: &mut Xoshiro256PlusPlus) -> Vec<Value> {
        let rows = &self.0.data.sources[source].rows;
        let order = self.0.data.sources[source].order;
        if order == Order::Random {
            return (0..count)
                .map(|_| rows[generator.random_range(0..rows.len())].clone())
                .collect();
        }
        let taken = &self.0.cursors[source].taken;
        let first = taken.fetch_add(count as u64, Ordering::Relaxed);
        let length = rows.len() as u64;
        let row = |number: u64| {
            let place = (number % length) as usize;
            match order {
                Order::Shuffle => self.shuffled(source, number / length)[place] as usize,
                Order::Next | Order::Random => place,
            }
        };
        (first..first + count as u64).map(|number| rows[row(number)].clone()).collect()
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
        self.iteration.feeder.take(source, count, &mut self.generator())
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
