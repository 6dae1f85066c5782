//! Filter to predicate: names are looked up, values are brought to the attribute's type, and what cannot be compared is refused.

use super::{Check, Field, Filter, Literal, Operand, Operator, Predicate, Test};
use crate::scim::instant::instant;
use crate::scim::path::{AttrPath, PathError, Target, is_name, shown};
use crate::scim::schema::{Kind, ResourceType, Returned};
use crate::scim::{Error, text};

impl Filter {
    /// Checks the filter of a query on one resource type; unknown attributes and wrong types are 400 invalidFilter.
    pub fn check(&self, resource_type: &ResourceType) -> Result<Predicate, Error> {
        Checker { resource_type, unknown_is_absent: false }.filter(self, None)
    }

    /// Checks the filter of a query over all resource types: what this type lacks has no value there
    /// (RFC 7644 section 3.4.2.1).
    pub fn check_for_any(&self, resource_type: &ResourceType) -> Result<Predicate, Error> {
        Checker { resource_type, unknown_is_absent: true }.filter(self, None)
    }
}

/// Checks a filter that stood in the brackets after `container`, a complex attribute.
pub(in crate::scim) fn check_element(
    filter: &Filter,
    resource_type: &ResourceType,
    container: Target<'_>,
) -> Result<Predicate, Error> {
    Checker { resource_type, unknown_is_absent: false }.filter(filter, Some(container))
}

struct Checker<'t> {
    resource_type: &'t ResourceType,
    unknown_is_absent: bool,
}

impl<'t> Checker<'t> {
    fn filter(&self, filter: &Filter, container: Option<Target<'t>>) -> Result<Predicate, Error> {
        match filter {
            Filter::Term(path, test) => self.term(path, test, container),
            Filter::Element { path, inner, tail } => self.element(path, inner, tail.as_ref()),
            Filter::Not(inner) => Ok(Predicate::Not(Box::new(self.filter(inner, container)?))),
            Filter::And(terms) => Ok(Predicate::And(self.all(terms, container)?)),
            Filter::Or(terms) => Ok(Predicate::Or(self.all(terms, container)?)),
        }
    }

    fn all(&self, terms: &[Filter], container: Option<Target<'t>>) -> Result<Vec<Predicate>, Error> {
        terms.iter().map(|term| self.filter(term, container)).collect()
    }

    fn term(&self, path: &AttrPath, test: &Test, container: Option<Target<'t>>) -> Result<Predicate, Error> {
        let found = match container {
            Some(container) => sub_of(container, path.as_str()),
            None => path.resolve(self.resource_type),
        };
        match found {
            Ok(target) => checked(target, test),
            Err(error) if error.is_unknown() && self.unknown_is_absent => Ok(unassigned(test)),
            Err(error) => Err(Error::filter(error.to_string())),
        }
    }

    fn element(&self, path: &AttrPath, inner: &Filter, tail: Option<&(String, Test)>) -> Result<Predicate, Error> {
        let container = match path.resolve(self.resource_type) {
            Ok(target) => target,
            Err(error) if error.is_unknown() && self.unknown_is_absent => {
                return Ok(Predicate::Constant(false));
            }
            Err(error) => return Err(Error::filter(error.to_string())),
        };
        readable(&container)?;
        if !container.leaf().is_some_and(|leaf| leaf.kind == Kind::Complex) {
            return Err(Error::filter(format!("{container} has no sub-attributes, so it takes no brackets")));
        }
        let mut predicate = self.filter(inner, Some(container))?;
        if let Some((name, test)) = tail {
            // The test after the bracket is about the element that the bracket found.
            let path = AttrPath::parse(name).map_err(|error| Error::filter(error.to_string()))?;
            predicate = Predicate::And(vec![predicate, self.term(&path, test, Some(container))?]);
        }
        let Some(field) = Field::of(&container) else {
            return Err(whole_extension(&container));
        };
        Ok(Predicate::Element(field, Box::new(predicate)))
    }
}

fn sub_of<'t>(container: Target<'t>, name: &str) -> Result<Target<'t>, PathError> {
    if !is_name(name) {
        return Err(PathError::Syntax(format!(
            "in the brackets of {container} stand its sub-attributes alone, not \"{}\"",
            shown(name)
        )));
    }
    match container.attribute.and_then(|attribute| attribute.sub(name)) {
        Some(sub) => Ok(Target { sub: Some(sub), ..container }),
        None => Err(PathError::Unknown(format!("{container} has no sub-attribute \"{}\"", shown(name)))),
    }
}

/// The verdict on an attribute that does not exist: as on one without a value.
fn unassigned(test: &Test) -> Predicate {
    Predicate::Constant(match test {
        Test::Compare(Operator::Eq, Literal::Null) => true,
        Test::Compare(Operator::Ne, literal) => *literal != Literal::Null,
        _ => false,
    })
}

fn checked(target: Target<'_>, test: &Test) -> Result<Predicate, Error> {
    readable(&target)?;
    let Some(field) = Field::of(&target) else {
        return Err(whole_extension(&target));
    };
    let (operator, literal) = match test {
        Test::Present => return Ok(Predicate::Test(field, Check::Present)),
        Test::Compare(operator, literal) => (*operator, literal),
    };
    if *literal == Literal::Null {
        // RFC 7643 section 2.5: null and unassigned are the same state.
        let present = Predicate::Test(field, Check::Present);
        return match operator {
            Operator::Eq => Ok(Predicate::Not(Box::new(present))),
            Operator::Ne => Ok(present),
            _ => Err(Error::filter(format!("{target} {} null has no meaning; use eq or ne", operator.as_str()))),
        };
    }
    let field = if field.kind == Kind::Complex { value_of(target)? } else { field };
    let operand = operand(&field, operator, literal)?;
    Ok(Predicate::Test(field, Check::Compare(operator, operand)))
}

/// A bare complex attribute stands for its `value`, as in the RFC's example `emails co "example.org"`.
fn value_of(target: Target<'_>) -> Result<Field, Error> {
    let value = target.attribute.and_then(|attribute| attribute.default_sub());
    let field = value.and_then(|value| Field::of(&Target { sub: Some(value), ..target }));
    field.ok_or_else(|| {
        let example = target.leaf().and_then(|leaf| leaf.sub_attributes.first());
        let example = example.map(|sub| format!(", such as {target}.{}", sub.name)).unwrap_or_default();
        Error::filter(format!("{target} is complex; compare one of its sub-attributes{example}"))
    })
}

/// What is never returned must not be found out by comparing either (RFC 7643 section 7).
fn readable(target: &Target<'_>) -> Result<(), Error> {
    let secret = [target.attribute, target.sub].into_iter().flatten().any(|part| part.returned == Returned::Never);
    if secret { Err(Error::filter(format!("{target} is never returned and cannot be filtered on"))) } else { Ok(()) }
}

fn whole_extension(target: &Target<'_>) -> Error {
    Error::filter(format!("{target} is a whole extension; name one of its attributes, or ask schemas eq \"{target}\""))
}

fn operand(field: &Field, operator: Operator, literal: &Literal) -> Result<Operand, Error> {
    refuse_operator(field, operator)?;
    let wrong = |wanted: &str| Err(Error::filter(format!("{field} is compared with {wanted}")));
    match (field.kind, literal) {
        (Kind::String | Kind::Reference | Kind::Binary, Literal::Text(given)) => {
            let key = if field.case_exact { given.clone() } else { text::key(given).into_owned() };
            Ok(Operand::Text { given: given.clone(), key })
        }
        (Kind::String | Kind::Reference | Kind::Binary, _) => wrong("a string in double quotes"),
        (Kind::Boolean, Literal::Bool(value)) => Ok(Operand::Bool(*value)),
        // Entra writes booleans as text, in any case.
        (Kind::Boolean, Literal::Text(word)) if word.eq_ignore_ascii_case("true") => Ok(Operand::Bool(true)),
        (Kind::Boolean, Literal::Text(word)) if word.eq_ignore_ascii_case("false") => Ok(Operand::Bool(false)),
        (Kind::Boolean, _) => wrong("true or false"),
        (Kind::Integer | Kind::Decimal, Literal::Number(number)) => Ok(Operand::Number(number.clone())),
        (Kind::Integer | Kind::Decimal, _) => wrong("a number, without quotes"),
        (Kind::DateTime, Literal::Text(given)) => match instant(given) {
            Some(microseconds) => Ok(Operand::Instant { given: given.clone(), microseconds }),
            None => wrong("a date and time, such as \"2024-05-13T04:42:34Z\""),
        },
        (Kind::DateTime, _) => wrong("a date and time in double quotes, such as \"2024-05-13T04:42:34Z\""),
        (Kind::Complex, _) => wrong("nothing; name one of its sub-attributes"),
    }
}

/// RFC 7644 table 3 and section 3.4.2.2: no order among booleans and binaries, no substrings but of text.
fn refuse_operator(field: &Field, operator: Operator) -> Result<(), Error> {
    let textual = matches!(field.kind, Kind::String | Kind::Reference | Kind::Binary);
    let ordered = !matches!(field.kind, Kind::Boolean | Kind::Binary | Kind::Complex);
    if (operator.is_substring() && !textual) || (operator.is_ordering() && !ordered) {
        let kind = field.kind.as_str();
        return Err(Error::filter(format!("{} cannot be used with {field}, which is a {kind}", operator.as_str())));
    }
    Ok(())
}
