//! Values of a swept option: `1,2,5`, `5..50/5`, `pool_size=1,4,8`.

/// More points than this are a slip of the pen.
const MOST: usize = 200;

/// Values of a load: a list, ranges with a step, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Loads {
    /// In the order in which they are written.
    pub values: Vec<f64>,
    /// The step of the only range, if that is all there is.
    pub step: Option<f64>,
}

/// Reads `1,2,5` or `5..50/5`. Users are whole numbers; rates may have a fraction.
///
/// # Errors
///
/// Says which part is wrong, and how it is written.
pub fn loads(text: &str, whole: bool) -> Result<Loads, String> {
    let mut values: Vec<f64> = Vec::new();
    let mut step = None;
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        let wrong = |why: &str| {
            format!(
                "`{part}` is not understood: {why}; write a list as 1,2,5 or a range as 5..50/5"
            )
        };
        let number = |text: &str| match text.trim().parse::<f64>() {
            Ok(n) if whole && (n.fract() != 0.0 || n > f64::from(u32::MAX)) => {
                Err(wrong("users are whole numbers"))
            }
            Ok(n) if n.is_finite() && n > 0.0 => Ok(n),
            Ok(_) => Err(wrong("it must be above 0")),
            Err(_) => Err(wrong("a number is expected")),
        };
        let Some((from, rest)) = part.split_once("..") else {
            values.push(number(part)?);
            continue;
        };
        let (to, by) = rest.split_once('/').ok_or_else(|| wrong("a range needs a step"))?;
        let (from, to, by) = (number(from)?, number(to)?, number(by)?);
        if to < from {
            return Err(wrong("it ends before it begins"));
        }
        let count = ((to - from) / by + 1e-9).floor() + 1.0;
        if count > MOST as f64 {
            return Err(wrong(&format!("it has {count} values, more than {MOST}")));
        }
        step = (parts.len() == 1).then_some(by);
        // Rounded: 0.1 + 2 times 0.1 is to be 0.3.
        let value = |index: usize| ((from + by * index as f64) * 1e9).round() / 1e9;
        values.extend((0..count as usize).map(value));
    }
    if values.len() > MOST {
        return Err(format!("`{text}` has {} values, more than {MOST}", values.len()));
    }
    match values.iter().enumerate().find(|(index, value)| values[..*index].contains(value)) {
        Some((_, twice)) => Err(format!("{twice} is there twice: use --trials to repeat points")),
        None => Ok(Loads { values, step }),
    }
}

/// Splits a setting's value at commas outside of brackets, braces and quotes: several are an axis.
pub fn settings(value: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quote) = (vec![String::new()], 0i32, None);
    for c in value.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_and_ranges_are_understood() {
        assert_eq!(loads("1,2, 5", true).unwrap().values, [1.0, 2.0, 5.0]);
        let range = loads("5..20/5", true).unwrap();
        assert_eq!((range.values, range.step), (vec![5.0, 10.0, 15.0, 20.0], Some(5.0)));
        assert_eq!(loads("1,10..30/10", true).unwrap().values, [1.0, 10.0, 20.0, 30.0]);
        assert_eq!(loads("0.1..0.3/0.1", false).unwrap().values, [0.1, 0.2, 0.3]);
        assert_eq!(loads("1..10/4", true).unwrap().values, [1.0, 5.0, 9.0]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("5..50", "a range needs a step"),
            ("50..5/5", "ends before it begins"),
            ("5..50/0", "above 0"),
            ("0,1", "above 0"),
            ("1,2,x", "`x` is not understood: a number is expected"),
            ("", "a number is expected"),
            ("1.5", "whole numbers"),
            ("1..100000/1", "more than 200"),
            ("1,2,1", "1 is there twice"),
            ("nan", "whole numbers"),
            ("inf", "users are whole"),
        ] {
            let said = loads(text, true).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn only_commas_outside_of_brackets_part_settings() {
        assert_eq!(settings("1,4, 8"), ["1", "4", "8"]);
        assert_eq!(settings("{ base = \"1ms\", jitter = \"1ms\" }").len(), 1);
        assert_eq!(settings("[1,2],[3]"), ["[1,2]", "[3]"]);
        assert_eq!(settings("\"a,b\""), ["\"a,b\""]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[0-9.,/x \\-e{}\"]{0,30}") {
            if let Ok(found) = loads(&text, false) {
                prop_assert!(!found.values.is_empty() && found.values.len() <= MOST);
                prop_assert!(found.values.iter().all(|value| *value > 0.0));
            }
            prop_assert!(!settings(&text).is_empty());
        }
    }
}
