//! Statements as a tree.

use crate::types::SqlType;

/// A name with what stands before it: `database.schema.name`, in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectName(pub(crate) Vec<String>);

impl ObjectName {
    /// The last part.
    pub(crate) fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.join("."))
    }
}

/// A stage and a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagePath {
    pub(crate) stage: ObjectName,
    /// Without a leading slash.
    pub(crate) path: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Expression {
    Value(crate::value::Value),
    /// A column, with the alias or table before it.
    Column(Option<String>, String),
    /// `$n`
    Place(usize),
    Call(String, Vec<Expression>),
    /// `count(*)`, `count(distinct x)`, …: a function over all rows.
    Aggregate {
        name: String,
        distinct: bool,
        argument: Option<Box<Expression>>,
    },
    Cast(Box<Expression>, SqlType),
    /// `value:field`, `value['field']`
    Field(Box<Expression>, String),
    Index(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    IsNull(Box<Expression>, bool),
    In(Box<Expression>, Vec<Expression>, bool),
    Binary(Box<Expression>, &'static str, Box<Expression>),
}

/// An expression with the name it is shown by.
#[derive(Debug, Clone)]
pub(crate) struct Projection {
    pub(crate) expression: Expression,
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Items {
    All,
    List(Vec<Projection>),
}

#[derive(Debug, Clone)]
pub(crate) enum Source {
    Table(ObjectName),
    Values(Vec<Vec<Expression>>),
    Query(Box<Query>),
    /// Only in COPY.
    Stage(StagePath),
}

#[derive(Debug, Clone)]
pub(crate) struct From {
    pub(crate) source: Source,
    pub(crate) alias: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) items: Items,
    pub(crate) from: Option<From>,
    pub(crate) filter: Option<Expression>,
    pub(crate) group: Vec<Expression>,
    /// Expression and whether it is descending.
    pub(crate) order: Vec<(Expression, bool)>,
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct ColumnDefinition {
    pub(crate) name: String,
    pub(crate) kind: SqlType,
    pub(crate) required: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) table: ObjectName,
    pub(crate) columns: Vec<String>,
    /// `None`: the file's columns in order, which for JSON is the one document.
    pub(crate) items: Option<Vec<Projection>>,
    pub(crate) from: StagePath,
    pub(crate) files: Option<Vec<String>>,
    pub(crate) options: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Merge {
    pub(crate) table: ObjectName,
    pub(crate) alias: Option<String>,
    pub(crate) source: From,
    pub(crate) condition: Expression,
    /// `WHEN MATCHED THEN UPDATE SET`
    pub(crate) update: Option<Vec<(String, Expression)>>,
    /// `WHEN NOT MATCHED THEN INSERT`
    pub(crate) insert: Option<(Vec<String>, Vec<Expression>)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Alter {
    AddColumns {
        columns: Vec<ColumnDefinition>,
        if_not_exists: bool,
    },
    DropNotNull(String),
    SetType(String, SqlType),
}

#[derive(Debug, Clone)]
pub(crate) enum Statement {
    Query(Query),
    Begin(Option<String>),
    Commit,
    Rollback,
    CreateTable {
        name: ObjectName,
        columns: Vec<ColumnDefinition>,
        if_not_exists: bool,
        or_replace: bool,
    },
    CreateStage {
        name: ObjectName,
        if_not_exists: bool,
        /// Gone with the session.
        temporary: bool,
    },
    AlterTable {
        name: ObjectName,
        alter: Alter,
    },
    DropTable {
        name: ObjectName,
        if_exists: bool,
    },
    DropStage {
        name: ObjectName,
        if_exists: bool,
    },
    Describe(ObjectName),
    Put {
        file: String,
        to: StagePath,
        overwrite: bool,
    },
    /// Known and refused.
    Get,
    List(StagePath),
    Remove(StagePath),
    Copy(Copy),
    Merge(Merge),
    Insert {
        table: ObjectName,
        columns: Vec<String>,
        query: Query,
    },
    Delete {
        table: ObjectName,
        filter: Option<Expression>,
    },
    Use(String, ObjectName),
    AlterSession(Vec<(String, String)>),
    ShowLocks,
    ShowTransactions,
}

impl Statement {
    /// Statements that open a transaction where there is none and AUTOCOMMIT is off.
    pub(crate) fn opens_transaction(&self) -> bool {
        matches!(
            self,
            Self::Query(_)
                | Self::Copy(_)
                | Self::Merge(_)
                | Self::Insert { .. }
                | Self::Delete { .. }
        )
    }

    /// Setting AUTOCOMMIT commits, whatever it is set to.
    pub(crate) fn sets_autocommit(&self) -> bool {
        let is_it = |(key, _): &(String, String)| key == "AUTOCOMMIT";
        matches!(self, Self::AlterSession(parameters) if parameters.iter().any(is_it))
    }

    /// DDL commits an open transaction before it runs.
    pub(crate) fn is_ddl(&self) -> bool {
        matches!(
            self,
            Self::CreateTable { .. }
                | Self::CreateStage { .. }
                | Self::AlterTable { .. }
                | Self::DropTable { .. }
                | Self::DropStage { .. }
        )
    }
}
