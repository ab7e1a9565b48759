//! Lists of values folded to one, as `detectors/kit/shapes/lists.py` folds them.

use crate::lexer::{Kind, Token};
use crate::words::Words;

const DEEPEST: usize = 4;
const MARK: Token = Token {
    kind: Kind::Param,
    raw: "?",
    spaced: false,
};

/// Tokens with lists folded.
pub struct Folded<'a> {
    /// the tokens
    pub tokens: Vec<Token<'a>>,
    /// an IN or array of two or more
    pub listed: bool,
    /// more than one tuple
    pub many_rows: bool,
}

/// A bracketed group: where what is behind it begins, its size, whether it is of plain values.
struct Group {
    end: usize,
    size: usize,
    plain: bool,
}

/// Folds `IN (…)`, arrays and the tuples of VALUES to one element each.
#[must_use]
pub fn fold_lists<'a>(tokens: &[Token<'a>], constants: &Words) -> Folded<'a> {
    let fold = Fold { tokens, constants };
    let mut folded = Folded {
        tokens: Vec::with_capacity(tokens.len()),
        listed: false,
        many_rows: false,
    };
    let mut at = 0;
    while at < tokens.len() {
        at = fold.next(at, &mut folded);
    }
    folded
}

struct Fold<'s, 'a> {
    tokens: &'s [Token<'a>],
    constants: &'s Words,
}

impl<'a> Fold<'_, 'a> {
    /// Takes the token or list at a place; where the next begins.
    fn next(&self, at: usize, folded: &mut Folded<'a>) -> usize {
        let token = self.tokens[at];
        let round = token.is("(");
        if !round && !token.is("[") {
            folded.tokens.push(token);
            return at + 1;
        }
        let before = folded.tokens.last().copied();
        let follows = |word: &str| before.is_some_and(|before| before.is_word(word));
        if round && ["VALUES", "VALUE", "ROW"].into_iter().any(follows) {
            let (first, end, many) = self.rows(at);
            folded.many_rows |= many;
            if first.plain {
                folded.tokens.extend(bracketed(token, true));
            } else {
                folded.tokens.extend_from_slice(&self.tokens[at..first.end]);
            }
            return end;
        }
        if !round || ["IN", "ANY", "ALL", "SOME"].into_iter().any(follows) {
            let group = self.group(at, false);
            if group.plain {
                folded.listed |= group.size > 1;
                let spaced = follows("IN") || token.spaced;
                folded.tokens.extend(bracketed(token, spaced));
                return group.end;
            }
        }
        folded.tokens.push(token);
        at + 1
    }

    /// The group that opens at a place; a truncated one ends with the text.
    fn group(&self, start: usize, whole: bool) -> Group {
        let (mut depth, mut size) = (0, 1);
        let (mut plain, mut in_type, mut empty) = (true, false, true);
        for (at, token) in self.tokens.iter().enumerate().skip(start) {
            if !plain && !whole {
                let end = at;
                return Group { end, size, plain };
            }
            if token.kind.is_value() {
                empty = false;
            } else if token.kind != Kind::Symbol {
                empty = false;
                plain &= in_type || self.is_constant(*token);
            } else {
                match token.raw {
                    "(" | "[" => {
                        depth += 1;
                        plain &= depth <= DEEPEST;
                    }
                    ")" | "]" => {
                        depth -= 1;
                        if depth == 0 {
                            let (end, plain) = (at + 1, plain && !empty);
                            return Group { end, size, plain };
                        }
                    }
                    "," => {
                        size += usize::from(depth == 1);
                        in_type = false;
                    }
                    "::" => in_type = true,
                    "." => plain &= in_type,
                    symbol => plain &= matches!(symbol, "+" | "-"),
                }
            }
        }
        Group {
            end: self.tokens.len(),
            size,
            plain: plain && !empty,
        }
    }

    fn is_constant(&self, token: Token) -> bool {
        token.kind == Kind::Word && self.constants.has_upper(token.raw.as_bytes())
    }

    /// The tuples behind VALUES: the first, where what is behind all begins, whether there are more.
    fn rows(&self, start: usize) -> (Group, usize, bool) {
        let first = self.group(start, true);
        let (mut end, mut many) = (first.end, false);
        let get = |at: usize| self.tokens.get(at);
        while get(end).is_some_and(|token| token.is(",")) {
            let mut after = end + 1;
            after += usize::from(get(after).is_some_and(|token| token.is_word("ROW")));
            end = match get(after) {
                Some(token) if !token.is("(") => break,
                Some(_) => self.group(after, true).end,
                None => after,
            };
            many = true;
        }
        (first, end, many)
    }
}

/// One masked value in brackets.
fn bracketed(opener: Token<'_>, spaced: bool) -> [Token<'_>; 3] {
    let raw = if opener.raw == "(" { ")" } else { "]" };
    let closer = Token {
        kind: Kind::Symbol,
        raw,
        spaced: false,
    };
    [Token { spaced, ..opener }, MARK, closer]
}
