//! One call in each protocol that the service speaks, as it is on the wire.

use std::net::SocketAddr;

use bytes::Bytes;
use contract::MovieId;
use http::{HeaderMap, Request};
use prost::Message;

use crate::http1;

/// The movie that is requested.
const ID: &str = "a8034f44-aee4-44cf-b32c-74cf452aaaae";

/// Bytes per line.
const BYTES_PER_LINE: usize = 16;

/// The headers that are shown; the others say nothing of the protocol.
const SHOWN: [&str; 2] = ["content-type", "grpc-status"];

/// Makes the call; returns its request, each line after `>`, and its response, each line after `<`.
pub(crate) fn exchange(protocol: &str, address: SocketAddr) -> Result<String, String> {
    let message = MovieId { id: ID.to_owned() }.encode_to_vec();
    let length = u32::try_from(message.len()).map_err(|error| error.to_string())?;
    let framed = [&[0], length.to_be_bytes().as_slice(), &message].concat();
    match protocol {
        "grpc" => grpc(&framed, address),
        "grpc-web" => {
            let head = "POST /Movie/GetMovieByID HTTP/1.1\r\ncontent-type: application/grpc-web+proto";
            http1(head, &framed, address, hex)
        }
        "json" => {
            let head = format!("GET /v1/course/movies/{ID} HTTP/1.1");
            http1(&head, b"", address, |body| String::from_utf8_lossy(body).trim_end().to_owned())
        }
        _ => Err(format!("unverified protocol `{protocol}`")),
    }
}

/// Makes a request over HTTP/1.1.
fn http1(
    head: &str,
    body: &[u8],
    address: SocketAddr,
    show: impl Fn(&[u8]) -> String,
) -> Result<String, String> {
    let response = http1::send(address, head, body).map_err(|error| error.to_string())?;
    let mut lines = response.head.lines();
    let status = lines.next().unwrap_or_default();
    let headers = lines.filter(|line| SHOWN.iter().any(|name| line.starts_with(name)));
    let shown: Vec<&str> = std::iter::once(status).chain(headers).collect();
    Ok([
        part('>', &head.replace("\r\n", "\n")),
        part('>', &show(body)),
        part('<', &shown.join("\n")),
        part('<', &show(&response.body)),
    ]
    .concat())
}

/// Makes a call over HTTP/2.
fn grpc(framed: &[u8], address: SocketAddr) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let called = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        let (calls, connection) = h2::client::handshake(stream).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        call(calls, framed).await.map_err(std::io::Error::other)
    });
    let (headers, body, trailers) = called.map_err(|error: std::io::Error| error.to_string())?;
    let request = ":method: POST\n:path: /Movie/GetMovieByID\ncontent-type: application/grpc\nte: trailers";
    let parts = [
        part('>', request),
        part('>', &hex(framed)),
        part('<', &format!(":status: 200\n{}", shown(&headers))),
        part('<', &hex(&body)),
        part('<', &shown(&trailers)),
    ];
    Ok(parts.concat())
}

/// Returns the headers, the body and the trailers of the response.
async fn call(
    calls: h2::client::SendRequest<Bytes>,
    framed: &[u8],
) -> Result<(HeaderMap, Vec<u8>, HeaderMap), h2::Error> {
    let request = Request::post("http://localhost/Movie/GetMovieByID").header("te", "trailers");
    let request = request.header("content-type", "application/grpc").body(()).expect("the parts are valid");
    let (response, mut stream) = calls.ready().await?.send_request(request, false)?;
    stream.send_data(framed.to_vec().into(), true)?;
    let (parts, mut incoming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = incoming.data().await {
        body.extend(data?);
    }
    Ok((parts.headers, body, incoming.trailers().await?.unwrap_or_default()))
}

fn shown(headers: &HeaderMap) -> String {
    let shown = headers.iter().filter(|(name, _)| SHOWN.contains(&name.as_str()));
    shown
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the lines of a part, and an empty one after them.
fn part(side: char, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    text.lines()
        .map(|line| format!("{side} {line}").trim_end().to_owned() + "\n")
        .chain([format!("{side}\n")])
        .collect::<Vec<_>>()
        .concat()
}

/// Returns bytes in hexadecimal, and the text in them.
fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(BYTES_PER_LINE).map(|bytes| {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = bytes
            .iter()
            .map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' })
            .collect();
        format!("{:width$}{text}", digits.join(" "), width = 3 * BYTES_PER_LINE + 1)
    });
    lines.collect::<Vec<_>>().join("\n")
}
