//! A peer that sends and reads single HTTP/2 frames, so that it can violate the protocol.
//!
//! Its functions block, and nothing is read or acknowledged in the background: a peer does only what the test says.

pub(crate) mod frames;
pub(crate) mod hpack;

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::iter;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use frames::{ACK, Frame};
use socket2::{Domain, Socket, Type};

use super::messages::framed;

pub(crate) const GET: &str = "/Movie/GetMovieByID";
pub(crate) const LIST: &str = "/Movie/GetListMovies";
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";
pub(crate) const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The connection preface of a client (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Upper bound of any wait, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Time after which a peer stops sending if the service reads nothing.
const SEND_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
    next: u32,
    /// Frames that arrived during the wait for the response of another stream.
    earlier: Vec<Frame>,
}

/// The end of a call.
#[derive(Debug, PartialEq)]
pub(crate) enum Response {
    /// A complete response, with the fields of headers and trailers together.
    Complete { fields: Vec<(String, String)>, body: Vec<u8> },
    /// The stream was reset, with this error code.
    Reset(u32),
    /// The connection was closed, with the error code of the last GOAWAY.
    Disconnected(Option<u32>),
}

impl Response {
    /// Returns the value of a header or trailer.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let Self::Complete { fields, .. } = self else { return None };
        fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
    }

    /// Returns the `grpc-status`.
    pub(crate) fn code(&self) -> Option<&str> {
        self.field("grpc-status")
    }
}

/// Returns the header fields of a call as gRPC clients send them.
pub(crate) fn fields(path: &str) -> Vec<(&str, &str)> {
    let scheme = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    [scheme.as_slice(), &[("te", "trailers"), ("content-type", "application/grpc")]].concat()
}

/// Returns the header block of a call as gRPC clients send it.
pub(crate) fn header_block(path: &str) -> Vec<u8> {
    hpack::encode(&fields(path))
}

/// Returns the frames of a complete call.
pub(crate) fn call(stream: u32, path: &str, message: &[u8]) -> [Frame; 2] {
    [Frame::headers(stream, header_block(path)), Frame::data(stream, framed(message)).ending()]
}

impl Peer {
    /// Connects and sends nothing.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(SEND_TIMEOUT)).unwrap();
        Self { stream: BufReader::new(stream), next: 1, earlier: Vec::new() }
    }

    /// Connects and sends the preface.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// Connects and sends the preface with settings.
    pub(crate) fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::silent(address).handshake(settings)
    }

    /// Connects from a local address and sends the preface.
    pub(crate) fn connect_from(from: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::of(socket.into()).handshake(&[])
    }

    /// Sends the preface.
    fn handshake(mut self, settings: &[(u16, u32)]) -> Self {
        let settings = [&[(frames::HEADER_TABLE_SIZE, 0)], settings].concat();
        self.send(&[PREFACE, &Frame::settings(&settings).encode()].concat());
        self
    }

    /// Waits until the service has processed all frames that were sent: it acknowledges a PING after them.
    pub(crate) fn wait_until_processed(&mut self) {
        self.send_frames([Frame::ping(0)]);
        let response = |frame: &Frame| frame.kind == frames::PING && frame.flags == ACK;
        while !response(&self.read().expect("the connection is closed")) {}
    }

    /// Sends bytes. Errors are ignored: if the service has closed the connection or reads nothing, the next read shows it.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.try_send(bytes);
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub(crate) fn send_frames(&mut self, frames: impl IntoIterator<Item = Frame>) {
        self.send(&frames::encode(frames));
    }

    /// Sends the headers of a call without `END_STREAM`; returns its stream.
    pub(crate) fn begin(&mut self, fields: &[(&str, &str)]) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.send_frames([Frame::headers(stream, hpack::encode(fields))]);
        stream
    }

    /// Sends a complete call; returns its stream.
    pub(crate) fn call(&mut self, path: &str, message: &[u8]) -> u32 {
        let stream = self.begin(&fields(path));
        self.send_frames([Frame::data(stream, framed(message)).ending()]);
        stream
    }

    /// Reads a frame; `None` if the connection is closed.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.read_exact(&mut payload)?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Reads the first SETTINGS frame; returns the value of a setting.
    pub(crate) fn read_setting(&mut self, name: u16) -> Option<u32> {
        let settings = iter::from_fn(|| self.read()).find(|frame| frame.kind == frames::SETTINGS)?;
        let mut entries = settings.payload.chunks_exact(6);
        let entry = entries.rfind(|entry| entry[..2] == name.to_be_bytes())?;
        Some(u32::from_be_bytes(entry[2..].try_into().unwrap()))
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) if is_end(&error) => None,
            Err(error) => panic!("the service neither responds nor closes the connection: {error}"),
        }
    }

    /// Reads a frame; acknowledges SETTINGS and PING, and returns the window of DATA.
    pub(crate) fn read_and_respond(&mut self) -> Option<Frame> {
        let frame = self.read()?;
        match frame.kind {
            frames::SETTINGS | frames::PING if frame.flags & ACK == 0 => {
                let payload = if frame.kind == frames::PING { frame.payload.clone() } else { Vec::new() };
                self.send_frames([Frame::new(frame.kind, ACK, 0, payload)]);
            }
            frames::DATA if !frame.payload.is_empty() => {
                let step = u32::try_from(frame.payload.len()).unwrap();
                self.send_frames([0, frame.stream].map(|stream| Frame::window_update(stream, step)));
            }
            _ => {}
        }
        Some(frame)
    }

    /// Reads until a call has ended, as [`Self::read_and_respond`] does.
    pub(crate) fn response(&mut self, stream: u32) -> Response {
        let (mut fields, mut body, mut gone) = (Vec::new(), Vec::new(), None);
        // Responses may arrive in another order.
        let (earlier, others) = self.earlier.drain(..).partition(|frame| frame.stream == stream);
        self.earlier = others;
        let mut earlier = Vec::into_iter(earlier);
        while let Some(frame) = earlier.next().or_else(|| self.read_and_respond()) {
            if frame.kind == frames::GOAWAY {
                gone = Some(frame.error_code());
            } else if frame.stream != stream {
                self.earlier.push(frame);
                continue;
            }
            match frame.kind {
                frames::HEADERS => fields.extend(hpack::decode(&frame.payload)),
                frames::DATA => body.extend_from_slice(&frame.payload),
                frames::RST_STREAM => return Response::Reset(frame.error_code()),
                _ => {}
            }
            if frame.stream == stream && frame.ends_stream() {
                return Response::Complete { fields, body };
            }
        }
        Response::Disconnected(gone)
    }

    /// Reads until a GOAWAY; returns its error code, or `None` if the connection is closed without one.
    pub(crate) fn read_goaway(&mut self) -> Option<u32> {
        iter::from_fn(|| self.read_and_respond())
            .find(|frame| frame.kind == frames::GOAWAY)
            .map(|frame| frame.error_code())
    }

    /// Reads until the connection is closed, and acknowledges nothing; returns the error code of the last GOAWAY.
    pub(crate) fn read_until_closed(&mut self) -> Option<u32> {
        let go_away = |frame: &Frame| (frame.kind == frames::GOAWAY).then(|| frame.error_code());
        iter::from_fn(|| self.read()).fold(None, |last, frame| go_away(&frame).or(last))
    }

    /// Reads all bytes until the connection is closed.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if !is_end(&error) => panic!("the service does not close the connection: {error}"),
            Ok(_) | Err(_) => rest,
        }
    }

    /// Closes the write half of the connection.
    pub(crate) fn shut_down_writing(&mut self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }
}

/// Returns whether an error means that the connection is closed.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}
