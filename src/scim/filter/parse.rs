//! Text to tree: recursive descent under the limits on length, depth and terms.

use super::lex::{Lexer, Quotes, Token, closing_bracket};
use super::{Filter, Literal, MAX_DEPTH, MAX_LENGTH, MAX_TERMS, Operator, Test};
use crate::scim::Error;
use crate::scim::path::{AttrPath, is_name, shown};

impl Filter {
    /// Reads a `filter` parameter (already percent-decoded); anything else than a filter is 400 invalidFilter.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            return Err(Error::filter(format!("the filter is longer than {MAX_LENGTH} bytes")));
        }
        if text.trim().is_empty() {
            return Err(Error::filter("the filter is empty; leave the parameter out to get every resource"));
        }
        Parser::start(text, 0, Quotes::Double, false)?.whole()
    }
}

/// The filter in the brackets that open just before byte `from`, and the offset of the closing bracket.
/// `None` where nothing closes them. Strings may also stand in single quotes, and errors count from the path's start.
pub(in crate::scim) fn parse_brackets(path: &str, from: usize) -> Option<(Result<Filter, Error>, usize)> {
    let close = closing_bracket(path, from)?;
    let inside = path.get(..close)?;
    Some((Parser::start(inside, from, Quotes::Either, true).and_then(Parser::whole), close))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// Where the current token starts, and where the one before it ended.
    at: usize,
    ended: usize,
    depth: usize,
    terms: usize,
    in_brackets: bool,
}

impl<'a> Parser<'a> {
    fn start(text: &'a str, from: usize, quotes: Quotes, in_brackets: bool) -> Result<Self, Error> {
        let lexer = Lexer::new(text, from, quotes);
        let mut parser = Self { lexer, token: Token::End, at: from, ended: from, depth: 0, terms: 0, in_brackets };
        parser.advance()?;
        Ok(parser)
    }

    /// Steps to the next token and gives the one that was current.
    fn advance(&mut self) -> Result<Token<'a>, Error> {
        self.ended = self.lexer.at();
        self.lexer.skip_space();
        self.at = self.lexer.at();
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn error(&self, what: &str) -> Error {
        self.lexer.error(self.at, what)
    }

    fn expected(&self, what: &str) -> Error {
        self.error(&format!("expected {what}, found {}", self.token.describe()))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    /// Whether nothing stands between the last token and the current one.
    fn touches(&self) -> bool {
        self.at == self.ended
    }

    fn whole(mut self) -> Result<Filter, Error> {
        let filter = self.any_of()?;
        match self.token {
            Token::End => Ok(filter),
            Token::Close => Err(self.error("this \")\" closes nothing")),
            _ => Err(self.expected("\"and\", \"or\" or the end")),
        }
    }

    /// `or` binds weakest, then `and`, then `not` (RFC 7644 section 3.4.2.2).
    fn any_of(&mut self) -> Result<Filter, Error> {
        let first = self.all_of()?;
        let mut terms = vec![first];
        while self.is_word("or") {
            self.advance()?;
            terms.push(self.all_of()?);
        }
        Ok(joined(terms, Filter::Or))
    }

    fn all_of(&mut self) -> Result<Filter, Error> {
        let first = self.one()?;
        let mut terms = vec![first];
        while self.is_word("and") {
            self.advance()?;
            terms.push(self.one()?);
        }
        Ok(joined(terms, Filter::And))
    }

    fn one(&mut self) -> Result<Filter, Error> {
        match self.token {
            Token::Open => self.group(),
            Token::Word(_) if self.is_word("not") => {
                self.advance()?;
                if self.token != Token::Open {
                    return Err(self.expected("\"(\" after \"not\""));
                }
                Ok(Filter::Not(Box::new(self.group()?)))
            }
            Token::Word(word) if !self.is_word("and") && !self.is_word("or") => self.term(word),
            _ => Err(self.expected("an attribute name, \"not\" or \"(\"")),
        }
    }

    fn group(&mut self) -> Result<Filter, Error> {
        self.deeper()?;
        self.advance()?;
        let filter = self.any_of()?;
        if self.token != Token::Close {
            return Err(self.expected("\"and\", \"or\" or \")\""));
        }
        self.advance()?;
        self.depth -= 1;
        Ok(filter)
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(&format!("the filter is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn term(&mut self, word: &'a str) -> Result<Filter, Error> {
        let path = AttrPath::parse(word).map_err(|error| self.error(&error.to_string()))?;
        self.advance()?;
        if self.token == Token::BracketOpen && self.touches() {
            return self.element(path);
        }
        let test = self.test(word)?;
        Ok(Filter::Term(path, test))
    }

    fn element(&mut self, path: AttrPath) -> Result<Filter, Error> {
        if self.in_brackets {
            return Err(self.error("brackets cannot stand inside brackets"));
        }
        self.deeper()?;
        self.in_brackets = true;
        self.advance()?;
        let inner = Box::new(self.any_of()?);
        if self.token != Token::BracketClose {
            return Err(self.expected("\"and\", \"or\" or \"]\""));
        }
        self.advance()?;
        self.in_brackets = false;
        self.depth -= 1;
        let tail = if self.token == Token::Dot && self.touches() { Some(self.tail()?) } else { None };
        Ok(Filter::Element { path, inner, tail })
    }

    /// `.value eq "x"` after a bracket: outside the RFC's grammar, and what Entra sends to match by e-mail.
    fn tail(&mut self) -> Result<(String, Test), Error> {
        self.advance()?;
        let Token::Word(name) = self.token else {
            return Err(self.expected("a sub-attribute after \"].\""));
        };
        if !self.touches() || !is_name(name) {
            return Err(self.expected("a sub-attribute after \"].\""));
        }
        self.advance()?;
        let test = self.test(name)?;
        Ok((name.to_owned(), test))
    }

    fn test(&mut self, name: &str) -> Result<Test, Error> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(self.error(&format!("the filter has more than {MAX_TERMS} comparisons")));
        }
        let Token::Word(word) = self.token else {
            let what = format!("an operator (eq, ne, co, sw, ew, pr, gt, ge, lt, le) after \"{}\"", shown(name));
            return Err(self.expected(&what));
        };
        if word.eq_ignore_ascii_case("pr") {
            self.advance()?;
            return Ok(Test::Present);
        }
        let Some(operator) = Operator::from_word(word) else {
            let what = format!("\"{}\" is no operator; use eq, ne, co, sw, ew, pr, gt, ge, lt or le", shown(word));
            return Err(self.error(&what));
        };
        self.advance()?;
        Ok(Test::Compare(operator, self.literal()?))
    }

    fn literal(&mut self) -> Result<Literal, Error> {
        let literal = match &mut self.token {
            Token::Text(text) => Literal::Text(std::mem::take(text)),
            Token::Number(number) => Literal::Number(number.clone()),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => Literal::Null,
            Token::Word(word) => {
                let what = format!("text stands in double quotes: write \"{}\"", shown(word));
                return Err(self.error(&what));
            }
            _ => {
                return Err(self.expected("a string in double quotes, a number, true, false or null"));
            }
        };
        self.advance()?;
        Ok(literal)
    }
}

fn joined(mut terms: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        Some(last) => {
            terms.push(last);
            join(terms)
        }
        None => join(terms),
    }
}
