//! Calls as their callers see them: the course's contract, health and reflection, over HTTP/2, HTTP/1.1 and gRPC-Web.

mod course;
mod fast_path;
mod grpc_web;
mod gzip;
mod health;
mod http1;
mod reflection;
