//! Tests of the command line.

mod command_line;
mod documented_certificates;
mod search;
mod search_interactive;
mod signals;
mod snapshots;
mod terminal;
mod transfers;
mod verbose;
