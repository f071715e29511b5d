//! What the keeper's refusals are on the wire.

use crate::keeper::{Refusal, Trouble, Why};
use crate::problem::{Code, Problem};

/// The problem of a refused agreement, which stood at `pointer` of the request.
pub(super) fn of(refusal: &Refusal, pointer: &str) -> Problem {
    let word = refusal.code();
    let code = Code::ALL.into_iter().find(|code| code.as_str() == word).unwrap_or(Code::NotAuthorized);
    let mut problem = Problem::new(code, refusal.to_string());
    if let Why::Unavailable(trouble) = &refusal.why {
        problem = problem.because(trouble.cause.clone());
    } else {
        problem = problem.at(pointer, refusal.agreement.to_string());
    }
    match refusal.retry_after() {
        Some(wait) => problem.retry_after(wait),
        None => problem,
    }
}

/// The problem of a chain or store that does not answer.
pub(super) fn trouble(trouble: Trouble) -> Problem {
    Problem::new(Code::Unavailable, "The chain or the metadata store can't be read right now. Try again.")
        .retry_after(trouble.retry_after)
        .because(trouble.cause)
}
