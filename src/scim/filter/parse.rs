//! The parser of filters: recursive descent with limits on length, depth and number of terms.

use super::lex::{FilterToken, Lexer, StringSyntax, find_closing_bracket};
use super::{FilterLiteral, FilterOperator, FilterTest, MAX_DEPTH, MAX_LENGTH, MAX_TERMS, ScimFilter};
use crate::error::{Error, Reason};
use crate::scim::path::{AttrPath, is_name, shorten_text};

impl ScimFilter {
    /// Parses a `filter` parameter (already percent-decoded) with strings as in JSON.
    ///
    /// # Errors
    /// 400 invalidFilter if the text is not a filter; the detail names the position.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, StringSyntax::Json)
    }

    /// Parses a `filter` parameter with this syntax of strings.
    ///
    /// # Errors
    /// The same as [`Self::parse`].
    pub fn parse_with(text: &str, syntax: StringSyntax) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            return Err(Reason::FilterTooLong.with("max", MAX_LENGTH));
        }
        if text.trim().is_empty() {
            return Err(Error::new(Reason::FilterEmpty));
        }
        Parser::start(text, 0, syntax, false)?.parse_whole()
    }
}

/// Returns the filter in the brackets that open just before byte `from`, and the offset of the closing bracket; `None`
/// if the brackets are not closed. Strings may be in the lenient syntax. Positions in errors count from the start of
/// the path.
pub(in crate::scim) fn parse_brackets(
    path: &str,
    from: usize,
    syntax: StringSyntax,
) -> Option<(Result<ScimFilter, Error>, usize)> {
    let close = find_closing_bracket(path, from)?;
    let inside = path.get(..close)?;
    Some((Parser::start(inside, from, syntax, true).and_then(Parser::parse_whole), close))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: FilterToken<'a>,
    /// Start of the current token, and end of the previous token.
    at: usize,
    ended: usize,
    depth: usize,
    terms: usize,
    in_brackets: bool,
}

impl<'a> Parser<'a> {
    fn start(text: &'a str, from: usize, syntax: StringSyntax, in_brackets: bool) -> Result<Self, Error> {
        let lexer = Lexer::new(text, from, syntax);
        let mut parser =
            Self { lexer, token: FilterToken::End, at: from, ended: from, depth: 0, terms: 0, in_brackets };
        parser.advance()?;
        Ok(parser)
    }

    /// Reads the next token and returns the current one.
    fn advance(&mut self) -> Result<FilterToken<'a>, Error> {
        self.ended = self.lexer.at();
        self.lexer.skip_space();
        self.at = self.lexer.at();
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn locate(&self, error: impl Into<Error>) -> Error {
        self.lexer.locate(self.at, error)
    }

    fn expected(&self, what: &str) -> Error {
        self.locate(Reason::FilterTokenUnexpected.with("expected", what).with("found", self.token.describe()))
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.token, FilterToken::Name(found) if found.eq_ignore_ascii_case(keyword))
    }

    /// Whether no space is between the previous token and the current one.
    fn is_adjacent(&self) -> bool {
        self.at == self.ended
    }

    fn parse_whole(mut self) -> Result<ScimFilter, Error> {
        let filter = self.parse_or()?;
        match self.token {
            FilterToken::End => Ok(filter),
            FilterToken::Close => Err(self.locate(Reason::FilterBracketUnmatched)),
            _ => Err(self.expected("\"and\", \"or\" or the end")),
        }
    }

    /// `or` has the lowest precedence, then `and`, then `not` (RFC 7644 section 3.4.2.2).
    fn parse_or(&mut self) -> Result<ScimFilter, Error> {
        let first = self.parse_and()?;
        let mut terms = vec![first];
        while self.is_keyword("or") {
            self.advance()?;
            terms.push(self.parse_and()?);
        }
        Ok(join_terms(terms, ScimFilter::Or))
    }

    fn parse_and(&mut self) -> Result<ScimFilter, Error> {
        let first = self.parse_factor()?;
        let mut terms = vec![first];
        while self.is_keyword("and") {
            self.advance()?;
            terms.push(self.parse_factor()?);
        }
        Ok(join_terms(terms, ScimFilter::And))
    }

    fn parse_factor(&mut self) -> Result<ScimFilter, Error> {
        match self.token {
            FilterToken::Open => self.group(),
            FilterToken::Name(_) if self.is_keyword("not") => {
                self.advance()?;
                if self.token != FilterToken::Open {
                    return Err(self.expected("\"(\" after \"not\""));
                }
                Ok(ScimFilter::Not(Box::new(self.group()?)))
            }
            FilterToken::Name(name) if !self.is_keyword("and") && !self.is_keyword("or") => self.term(name),
            _ => Err(self.expected("an attribute name, \"not\" or \"(\"")),
        }
    }

    fn group(&mut self) -> Result<ScimFilter, Error> {
        self.enter_level()?;
        self.advance()?;
        let filter = self.parse_or()?;
        if self.token != FilterToken::Close {
            return Err(self.expected("\"and\", \"or\" or \")\""));
        }
        self.advance()?;
        self.depth -= 1;
        Ok(filter)
    }

    fn enter_level(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.locate(Reason::FilterTooDeep.with("max", MAX_DEPTH)));
        }
        Ok(())
    }

    fn term(&mut self, name: &'a str) -> Result<ScimFilter, Error> {
        let path = AttrPath::parse(name).map_err(|error| self.locate(error))?;
        self.advance()?;
        if self.token == FilterToken::BracketOpen && self.is_adjacent() {
            return self.element(path);
        }
        let test = self.test(name)?;
        Ok(ScimFilter::Term(path, test))
    }

    fn element(&mut self, path: AttrPath) -> Result<ScimFilter, Error> {
        if self.in_brackets {
            return Err(self.locate(Reason::FilterBracketsNested));
        }
        self.enter_level()?;
        self.in_brackets = true;
        self.advance()?;
        let inner = Box::new(self.parse_or()?);
        if self.token != FilterToken::BracketClose {
            return Err(self.expected("\"and\", \"or\" or \"]\""));
        }
        self.advance()?;
        self.in_brackets = false;
        self.depth -= 1;
        let tail = if self.token == FilterToken::Dot && self.is_adjacent() { Some(self.tail()?) } else { None };
        Ok(ScimFilter::Element { path, inner, tail })
    }

    /// `.value eq "x"` after a bracket is not in the RFC's grammar; Entra sends it to match by e-mail.
    fn tail(&mut self) -> Result<(String, FilterTest), Error> {
        self.advance()?;
        let FilterToken::Name(name) = self.token else {
            return Err(self.expected("a sub-attribute after \"].\""));
        };
        if !self.is_adjacent() || !is_name(name) {
            return Err(self.expected("a sub-attribute after \"].\""));
        }
        self.advance()?;
        let test = self.test(name)?;
        Ok((name.to_owned(), test))
    }

    fn test(&mut self, name: &str) -> Result<FilterTest, Error> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(self.locate(Reason::FilterTooManyTerms.with("max", MAX_TERMS)));
        }
        let FilterToken::Name(keyword) = self.token else {
            let what = format!("an operator (eq, ne, co, sw, ew, pr, gt, ge, lt, le) after \"{}\"", shorten_text(name));
            return Err(self.expected(&what));
        };
        if keyword.eq_ignore_ascii_case("pr") {
            self.advance()?;
            return Ok(FilterTest::Present);
        }
        let Some(operator) = FilterOperator::from_keyword(keyword) else {
            return Err(self.locate(Reason::FilterOperatorUnknown.with("operator", shorten_text(keyword))));
        };
        self.advance()?;
        Ok(FilterTest::Compare(operator, self.literal()?))
    }

    fn literal(&mut self) -> Result<FilterLiteral, Error> {
        let literal = match &mut self.token {
            FilterToken::Text(text) => FilterLiteral::Text(std::mem::take(text)),
            FilterToken::Number(number) => FilterLiteral::Number(number.clone()),
            FilterToken::Name(text) if text.eq_ignore_ascii_case("true") => FilterLiteral::Bool(true),
            FilterToken::Name(text) if text.eq_ignore_ascii_case("false") => FilterLiteral::Bool(false),
            FilterToken::Name(text) if text.eq_ignore_ascii_case("null") => FilterLiteral::Null,
            FilterToken::Name(text) => {
                let error = Reason::FilterTextUnquoted.with("text", shorten_text(text));
                return Err(self.locate(error));
            }
            _ => {
                return Err(self.expected("a string in double quotes, a number, true, false or null"));
            }
        };
        self.advance()?;
        Ok(literal)
    }
}

fn join_terms(mut terms: Vec<ScimFilter>, join: fn(Vec<ScimFilter>) -> ScimFilter) -> ScimFilter {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        Some(last) => {
            terms.push(last);
            join(terms)
        }
        None => join(terms),
    }
}
