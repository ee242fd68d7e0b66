//! How much memory a protocol buffer takes once it is decoded: two bytes of it can become an empty
//! message of seventy. <https://protobuf.dev/programming-guides/encoding/>

/// What can stand more than once in a message, by the number of its field.
pub type Fields = [(u64, Holds)];

/// What each of a repeated field is.
#[derive(Debug, Clone, Copy)]
pub enum Holds {
    /// Numbers, each by itself or many packed into one.
    Numbers,
    /// Messages of so many bytes of memory, with what can repeat in them; text as well.
    Messages(usize, &'static Fields),
}

/// Memory in bytes that the repeated fields of `message` take, text itself and spare room of lists left
/// out; `None` where it is no well-formed message. Groups, which nobody has written for long, are not.
pub fn memory(message: &[u8], fields: &Fields) -> Option<usize> {
    let mut rest = message;
    let mut taken = 0usize;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let holds = fields.iter().find(|(number, _)| *number == key >> 3).map(|(_, holds)| *holds);
        let one_number = if matches!(holds, Some(Holds::Numbers)) { size_of::<u64>() } else { 0 };
        let more = match key & 7 {
            0 => varint(&mut rest).map(|_| one_number)?,
            1 => cut(&mut rest, 8).map(|_| one_number)?,
            5 => cut(&mut rest, 4).map(|_| one_number)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let inner = cut(&mut rest, length)?;
                match holds {
                    // The last byte of each number has no continuation bit.
                    Some(Holds::Numbers) => {
                        inner.iter().filter(|byte| **byte < 0x80).count() * one_number
                    }
                    Some(Holds::Messages(size, [])) => size,
                    Some(Holds::Messages(size, fields)) => size + memory(inner, fields)?,
                    None => 0,
                }
            }
            _ => return None,
        };
        taken = taken.saturating_add(more);
    }
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for index in 0..10 {
        let byte = cut(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}
