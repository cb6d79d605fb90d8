//! What of a table's row images counts for keys: compiled once for each table map.

use crate::binlog::{Cell, ColumnType, Image, TableMap};

use super::claims::{KeyPlan, Part, Texture};
use super::{Collation, ForeignKey, KeyColumn, Reach, TableKeys, UniqueKey};

/// Which cells of an image are picked, and what keys do with them.
#[derive(Debug)]
pub(super) struct Layout {
    /// For each column up to the last one that counts, whether it is picked.
    wanted: Vec<bool>,
    /// The parts of the primary key, if rows can be told apart by it.
    pub(super) primary: Option<Vec<PrimaryPart>>,
    /// Unique keys whose values different rows may share after one another; the primary key if its bytes do not decide.
    pub(super) unique: Vec<KeyPlan>,
    /// In the order of the table's foreign keys.
    pub(super) parents: Vec<KeyPlan>,
    /// In the order of the foreign keys that refer to the table.
    pub(super) children: Vec<KeyPlan>,
}

/// A column of the primary key.
#[derive(Debug, Clone, Copy)]
pub(super) struct PrimaryPart {
    cell: usize,
    order: Order,
}

/// How a cell's bytes become bytes that sort nearly as the server does. All are reversible.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Little-endian; the sign bit turned over.
    Signed,
    /// Little-endian.
    Unsigned,
    /// As they are, always as many.
    Fixed,
    /// As they are; their number is added at the key's end.
    Text,
}

impl Layout {
    /// Compiles the keys of a table for the rows of one of its table maps. The table map fits the table.
    pub(super) fn new(map: &TableMap, keys: &TableKeys) -> Self {
        // The source's generated key is a column of the image; the target's is not unless the source has it too.
        let offset = usize::from(map.generated_invisible_pk);
        let mut compiler = Compiler { map, keys, offset, wanted: Vec::new() };
        let generated = keys.generated_key && map.generated_invisible_pk;
        let primary_columns: Option<Vec<usize>> = match &keys.primary {
            _ if generated => Some(vec![0]),
            Some(key) if key.reach == Reach::Values => Some(key.columns.iter().map(|c| c + offset).collect()),
            _ => None,
        };
        let usable = |columns: &Vec<usize>| {
            !columns.is_empty()
                && columns
                    .iter()
                    .all(|column| compiler.texture(*column).is_some() && map.columns.len() > *column)
        };
        let primary_columns = primary_columns.filter(usable);
        let primary = primary_columns
            .as_ref()
            .map(|columns| columns.iter().map(|column| compiler.primary_part(*column)).collect::<Vec<_>>());
        let mut unique: Vec<KeyPlan> = keys.unique.iter().map(|key| compiler.unique(key)).collect();
        if let Some(key) = &keys.primary {
            let plan = compiler.unique(key);
            if primary.is_none() || !plan.is_exact() {
                unique.push(plan);
            }
        }
        let parents = keys.parents.iter().map(|key| compiler.foreign(key)).collect();
        let children = keys.children.iter().map(|key| compiler.foreign(key)).collect();
        let mut layout = Self { wanted: compiler.wanted, primary, unique, parents, children };
        layout.renumber();
        layout
    }

    /// Picks the cells that count, in the order of columns.
    pub(super) fn pick<'a>(&self, image: &Image<'a>, into: &mut Vec<Cell<'a>>) {
        into.clear();
        image.pick(&self.wanted, into);
    }

    /// Appends the primary key's bytes: different for different keys. False if the cells do not hold it.
    pub(super) fn primary_bytes(&self, cells: &[Cell<'_>], into: &mut Vec<u8>) -> bool {
        let Some(parts) = &self.primary else { return false };
        for part in parts {
            let Some(Cell::Bytes(bytes)) = cells.get(part.cell) else { return false };
            match part.order {
                Order::Fixed | Order::Text => into.extend_from_slice(bytes),
                Order::Unsigned => big_endian(bytes, into),
                Order::Signed => {
                    let first = into.len();
                    big_endian(bytes, into);
                    if let Some(byte) = into.get_mut(first) {
                        *byte ^= 0x80;
                    }
                }
            }
        }
        for part in parts.iter().filter(|part| matches!(part.order, Order::Text)) {
            if let Some(Cell::Bytes(bytes)) = cells.get(part.cell) {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                into.extend_from_slice(&length.to_be_bytes());
            }
        }
        true
    }

    /// Whether an update may change the primary key.
    pub(super) fn moves(&self, before: &[Cell<'_>], after: &[Cell<'_>]) -> bool {
        self.primary.iter().flatten().any(|part| match (before.get(part.cell), after.get(part.cell)) {
            (_, Some(Cell::Absent)) => false,
            (before, after) => before != after,
        })
    }

    /// From columns to places among the picked cells.
    fn renumber(&mut self) {
        let mut places = Vec::with_capacity(self.wanted.len());
        let mut next = 0;
        for wanted in &self.wanted {
            places.push(next);
            next += usize::from(*wanted);
        }
        let place = |column: &mut usize| *column = places.get(*column).copied().unwrap_or(usize::MAX);
        self.primary.iter_mut().flatten().for_each(|part| place(&mut part.cell));
        let plans = self.unique.iter_mut().chain(&mut self.parents).chain(&mut self.children);
        plans.flat_map(|plan| &mut plan.parts).for_each(|part| place(&mut part.cell));
    }
}

/// Appends a little-endian number with its high bytes first.
fn big_endian(bytes: &[u8], into: &mut Vec<u8>) {
    // Of a known length they are one instruction.
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        into.extend_from_slice(&u32::from_le_bytes(four).to_be_bytes());
    } else if let Ok(eight) = <[u8; 8]>::try_from(bytes) {
        into.extend_from_slice(&u64::from_le_bytes(eight).to_be_bytes());
    } else {
        into.extend(bytes.iter().rev());
    }
}

struct Compiler<'a> {
    map: &'a TableMap,
    keys: &'a TableKeys,
    offset: usize,
    wanted: Vec<bool>,
}

impl Compiler<'_> {
    fn want(&mut self, column: usize) {
        if self.wanted.len() <= column {
            self.wanted.resize(column + 1, false);
        }
        if let Some(wanted) = self.wanted.get_mut(column) {
            *wanted = true;
        }
    }

    /// What the target says of a column of the image.
    fn theirs(&self, column: usize) -> Option<&KeyColumn> {
        column.checked_sub(self.offset).and_then(|index| self.keys.columns.get(index))
    }

    /// How the values of a column are compared; `None` if that is not known.
    fn texture(&self, column: usize) -> Option<Texture> {
        let kind = self.map.columns.get(column)?.kind;
        let theirs = self.theirs(column);
        let collation = theirs.map_or(Collation::Bytes, |column| column.collation);
        Some(match kind {
            ColumnType::Float | ColumnType::Double => Texture::Float,
            ColumnType::Decimal => Texture::Decimal,
            ColumnType::Char | ColumnType::VarChar | ColumnType::Blob => match collation {
                _ if theirs.is_some_and(|column| column.weights.is_some()) => Texture::Weighed,
                Collation::Bytes => Texture::Trimmed,
                Collation::Folded => Texture::Folded,
                Collation::Unknown => Texture::Unknown,
            },
            ColumnType::Json
            | ColumnType::Geometry
            | ColumnType::Vector
            | ColumnType::TypedArray
            | ColumnType::Null => return None,
            _ => Texture::Exact,
        })
    }

    fn primary_part(&mut self, column: usize) -> PrimaryPart {
        self.want(column);
        let found = self.map.columns.get(column);
        let order = match found.map(|column| column.kind) {
            Some(
                ColumnType::TinyInt
                | ColumnType::SmallInt
                | ColumnType::MediumInt
                | ColumnType::Int
                | ColumnType::BigInt,
            ) if found.is_some_and(|column| !column.unsigned) => Order::Signed,
            Some(
                ColumnType::TinyInt
                | ColumnType::SmallInt
                | ColumnType::MediumInt
                | ColumnType::Int
                | ColumnType::BigInt
                | ColumnType::Date
                | ColumnType::Enum
                | ColumnType::Set,
            ) => Order::Unsigned,
            Some(ColumnType::Char | ColumnType::VarChar | ColumnType::Blob) => Order::Text,
            _ => Order::Fixed,
        };
        PrimaryPart { cell: column, order }
    }

    fn unique(&mut self, key: &UniqueKey) -> KeyPlan {
        self.plan(&key.columns, key.reach)
    }

    fn foreign(&mut self, key: &ForeignKey) -> KeyPlan {
        self.plan(&key.columns, if key.comparable { Reach::Values } else { Reach::Prefixes })
    }

    fn plan(&mut self, columns: &[usize], reach: Reach) -> KeyPlan {
        let computed = |column: &usize| self.keys.columns.get(*column).is_none_or(|column| column.computed);
        if reach == Reach::Row || columns.is_empty() || columns.iter().any(computed) {
            return KeyPlan { parts: Vec::new(), reach: Reach::Row };
        }
        let mut parts = Vec::with_capacity(columns.len());
        let mut reach = reach;
        for column in columns {
            let column = column + self.offset;
            let Some(texture) = self.texture(column) else {
                return KeyPlan { parts: Vec::new(), reach: Reach::Row };
            };
            if texture == Texture::Unknown {
                reach = Reach::Prefixes;
            }
            let Some(found) = self.map.columns.get(column) else {
                return KeyPlan { parts: Vec::new(), reach: Reach::Row };
            };
            self.want(column);
            let kind = (found.kind, found.meta);
            let weights = self.theirs(column).and_then(|column| column.weights.clone());
            parts.push(Part { cell: column, texture, kind, weights });
        }
        KeyPlan { parts, reach }
    }
}
