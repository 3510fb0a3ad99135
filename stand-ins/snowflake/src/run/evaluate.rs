//! Values of expressions.

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::error::{Refusal, Result};
use crate::session::Session;
use crate::sql::ast::Expression;
use crate::value::{Number, Value, from_base64};

/// A column in sight: by alias or table, and name.
#[derive(Debug, Clone)]
pub(super) struct Visible {
    pub(super) qualifier: Option<String>,
    pub(super) name: String,
}

/// What an expression may refer to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) columns: &'a [Visible],
    pub(super) row: &'a [Value],
    pub(super) session: &'a Session,
}

impl Scope<'_> {
    /// No columns in sight.
    pub(super) fn bare(session: &Session) -> Scope<'_> {
        Scope {
            columns: &[],
            row: &[],
            session,
        }
    }

    pub(super) fn evaluate(&self, expression: &Expression) -> Result<Value> {
        match expression {
            Expression::Value(value) => Ok(value.clone()),
            Expression::Column(qualifier, name) => self.column(qualifier.as_deref(), name),
            Expression::Place(place) => self
                .row
                .get(place.wrapping_sub(1))
                .cloned()
                .ok_or_else(|| Refusal::identifier(&format!("${place}"))),
            Expression::Call(name, arguments) => self.call(name, arguments),
            Expression::Aggregate { name, .. } => {
                let text = format!(
                    "SQL compilation error:\nInvalid aggregate function in this clause [{name}]"
                );
                Err(Refusal::new("002032", "42601", text))
            }
            Expression::Cast(inner, kind) => self.evaluate(inner)?.cast(*kind),
            Expression::Field(inner, name) => Ok(field(&self.evaluate(inner)?, name)),
            Expression::Index(inner, index) => {
                Ok(element(&self.evaluate(inner)?, &self.evaluate(index)?))
            }
            Expression::Not(inner) => Ok(match self.evaluate(inner)? {
                Value::Null => Value::Null,
                value => Value::Boolean(!value.is_true()),
            }),
            Expression::IsNull(inner, negated) => {
                let is_null = self.evaluate(inner)?.is_null();
                Ok(Value::Boolean(is_null != *negated))
            }
            Expression::In(inner, items, negated) => self.is_in(inner, items, *negated),
            Expression::Binary(left, operator, right) => self.binary(left, operator, right),
        }
    }

    /// Refuses names that are not there, also where there is no row to evaluate.
    pub(super) fn check(&self, expression: &Expression) -> Result<()> {
        match expression {
            Expression::Value(_) | Expression::Place(_) => Ok(()),
            Expression::Column(qualifier, name) => {
                self.column(qualifier.as_deref(), name).map(drop)
            }
            Expression::Call(_, arguments) => self.check_all(arguments),
            Expression::Aggregate { argument, .. } => argument
                .as_deref()
                .map_or(Ok(()), |inner| self.check(inner)),
            Expression::Cast(inner, _)
            | Expression::Field(inner, _)
            | Expression::Not(inner)
            | Expression::IsNull(inner, _) => self.check(inner),
            Expression::In(inner, items, _) => {
                self.check(inner)?;
                self.check_all(items)
            }
            Expression::Index(left, right) | Expression::Binary(left, _, right) => {
                self.check(left)?;
                self.check(right)
            }
        }
    }

    fn check_all(&self, expressions: &[Expression]) -> Result<()> {
        expressions.iter().try_for_each(|one| self.check(one))
    }

    fn column(&self, qualifier: Option<&str>, name: &str) -> Result<Value> {
        let mut found = self.columns.iter().enumerate().filter(|(_, column)| {
            column.name == name && (qualifier.is_none() || column.qualifier.as_deref() == qualifier)
        });
        let Some((position, _)) = found.next() else {
            return self.without_parentheses(name);
        };
        if found.next().is_some() {
            let text = format!("SQL compilation error:\nambiguous column name '{name}'");
            return Err(Refusal::new("000904", "42000", text));
        }
        // A row older than the column.
        Ok(self.row.get(position).cloned().unwrap_or(Value::Null))
    }

    /// Functions that may be called without parentheses.
    fn without_parentheses(&self, name: &str) -> Result<Value> {
        if ["CURRENT_TIMESTAMP", "CURRENT_USER"].contains(&name) {
            return self.call(name, &[]);
        }
        Err(Refusal::identifier(name))
    }

    fn call(&self, name: &str, arguments: &[Expression]) -> Result<Value> {
        let values = arguments
            .iter()
            .map(|argument| self.evaluate(argument))
            .collect::<Result<Vec<_>>>()?;
        let named = |name: &Option<String>| name.as_deref().map_or(Value::Null, Value::text);
        match (name, values.as_slice()) {
            ("CURRENT_TIMESTAMP" | "SYSDATE", []) => Ok(Value::Moment(Timestamp::now())),
            ("CURRENT_USER", []) => Ok(Value::text(self.session.user.as_str())),
            ("CURRENT_ROLE", []) => Ok(Value::text(self.session.role.as_str())),
            ("CURRENT_DATABASE", []) => Ok(named(&self.session.database)),
            ("CURRENT_SCHEMA", []) => Ok(named(&self.session.schema)),
            ("CURRENT_WAREHOUSE", []) => Ok(named(&self.session.warehouse)),
            ("CURRENT_VERSION", []) => Ok(Value::text("9.0.0")),
            ("CURRENT_SESSION", []) => Ok(Value::text(self.session.id.to_string())),
            ("CURRENT_TRANSACTION", []) => Ok(self
                .session
                .transaction
                .as_ref()
                .filter(|open| open.explicit)
                .map_or(Value::Null, |open| Value::text(open.id.to_string()))),
            ("PARSE_JSON", [Value::Null]) | ("TO_BINARY", [Value::Null, _]) => Ok(Value::Null),
            ("PARSE_JSON", [Value::Text(text)]) => parse_json(text),
            ("TO_VARCHAR", [value]) => value.cast(super::TEXT),
            ("TO_BINARY", [Value::Text(text), Value::Text(format)])
                if format.eq_ignore_ascii_case("BASE64") =>
            {
                from_base64(text)
            }
            ("COALESCE" | "NVL" | "IFNULL", values) => Ok(values
                .iter()
                .find(|value| !value.is_null())
                .cloned()
                .unwrap_or(Value::Null)),
            ("TYPEOF", [Value::Json(json)]) => Ok(Value::text(type_name(json))),
            ("TYPEOF", [Value::Null]) => Ok(Value::Null),
            ("OBJECT_KEYS", [Value::Json(json)]) => {
                let keys = json.as_object().into_iter().flat_map(serde_json::Map::keys);
                Ok(Value::json(keys.cloned().collect::<Vec<_>>().into()))
            }
            _ => Err(Refusal::unknown_function(name)),
        }
    }

    fn is_in(&self, inner: &Expression, items: &[Expression], negated: bool) -> Result<Value> {
        let value = self.evaluate(inner)?;
        let mut found = false;
        for item in items {
            let order = value.compare(&self.evaluate(item)?)?;
            found |= order == Some(std::cmp::Ordering::Equal);
        }
        Ok(if value.is_null() {
            Value::Null
        } else {
            Value::Boolean(found != negated)
        })
    }

    fn binary(&self, left: &Expression, operator: &str, right: &Expression) -> Result<Value> {
        let left = self.evaluate(left)?;
        if operator == "AND" && !left.is_null() && !left.is_true() {
            return Ok(Value::Boolean(false));
        }
        if operator == "OR" && left.is_true() {
            return Ok(Value::Boolean(true));
        }
        let right = self.evaluate(right)?;
        match operator {
            "AND" | "OR" => Ok(connected(&left, operator, &right)),
            "||" if left.is_null() || right.is_null() => Ok(Value::Null),
            "||" => Ok(Value::text(left.plain() + &right.plain())),
            "+" | "-" | "*" | "/" | "%" => arithmetic(&left, operator, &right),
            _ => {
                let Some(order) = left.compare(&right)? else {
                    return Ok(Value::Null);
                };
                Ok(Value::Boolean(match operator {
                    "=" => order.is_eq(),
                    "<>" | "!=" => order.is_ne(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
        }
    }
}

/// AND and OR where the left side does not decide.
fn connected(left: &Value, operator: &str, right: &Value) -> Value {
    let decisive = operator == "OR";
    if !right.is_null() && right.is_true() == decisive {
        return Value::Boolean(decisive);
    }
    if left.is_null() || right.is_null() {
        return Value::Null;
    }
    Value::Boolean(!decisive)
}

fn arithmetic(left: &Value, operator: &str, right: &Value) -> Result<Value> {
    if left.is_null() || right.is_null() {
        return Ok(Value::Null);
    }
    let (left, right) = (left.cast(super::INTEGER)?, right.cast(super::INTEGER)?);
    let (Value::Number(left), Value::Number(right)) = (left, right) else {
        return Ok(Value::Null);
    };
    let units = match operator {
        "+" => left.units.checked_add(right.units),
        "-" => left.units.checked_sub(right.units),
        "*" => left.units.checked_mul(right.units),
        "/" => left.units.checked_div(right.units),
        _ => left.units.checked_rem(right.units),
    };
    let units = units.ok_or_else(|| Refusal::new("100051", "22012", "Division by zero"))?;
    Ok(Value::Number(Number { units, scale: 0 }))
}

fn field(value: &Value, name: &str) -> Value {
    match value {
        Value::Json(json) => json
            .get(name)
            .map_or(Value::Null, |field| Value::json(field.clone())),
        _ => Value::Null,
    }
}

fn element(value: &Value, index: &Value) -> Value {
    match (value, index) {
        (value, Value::Text(name)) => field(value, name),
        (Value::Json(json), Value::Number(number)) => usize::try_from(number.units)
            .ok()
            .and_then(|index| json.get(index))
            .map_or(Value::Null, |item| Value::json(item.clone())),
        _ => Value::Null,
    }
}

fn parse_json(text: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map(Value::json)
        .map_err(|cause| {
            let text = format!("Error parsing JSON: {cause}");
            Refusal::new("100069", "22P02", text)
        })
}

fn type_name(json: &Json) -> &'static str {
    match json {
        Json::Null => "NULL_VALUE",
        Json::Bool(_) => "BOOLEAN",
        Json::Number(number) if number.is_i64() || number.is_u64() => "INTEGER",
        Json::Number(_) => "DECIMAL",
        Json::String(_) => "VARCHAR",
        Json::Array(_) => "ARRAY",
        Json::Object(_) => "OBJECT",
    }
}
