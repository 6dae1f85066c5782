//! Checks a filter against a resource type: resolves names, converts values to the attribute's type, and rejects
//! invalid comparisons.

use super::{FieldCheck, FilterField, FilterLiteral, FilterOperand, FilterOperator, FilterTest, Predicate, ScimFilter};
use crate::error::{Error, Reason, ScimType};
use crate::scim::fold;
use crate::scim::path::{AttrPath, ResolvedPath, is_name, is_unknown_path, shorten_text, unknown_sub_attribute_error};
use crate::scim::schema::{DataType, ResourceType, Returned};
use crate::scim::timestamp::parse_timestamp;

impl ScimFilter {
    /// Checks the filter of a query on one resource type.
    ///
    /// # Errors
    /// 400 invalidFilter for unknown attributes and wrong types.
    pub fn check(&self, resource_type: &ResourceType) -> Result<Predicate, Error> {
        FilterChecker { resource_type, unknown_is_absent: false }.filter(self, None)
    }

    /// Checks the filter of a query over all resource types. Attributes that this type does not have have no value
    /// (RFC 7644 section 3.4.2.1).
    ///
    /// # Errors
    /// 400 invalidFilter for wrong types.
    pub fn check_for_any(&self, resource_type: &ResourceType) -> Result<Predicate, Error> {
        FilterChecker { resource_type, unknown_is_absent: true }.filter(self, None)
    }
}

/// Checks the filter in the brackets after `container`, a complex attribute.
pub(in crate::scim) fn check_element(
    filter: &ScimFilter,
    resource_type: &ResourceType,
    container: ResolvedPath<'_>,
) -> Result<Predicate, Error> {
    FilterChecker { resource_type, unknown_is_absent: false }.filter(filter, Some(container))
}

struct FilterChecker<'t> {
    resource_type: &'t ResourceType,
    unknown_is_absent: bool,
}

impl<'t> FilterChecker<'t> {
    fn filter(&self, filter: &ScimFilter, container: Option<ResolvedPath<'t>>) -> Result<Predicate, Error> {
        match filter {
            ScimFilter::Term(path, test) => self.term(path, test, container),
            ScimFilter::Element { path, inner, tail } => self.element(path, inner, tail.as_ref()),
            ScimFilter::Not(inner) => Ok(Predicate::Not(Box::new(self.filter(inner, container)?))),
            ScimFilter::And(terms) => Ok(Predicate::And(self.all(terms, container)?)),
            ScimFilter::Or(terms) => Ok(Predicate::Or(self.all(terms, container)?)),
        }
    }

    fn all(&self, terms: &[ScimFilter], container: Option<ResolvedPath<'t>>) -> Result<Vec<Predicate>, Error> {
        terms.iter().map(|term| self.filter(term, container)).collect()
    }

    fn term(
        &self,
        path: &AttrPath,
        test: &FilterTest,
        container: Option<ResolvedPath<'t>>,
    ) -> Result<Predicate, Error> {
        let found = match container {
            Some(container) => find_sub_attribute(container, path.as_str()),
            None => path.resolve(self.resource_type),
        };
        match found {
            Ok(target) => check_test(target, test),
            Err(error) if is_unknown_path(&error) && self.unknown_is_absent => Ok(unassigned_predicate(test)),
            Err(error) => Err(error.as_scim_type(ScimType::InvalidFilter)),
        }
    }

    fn element(
        &self,
        path: &AttrPath,
        inner: &ScimFilter,
        tail: Option<&(String, FilterTest)>,
    ) -> Result<Predicate, Error> {
        let container = match path.resolve(self.resource_type) {
            Ok(target) => target,
            Err(error) if is_unknown_path(&error) && self.unknown_is_absent => {
                return Ok(Predicate::Constant(false));
            }
            Err(error) => return Err(error.as_scim_type(ScimType::InvalidFilter)),
        };
        check_readable(&container)?;
        if !container.leaf().is_some_and(|leaf| leaf.kind == DataType::Complex) {
            return Err(Reason::PathBracketUnsupported
                .on_field(container.to_string())
                .as_scim_type(ScimType::InvalidFilter));
        }
        let mut predicate = self.filter(inner, Some(container))?;
        if let Some((name, test)) = tail {
            // The test after the bracket applies to the same element as the filter in the bracket.
            let path = AttrPath::parse(name).map_err(|error| error.as_scim_type(ScimType::InvalidFilter))?;
            predicate = Predicate::And(vec![predicate, self.term(&path, test, Some(container))?]);
        }
        let Some(field) = FilterField::from_path(&container) else {
            return Err(whole_extension_error(&container));
        };
        Ok(Predicate::Element(field, Box::new(predicate)))
    }
}

fn find_sub_attribute<'t>(container: ResolvedPath<'t>, name: &str) -> Result<ResolvedPath<'t>, Error> {
    if !is_name(name) {
        return Err(Reason::PathBracketName.on_field(container.to_string()).with("name", shorten_text(name)));
    }
    match container.attribute.and_then(|attribute| attribute.sub_attribute(name)) {
        Some(sub) => Ok(ResolvedPath { sub: Some(sub), ..container }),
        None => Err(unknown_sub_attribute_error(container, name)),
    }
}

/// The result for an attribute that does not exist: the same as for one without a value.
fn unassigned_predicate(test: &FilterTest) -> Predicate {
    Predicate::Constant(match test {
        FilterTest::Compare(FilterOperator::Eq, FilterLiteral::Null) => true,
        FilterTest::Compare(FilterOperator::Ne, literal) => *literal != FilterLiteral::Null,
        _ => false,
    })
}

fn check_test(target: ResolvedPath<'_>, test: &FilterTest) -> Result<Predicate, Error> {
    check_readable(&target)?;
    let Some(field) = FilterField::from_path(&target) else {
        return Err(whole_extension_error(&target));
    };
    let (operator, literal) = match test {
        FilterTest::Present => return Ok(Predicate::Test(field, FieldCheck::Present)),
        FilterTest::Compare(operator, literal) => (*operator, literal),
    };
    if *literal == FilterLiteral::Null {
        // RFC 7643 section 2.5: null and unassigned are the same state.
        let present = Predicate::Test(field, FieldCheck::Present);
        return match operator {
            FilterOperator::Eq => Ok(Predicate::Not(Box::new(present))),
            FilterOperator::Ne => Ok(present),
            _ => Err(Reason::FilterNullOrdered.on_field(target.to_string()).with("operator", operator.as_str())),
        };
    }
    let field = if field.kind == DataType::Complex { find_value_field(target)? } else { field };
    let operand = build_operand(&field, operator, literal)?;
    Ok(Predicate::Test(field, FieldCheck::Compare(operator, operand)))
}

/// A complex attribute without sub-attribute is compared by its `value`, as in the RFC's example
/// `emails co "example.org"`.
fn find_value_field(target: ResolvedPath<'_>) -> Result<FilterField, Error> {
    let value = target.attribute.and_then(|attribute| attribute.default_sub_attribute());
    let field = value.and_then(|value| FilterField::from_path(&ResolvedPath { sub: Some(value), ..target }));
    field.ok_or_else(|| {
        let example = target.leaf().and_then(|leaf| leaf.sub_attributes.first());
        let example = example.map(|sub| format!(", such as {target}.{}", sub.name)).unwrap_or_default();
        Reason::FilterComplex.on_field(target.to_string()).with("example", example)
    })
}

/// Filters must not reveal attributes that are never returned (RFC 7643 section 7).
fn check_readable(target: &ResolvedPath<'_>) -> Result<(), Error> {
    let secret = [target.attribute, target.sub].into_iter().flatten().any(|part| part.returned == Returned::Never);
    if secret { Err(Reason::FilterNeverReturned.on_field(target.to_string())) } else { Ok(()) }
}

fn whole_extension_error(target: &ResolvedPath<'_>) -> Error {
    Reason::FilterWholeExtension.on_field(target.to_string())
}

fn build_operand(
    field: &FilterField,
    operator: FilterOperator,
    literal: &FilterLiteral,
) -> Result<FilterOperand, Error> {
    check_operator(field, operator)?;
    let wrong = |expected: &str| Err(Reason::FilterOperandType.on_field(field.to_string()).with("expected", expected));
    match (field.kind, literal) {
        (DataType::String | DataType::Reference | DataType::Binary, FilterLiteral::Text(given)) => {
            let key = if field.case_exact { given.clone() } else { fold::fold_case(given).into_owned() };
            Ok(FilterOperand::Text { given: given.clone(), key })
        }
        (DataType::String | DataType::Reference | DataType::Binary, _) => wrong("a string in double quotes"),
        (DataType::Boolean, FilterLiteral::Bool(value)) => Ok(FilterOperand::Bool(*value)),
        // Entra sends booleans as text, in any case.
        (DataType::Boolean, FilterLiteral::Text(text)) if text.eq_ignore_ascii_case("true") => {
            Ok(FilterOperand::Bool(true))
        }
        (DataType::Boolean, FilterLiteral::Text(text)) if text.eq_ignore_ascii_case("false") => {
            Ok(FilterOperand::Bool(false))
        }
        (DataType::Boolean, _) => wrong("true or false"),
        (DataType::Integer | DataType::Decimal, FilterLiteral::Number(number)) => {
            Ok(FilterOperand::Number(number.clone()))
        }
        (DataType::Integer | DataType::Decimal, _) => wrong("a number, without quotes"),
        (DataType::DateTime, FilterLiteral::Text(given)) => match parse_timestamp(given) {
            Some(microseconds) => Ok(FilterOperand::Instant { given: given.clone(), microseconds }),
            None => wrong("a date and time, such as \"2024-05-13T04:42:34Z\""),
        },
        (DataType::DateTime, _) => wrong("a date and time in double quotes, such as \"2024-05-13T04:42:34Z\""),
        (DataType::Complex, _) => Err(Reason::FilterComplex.on_field(field.to_string()).with("example", "")),
    }
}

/// RFC 7644 table 3 and section 3.4.2.2: booleans and binaries have no order, and only text has substrings.
fn check_operator(field: &FilterField, operator: FilterOperator) -> Result<(), Error> {
    let textual = matches!(field.kind, DataType::String | DataType::Reference | DataType::Binary);
    let ordered = !matches!(field.kind, DataType::Boolean | DataType::Binary | DataType::Complex);
    if (operator.is_substring() && !textual) || (operator.is_ordering() && !ordered) {
        let kind = field.kind.as_str();
        return Err(Reason::FilterOperatorType
            .on_field(field.to_string())
            .with("operator", operator.as_str())
            .with("data_type", kind));
    }
    Ok(())
}
