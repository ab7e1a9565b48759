//! SQL statements as what their shape depends on, and their values.
//!
//! The shape of a statement (`detectors/kit/shapes/sql.py`) is made of its folded tokens, in which
//! values are masked, and of nothing else but whether numbers are zero. So equal forms have equal
//! shapes, and the reference is asked once for each form.

use crate::lexer::{lex, Kind, Token};
use crate::lists::fold_lists;
use crate::url::SEPARATOR;
use crate::words::{Lexicon, Sure, Unsure};

const SPACED: u8 = 1 << 4;
const ZERO: u8 = 1 << 5;

/// What a statement is without its values, and these.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// equal for equal shapes but for the values
    pub form: Vec<u8>,
    /// the values with separators between; None when one of them is hidden
    pub literals: Option<String>,
}

/// Reads a statement.
pub fn read_statement(text: &str, system: &str, lexicon: &Lexicon) -> Sure<Statement> {
    let mut tokens = lex(text, system, lexicon)?;
    while tokens.last().is_some_and(|token| token.is(";")) {
        tokens.pop();
    }
    let literals = literals(&tokens);
    mask_names(&mut tokens, lexicon)?;
    let folded = fold_lists(&tokens, &lexicon.constants);
    let mut form = Vec::with_capacity(text.len());
    let told = [folded.listed, folded.many_rows, literals.is_some()];
    form.extend(told.map(u8::from));
    for token in &folded.tokens {
        write_token(*token, &mut form);
    }
    Ok(Statement { form, literals })
}

fn write_token(token: Token, form: &mut Vec<u8>) {
    let mark = token.kind as u8 | (SPACED * u8::from(token.spaced));
    match token.kind {
        Kind::Value | Kind::Param => form.push(mark),
        Kind::Number => {
            let is_zero = token.raw.bytes().all(|b| b == b'0');
            form.push(mark | (ZERO * u8::from(is_zero)));
        }
        Kind::Word | Kind::Quoted | Kind::Symbol => {
            form.push(mark);
            form.extend((token.raw.len() as u32).to_ne_bytes());
            form.extend(token.raw.as_bytes());
        }
    }
}

/// The values of a statement; None when one is hidden behind a placeholder.
fn literals(tokens: &[Token]) -> Option<String> {
    if tokens.iter().any(|token| token.kind == Kind::Param) {
        return None;
    }
    let mut joined = String::new();
    let values = tokens.iter().filter(|token| token.kind.is_value());
    for (number, token) in values.enumerate() {
        if number > 0 {
            joined.push(SEPARATOR);
        }
        joined.push_str(token.raw);
    }
    Some(joined)
}

/// Masks the generated names of savepoints, cursors and prepared statements.
fn mask_names(tokens: &mut [Token], lexicon: &Lexicon) -> Sure<()> {
    let Some(first) = tokens.first() else {
        return Ok(());
    };
    if first.kind != Kind::Word || !lexicon.naming.has_upper(first.raw.as_bytes()) {
        return Ok(());
    }
    let ends = |token: &Token| token.is(";") || token.is_word("AS") || token.is_word("CURSOR");
    for token in tokens.iter_mut().take_while(|token| !ends(token)) {
        if !matches!(token.kind, Kind::Word | Kind::Quoted) {
            continue;
        }
        if !token.raw.is_ascii() {
            return Err(Unsure); // digits of other scripts
        }
        if token.raw.bytes().any(|b| b.is_ascii_digit()) {
            (token.kind, token.raw) = (Kind::Param, "?");
        }
    }
    Ok(())
}
