//! The form that `pprof` opens (`.pb.gz`), which Go and others also serve: a gzipped protocol buffer,
//! <https://github.com/google/pprof/blob/main/proto/profile.proto>.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

use ::pprof::protos::{
    Function, Label, Line, Location, Mapping, Message, Profile, Sample, ValueType,
};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::wire::{self, Holds};
use super::{Counts, Folded};

/// Largest profile that is read, uncompressed: hours of a large service take a few.
const LARGEST_BYTES: u64 = 64 << 20;
/// Memory for what is decoded, and again for frames, and frames of one stack: a few bytes can be many
/// small messages, or name the same long names over and over.
const MOST_MEMORY: usize = 256 << 20;
const DEEPEST: usize = 4_096;
/// Longest name of a frame, in bytes; what comes after is cut off.
const LONGEST_NAME: usize = 1_024;
/// More samples than this are no count of samples: a million a second for a century.
const MOST_SAMPLES: u64 = 1 << 52;

/// What repeats in a profile: kinds of values, samples with their labels, mappings, places with their
/// lines, functions, texts, comments.
const REPEATED: &wire::Fields = &[
    (1, Holds::Messages(size_of::<ValueType>(), &[])),
    (
        2,
        Holds::Messages(
            size_of::<Sample>(),
            &[
                (1, Holds::Numbers),
                (2, Holds::Numbers),
                (3, Holds::Messages(size_of::<Label>(), &[])),
            ],
        ),
    ),
    (3, Holds::Messages(size_of::<Mapping>(), &[])),
    (4, Holds::Messages(size_of::<Location>(), &[(4, Holds::Messages(size_of::<Line>(), &[]))])),
    (5, Holds::Messages(size_of::<Function>(), &[])),
    (6, Holds::Messages(size_of::<String>(), &[])),
    (13, Holds::Numbers),
];

/// What a profile says of itself beside its stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// What its samples count.
    pub counts: Counts,
    /// Samples without any frame.
    pub empty: u64,
    /// Time that one sample stands for, where it is said.
    pub period: Option<Duration>,
    /// How long sampling took, where it is said.
    pub duration: Option<Duration>,
}

/// Bytes that are no profile of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPprof {
    /// gzip that breaks off or is damaged.
    #[error("it is no whole gzip: {0}")]
    Gzip(String),
    /// No protocol buffer of this kind.
    #[error(
        "it is no profile in the form that pprof opens ({0}); perhaps this is not the address of a profile"
    )]
    Form(String),
    /// More than anybody's profile.
    #[error("it is larger than a profile can be: {0}")]
    Large(String),
    /// It counts something else.
    #[error("it counts {0} and neither samples nor processor time: ask for a profile of the CPU")]
    Counts(String),
    /// A place in it points to nothing.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// Reads a profile, gzipped or plain. Frames are the names of functions, inlined ones too; where a
/// place in the code has no name, its file stands for it (`[libm.so.6]`), or its address.
///
/// # Errors
///
/// What is no such profile, counts no time, is damaged, or is larger than a profile can be.
pub fn decode(bytes: &[u8]) -> Result<(Folded, Meta), NotPprof> {
    let plain = unpacked(bytes)?;
    let memory = wire::memory(&plain, REPEATED)
        .ok_or_else(|| NotPprof::Form("it is no protocol buffer".to_owned()))?;
    if memory > MOST_MEMORY {
        let limit = MOST_MEMORY >> 20;
        return Err(NotPprof::Large(format!("its parts take more than {limit} MiB")));
    }
    let profile =
        Profile::decode(plain.as_slice()).map_err(|error| NotPprof::Form(error.to_string()))?;
    let read = Reader { profile: &profile };
    let value = read.chosen_value()?;
    let mut memory = Memory { left: MOST_MEMORY };
    let frames = read.frames(&mut memory)?;
    let (mut folded, mut empty, mut total) = (Folded::default(), 0, 0u64);
    for sample in &profile.sample {
        let raw = sample.value.get(value.index).copied().unwrap_or(0);
        let raw = u64::try_from(raw)
            .map_err(|_| NotPprof::Damaged("a number of samples is below zero".to_owned()))?;
        let times = (raw + value.divisor / 2) / value.divisor;
        total = total.saturating_add(times);
        if total > MOST_SAMPLES {
            return Err(NotPprof::Large(format!("more than {MOST_SAMPLES} samples")));
        }
        let stack = stack(sample, &frames, &mut memory)?;
        match stack.is_empty() {
            true => empty += times,
            false => folded.add(stack, times),
        }
    }
    let nanoseconds = |ns: i64| u64::try_from(ns).ok().filter(|ns| *ns > 0);
    let meta = Meta {
        counts: value.counts,
        empty,
        period: read.period_ns().map(Duration::from_nanos),
        duration: nanoseconds(profile.duration_nanos).map(Duration::from_nanos),
    };
    Ok((folded, meta))
}

fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, NotPprof> {
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut reader = GzDecoder::new(bytes).take(LARGEST_BYTES + 1);
        reader.read_to_end(&mut plain).map_err(|error| NotPprof::Gzip(error.to_string()))?;
    } else {
        plain.extend_from_slice(bytes);
    }
    match plain.len() as u64 > LARGEST_BYTES {
        true => Err(NotPprof::Large(format!("more than {} MiB", LARGEST_BYTES >> 20))),
        false => Ok(plain),
    }
}

/// What frames may still take.
struct Memory {
    left: usize,
}

impl Memory {
    fn take(&mut self, frame: &str) -> Result<(), NotPprof> {
        let taken = frame.len() + size_of::<String>();
        self.left = self.left.checked_sub(taken).ok_or_else(|| {
            NotPprof::Large(format!("its frames take more than {} MiB", MOST_MEMORY >> 20))
        })?;
        Ok(())
    }
}

/// The frames of a sample, from the outermost to the innermost.
fn stack(
    sample: &Sample,
    frames: &BTreeMap<u64, Vec<String>>,
    memory: &mut Memory,
) -> Result<Vec<String>, NotPprof> {
    let mut stack = Vec::new();
    // The file has them from the innermost to the outermost.
    for id in sample.location_id.iter().rev() {
        let names = frames
            .get(id)
            .ok_or_else(|| NotPprof::Damaged(format!("there is no location {id}")))?;
        if stack.len() + names.len() > DEEPEST {
            return Err(NotPprof::Large(format!("a stack of more than {DEEPEST} frames")));
        }
        names.iter().try_for_each(|name| memory.take(name))?;
        stack.extend_from_slice(names);
    }
    Ok(stack)
}

/// Which number of a sample is read, and how.
struct Value {
    index: usize,
    counts: Counts,
    /// What one sample is worth in it.
    divisor: u64,
}

struct Reader<'a> {
    profile: &'a Profile,
}

impl<'a> Reader<'a> {
    fn string(&self, index: i64) -> Result<&'a str, NotPprof> {
        let found = usize::try_from(index).ok().and_then(|i| self.profile.string_table.get(i));
        match found {
            Some(text) => Ok(text),
            // An empty profile has no strings at all.
            None if index == 0 => Ok(""),
            None => Err(NotPprof::Damaged(format!("there is no string {index}"))),
        }
    }

    /// Nanoseconds between two samples, where it is said.
    fn period_ns(&self) -> Option<u64> {
        let kind = self.profile.period_type.as_ref()?;
        let is_time = self.string(kind.unit).ok()? == "nanoseconds";
        u64::try_from(self.profile.period).ok().filter(|ns| is_time && *ns > 0)
    }

    /// Counts of samples where there are any, else time, which is made into samples again.
    fn chosen_value(&self) -> Result<Value, NotPprof> {
        let kinds = self.profile.sample_type.iter();
        let kinds: Vec<(&str, &str)> = kinds
            .map(|kind| Ok((self.string(kind.ty)?, self.string(kind.unit)?)))
            .collect::<Result<_, NotPprof>>()?;
        let counts = match kinds.iter().any(|(kind, _)| *kind == "wall") {
            true => Counts::Wall,
            false => Counts::Cpu,
        };
        let find = |wanted: fn(&(&str, &str)) -> bool| kinds.iter().position(wanted);
        if let Some(index) = find(|(kind, unit)| *kind == "samples" && *unit == "count") {
            return Ok(Value { index, counts, divisor: 1 });
        }
        let time = find(|(kind, unit)| matches!(*kind, "cpu" | "wall") && *unit == "nanoseconds");
        match time.zip(self.period_ns()) {
            Some((index, divisor)) => Ok(Value { index, counts, divisor }),
            None => {
                let names: Vec<_> =
                    kinds.iter().map(|(kind, unit)| format!("{kind} ({unit})")).collect();
                let said = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                Err(NotPprof::Counts(said))
            }
        }
    }

    /// The frames of each location, from the outermost to the innermost.
    fn frames(&self, memory: &mut Memory) -> Result<BTreeMap<u64, Vec<String>>, NotPprof> {
        let functions: BTreeMap<u64, &Function> =
            self.profile.function.iter().map(|function| (function.id, function)).collect();
        let files: BTreeMap<u64, i64> =
            self.profile.mapping.iter().map(|mapping| (mapping.id, mapping.filename)).collect();
        let frames = self.profile.location.iter().map(|location| {
            if location.line.len() > DEEPEST {
                return Err(NotPprof::Large(format!("more than {DEEPEST} frames at one place")));
            }
            // The last line is the function that the others were inlined into.
            let names = location.line.iter().rev().map(|line| {
                let function = functions.get(&line.function_id).ok_or_else(|| {
                    NotPprof::Damaged(format!("there is no function {}", line.function_id))
                })?;
                let name = match self.string(function.name)? {
                    "" => self.string(function.system_name)?,
                    name => name,
                };
                Ok(shortened(name))
            });
            let mut names: Vec<String> = names.collect::<Result<_, NotPprof>>()?;
            names.retain(|name| !name.is_empty());
            if names.is_empty() {
                let file = files.get(&location.mapping_id).map_or(Ok(""), |i| self.string(*i))?;
                names.push(match file.rsplit('/').next().filter(|name| !name.is_empty()) {
                    Some(file) => format!("[{}]", shortened(file)),
                    None => format!("{:#x}", location.address),
                });
            }
            names.iter().try_for_each(|name| memory.take(name))?;
            Ok((location.id, names))
        });
        frames.collect()
    }
}

fn shortened(name: &str) -> String {
    name[..name.floor_char_boundary(LONGEST_NAME)].to_owned()
}

/// Writes a profile, gzipped; the same one each time. Each frame is a function.
pub fn encode(folded: &Folded, meta: &Meta) -> Vec<u8> {
    let mut strings = Strings::default();
    let mut samples = Vec::new();
    let mut functions = BTreeMap::new();
    let period = meta.period.map_or(0, |period| whole(period.as_nanos()));
    let with_time = |times: u64| {
        let times = whole(u128::from(times));
        if period > 0 { vec![times, times.saturating_mul(period)] } else { vec![times] }
    };
    for (stack, times) in folded.stacks() {
        let ids = stack.iter().rev().map(|frame| {
            let name = strings.index(frame);
            let next = functions.len() as u64 + 1;
            *functions.entry(name).or_insert(next)
        });
        let location_id = ids.collect();
        samples.push(Sample { location_id, value: with_time(times), label: Vec::new() });
    }
    if meta.empty > 0 {
        samples.push(Sample { value: with_time(meta.empty), ..Sample::default() });
    }
    let time = match meta.counts {
        Counts::Cpu => "cpu",
        Counts::Wall => "wall",
    };
    let time = ValueType { ty: strings.index(time), unit: strings.index("nanoseconds") };
    let count = ValueType { ty: strings.index("samples"), unit: strings.index("count") };
    let mut functions: Vec<(u64, i64)> =
        functions.into_iter().map(|(name, id)| (id, name)).collect();
    functions.sort_unstable();
    let profile = Profile {
        sample_type: if period > 0 { vec![count, time.clone()] } else { vec![count] },
        sample: samples,
        location: functions
            .iter()
            .map(|&(id, _)| Location {
                id,
                line: vec![Line { function_id: id, line: 0 }],
                ..Location::default()
            })
            .collect(),
        function: functions
            .iter()
            .map(|&(id, name)| Function { id, name, system_name: name, ..Function::default() })
            .collect(),
        string_table: strings.all,
        duration_nanos: meta.duration.map_or(0, |duration| whole(duration.as_nanos())),
        period_type: (period > 0).then_some(time),
        period,
        ..Profile::default()
    };
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer
        .write_all(&profile.encode_to_vec())
        .and_then(|()| packer.finish())
        .expect("invariant: writing to a Vec does not fail")
}

fn whole(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The table of strings; the first is always empty.
struct Strings {
    all: Vec<String>,
    known: BTreeMap<String, i64>,
}

impl Default for Strings {
    fn default() -> Self {
        Strings { all: vec![String::new()], known: BTreeMap::from([(String::new(), 0)]) }
    }
}

impl Strings {
    fn index(&mut self, text: &str) -> i64 {
        if let Some(index) = self.known.get(text) {
            return *index;
        }
        let index = self.all.len() as i64;
        self.all.push(text.to_owned());
        self.known.insert(text.to_owned(), index);
        index
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded() -> impl Strategy<Value = Folded> {
        let stack = prop::collection::vec("[a-zA-Z:<>. ()/]{1,12}", 1..6);
        prop::collection::vec((stack, 1u64..1_000_000), 0..12).prop_map(|stacks| {
            let mut folded = Folded::default();
            stacks.into_iter().for_each(|(stack, times)| folded.add(stack, times));
            folded
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            folded in folded(),
            empty in 0u64..99,
            period in prop::option::of(1u64..99_000_000),
            wall in any::<bool>(),
        ) {
            let meta = Meta {
                // Without a period there is no time, and nothing says whose time it is.
                counts: if wall && period.is_some() { Counts::Wall } else { Counts::Cpu },
                empty,
                period: period.map(Duration::from_nanos),
                duration: period.map(|_| Duration::from_secs(30)),
            };
            prop_assert_eq!(decode(&encode(&folded, &meta)), Ok((folded, meta)));
        }

        #[test]
        fn bytes_of_any_kind_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn damage_does_no_harm(folded in folded(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let meta = Meta { counts: Counts::Cpu, empty: 1, period: None, duration: None };
            let mut bytes = unpacked(&encode(&folded, &meta)).expect("own output");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&bytes);
        }
    }

    /// As Go writes it: inlined lines, a place without a name, time and counts.
    fn of_go() -> Profile {
        let strings = [
            "",
            "samples",
            "count",
            "cpu",
            "nanoseconds",
            "main.main",
            "main.tokenize",
            "main.hash",
            "/usr/lib/libm.so.6",
        ];
        let function = |id, name| Function { id, name, ..Function::default() };
        let line = |function_id| Line { function_id, line: 3 };
        Profile {
            sample_type: vec![ValueType { ty: 1, unit: 2 }, ValueType { ty: 3, unit: 4 }],
            sample: vec![
                Sample { location_id: vec![2, 1], value: vec![7, 70_000_000], label: vec![] },
                Sample { location_id: vec![3, 1], value: vec![3, 30_000_000], label: vec![] },
                Sample { location_id: vec![4, 1], value: vec![1, 10_000_000], label: vec![] },
            ],
            location: vec![
                Location { id: 1, line: vec![line(1)], ..Location::default() },
                // hash was inlined into tokenize.
                Location { id: 2, line: vec![line(3), line(2)], ..Location::default() },
                Location { id: 3, mapping_id: 1, address: 0xbeef, ..Location::default() },
                Location { id: 4, address: 0xbeef, ..Location::default() },
            ],
            function: vec![function(1, 5), function(2, 6), function(3, 7)],
            mapping: vec![Mapping { id: 1, filename: 8, ..Default::default() }],
            string_table: strings.map(str::to_owned).into(),
            period_type: Some(ValueType { ty: 3, unit: 4 }),
            period: 10_000_000,
            ..Profile::default()
        }
    }

    #[test]
    fn inlined_functions_and_places_without_a_name_are_frames() {
        let (folded, meta) = decode(&of_go().encode_to_vec()).expect("a profile");
        assert_eq!(
            folded.to_string(),
            "main.main;0xbeef 1\nmain.main;[libm.so.6] 3\nmain.main;main.tokenize;main.hash 7\n"
        );
        assert_eq!(meta.period, Some(Duration::from_millis(10)));
    }

    #[test]
    fn time_alone_becomes_samples_again() {
        let mut profile = of_go();
        profile.sample_type.remove(0);
        profile.sample.iter_mut().for_each(|sample| sample.value.rotate_left(1));
        assert_eq!(decode(&profile.encode_to_vec()).expect("a profile").0.total(), 11);
    }

    #[test]
    fn what_counts_no_time_is_refused_by_its_name() {
        let mut profile = of_go();
        profile.string_table[1] = "alloc_space".to_owned();
        profile.string_table[3] = "inuse_space".to_owned();
        let error = decode(&profile.encode_to_vec()).expect_err("no time").to_string();
        assert!(error.contains("alloc_space (count), inuse_space"), "{error}");
    }

    #[test]
    fn many_small_parts_are_refused_before_they_are_decoded() {
        // An empty sample; a sample with an empty label; one with ten packed numbers.
        let parts: [&[u8]; 3] =
            [&[0x12, 0], &[0x12, 2, 0x1a, 0], &[0x12, 12, 0x0a, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]];
        for part in parts {
            let one = wire::memory(part, REPEATED).expect("well-formed");
            assert!(one >= size_of::<Sample>(), "{part:?}");
            let many = part.repeat(MOST_MEMORY / one + 1);
            assert!(many.len() < LARGEST_BYTES as usize, "{part:?}");
            assert!(matches!(decode(&many), Err(NotPprof::Large(_))), "{part:?}");
        }
        // Groups, and what breaks off, are not decoded either.
        for part in [&[0x13, 0x14][..], &[0x12, 9, 0], &[0x12, 2, 0x1a, 9], &[0xff; 11]] {
            assert!(matches!(decode(part), Err(NotPprof::Form(_))), "{part:?}");
        }
    }

    #[test]
    fn memory_is_that_of_the_parts() {
        let profile = of_go();
        let numbers =
            profile.sample.iter().map(|it| it.location_id.len() + it.value.len()).sum::<usize>();
        let lines = profile.location.iter().map(|it| it.line.len()).sum::<usize>();
        let expected = size_of_val(&profile.sample_type[..])
            + size_of_val(&profile.sample[..])
            + size_of_val(&profile.mapping[..])
            + size_of_val(&profile.location[..])
            + size_of_val(&profile.function[..])
            + size_of_val(&profile.string_table[..])
            + numbers * size_of::<u64>()
            + lines * size_of::<Line>();
        assert_eq!(wire::memory(&profile.encode_to_vec(), REPEATED), Some(expected));
    }

    #[test]
    fn what_multiplies_is_refused() {
        let mut profile = of_go();
        profile.sample[0].location_id = vec![2; DEEPEST];
        assert!(matches!(decode(&profile.encode_to_vec()), Err(NotPprof::Large(_))));
        let mut profile = of_go();
        profile.sample[0].value[0] = i64::MAX;
        assert!(matches!(decode(&profile.encode_to_vec()), Err(NotPprof::Large(_))));
        let mut profile = of_go();
        profile.string_table[6] = "x".repeat(LONGEST_NAME * 2);
        profile.sample[0].location_id = vec![2; DEEPEST / 2];
        profile.sample = vec![profile.sample[0].clone(); 200];
        assert!(matches!(decode(&profile.encode_to_vec()), Err(NotPprof::Large(_))));
        let zeros = {
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            (0..65).for_each(|_| packer.write_all(&vec![0; 1 << 20]).expect("to a Vec"));
            packer.finish().expect("to a Vec")
        };
        assert!(matches!(decode(&zeros), Err(NotPprof::Large(_))));
    }
}
