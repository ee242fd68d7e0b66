//! Which schemas can be followed, and how deep the values are that they demand.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::iter;
use std::ptr;

use serde_json::{Map, Value};

/// No schema of a reply is nested deeper.
pub(super) const DEEPEST: u32 = 64;
/// Most schemas that are looked at to find the types of one.
const MOST_LOOKS: u32 = 1_000;

/// Words that say which values are left in ways that cannot be followed.
const REFUSED: [&str; 13] = [
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependentRequired",
    "dependencies",
    "patternProperties",
    "propertyNames",
    "contains",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
];
/// Words that say by themselves what the value is. Only one of them can be followed in a schema...
const WHOLE: [&str; 6] = ["$ref", "const", "enum", "anyOf", "oneOf", "allOf"];
/// ...and none of these beside it.
const PARTS: [&str; 20] = [
    "properties",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "additionalItems",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minContains",
];

/// What to say of something that cannot be followed.
pub(super) fn cannot(what: &str) -> String {
    format!(
        "{what} cannot be followed here: leave it out, or give the service a template or canned \
         replies"
    )
}

/// The type of the values of a schema that names none.
pub(super) fn implied(fields: &Map<String, Value>) -> &'static str {
    let has = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
    match () {
        () if has(&["properties", "required"]) => "object",
        () if has(&["items", "prefixItems"]) => "array",
        () if has(&["minimum", "maximum"]) => "number",
        () => "string",
    }
}

/// A schema and all those within it.
pub(super) struct Schemas<'a> {
    root: &'a Value,
    heights: OnceCell<Heights>,
}

/// By the place of a schema, how deep its least value is nested; those that are not in it have none.
type Heights = HashMap<*const Value, u32>;

impl<'a> Schemas<'a> {
    pub(super) fn new(root: &'a Value) -> Schemas<'a> {
        Schemas { root, heights: OnceCell::new() }
    }

    /// What a `$ref` leads to.
    pub(super) fn resolve(&self, target: &Value) -> Result<&'a Value, String> {
        let pointer = target.as_str().and_then(|target| target.strip_prefix('#'));
        let found = pointer.and_then(|pointer| {
            let unescaped = || self.root.pointer(&unescaped(pointer)?);
            self.root.pointer(pointer).or_else(unescaped)
        });
        found.ok_or_else(|| format!("`$ref` {target} leads nowhere within the schema"))
    }

    /// # Errors
    /// What there is in the schema, not counting those within it, that cannot be followed.
    pub(super) fn check(&self, fields: &Map<String, Value>) -> Result<(), String> {
        let has = |name: &&&str| fields.contains_key(**name);
        if let Some(name) = REFUSED.iter().find(has) {
            return Err(cannot(&format!("`{name}`")));
        }
        if fields.get("uniqueItems").is_some_and(|unique| *unique != Value::Bool(false)) {
            return Err(cannot("`uniqueItems`"));
        }
        if fields.get("minProperties").and_then(Value::as_f64).is_some_and(|least| least > 0.0) {
            return Err(cannot("`minProperties`"));
        }
        let Some(whole) = WHOLE.iter().find(has) else { return Ok(()) };
        let mut others = WHOLE.iter().filter(|name| *name != whole).chain(&PARTS);
        let contrary = || {
            let kinds = fields.get("type")?;
            let is_shared = self.is_whole_of(fields, kinds, &mut MOST_LOOKS.clone());
            (!is_shared).then_some(&"type")
        };
        match others.find(has).or_else(contrary) {
            Some(other) => Err(cannot(&format!("`{other}` beside `{whole}`"))),
            None => Ok(()),
        }
    }

    /// Whether all values that are written for a schema are of one of these types.
    fn is_of(&self, schema: &Value, kinds: &Value, looks: &mut u32) -> bool {
        if *looks == 0 {
            return false;
        }
        *looks -= 1;
        let Value::Object(fields) = schema else {
            return *schema != Value::Bool(true) || includes(kinds, "string");
        };
        match fields.get("type") {
            Some(Value::Array(own)) => {
                own.iter().filter_map(Value::as_str).all(|own| includes(kinds, own))
            }
            Some(own) => own.as_str().is_some_and(|own| includes(kinds, own)),
            None if WHOLE.iter().any(|name| fields.contains_key(*name)) => {
                self.is_whole_of(fields, kinds, looks)
            }
            None => includes(kinds, implied(fields)),
        }
    }

    /// The same by what says by itself what the value is.
    fn is_whole_of(&self, fields: &Map<String, Value>, kinds: &Value, looks: &mut u32) -> bool {
        if let Some(target) = fields.get("$ref") {
            return self.resolve(target).is_ok_and(|target| self.is_of(target, kinds, looks));
        }
        let values = |name| fields.get(name).and_then(Value::as_array).into_iter().flatten();
        let mut constants = fields.get("const").into_iter().chain(values("enum"));
        let mut options = values("anyOf").chain(values("oneOf")).chain(values("allOf"));
        constants.all(|value| includes(kinds, kind_of(value)))
            && options.all(|option| self.is_of(option, kinds, looks))
    }

    /// How deep the least value of a schema is nested, counted as the writer counts; `u32::MAX` if it
    /// has none or one that is too deep.
    pub(super) fn height(&self, schema: &Value) -> u32 {
        height_in(self.heights.get_or_init(|| self.heights()), schema)
    }

    /// Heights are found from the lowest up: a schema that leads back to itself gets the height of
    /// the way on which it does not. Every round finds at least those of one level more.
    fn heights(&self) -> Heights {
        let mut schemas = Vec::new();
        collect(self.root, &mut schemas);
        let mut heights = Heights::new();
        for _ in 0..=DEEPEST {
            let mut is_done = true;
            for (schema, fields) in &schemas {
                let height = self.height_by(fields, &heights);
                if height < height_in(&heights, schema) {
                    heights.insert(ptr::from_ref(*schema), height);
                    is_done = false;
                }
            }
            if is_done {
                break;
            }
        }
        heights
    }

    /// The height of a schema, as far as those within it are known.
    fn height_by(&self, fields: &Map<String, Value>, heights: &Heights) -> u32 {
        let height = |schema: &Value| height_in(heights, schema).saturating_add(1);
        let list = |name| fields.get(name).and_then(Value::as_array);
        if let Some(target) = fields.get("$ref") {
            return self.resolve(target).map_or(u32::MAX, height);
        }
        if fields.contains_key("const") || fields.contains_key("enum") {
            return 0;
        }
        if let Some(options) = list("anyOf").or_else(|| list("oneOf")) {
            return options.iter().map(height).min().unwrap_or(u32::MAX);
        }
        if let Some(all) = list("allOf") {
            return all.iter().map(height).max().unwrap_or(u32::MAX);
        }
        let kind = match fields.get("type") {
            Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "null") => "null",
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
            Some(kind) => kind.as_str().unwrap_or_default(),
            None => implied(fields),
        };
        let highest = match kind {
            "object" => {
                let member = |name: &Value| height(member(fields, name.as_str()?)).into();
                list("required").into_iter().flatten().filter_map(member).max()
            }
            "array" => {
                let first = list("prefixItems").into_iter().flatten();
                let least = fields.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                let items = (least > first.clone().count() as u64).then(|| fields.get("items"));
                first.chain(items.flatten()).map(height).max()
            }
            _ => None,
        };
        highest.unwrap_or(0)
    }
}

/// The schema of a member of an object.
pub(super) fn member<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a Value {
    static ANYTHING: Value = Value::Bool(true);
    let known = fields.get("properties").and_then(|properties| properties.get(name));
    let others =
        || ["additionalProperties", "unevaluatedProperties"].iter().find_map(|n| fields.get(*n));
    known.or_else(others).unwrap_or(&ANYTHING)
}

fn height_in(heights: &Heights, schema: &Value) -> u32 {
    match schema {
        Value::Bool(true) => 0,
        _ => heights.get(&ptr::from_ref(schema)).copied().unwrap_or(u32::MAX),
    }
}

/// Everything that may be a schema, from the innermost out.
fn collect<'a>(value: &'a Value, found: &mut Vec<(&'a Value, &'a Map<String, Value>)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            fields.values().for_each(|field| collect(field, found));
            found.push((value, fields));
        }
        _ => {}
    }
}

/// Whether a `type` allows this one.
fn includes(kinds: &Value, kind: &str) -> bool {
    let mut kinds = match kinds {
        Value::Array(kinds) => kinds.as_slice(),
        one => std::slice::from_ref(one),
    }
    .iter();
    kinds.any(|known| known == kind || (known == "number" && kind == "integer"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() == 0.0) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The part of a URI after `#` without its percent-escapes, if it is a text.
fn unescaped(fragment: &str) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut rest = fragment.as_bytes();
    let bytes = iter::from_fn(|| {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            rest = after;
            return Some((16 * high + low) as u8);
        }
        let (first, after) = rest.split_first()?;
        rest = after;
        Some(*first)
    });
    String::from_utf8(bytes.collect()).ok()
}
