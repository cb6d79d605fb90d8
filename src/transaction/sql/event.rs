//! `CREATE EVENT` and `ALTER EVENT`: what an event does on the source comes through the log, so on the target it must
//! not run. A native replica sees to that itself (sql/event_parse_data.cc, `check_originator_id`), for a client's
//! statement nobody does.

use super::class::Verb;
use super::edit::Edits;
use super::lexer::Broken;
use super::tokens::Tokens;

/// The state that a native replica gives events; the information schema shows it as `REPLICA_SIDE_DISABLED`. Every
/// version from 5.7 to 9.x knows these words.
const DISABLED: &str = "DISABLE ON SLAVE";

/// Turns the event off. `at` is the place after the words `CREATE EVENT`.
pub(super) fn disable(tokens: &Tokens<'_>, at: usize, verb: Verb, edits: &mut Edits) -> Result<(), Broken> {
    if verb == Verb::Drop {
        return Ok(());
    }
    let word = |word: &'static str| move |at: usize| tokens.is_word(at, word);
    let body =
        tokens.find(at + 1, |at| tokens.is_word(at, "DO") && !tokens.is_symbol(at.saturating_sub(1), b"."));
    let end = body.unwrap_or(tokens.list().len());
    if let Some(enable) = tokens.find(at + 1, word("ENABLE")).filter(|&at| at < end) {
        if let Some(token) = tokens.get(enable) {
            edits.words(token, token, DISABLED);
        }
        return Ok(());
    }
    let disabled = tokens.find(at + 1, word("DISABLE")).is_some_and(|at| at < end);
    if disabled || verb == Verb::Alter {
        return Ok(());
    }
    let comment = tokens.find(at + 1, word("COMMENT")).filter(|&at| at < end);
    let token = comment.or(body).and_then(|at| tokens.get(at)).ok_or(Broken("it has no body"))?;
    edits.before(token, DISABLED);
    Ok(())
}
