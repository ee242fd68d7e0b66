//! Handing out rows during a run, and what the templates of one iteration see.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use minijinja::value::{Object, Value};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::data::{DataSet, Order};
use super::random::{Purpose, stream};
use super::secret::Redactions;

/// The name under which functions of templates find the [`Bindings`]; no template can write it.
const ITSELF: &str = "@";

/// Hands out rows; shared by all users of a run.
#[derive(Clone)]
pub struct Feeder(Arc<Shared>);

struct Shared {
    data: DataSet,
    seed: u64,
    cursors: Vec<Cursor>,
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
    pub(super) fn new(data: DataSet, seed: u64) -> Feeder {
        let cursor = |_| Cursor {
            taken: AtomicU64::new(0),
            shuffled: RwLock::new(Shuffled { epoch: u64::MAX, order: Arc::from([]) }),
        };
        let cursors = (0..data.sources.len()).map(cursor).collect();
        Feeder(Arc::new(Shared { data, seed, cursors }))
    }

    /// What the templates of one iteration see. A row is taken from a source when a template first
    /// asks for it: an iteration that uses no row of a source takes none.
    ///
    /// `iteration` is the user's own count, from 0. `scope` is the user's: where several scenarios
    /// run at once, each sees its own data.
    pub fn iteration(&self, scope: u16, user: u32, iteration: u64) -> Inputs {
        let _ = scope;
        let rows = self.0.data.sources.iter().map(|_| OnceLock::new()).collect();
        let generator = Mutex::new(stream(self.0.seed, user, iteration, Purpose::Template));
        Inputs(Arc::new(Bindings { feeder: self.clone(), user, iteration, generator, rows }))
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

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").field("data", &self.0.data).field("seed", &self.0.seed).finish()
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
}

/// The names of one iteration and their values.
pub(super) struct Bindings {
    feeder: Feeder,
    user: u32,
    iteration: u64,
    generator: Mutex<Xoshiro256PlusPlus>,
    rows: Box<[OnceLock<Value>]>,
}

/// Names that [`Bindings`] has besides the data sources.
pub(super) const NAMES: [&str; 3] = ["env", "user", "iteration"];

impl Bindings {
    /// The bindings of the iteration for which a template is rendered.
    pub fn of<'a>(state: &minijinja::State<'_, '_>, found: &'a mut Value) -> Option<&'a Bindings> {
        *found = state.lookup(ITSELF)?;
        found.downcast_object_ref::<Bindings>()
    }

    pub fn data(&self) -> &DataSet {
        &self.feeder.0.data
    }

    pub fn redactions(&self) -> &Redactions {
        &self.data().redactions
    }

    /// The next `count` rows of a source.
    pub fn draw(&self, source: usize, count: usize) -> Vec<Value> {
        self.feeder.take(source, count, &mut self.generator())
    }

    /// The iteration's random numbers for templates.
    pub fn generator(&self) -> std::sync::MutexGuard<'_, Xoshiro256PlusPlus> {
        self.generator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The iteration's row of a source.
    fn row(&self, source: usize) -> Value {
        let taken = || self.draw(source, 1).pop().unwrap_or_default();
        self.rows[source].get_or_init(taken).clone()
    }
}

impl Object for Bindings {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "env" => Some(self.data().environment.clone()),
            "user" => Some(Value::from(self.user)),
            "iteration" => Some(Value::from(self.iteration)),
            ITSELF => Some(Value::from_dyn_object(Arc::clone(self))),
            name => self.data().index(name).map(|source| self.row(source)),
        }
    }
}

impl fmt::Debug for Bindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bindings(user {}, iteration {})", self.user, self.iteration)
    }
}
