//! A result set of the text protocol, held whole.

use bytes::Bytes;

/// A result set; empty, without columns, for a statement that returns none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Column names in the server's spelling.
    pub columns: Vec<String>,
    /// The rows, in the server's order.
    pub rows: Vec<Row>,
}

/// One row: a value per column, as text; `None` is NULL.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Row(pub Vec<Option<Bytes>>);

/// Values are not shown: they may be a user's data.
impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row({} values)", self.0.len())
    }
}

impl Row {
    /// The bytes of column `index`; `None` for NULL and beyond the last column.
    pub fn bytes(&self, index: usize) -> Option<&Bytes> {
        self.0.get(index)?.as_ref()
    }

    /// Column `index` as text; `None` for NULL, beyond the last column, and if it is not UTF-8.
    pub fn text(&self, index: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes(index)?).ok()
    }
}

impl Rows {
    /// The place of a column, whatever the case of its letters (`Log_name`, `LOG_NAME`).
    pub fn index(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name.eq_ignore_ascii_case(column))
    }

    /// A row's value by column name; `None` for NULL and for a column that is not there.
    pub fn get<'a>(&self, row: &'a Row, column: &str) -> Option<&'a str> {
        row.text(self.index(column)?)
    }

    /// The first row.
    pub fn first(&self) -> Option<&Row> {
        self.rows.first()
    }

    /// The value of a query for one value: first row, first column.
    pub fn scalar(&self) -> Option<&str> {
        self.first()?.text(0)
    }

    /// The rows, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Row> {
        self.rows.iter()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = &'a Row;
    type IntoIter = std::slice::Iter<'a, Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_in_any_case_and_null_is_none() {
        let row =
            Row(vec![Some(Bytes::from_static(b"binlog.000001")), None, Some(Bytes::from_static(b"\xff"))]);
        let rows =
            Rows { columns: ["File", "Gtid", "Raw"].map(str::to_owned).to_vec(), rows: vec![row.clone()] };
        assert_eq!(rows.get(&row, "FILE"), Some("binlog.000001"));
        assert_eq!(rows.get(&row, "Gtid"), None);
        assert_eq!(rows.get(&row, "Raw"), None);
        assert_eq!(rows.get(&row, "Other"), None);
        assert_eq!(rows.scalar(), Some("binlog.000001"));
        assert_eq!(row.bytes(2).unwrap().as_ref(), b"\xff");
        assert_eq!(row.text(9), None);
    }
}
