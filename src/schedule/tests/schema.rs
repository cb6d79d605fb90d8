//! Small random schemas: six columns of different nature, keys over them, foreign keys between them.

use std::sync::Arc;

use super::{Collation, ForeignKey, KeyColumn, Reach, Rule, TableKeys, TableName, UniqueKey};

/// A value. Doubles as bits, so that both zeros are told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Value {
    Null,
    Int(i32),
    Text(&'static str),
    Double(u64),
    /// Bytes as an image has them: packed digits, or a binary string.
    Raw(&'static [u8]),
}

pub(super) type Line = Vec<Value>;

/// What a column holds and how its values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Int,
    /// `_ci` or `_bin`.
    Text(Collation),
    Double,
    /// `DECIMAL(5,2)`.
    Decimal,
    /// `VARBINARY`: no two values are equal.
    Binary,
}

/// As many columns as every table has.
pub(super) const COLUMNS: usize = 6;
pub(super) const TEXTS: [&str; 9] = ["a", "A", "e", "é", "É", "y", "i", "a ", "b"];
/// Zero, zero with a minus, 1.50, -2.00 and 1.51.
pub(super) const DECIMALS: [&[u8]; 5] =
    [&[0x80, 0, 0], &[0x7F, 0xFF, 0xFF], &[0x80, 1, 50], &[0x7F, 0xFD, 0xFF], &[0x80, 1, 51]];
pub(super) const BINARIES: [&[u8]; 6] = [b"a", b"A", b"a ", b"a\0", b"", b"\xC3\xA9"];

#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) natures: [Nature; COLUMNS],
    pub(super) primary: Option<Vec<usize>>,
    pub(super) unique: Vec<Vec<usize>>,
    pub(super) references: Vec<Reference>,
    pub(super) images: Images,
    /// Who has a generated invisible primary key.
    pub(super) generated: Generated,
    /// Updates are logged as partial ones.
    pub(super) partial: bool,
    /// The log has it under two table maps, by turns.
    pub(super) two_maps: bool,
    /// What the key reader says of the first unique key.
    pub(super) reach: Reach,
}

/// Which columns the images of a table hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Images {
    Full,
    /// Only what they must.
    Minimal,
    /// All but long columns that did not change; texts stand for these.
    Noblob,
}

/// Who has a generated invisible primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generated {
    Neither,
    /// The target, by itself: images know nothing of it.
    Target,
    /// Source and target: the first column is it.
    Both,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) columns: Vec<usize>,
    pub(super) parent: usize,
    pub(super) to: Vec<usize>,
    pub(super) on_delete: Action,
    pub(super) on_update: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Restrict,
    Cascade,
    SetNull,
}

#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub(super) tables: Vec<Table>,
    /// Cascades are in the log, as from 9.6 on.
    pub(super) logs_cascades: bool,
}

/// What a schema is made from; zeros make the simplest.
pub(super) type Seed = (bool, Vec<[u8; 10]>);

impl Schema {
    pub(super) fn of((logs_cascades, seeds): &Seed) -> Self {
        let mut tables: Vec<Table> = seeds.iter().copied().map(Table::of).collect();
        let count = tables.len();
        for (child, seed) in seeds.iter().enumerate() {
            let drawn = |draw| Reference::of(draw, child, count, seed[6]);
            for reference in [seed[4], seed[5]].into_iter().filter_map(drawn) {
                let shares =
                    |other: &Reference| other.columns.iter().any(|column| reference.columns.contains(column));
                if !tables[child].references.iter().any(shares) {
                    tables[reference.parent].require_unique(&reference.to);
                    tables[child].references.push(reference);
                }
            }
        }
        Self::hide(&mut tables, seeds);
        // Text columns that foreign keys join have one collation.
        if tables.iter().flat_map(|table| &table.references).any(|reference| reference.columns.contains(&2)) {
            for table in &mut tables {
                table.natures[2] = Nature::Text(Collation::Folded);
            }
        }
        Self { tables, logs_cascades: *logs_cascades }
    }

    /// First columns that nothing but the primary key needs may be generated ones.
    fn hide(tables: &mut [Table], seeds: &[[u8; 10]]) {
        let needed: Vec<usize> = tables
            .iter()
            .flat_map(|table| &table.references)
            .filter(|reference| reference.to.contains(&0))
            .map(|reference| reference.parent)
            .collect();
        for (number, (table, seed)) in tables.iter_mut().zip(seeds).enumerate() {
            let free = !needed.contains(&number) && !table.unique.iter().flatten().any(|column| *column == 0);
            table.generated = match &table.primary {
                Some(key) if *key == [0] && free && seed[8] / 8 % 4 == 3 => Generated::Both,
                None if seed[8] / 8 % 2 == 1 => Generated::Target,
                _ => Generated::Neither,
            };
        }
    }

    pub(super) fn name(number: usize) -> TableName {
        TableName { schema: Arc::from("db"), table: Arc::from(format!("t{number}").as_str()) }
    }

    /// What the target would say of a table.
    pub(super) fn keys(&self, number: usize) -> TableKeys {
        let table = &self.tables[number];
        let hidden = usize::from(table.generated == Generated::Both);
        let numbered = |columns: &[usize]| columns.iter().map(|column| column - hidden).collect::<Vec<_>>();
        let unique = |columns: &Vec<usize>| UniqueKey { columns: numbered(columns), reach: Reach::Values };
        let mut keys = TableKeys {
            name: Self::name(number),
            columns: table.natures[hidden..].iter().map(|nature| nature.key_column()).collect(),
            primary: table.primary.as_ref().filter(|_| hidden == 0).map(unique),
            generated_key: table.generated != Generated::Neither,
            unique: table.unique.iter().map(unique).collect(),
            parents: Vec::new(),
            children: Vec::new(),
        };
        if let Some(first) = keys.unique.first_mut() {
            first.reach = table.reach;
        }
        for (child, other) in self.tables.iter().enumerate() {
            for (index, reference) in other.references.iter().enumerate() {
                let key = |columns: &[usize]| ForeignKey {
                    name: Arc::from(format!("t{child}_{index}").as_str()),
                    child: Self::name(child),
                    parent: Self::name(reference.parent),
                    columns: numbered(columns),
                    comparable: true,
                    on_delete: reference.on_delete.rule(),
                    on_update: reference.on_update.rule(),
                };
                if child == number {
                    keys.parents.push(key(&reference.columns));
                }
                if reference.parent == number {
                    keys.children.push(key(&reference.to));
                }
            }
        }
        keys
    }
}

impl Table {
    fn of(seed: [u8; 10]) -> Self {
        let collation = [Collation::Folded, Collation::Bytes, Collation::Unknown][usize::from(seed[0] % 3)];
        let other = [Collation::Bytes, Collation::Folded][usize::from(seed[0] / 3 % 2)];
        let natures = [
            Nature::Int,
            Nature::Int,
            Nature::Text(collation),
            Nature::Int,
            Nature::Text(other),
            [Nature::Double, Nature::Decimal, Nature::Binary][usize::from(seed[8] % 3)],
        ];
        let primary = match seed[1] % 16 {
            0..=7 => Some(vec![0]),
            8 | 9 => Some(vec![2]),
            10 | 11 => Some(vec![4, 0]),
            12 => Some(vec![5]),
            13 => Some(vec![0, 1]),
            _ => None,
        };
        let mut unique = Vec::new();
        for (bit, key) in [vec![1], vec![2], vec![4, 1], vec![4], vec![0, 5]].into_iter().enumerate() {
            if seed[2] & 3 != 0 && seed[3] >> bit & 1 == 1 {
                unique.push(key);
            }
        }
        let reach = match seed[7] % 16 {
            14 => Reach::Prefixes,
            15 => Reach::Row,
            _ => Reach::Values,
        };
        let images = match seed[7] / 16 % 8 {
            3 | 7 => Images::Minimal,
            6 => Images::Noblob,
            _ => Images::Full,
        };
        let (partial, two_maps) = (seed[9] % 8 == 7, seed[9] / 8 % 8 == 7);
        let (references, generated) = (Vec::new(), Generated::Neither);
        Self { natures, primary, unique, references, images, generated, partial, two_maps, reach }
    }

    fn require_unique(&mut self, columns: &[usize]) {
        if self.primary.as_deref() != Some(columns) && !self.unique.iter().any(|key| key == columns) {
            self.unique.push(columns.to_vec());
        }
    }

    pub(super) fn is_nullable(&self, column: usize) -> bool {
        !self.primary.iter().flatten().any(|key| *key == column)
    }
}

impl Reference {
    fn of(draw: u8, child: usize, tables: usize, rules: u8) -> Option<Self> {
        let (columns, to) = match draw % 16 {
            1 | 5 | 9 => (vec![3], vec![0]),
            2 | 6 => (vec![3], vec![1]),
            3 | 11 => (vec![2], vec![2]),
            4 | 12 => (vec![1], vec![0]),
            10 | 13 => (vec![3, 1], vec![0, 1]),
            14 => (vec![2, 3], vec![2, 1]),
            _ => return None,
        };
        let parent = usize::from(draw / 16) % tables;
        // The server refuses a column that refers to itself.
        if parent == child && columns == to {
            return None;
        }
        let action = |draw: u8| match draw % 8 {
            5 | 6 => Action::Cascade,
            7 => Action::SetNull,
            _ => Action::Restrict,
        };
        let (on_delete, on_update) = (action(rules), action(rules / 8));
        // The server refuses ON UPDATE CASCADE to the table itself while it runs.
        let on_update = if parent == child { Action::Restrict } else { on_update };
        Some(Self { columns, parent, to, on_delete, on_update })
    }
}

impl Action {
    fn rule(self) -> Rule {
        if self == Self::Restrict { Rule::Restrict } else { Rule::Cascade }
    }
}

impl Nature {
    fn key_column(self) -> KeyColumn {
        let collation = match self {
            Self::Text(collation) => collation,
            _ => Collation::Bytes,
        };
        KeyColumn { collation, ..KeyColumn::default() }
    }

    /// What two values that compare equal have in common.
    pub(super) fn normal(self, value: &Value) -> Value {
        match (self, value) {
            (Self::Text(Collation::Bytes), Value::Text(text)) => Value::Text(text.trim_end()),
            (Self::Text(collation), Value::Text(text)) => Value::Text(match text.trim_end() {
                "A" => "a",
                "é" | "É" => "e",
                // As in Lithuanian.
                "y" if collation == Collation::Unknown => "i",
                other => other,
            }),
            (Self::Decimal, Value::Raw([0x7F, 0xFF, 0xFF])) => Value::Raw(DECIMALS[0]),
            (_, Value::Double(bits)) if f64::from_bits(*bits) == 0.0 => Value::Double(0),
            (_, other) => other.clone(),
        }
    }

    /// A value out of few, so that they meet.
    pub(super) fn draw(self, draw: u8, nullable: bool) -> Value {
        if nullable && draw % 6 == 5 {
            return Value::Null;
        }
        match self {
            Self::Int => Value::Int(i32::from(draw / 6 % 5)),
            Self::Text(_) => Value::Text(TEXTS[usize::from(draw / 6) % TEXTS.len()]),
            Self::Double => Value::Double([0.0_f64, -0.0, 1.5, -2.0][usize::from(draw / 6 % 4)].to_bits()),
            Self::Decimal => Value::Raw(DECIMALS[usize::from(draw / 6) % DECIMALS.len()]),
            Self::Binary => Value::Raw(BINARIES[usize::from(draw / 6) % BINARIES.len()]),
        }
    }
}
