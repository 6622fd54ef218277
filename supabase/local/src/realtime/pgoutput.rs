//! Messages of the logical decoding plugin `pgoutput`, protocol version 1: bytes in, changes out. No I/O.
//!
//! Only what subscribers can see is kept: streamed and prepared transactions, origins, types and logical messages are passed over.

use std::collections::HashMap;
use std::str;

use time::{Duration, OffsetDateTime};

/// A table as the stream announces it before its first change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Object id in `pg_class`.
    pub oid: u32,
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// The published columns, in the order of every tuple.
    pub columns: Vec<Column>,
}

/// A published column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Whether it is part of the replica identity, which is the primary key where nothing else was said.
    pub is_identity: bool,
}

/// A column's value in a tuple.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// SQL null.
    Null,
    /// Not in the log: stored out of line and not touched by the update, or no part of the old row's identity.
    Absent,
    /// The value in PostgreSQL's text form.
    Text(String),
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new row.
    Insert,
    /// A changed row.
    Update,
    /// A removed row.
    Delete,
}

impl Action {
    /// `INSERT`, `UPDATE` or `DELETE`, as clients read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// One row change of a committed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub relation: Relation,
    /// What happened.
    pub action: Action,
    /// When its transaction committed.
    pub committed_at: OffsetDateTime,
    /// The row before, as far as the replica identity goes; empty for an insert and for an update that left the identity alone.
    pub old: Vec<Field>,
    /// The row after; empty for a delete.
    pub new: Vec<Field>,
}

/// Bytes that are no message of this protocol.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the replication stream holds a message that can't be read")]
pub struct Malformed;

/// Reads a stream from its beginning; each call of a slot function is a stream of its own.
#[derive(Default)]
pub struct Decoder {
    relations: HashMap<u32, Relation>,
    committed_at: Option<OffsetDateTime>,
}

impl Decoder {
    /// Takes the next message in. `None` when it is no row change.
    ///
    /// # Errors
    /// When the message is cut short, or names a table that was not announced.
    pub fn decode(&mut self, message: &[u8]) -> Result<Option<Change>, Malformed> {
        let mut bytes = Bytes(message);
        match bytes.u8()? {
            b'B' => {
                bytes.take(8)?;
                let micros = Duration::microseconds(bytes.i64()?);
                self.committed_at = Some(time::macros::datetime!(2000-01-01 00:00 UTC) + micros);
                Ok(None)
            }
            b'R' => {
                let relation = bytes.relation()?;
                self.relations.insert(relation.oid, relation);
                Ok(None)
            }
            b'I' => self.change(&mut bytes, Action::Insert).map(Some),
            b'U' => self.change(&mut bytes, Action::Update).map(Some),
            b'D' => self.change(&mut bytes, Action::Delete).map(Some),
            // Commit, truncate, origin, type, logical message: nothing that a subscriber sees.
            _ => Ok(None),
        }
    }

    fn change(&self, bytes: &mut Bytes<'_>, action: Action) -> Result<Change, Malformed> {
        let relation = self.relations.get(&bytes.u32()?).ok_or(Malformed)?.clone();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        while let Ok(part) = bytes.u8() {
            match part {
                b'O' => old = bytes.tuple()?,
                b'K' => {
                    old = bytes.tuple()?;
                    // What is no part of the key comes as null, whatever it was.
                    let columns = relation.columns.iter().zip(&mut old);
                    columns.filter(|(column, _)| !column.is_identity).for_each(|(_, field)| *field = Field::Absent);
                }
                b'N' => new = bytes.tuple()?,
                _ => return Err(Malformed),
            }
        }
        let committed_at = self.committed_at.ok_or(Malformed)?;
        Ok(Change { relation, action, committed_at, old, new })
    }
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    fn text(&mut self, length: usize) -> Result<String, Malformed> {
        str::from_utf8(self.take(length)?).map(str::to_owned).map_err(|_| Malformed)
    }

    fn name(&mut self) -> Result<String, Malformed> {
        let length = memchr::memchr(0, self.0).ok_or(Malformed)?;
        let name = self.text(length)?;
        self.take(1)?;
        Ok(name)
    }

    fn relation(&mut self) -> Result<Relation, Malformed> {
        let oid = self.u32()?;
        let (schema, table) = (self.name()?, self.name()?);
        let _replica_identity = self.u8()?;
        let count = self.u16()?;
        let columns = (0..count).map(|_| {
            let is_identity = self.u8()? & 1 == 1;
            let name = self.name()?;
            let _type_and_modifier = self.take(8)?;
            Ok(Column { name, is_identity })
        });
        Ok(Relation { oid, schema, table, columns: columns.collect::<Result<_, _>>()? })
    }

    fn tuple(&mut self) -> Result<Vec<Field>, Malformed> {
        let count = self.u16()?;
        let fields = (0..count).map(|_| match self.u8()? {
            b'n' => Ok(Field::Null),
            b'u' => Ok(Field::Absent),
            b't' => {
                let length = self.u32()?;
                Ok(Field::Text(self.text(usize::try_from(length).map_err(|_| Malformed)?)?))
            }
            _ => Err(Malformed),
        });
        fields.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &[u8] = &[b'B', 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 15, 66, 64, 0, 0, 0, 7];

    fn relation() -> Vec<u8> {
        let mut message = vec![b'R', 0, 0, 0, 42];
        message.extend(b"public\0jobs\0d");
        message.extend([0, 2]);
        message.extend([&[1][..], b"id\0", &[0, 0, 0, 23, 255, 255, 255, 255]].concat());
        message.extend([&[0][..], b"title\0", &[0, 0, 0, 25, 255, 255, 255, 255]].concat());
        message
    }

    fn text(value: &str) -> Field {
        Field::Text(value.to_owned())
    }

    fn started() -> Decoder {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(COMMITTED), Ok(None));
        assert_eq!(decoder.decode(&relation()), Ok(None));
        decoder
    }

    #[test]
    fn an_insert_carries_its_table_its_row_and_its_commit_time() {
        let message = [&[b'I', 0, 0, 0, 42, b'N', 0, 2, b't', 0, 0, 0, 1][..], b"7", b"n"].concat();
        let change = started().decode(&message).unwrap().unwrap();
        assert_eq!((change.relation.schema.as_str(), change.relation.table.as_str()), ("public", "jobs"));
        let names: Vec<_> = change.relation.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "title"]);
        assert_eq!(change.action, Action::Insert);
        assert_eq!(change.new, [text("7"), Field::Null]);
        assert_eq!(change.committed_at, time::macros::datetime!(2000-01-01 00:00:01 UTC));
    }

    #[test]
    fn an_update_leaves_out_what_the_log_does_not_hold() {
        let old = [&b"K"[..], &[0, 2], b"t", &[0, 0, 0, 1], b"7", b"n"].concat();
        let new = [&b"N"[..], &[0, 2], b"t", &[0, 0, 0, 1], b"8", b"u"].concat();
        let message = [&[b'U', 0, 0, 0, 42][..], &old, &new].concat();
        let change = started().decode(&message).unwrap().unwrap();
        assert_eq!(change.old, [text("7"), Field::Absent]);
        assert_eq!(change.new, [text("8"), Field::Absent]);
    }

    #[test]
    fn a_delete_has_only_the_old_row() {
        let message = [&[b'D', 0, 0, 0, 42, b'K', 0, 2, b't', 0, 0, 0, 1][..], b"7", b"n"].concat();
        let change = started().decode(&message).unwrap().unwrap();
        assert_eq!((change.action, change.new), (Action::Delete, Vec::new()));
        assert_eq!(change.old, [text("7"), Field::Absent]);
    }

    #[test]
    fn a_truncate_and_a_commit_are_no_row_changes() {
        assert_eq!(started().decode(&[b'T', 0, 0, 0, 1, 0, 0, 0, 0, 42]), Ok(None));
        assert_eq!(started().decode(b"C"), Ok(None));
    }

    #[test]
    fn a_message_that_is_cut_short_or_of_an_unknown_table_is_refused() {
        assert_eq!(started().decode(&[b'I', 0, 0, 0, 42, b'N', 0, 2, b't', 0, 0, 0, 9, b'x']), Err(Malformed));
        assert_eq!(started().decode(&[b'I', 0, 0, 0, 43, b'N', 0, 0]), Err(Malformed));
        assert_eq!(started().decode(&[]), Err(Malformed));
    }
}
