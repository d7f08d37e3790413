//! Serves movies: `movie-service [ADDRESS]`

use std::error::Error;

use movie_service::serve;
use tonic::transport::server::TcpIncoming;

