//! Exit codes: how a command, or the job that it waited for, ended. They are stable.

use std::process::ExitCode;

use super::terminal::coloured;
use crate::client::Status;
use crate::supabase;

/// What `--help` says of the codes of commands that wait for a job.
const CODES: &str = "Exit codes:
  0  done; a job that was waited for is completed
  1  something went wrong; standard error says what
  2  the command line is wrong
  3  the job ended partial: some images failed
  4  the job failed
  5  the job was cancelled
  6  there is no such job, template or carousel, or it is not yours
  130  interrupted while it waited; the job goes on";

/// The codes, and then examples.
pub(super) fn codes(examples: &str) -> String {
    format!("{CODES}\n\n{examples}")
}

/// The code of a job that is over.
pub(super) fn code(status: Status) -> ExitCode {
    match status {
        Status::Partial => ExitCode::from(3),
        Status::Failed => ExitCode::from(4),
        Status::Cancelled => ExitCode::from(5),
        Status::Pending | Status::Processing | Status::Completed => ExitCode::SUCCESS,
    }
}

/// The code of a command that waited, and was told not to.
pub(super) fn interrupted() -> ExitCode {
    ExitCode::from(130)
}

/// The code of a command that went wrong.
pub(super) fn code_of_error(error: &anyhow::Error) -> ExitCode {
    let not_found = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref::<supabase::Error>(), Some(supabase::Error::NotFound))
    };
    if error.chain().any(not_found) { ExitCode::from(6) } else { ExitCode::FAILURE }
}

/// The state as a coloured word.
pub(super) fn word(status: Status) -> String {
    coloured(status.as_str()).to_string()
}
