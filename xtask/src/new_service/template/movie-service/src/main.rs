//! Serves movies: `movie-service [ADDRESS]`

use anyhow::Context;
use movie_service::serve;
use tonic::transport::server::TcpIncoming;

