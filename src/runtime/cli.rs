//! What the command line may say, and how a program explains itself to a person.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::Worker;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    version,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
pub struct Arguments<N: Args> {
    /// Something else than working on a job.
    #[command(subcommand)]
    pub action: Option<Action<N>>,
    /// Or a job, and how its report is given.
    #[command(flatten)]
    pub job: JobArgs,
}

/// What is said of a job.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// The job folder: the job is JOB_DIR/input/input.json, the report JOB_DIR/output/output.json
    /// [default: /job]. Without such a file the job is read from the standard input and the report
    /// written to the standard output.
    #[arg(value_name = "JOB_DIR")]
    pub folder: Option<PathBuf>,
    /// Prints the manifest for Cortex, which lists every option of the configuration, and ends.
    #[arg(long)]
    pub manifest: bool,
    /// Prints the report as text for people: in place of JSON, or beside the report in a job
    /// folder.
    #[arg(long)]
    pub pretty: bool,
}

/// Something else than working on a job.
#[derive(Debug, Subcommand)]
pub enum Action<N: Args> {
    /// Looks at every server that a configuration names, and changes nothing.
    ///
    /// It asks what a run would ask first: name, certificate, version, key, permissions, clock,
    /// names in filters. It waits a minute at most for an answer, whatever `read_timeout` says. The
    /// exit status is 0 if nothing failed, and 1 if something did; warnings do not count.
    Check {
        /// The job folder: the job is JOB_DIR/input/input.json [default: /job]. Without such a file
        /// a job, or a configuration alone (an object with `name`, `url`, `key`, ...), is read as
        /// JSON from the standard input.
        #[arg(value_name = "JOB_DIR")]
        folder: Option<PathBuf>,
        /// Prints JSON, not a table.
        #[arg(long)]
        json: bool,
    },
    /// Has the worker run now, for a schedule; waits and prints what came of it.
    ///
    /// The exit status is 0 if all was done, 1 if something was not, and 2 if it could not be asked
    /// for: the command line, a key, the network.
    Now(N),
}

/// Reads the command line. One that makes no sense, and a question for help or version, end the
/// program here.
pub fn parse<W: Worker, N: Args>() -> Arguments<N> {
    let matches = build_command::<W, N>().get_matches();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn build_command<W: Worker, N: Args>() -> Command {
    Arguments::<N>::command()
        .name(W::PROGRAM)
        .about(W::DESCRIPTION)
        .after_help(examples::<W>())
}

fn examples<W: Worker>() -> String {
    let (program, job) = (W::PROGRAM, W::EXAMPLE);
    format!(
        "\
Examples:
  {program} check < job.json       can everything be reached, and is it allowed? (changes nothing)
  {program} --pretty < job.json    works on a job and shows the report as text
  {program} /path/to/job           works on a job folder, as Cortex has it done
  {program} now                    has Cortex do its work, for a schedule; see now --help

A job is what Cortex writes for a worker, such as
  {job}
\"config\" has the options that --manifest lists; docs/options.md explains them.

While it works at a terminal, a line on the standard error says how far it is.
Exit status: 0 once a report is given, whatever it says; 1 if none could be given, or if check \
found a failure; 2 for a
command line that makes no sense. That of now stands in its own help."
    )
}
