//! What each rpc needs.

use super::Role;

/// What a caller needs for an rpc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Anyone,
    /// A role, this or a higher one.
    Role(Role),
}

/// Each rpc of each contract, those first that are called most. What is not here cannot be called.
const RPCS: &[(&str, Need)] = &[
    ("/Movie/GetMovieByID", Need::Role(Role::Reader)),
    ("/Movie/GetListMovies", Need::Role(Role::Reader)),
    ("/movie.catalog.v1.MovieCatalog/GetMovie", Need::Role(Role::Reader)),
    ("/movie.catalog.v1.MovieCatalog/BatchGetMovies", Need::Role(Role::Reader)),
    ("/movie.catalog.v1.MovieCatalog/LookupMovies", Need::Role(Role::Reader)),
    ("/movie.catalog.v1.MovieCatalog/ListMovies", Need::Role(Role::Reader)),
    ("/movie.catalog.v1.MovieCatalog/WatchMovies", Need::Role(Role::Reader)),
    ("/movie.catalog.v1.MovieCatalog/GetCatalog", Need::Role(Role::Reader)),
    ("/movie.catalog.v1.MovieCatalog/CreateMovie", Need::Role(Role::Writer)),
    ("/movie.catalog.v1.MovieCatalog/UpdateMovie", Need::Role(Role::Writer)),
    ("/movie.catalog.v1.MovieCatalog/DeleteMovie", Need::Role(Role::Writer)),
    ("/movie.catalog.v1.MovieCatalog/ImportMovies", Need::Role(Role::Writer)),
    // Those who ask have no tokens: load balancers, orchestrators.
    ("/grpc.health.v1.Health/Check", Need::Anyone),
    ("/grpc.health.v1.Health/Watch", Need::Anyone),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::Role(Role::Reader)),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Need::Role(Role::Reader)),
];

/// The paths of all rpcs, in the order of the table.
pub const PATHS: [&str; RPCS.len()] = {
    let mut paths = [""; RPCS.len()];
    let mut rpc = 0;
    while rpc < RPCS.len() {
        paths[rpc] = RPCS[rpc].0;
        rpc += 1;
    }
    paths
};

/// Returns what the rpc of this path needs; `None` if there is no such rpc.
#[must_use]
pub fn required(path: &str) -> Option<Need> {
    RPCS.iter().find(|(rpc, _)| *rpc == path).map(|(_, need)| *need)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The contracts that are served, as data.
    const CONTRACTS: [&[u8]; 4] = [
        movie_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];

    /// Returns the paths of a contract's rpcs.
    fn paths(contract: &[u8]) -> Vec<String> {
        let mut paths = Vec::new();
        for file in FileDescriptorSet::decode(contract).unwrap().file {
            for service in &file.service {
                let package = if file.package().is_empty() { "" } else { &format!("{}.", file.package()) };
                for rpc in &service.method {
                    paths.push(format!("/{package}{}/{}", service.name(), rpc.name()));
                }
            }
        }
        paths
    }

    #[test]
    fn each_rpc_of_each_contract_has_one_entry_and_there_are_no_others() {
        let rpcs: BTreeSet<String> = CONTRACTS.into_iter().flat_map(paths).collect();
        let entries: BTreeSet<String> = RPCS.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(entries, rpcs);
        assert_eq!(RPCS.len(), rpcs.len());
    }

    #[test]
    fn what_is_no_rpc_has_no_entry() {
        for path in ["", "/", "/Movie", "/Movie/", "/Movie/GetMovieById", "/Movie/GetMovieByID/", "/x.Y/Z"] {
            assert_eq!(required(path), None, "{path}");
        }
    }
}
