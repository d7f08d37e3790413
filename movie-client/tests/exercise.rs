//! Compiles the finished exercise of `docs/tutorial.md` from `docs/exercise/`, and runs its tests.
//!
//! The exercise adds a module to `movie-proto` and one to `movie-service`. Here, this crate stands for both of them:
//! it has the items of the crates and the modules of the exercise.

extern crate movie_proto as contract;
extern crate movie_service as service;
// From here on, the paths of the exercise refer to this crate.
extern crate self as movie_proto;
extern crate self as movie_service;

pub use contract::MovieData;
pub use service::{catalogue, store};

/// The module that the exercise adds to `movie-proto`.
pub mod exercise {
    /// The package `exercise.v1`.
    #[allow(
        clippy::pedantic,
        unreachable_pub,
        unused_qualifications,
        reason = "all the code here is generated"
    )]
    pub mod v1 {
        include!("../../docs/exercise/movie-proto/src/generated/exercise.v1.rs");
    }
}

#[path = "../../docs/exercise/movie-service/src/best_movie.rs"]
pub mod best_movie;

#[path = "../../docs/exercise/movie-client/tests/best_movie.rs"]
mod test;
