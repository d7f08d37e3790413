//! Tests of the command line.

mod command_line;
mod documented_certificates;
mod signals;
mod snapshots;
mod terminal;
mod transfers;
mod verbose;
