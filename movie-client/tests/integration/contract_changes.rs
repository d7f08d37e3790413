//! Behaviour of tonic and prost with differing contracts, as in section 8 of the tutorial.

use movie_proto::{Empty, MovieData, MovieId};
use prost::{DecodeError, Message};
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::service::over;

/// Returns a client without a stub, so that any kind of call is possible.
async fn caller() -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", over("movies.json"))).unwrap();
    let mut caller = Grpc::new(endpoint.connect().await.unwrap());
    caller.ready().await.unwrap();
    caller
}

#[tokio::test]
async fn a_unary_call_takes_the_first_message_of_a_stream_and_drops_the_others() {
    let path = PathAndQuery::from_static("/Movie/GetListMovies");
    let codec = ProstCodec::<Empty, MovieData>::default();
    let movie = caller().await.unary(Request::new(Empty {}), path, codec).await.unwrap().into_inner();
    assert_eq!(movie.title, "The Good Dinosaur");
}

#[tokio::test]
async fn a_streaming_call_takes_a_single_response_as_a_stream_of_one() {
    let path = PathAndQuery::from_static("/Movie/GetMovieByID");
    let codec = ProstCodec::<MovieId, MovieData>::default();
    let creed = MovieId { id: "267eedb8-0f5d-42d5-8f43-72426b9fb3e6".to_owned() };
    let call = caller().await.server_streaming(Request::new(creed), path, codec).await;
    let mut movies = call.unwrap().into_inner();
    assert_eq!(movies.message().await.unwrap().unwrap().title, "Creed");
    assert_eq!(movies.message().await.unwrap(), None);
}

/// A `MovieData` whose `rating` has another type with another wire type.
#[derive(Clone, PartialEq, Message)]
struct OtherWireType {
    #[prost(uint32, tag = "2")]
    rating: u32,
}

/// A `MovieData` whose `rating` has another type with the same wire type.
#[derive(Clone, PartialEq, Message)]
struct SameWireType {
    #[prost(fixed32, tag = "2")]
    rating: u32,
}

/// A `MovieData` whose `rating` has another field number.
#[derive(Clone, PartialEq, Message)]
struct OtherNumber {
    #[prost(float, tag = "5")]
    rating: f32,
}

/// Decodes a movie with the rating 8.2 as another message.
fn read_as<M: Message + Default>() -> Result<M, DecodeError> {
    let movie = MovieData { title: "The Martian".to_owned(), rating: 8.2, ..MovieData::default() };
    M::decode(movie.encode_to_vec().as_slice())
}

#[test]
fn prost_rejects_another_wire_type_and_misreads_another_type_of_the_same() {
    let error = read_as::<OtherWireType>().unwrap_err().to_string();
    assert!(error.contains("wire type"), "{error}");
    assert_eq!(read_as::<SameWireType>().unwrap().rating, 8.2_f32.to_bits());
}

#[test]
fn a_field_with_a_changed_number_is_lost() {
    assert_eq!(read_as::<OtherNumber>().unwrap(), OtherNumber::default());
}
