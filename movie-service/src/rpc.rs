//! The table of all RPCs: path, service, role, kind and fast path. An RPC that is not in it cannot be called.
//!
//! The path of a call is looked up here once, when its headers arrive. Admission, access control, dispatch, metrics,
//! traces, compression and message limits use the entry.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// Role of a caller. A higher role has all permissions of the lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May read movies.
    Reader,
    /// May also change movies.
    Writer,
}

/// A service of the contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `Movie`, the contract of the course.
    Movie,
    /// `movie.catalog.v1.MovieCatalog`.
    Catalog,
    /// `grpc.health.v1.Health`.
    Health,
    /// `grpc.reflection.v1.ServerReflection`.
    Reflection,
    /// `grpc.reflection.v1alpha.ServerReflection`.
    ReflectionAlpha,
}

/// Kind of an RPC. Kinds differ in their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One request and one response.
    Unary,
    /// A stream of movies to the caller. It holds a snapshot until the caller has read it.
    List,
    /// A stream of movies from the caller, in large messages.
    Import,
    /// A stream of changes to the caller, which lasts until one side ends it.
    Watch,
    /// Health checks and reflection.
    Probe,
}

/// The RPCs with a fast path, with the response that is sent as the catalogue stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastPath {
    /// The frame of a `MovieData`.
    MovieById,
    /// The frames of all movies.
    ListMovies,
    /// The frame of a `Movie` of `movie.catalog.v1`.
    Movie,
    /// The frames of changes.
    Watch,
    /// The frame of a created `Movie`.
    Create,
    /// The frame of an updated `Movie`.
    Update,
    /// An empty frame.
    Delete,
}

/// An entry of the table.
#[derive(Debug)]
pub struct Entry {
    /// The `:path` header of its calls: `/package.Service/Method`.
    pub path: &'static str,
    /// The service that the RPC belongs to.
    pub service: Service,
    /// The lowest role that may call the RPC; `None` if callers need no credentials.
    pub role: Option<Role>,
    /// The kind of the RPC.
    pub kind: Kind,
    /// The fast path of the RPC, if it has one.
    pub fast_path: Option<FastPath>,
}

impl Entry {
    const fn new(path: &'static str, service: Service, role: Option<Role>, kind: Kind) -> Self {
        Self { path, service, role, kind, fast_path: None }
    }

    /// Returns whether the response says what the caller may do.
    #[must_use]
    pub fn reports_access(&self) -> bool {
        self.path.ends_with(".MovieCatalog/GetCatalog")
    }

    const fn with_fast_path(mut self, fast_path: FastPath) -> Self {
        self.fast_path = Some(fast_path);
        self
    }
}

/// The path of `BatchGetMovies`.
pub const BATCH_GET_MOVIES: &str = "/movie.catalog.v1.MovieCatalog/BatchGetMovies";

/// The path of `LookupMovies`.
pub const LOOKUP_MOVIES: &str = "/movie.catalog.v1.MovieCatalog/LookupMovies";

/// The path of `ListMovies`.
pub const LIST_MOVIES: &str = "/movie.catalog.v1.MovieCatalog/ListMovies";

/// The path of `SearchMovies`.
pub const SEARCH_MOVIES: &str = "/movie.catalog.v1.MovieCatalog/SearchMovies";

/// All RPCs, the most frequently called ones first. No other path can be called.
const TABLE: &[Entry] = {
    use Kind::{Import, List, Probe, Unary, Watch};
    use Service::{Catalog, Health, Movie, Reflection, ReflectionAlpha};
    const READER: Option<Role> = Some(Role::Reader);
    const WRITER: Option<Role> = Some(Role::Writer);
    &[
        Entry::new("/Movie/GetMovieByID", Movie, READER, Unary).with_fast_path(FastPath::MovieById),
        Entry::new("/Movie/GetListMovies", Movie, READER, List).with_fast_path(FastPath::ListMovies),
        Entry::new("/movie.catalog.v1.MovieCatalog/GetMovie", Catalog, READER, Unary)
            .with_fast_path(FastPath::Movie),
        Entry::new(BATCH_GET_MOVIES, Catalog, READER, Unary),
        Entry::new(LOOKUP_MOVIES, Catalog, READER, List),
        Entry::new(LIST_MOVIES, Catalog, READER, Unary),
        Entry::new(SEARCH_MOVIES, Catalog, READER, Unary),
        Entry::new("/movie.catalog.v1.MovieCatalog/WatchMovies", Catalog, READER, Watch)
            .with_fast_path(FastPath::Watch),
        Entry::new("/movie.catalog.v1.MovieCatalog/GetCatalog", Catalog, READER, Unary),
        Entry::new("/movie.catalog.v1.MovieCatalog/CreateMovie", Catalog, WRITER, Unary)
            .with_fast_path(FastPath::Create),
        Entry::new("/movie.catalog.v1.MovieCatalog/UpdateMovie", Catalog, WRITER, Unary)
            .with_fast_path(FastPath::Update),
        Entry::new("/movie.catalog.v1.MovieCatalog/DeleteMovie", Catalog, WRITER, Unary)
            .with_fast_path(FastPath::Delete),
        Entry::new("/movie.catalog.v1.MovieCatalog/ImportMovies", Catalog, WRITER, Import),
        // Load balancers and orchestrators have no tokens.
        Entry::new("/grpc.health.v1.Health/Check", Health, None, Probe),
        Entry::new("/grpc.health.v1.Health/Watch", Health, None, Probe),
        Entry::new("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Reflection, READER, Probe),
        Entry::new(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            ReflectionAlpha,
            READER,
            Probe,
        ),
    ]
};

/// An RPC of the table. Dereferences to its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rpc(usize);

impl Rpc {
    /// The number of RPCs.
    pub const COUNT: usize = TABLE.len();

    /// Returns the RPC with this path, if there is one.
    #[must_use]
    pub fn find(path: &str) -> Option<Self> {
        TABLE.iter().position(|entry| entry.path == path).map(Self)
    }

    /// Returns all RPCs in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Returns the index in the table, below [`Rpc::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }

    /// Returns the name for logs, metrics and traces: `package.Service/Method`.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE[self.0].path.trim_start_matches('/')
    }
}

impl Deref for Rpc {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &TABLE[self.0]
    }
}

/// As in a tokens file.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
        })
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "reader" => Ok(Self::Reader),
            "writer" => Ok(Self::Writer),
            _ => Err("expected `reader` or `writer`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The file descriptor sets of all served contracts.
    const CONTRACTS: [&[u8]; 4] = [
        movie_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];

    /// Returns the methods of a contract: their paths, whether the client streams, and whether the server streams.
    fn methods(contract: &[u8]) -> Vec<(String, (bool, bool))> {
        let mut methods = Vec::new();
        for file in FileDescriptorSet::decode(contract).unwrap().file {
            for service in &file.service {
                let package = if file.package().is_empty() { "" } else { &format!("{}.", file.package()) };
                for method in &service.method {
                    let path = format!("/{package}{}/{}", service.name(), method.name());
                    methods.push((path, (method.client_streaming(), method.server_streaming())));
                }
            }
        }
        methods
    }

    /// Describes what is wrong with the paths of a table of RPCs: a line for each.
    fn problems(paths: &[&str], methods: &BTreeMap<String, (bool, bool)>) -> Vec<String> {
        let missing = methods.iter().filter(|(path, _)| !paths.contains(&path.as_str()));
        let missing = missing.map(|(path, streams)| {
            let service = if path.starts_with("/Movie/") { "Movie" } else { "Catalog" };
            let kind = match streams {
                (false, false) => "Unary",
                (true, false) => "Import",
                (_, true) => "List",
            };
            format!(
                "the RPC {path} is not in the table of movie-service/src/rpc.rs, so callers get UNIMPLEMENTED; add a \
                 line such as `Entry::new(\"{path}\", {service}, READER, {kind}),`, with WRITER if it changes movies"
            )
        });
        let left_over = paths.iter().filter(|path| !methods.contains_key(**path));
        let left_over = left_over.map(|path| {
            format!(
                "no contract has the RPC {path}; remove its line from the table of movie-service/src/rpc.rs"
            )
        });
        missing.chain(left_over).collect()
    }

    #[test]
    fn an_rpc_that_the_table_lacks_is_named_with_the_line_to_add() {
        let methods = methods(movie_proto::FILE_DESCRIPTOR_SET).into_iter();
        let methods = methods.filter(|(path, _)| path.ends_with("/GetListMovies")).collect();
        let problems = problems(&["/Movie/GetMovieByID"], &methods);
        assert!(
            problems[0]
                .starts_with("the RPC /Movie/GetListMovies is not in the table of movie-service/src/rpc.rs")
        );
        assert!(
            problems[0].contains("`Entry::new(\"/Movie/GetListMovies\", Movie, READER, List),`"),
            "{problems:?}"
        );
        assert!(
            problems[1].starts_with("no contract has the RPC /Movie/GetMovieByID; remove"),
            "{problems:?}"
        );
    }

    #[test]
    fn the_table_has_one_entry_for_each_method_of_the_contracts() {
        let methods: BTreeMap<_, _> = CONTRACTS.into_iter().flat_map(methods).collect();
        let mut paths: Vec<_> = TABLE.iter().map(|entry| entry.path).collect();
        let problems = problems(&paths, &methods);
        assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
        paths.sort_unstable();
        assert!(paths.is_sorted_by(|one, other| one < other), "the table has a path twice: {paths:?}");
        for entry in TABLE {
            let (is_client_streaming, is_server_streaming) = methods[entry.path];
            let is_kind = match entry.kind {
                Kind::Unary => !is_client_streaming && !is_server_streaming,
                Kind::List | Kind::Watch => is_server_streaming,
                Kind::Import => is_client_streaming && !is_server_streaming,
                Kind::Probe => !matches!(entry.service, Service::Movie | Service::Catalog),
            };
            assert!(is_kind, "{entry:?}");
        }
    }

    #[test]
    fn an_rpc_is_found_by_its_path_only() {
        for (index, rpc) in Rpc::all().enumerate() {
            assert_eq!(Rpc::find(rpc.path), Some(rpc));
            assert_eq!(rpc.index(), index);
        }
        for path in ["", "/", "/Movie", "/Movie/", "/Movie/GetMovieById", "/Movie/GetMovieByID/", "/x.Y/Z"] {
            assert_eq!(Rpc::find(path), None, "{path}");
        }
    }
}
