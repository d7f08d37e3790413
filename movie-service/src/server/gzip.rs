//! Which answers are compressed: lists, for those who ask, if the operator allows it.
//!
//! Never an answer of one message: some clients offer gzip with every call, whatever it is worth. It is worth less
//! than it seems for a list of small messages, too, since gRPC compresses each by itself: a movie of 55 bytes becomes
//! 75, and takes a hundred times as long as to send it as it is.

use http::{HeaderName, Request};

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Returns whether a call is for a list and takes gzip. It is then one for generated code with `send_compressed`.
pub(super) fn is_wanted<B>(request: &Request<B>) -> bool {
    let mut offered = request.headers().get_all(GRPC_ACCEPT_ENCODING).iter();
    request.uri().path() == "/Movie/GetListMovies"
        && offered.any(|names| {
            names.as_bytes().split(|&byte| byte == b',').any(|name| name.trim_ascii() == b"gzip")
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::{BodyExt, Full};
    use movie_proto::movie_server::MovieServer;
    use tonic::codec::CompressionEncoding;
    use tower::ServiceExt;

    use super::*;
    use crate::catalogue::{Catalogue, Change, Movie, Snapshot};
    use crate::found::Found;
    use crate::servicer::course::MovieServicer;

    fn request(path: &str, offered: &str) -> Request<Full<&'static [u8]>> {
        let request = Request::post(path).header(GRPC_ACCEPT_ENCODING, offered);
        request.body(Full::new(&b"\0\0\0\0\0"[..])).unwrap()
    }

    #[test]
    fn only_lists_whose_caller_takes_gzip_are_compressed() {
        for (path, offered, expected) in [
            ("/Movie/GetListMovies", "gzip", true),
            ("/Movie/GetListMovies", "identity, deflate, gzip", true),
            ("/Movie/GetListMovies", "identity,deflate,xgzip", false),
            ("/Movie/GetListMovies", "", false),
            ("/Movie/GetMovieByID", "gzip", false),
        ] {
            assert_eq!(is_wanted(&request(path, offered)), expected, "{path} {offered:?}");
        }
    }

    #[tokio::test]
    async fn the_generated_code_compresses_what_is_wanted_so() {
        let title = "Creed ".repeat(100);
        let movie = Movie { title: &title, rating: 8.8, id: "1", ..Movie::default() };
        let movies = Snapshot::default().with([Change::Insert(movie)]).unwrap();
        let servicer = MovieServicer::new(Arc::new(Catalogue::new(movies)), Found::quiet());
        let server = MovieServer::new(servicer).send_compressed(CompressionEncoding::Gzip);
        let response = server.oneshot(request("/Movie/GetListMovies", "identity,gzip")).await.unwrap();
        assert_eq!(response.headers()["grpc-encoding"], "gzip");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        // The flag of the frame, its length, and how gzip begins.
        assert_eq!((body[0], &body[5..7]), (1, &b"\x1f\x8b"[..]));
        assert!(body.len() < 200, "{} bytes", body.len());
    }
}
