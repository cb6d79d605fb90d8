//! Walks a parsed statement and notes the tables, telling them from common table expressions by their scope.

use std::ops::ControlFlow;

use sqlparser::ast::{Ident, ObjectName, Query, TableFactor, Visitor};

use super::lexer::Broken;
use super::mentions::Mentions;
use super::tokens::{Dotted, Tokens};

/// The common table expressions of one `WITH`.
#[derive(Debug, Default)]
struct Frame {
    names: Vec<String>,
    /// Addresses of the queries that define them.
    bodies: Vec<usize>,
    recursive: bool,
    /// How many of the names can be seen from where the walk is.
    visible: usize,
}

pub(super) struct Finder<'t, 'a, 'm> {
    tokens: &'t Tokens<'a>,
    mentions: &'m mut Mentions,
    frames: Vec<Frame>,
    /// The table names that have an alias.
    aliased: Vec<usize>,
}

impl<'t, 'a, 'm> Finder<'t, 'a, 'm> {
    pub(super) fn new(tokens: &'t Tokens<'a>, mentions: &'m mut Mentions) -> Self {
        Self { tokens, mentions, frames: Vec::new(), aliased: Vec::new() }
    }

    /// The token that a name of the parser's came from, if it is that name.
    fn place(&self, ident: &Ident) -> Result<usize, Broken> {
        let lost = Broken("a table's name cannot be read in the statement's character set");
        let at = usize::try_from(ident.span.start.column)
            .ok()
            .and_then(|column| column.checked_sub(1))
            .ok_or(lost)?;
        match self.tokens.name(at) {
            Some(name) if name == ident.value => Ok(at),
            _ => Err(lost),
        }
    }

    fn note(&mut self, relation: &ObjectName) -> Result<(), Broken> {
        let idents: Vec<&Ident> = relation.0.iter().filter_map(|part| part.as_ident()).collect();
        if idents.len() != relation.0.len() {
            return Err(Broken("its syntax is not understood"));
        }
        let place = match idents.as_slice() {
            [name] => {
                if self.is_expression(&name.value) || self.is_dual(name) {
                    return Ok(());
                }
                Dotted { schema: None, name: self.place(name)? }
            }
            [schema, name] => Dotted { schema: Some(self.place(schema)?), name: self.place(name)? },
            _ => return Err(Broken("a table's name has too many parts")),
        };
        self.mentions.add(place);
        let aliased = self.aliased.contains(&place.name);
        if let Some(table) = self.mentions.tables.last_mut() {
            table.aliased = aliased;
        }
        Ok(())
    }

    fn is_dual(&self, name: &Ident) -> bool {
        self.place(name).is_ok_and(|at| self.tokens.is_word(at, "DUAL"))
    }

    fn is_expression(&self, name: &str) -> bool {
        self.frames.iter().any(|frame| {
            frame.names.iter().take(frame.visible).any(|known| known.to_lowercase() == name.to_lowercase())
        })
    }

    /// Inside the definition of a common table expression, only those before it can be seen; itself too in a
    /// recursive one.
    fn enter(&mut self, query: &Query) {
        let address = std::ptr::from_ref(query).addr();
        if let Some(frame) = self.frames.last_mut()
            && let Some(index) = frame.bodies.iter().position(|&body| body == address)
        {
            frame.visible = index + usize::from(frame.recursive);
        }
        let mut frame = Frame::default();
        if let Some(with) = &query.with {
            frame.recursive = with.recursive;
            frame.names = with.cte_tables.iter().map(|table| table.alias.name.value.clone()).collect();
            frame.bodies =
                with.cte_tables.iter().map(|table| std::ptr::from_ref(table.query.as_ref()).addr()).collect();
            frame.visible = frame.names.len();
        }
        self.mentions.aliases.extend(frame.names.iter().cloned());
        self.frames.push(frame);
    }

    fn leave(&mut self, query: &Query) {
        let address = std::ptr::from_ref(query).addr();
        self.frames.pop();
        if let Some(frame) = self.frames.last_mut()
            && frame.bodies.contains(&address)
        {
            frame.visible = frame.names.len();
        }
    }

    fn note_alias(&mut self, factor: &TableFactor) -> Result<(), Broken> {
        let alias = match factor {
            TableFactor::Table { args: Some(_), .. } => return Err(Broken("it reads a table function")),
            TableFactor::Table { alias, name, .. } => {
                if alias.is_some()
                    && let Some(ident) = name.0.last().and_then(|part| part.as_ident())
                    && let Ok(at) = self.place(ident)
                {
                    self.aliased.push(at);
                }
                alias
            }
            TableFactor::Derived { alias, .. }
            | TableFactor::NestedJoin { alias, .. }
            | TableFactor::JsonTable { alias, .. } => alias,
            _ => return Err(Broken("it reads something that is neither a table nor a query")),
        };
        self.mentions.aliases.extend(alias.iter().map(|alias| alias.name.value.clone()));
        Ok(())
    }
}

fn flow(result: Result<(), Broken>) -> ControlFlow<Broken> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(broken) => ControlFlow::Break(broken),
    }
}

impl Visitor for Finder<'_, '_, '_> {
    type Break = Broken;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Broken> {
        self.enter(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Broken> {
        self.leave(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Broken> {
        flow(self.note_alias(factor))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Broken> {
        flow(self.note(relation))
    }
}
