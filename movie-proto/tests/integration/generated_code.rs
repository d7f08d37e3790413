//! The generated code is what the contract gives.

#[test]
fn the_committed_generated_code_matches_the_proto_files() {
    if let Err(stale) = xtask::regen_proto::check(&xtask::root()) {
        panic!("{stale:#}");
    }
}
