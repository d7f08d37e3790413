//! Peers that do what no correct client does, by malice or by accident: none may harm the service.
//!
//! Each test starts a service of its own, and then checks that it still serves ordinary clients and releases what it used.

mod descriptors;
mod eviction;
mod floods;
mod handshakes;
mod header_blocks;
mod http1;
mod limits;
mod messages;
mod readers;
mod requests;
mod streams;
