//! Statements, by their first words.

use super::ast::{
    Alter, ColumnDefinition, Copy, From, Items, Merge, ObjectName, Source, Statement,
};
use super::lexer::Token;
use super::parser::Parser;
use crate::error::{Refusal, Result};

impl Parser {
    pub(super) fn statement(&mut self) -> Result<Statement> {
        let Some(Token::Word(first)) = self.peek().cloned() else {
            return Err(self.unexpected());
        };
        match first.as_str() {
            "SELECT" | "VALUES" => self.query().map(Statement::Query),
            "BEGIN" | "START" => self.begin(),
            "COMMIT" | "ROLLBACK" => self.end_of_transaction(&first),
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "DESC" | "DESCRIBE" => self.describe(),
            "PUT" | "GET" | "LIST" | "LS" | "REMOVE" | "RM" => self.file_command(&first),
            "COPY" => self.copy(),
            "MERGE" => self.merge(),
            "INSERT" => self.insert(),
            "DELETE" => self.delete(),
            "USE" => self.use_object(),
            "SHOW" => self.show(),
            _ => Err(self.unexpected()),
        }
    }

    fn begin(&mut self) -> Result<Statement> {
        if !self.take_words("START TRANSACTION") {
            self.expect_words("BEGIN")?;
            if !self.take_words("TRANSACTION") {
                self.take_words("WORK");
            }
        }
        let name = if self.take_words("NAME") {
            Some(self.name()?)
        } else {
            None
        };
        Ok(Statement::Begin(name))
    }

    fn end_of_transaction(&mut self, word: &str) -> Result<Statement> {
        self.advance();
        self.take_words("WORK");
        Ok(if word == "COMMIT" {
            Statement::Commit
        } else {
            Statement::Rollback
        })
    }

    fn create(&mut self) -> Result<Statement> {
        self.expect_words("CREATE")?;
        let or_replace = self.take_words("OR REPLACE");
        let temporary = self.take_words("TEMPORARY");
        if self.take_words("STAGE") {
            let if_not_exists = self.take_words("IF NOT EXISTS");
            let name = self.object_name()?;
            self.stage_encryption()?;
            self.comment()?;
            return Ok(Statement::CreateStage {
                name,
                if_not_exists,
                temporary,
            });
        }
        if temporary {
            return Err(self.unexpected());
        }
        self.expect_words("TABLE")?;
        let if_not_exists = self.take_words("IF NOT EXISTS");
        let name = self.object_name()?;
        let columns = self.list(Self::column_definition)?;
        self.comment()?;
        Ok(Statement::CreateTable {
            name,
            columns,
            if_not_exists,
            or_replace,
        })
    }

    /// Only the kind that needs no encryption on our side.
    fn stage_encryption(&mut self) -> Result<()> {
        self.expect_words("ENCRYPTION")?;
        self.expect_symbol("=")?;
        self.expect_symbol("(")?;
        self.expect_words("TYPE")?;
        self.expect_symbol("=")?;
        let kind = self.text()?;
        self.expect_symbol(")")?;
        if kind == "SNOWFLAKE_SSE" {
            Ok(())
        } else {
            let text =
                format!("SQL compilation error:\ninvalid value ['{kind}'] for parameter 'TYPE'");
            Err(Refusal::new("001008", "22023", text))
        }
    }

    fn comment(&mut self) -> Result<()> {
        if self.take_words("COMMENT") {
            self.expect_symbol("=")?;
            self.text()?;
        }
        Ok(())
    }

    fn column_definition(&mut self) -> Result<ColumnDefinition> {
        let name = self.name()?;
        let kind = self.sql_type()?;
        let required = self.take_words("NOT NULL");
        if !required {
            self.take_words("NULL");
        }
        if self.take_words("COMMENT") {
            self.text()?;
        }
        Ok(ColumnDefinition {
            name,
            kind,
            required,
        })
    }

    fn alter(&mut self) -> Result<Statement> {
        if self.take_words("ALTER SESSION SET") {
            let mut parameters = Vec::new();
            while parameters.is_empty() || matches!(self.peek(), Some(Token::Word(_))) {
                let key = self.name()?;
                self.expect_symbol("=")?;
                parameters.push((key, self.option_value()?));
            }
            return Ok(Statement::AlterSession(parameters));
        }
        self.expect_words("ALTER TABLE")?;
        let name = self.object_name()?;
        let alter = if self.take_words("ADD COLUMN") {
            let if_not_exists = self.take_words("IF NOT EXISTS");
            let columns = self.commas(Self::column_definition)?;
            Alter::AddColumns {
                columns,
                if_not_exists,
            }
        } else {
            self.expect_words("ALTER COLUMN")?;
            let column = self.name()?;
            if self.take_words("DROP NOT NULL") {
                Alter::DropNotNull(column)
            } else {
                self.expect_words("SET DATA TYPE")?;
                Alter::SetType(column, self.sql_type()?)
            }
        };
        Ok(Statement::AlterTable { name, alter })
    }

    fn drop(&mut self) -> Result<Statement> {
        let is_stage = self.take_words("DROP STAGE");
        if !is_stage {
            self.expect_words("DROP TABLE")?;
        }
        let if_exists = self.take_words("IF EXISTS");
        let name = self.object_name()?;
        Ok(if is_stage {
            Statement::DropStage { name, if_exists }
        } else {
            Statement::DropTable { name, if_exists }
        })
    }

    fn describe(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_words("TABLE")?;
        self.object_name().map(Statement::Describe)
    }

    fn file_command(&mut self, word: &str) -> Result<Statement> {
        self.advance();
        match word {
            "PUT" => self.put(),
            "GET" => {
                self.stage_path()?;
                match self.advance() {
                    Some(Token::File(_)) => Ok(Statement::Get),
                    _ => Err(Refusal::syntax("GET")),
                }
            }
            "LIST" | "LS" => self.stage_path().map(Statement::List),
            _ => self.stage_path().map(Statement::Remove),
        }
    }

    fn put(&mut self) -> Result<Statement> {
        let file = match self.advance() {
            Some(Token::File(file)) => file,
            Some(Token::Text(file)) if file.starts_with("file://") => file,
            _ => return Err(Refusal::syntax("PUT")),
        };
        let to = self.stage_path()?;
        let mut overwrite = false;
        while let Some(Token::Word(option)) = self.peek().cloned() {
            self.advance();
            self.expect_symbol("=")?;
            let value = self.option_value()?;
            match option.as_str() {
                "OVERWRITE" => overwrite = value == "TRUE",
                "AUTO_COMPRESS" | "PARALLEL" | "SOURCE_COMPRESSION" => {}
                _ => return Err(Refusal::syntax(&option)),
            }
        }
        Ok(Statement::Put {
            file,
            to,
            overwrite,
        })
    }

    fn option_value(&mut self) -> Result<String> {
        match self.advance() {
            Some(Token::Word(text) | Token::Text(text) | Token::Number(text)) => Ok(text),
            _ => Err(Refusal::syntax("=")),
        }
    }

    fn copy(&mut self) -> Result<Statement> {
        self.expect_words("COPY INTO")?;
        let table = self.object_name()?;
        let columns = if self.is_symbol("(") {
            self.list(Self::name)?
        } else {
            Vec::new()
        };
        self.expect_words("FROM")?;
        let source = self.source()?;
        let (items, from) = transformation(source)?;
        let mut copy = Copy {
            table,
            columns,
            items,
            from,
            files: None,
            options: Vec::new(),
        };
        while let Some(Token::Word(option)) = self.peek().cloned() {
            self.advance();
            self.expect_symbol("=")?;
            self.copy_option(&option, &mut copy)?;
        }
        Ok(Statement::Copy(copy))
    }

    fn copy_option(&mut self, option: &str, copy: &mut Copy) -> Result<()> {
        match option {
            "FILES" => copy.files = Some(self.list(Self::text)?),
            "FILE_FORMAT" => {
                self.expect_symbol("(")?;
                while !self.take_symbol(")") {
                    let key = self.name()?;
                    self.expect_symbol("=")?;
                    copy.options.push((key, self.option_value()?));
                    self.take_symbol(",");
                }
            }
            "ON_ERROR" | "FORCE" | "PURGE" => {
                let value = self.option_value()?;
                copy.options.push((option.to_owned(), value));
            }
            _ => return Err(Refusal::syntax(option)),
        }
        Ok(())
    }

    fn merge(&mut self) -> Result<Statement> {
        self.expect_words("MERGE INTO")?;
        let table = self.object_name()?;
        let alias = self.alias()?;
        self.expect_words("USING")?;
        let source = self.source()?;
        self.expect_words("ON")?;
        let condition = self.expression()?;
        let mut merge = Merge {
            table,
            alias,
            source,
            condition,
            update: None,
            insert: None,
        };
        while self.take_words("WHEN") {
            self.merge_clause(&mut merge)?;
        }
        Ok(Statement::Merge(merge))
    }

    fn merge_clause(&mut self, merge: &mut Merge) -> Result<()> {
        if self.take_words("MATCHED THEN UPDATE SET") {
            merge.update = Some(self.commas(|parser| {
                let column = parser.object_name()?;
                parser.expect_symbol("=")?;
                Ok((column.last().to_owned(), parser.expression()?))
            })?);
            return Ok(());
        }
        self.expect_words("NOT MATCHED THEN INSERT")?;
        let columns = self.list(Self::name)?;
        self.expect_words("VALUES")?;
        merge.insert = Some((columns, self.list(Self::expression)?));
        Ok(())
    }

    fn insert(&mut self) -> Result<Statement> {
        self.expect_words("INSERT INTO")?;
        let table = self.object_name()?;
        let columns = if self.is_symbol("(") {
            self.list(Self::name)?
        } else {
            Vec::new()
        };
        let query = self.query()?;
        Ok(Statement::Insert {
            table,
            columns,
            query,
        })
    }

    fn delete(&mut self) -> Result<Statement> {
        self.expect_words("DELETE FROM")?;
        let table = self.object_name()?;
        let filter = if self.take_words("WHERE") {
            Some(self.expression()?)
        } else {
            None
        };
        Ok(Statement::Delete { table, filter })
    }

    fn use_object(&mut self) -> Result<Statement> {
        self.expect_words("USE")?;
        let kind = match self.peek() {
            Some(Token::Word(word))
                if ["ROLE", "WAREHOUSE", "DATABASE", "SCHEMA"].contains(&word.as_str()) =>
            {
                word.clone()
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(Statement::Use(kind, self.object_name()?))
    }

    fn show(&mut self) -> Result<Statement> {
        self.expect_words("SHOW")?;
        if self.take_words("LOCKS") {
            return Ok(Statement::ShowLocks);
        }
        self.expect_words("TRANSACTIONS")?;
        Ok(Statement::ShowTransactions)
    }
}

/// COPY takes a stage, or a plain selection from one.
fn transformation(
    from: From,
) -> Result<(Option<Vec<super::ast::Projection>>, super::ast::StagePath)> {
    match from.source {
        Source::Stage(path) => Ok((None, path)),
        Source::Query(query) => match (query.items, query.from) {
            (
                Items::List(items),
                Some(From {
                    source: Source::Stage(path),
                    ..
                }),
            ) if query.filter.is_none()
                && query.group.is_empty()
                && query.order.is_empty()
                && query.limit.is_none() =>
            {
                Ok((Some(items), path))
            }
            _ => {
                let text = "SQL compilation error:\nCOPY statement only supports simple SELECT from stage statements for import.";
                Err(Refusal::new("002075", "42601", text))
            }
        },
        Source::Table(ObjectName(parts)) => Err(Refusal::syntax(&parts.join("."))),
        Source::Values(_) => Err(Refusal::syntax("VALUES")),
    }
}
