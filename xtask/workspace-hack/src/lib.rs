//! No code. The dependencies of this crate list features, so that `cargo run -p movie-service` and `cargo run -p movie-client`
//! build each crate that they share once.
//!
//! Cargo unifies the features of the crates that one command selects, not those of the workspace. A test of xtask compares the two.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::process::Command;

    /// The feature sets that each dependency is built with, for `cargo run -p package`. There are two where a dependency of the program
    /// is one of a macro, too.
    fn dependencies(package: &str) -> BTreeMap<String, BTreeSet<String>> {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--offline", "--edges=normal,build", "--no-dedupe", "--prefix=none"])
            .args(["--format={p}|{f}", "--package", package])
            .output()
            .expect("cargo is there, since it runs this test");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut dependencies = BTreeMap::<_, BTreeSet<_>>::new();
        for (dependency, features) in
            String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.split_once('|'))
        {
            dependencies.entry(dependency.to_owned()).or_default().insert(features.to_owned());
        }
        dependencies
    }

    #[test]
    fn the_client_is_built_with_the_dependencies_that_were_built_for_the_service() {
        let service = dependencies("movie-service");
        let client = dependencies("movie-client");
        let shared = client.iter().filter_map(|(name, features)| Some((name, features, service.get(name)?)));
        let shared: Vec<_> = shared.collect();
        assert!(shared.len() > 100, "only {} shared dependencies", shared.len());
        let different: Vec<_> = shared
            .into_iter()
            .filter(|(_, client, service)| !client.is_subset(service))
            .map(|(name, client, service)| {
                format!("{name}: {client:?} for the client, {service:?} for the service")
            })
            .collect();
        assert!(
            different.is_empty(),
            "these are built twice; list the missing features in xtask/workspace-hack/Cargo.toml:\n{}",
            different.join("\n")
        );
    }
}
