//! A peer that speaks HTTP/2 byte by byte, and so can break every rule of it.
//!
//! It blocks, on purpose: a test reads as a list of what the peer does, and what it does not do, such as reading,
//! is not done behind its back.

pub(crate) mod frames;
pub(crate) mod hpack;

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::iter;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use frames::{ACK, Frame};
use socket2::{Domain, Socket, Type};

pub(crate) const GET: &str = "/Movie/GetMovieByID";
pub(crate) const LIST: &str = "/Movie/GetListMovies";
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";
pub(crate) const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// What a client says first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long anything may take before a test gives up. Not a measure of speed: the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long the service may read nothing before a peer stops sending.
const STALLED: Duration = Duration::from_millis(500);

/// A connection.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
    next: u32,
    /// Frames that came while another stream's answer was waited for.
    earlier: Vec<Frame>,
}

/// What became of a call.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// It was answered to its end; fields of headers and trailers are together.
    Whole { fields: Vec<(String, String)>, body: Vec<u8> },
    /// Its stream was reset, with this error code.
    Reset(u32),
    /// The connection ended, with the error code of its last GOAWAY.
    Gone(Option<u32>),
}

impl Answer {
    /// Returns the value of a header or trailer.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let Self::Whole { fields, .. } = self else { return None };
        fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
    }

    /// Returns the code of a gRPC answer.
    pub(crate) fn code(&self) -> Option<&str> {
        self.field("grpc-status")
    }
}

/// Returns the fields of a call as gRPC clients send them.
pub(crate) fn fields(path: &str) -> Vec<(&str, &str)> {
    let scheme = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    [scheme.as_slice(), &[("te", "trailers"), ("content-type", "application/grpc")]].concat()
}

/// Returns a call's header block as gRPC clients send it.
pub(crate) fn block(path: &str) -> Vec<u8> {
    hpack::encode(&fields(path))
}

/// Returns the frames of a call, all of it.
pub(crate) fn call(stream: u32, path: &str, message: &[u8]) -> [Frame; 2] {
    [Frame::headers(stream, block(path)), Frame::data(stream, crate::raw::framed(message)).ending()]
}

impl Peer {
    /// Connects, and says nothing.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(STALLED)).unwrap();
        Self { stream: BufReader::new(stream), next: 1, earlier: Vec::new() }
    }

    /// Connects as clients do.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// Connects with settings of one's own.
    pub(crate) fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::silent(address).introduced(settings)
    }

    /// Connects from another address of this machine.
    pub(crate) fn connect_from(from: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::of(socket.into()).introduced(&[])
    }

    /// Says what clients say first.
    fn introduced(mut self, settings: &[(u16, u32)]) -> Self {
        let settings = [&[(frames::HEADER_TABLE_SIZE, 0)], settings].concat();
        self.send(&[PREFACE, &Frame::settings(&settings).encode()].concat());
        self
    }

    /// Waits until the service has seen all that was sent.
    pub(crate) fn settle(&mut self) {
        self.send_frames([Frame::ping(0)]);
        let answer = |frame: &Frame| frame.kind == frames::PING && frame.flags == ACK;
        while !answer(&self.read().expect("the connection is open")) {}
    }

    /// Sends bytes. What cannot be sent, because the service ended the connection or reads nothing, is let go:
    /// what is read next tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.try_send(bytes);
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub(crate) fn send_frames(&mut self, frames: impl IntoIterator<Item = Frame>) {
        self.send(&frames::encode(frames));
    }

    /// Sends the headers of a call, more to follow; returns its stream.
    pub(crate) fn begin(&mut self, fields: &[(&str, &str)]) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.send_frames([Frame::headers(stream, hpack::encode(fields))]);
        stream
    }

    /// Sends all of a call; returns its stream.
    pub(crate) fn call(&mut self, path: &str, message: &[u8]) -> u32 {
        let stream = self.begin(&fields(path));
        self.send_frames([Frame::data(stream, crate::raw::framed(message)).ending()]);
        stream
    }

    /// Reads a frame; `None` if the connection has ended.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.read_exact(&mut payload)?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Reads the first SETTINGS of the service; returns the value of a setting.
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
            Err(error) => panic!("the service neither answers nor ends the connection: {error}"),
        }
    }

    /// Reads a frame and does what a good client does about it: confirms, and opens the windows again.
    pub(crate) fn read_politely(&mut self) -> Option<Frame> {
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

    /// Reads until a call has its outcome, as a good client does.
    pub(crate) fn answer(&mut self, stream: u32) -> Answer {
        let (mut fields, mut body, mut gone) = (Vec::new(), Vec::new(), None);
        // Answers may overtake each other.
        let (earlier, others) = self.earlier.drain(..).partition(|frame| frame.stream == stream);
        self.earlier = others;
        let mut earlier = Vec::into_iter(earlier);
        while let Some(frame) = earlier.next().or_else(|| self.read_politely()) {
            if frame.kind == frames::GOAWAY {
                gone = Some(frame.error_code());
            } else if frame.stream != stream {
                self.earlier.push(frame);
                continue;
            }
            match frame.kind {
                frames::HEADERS => fields.extend(hpack::decode(&frame.payload)),
                frames::DATA => body.extend_from_slice(&frame.payload),
                frames::RST_STREAM => return Answer::Reset(frame.error_code()),
                _ => {}
            }
            if frame.stream == stream && frame.ends_stream() {
                return Answer::Whole { fields, body };
            }
        }
        Answer::Gone(gone)
    }

    /// Reads until a GOAWAY; returns its error code, or `None` if the connection ends without one.
    pub(crate) fn told_to_go(&mut self) -> Option<u32> {
        iter::from_fn(|| self.read_politely())
            .find(|frame| frame.kind == frames::GOAWAY)
            .map(|frame| frame.error_code())
    }

    /// Reads, and does no more than that, until the connection ends; returns the error code of the last GOAWAY.
    pub(crate) fn ended(&mut self) -> Option<u32> {
        let go_away = |frame: &Frame| (frame.kind == frames::GOAWAY).then(|| frame.error_code());
        iter::from_fn(|| self.read()).fold(None, |last, frame| go_away(&frame).or(last))
    }

    /// Reads until the connection ends, whatever it is that comes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if !is_end(&error) => panic!("the service does not end the connection: {error}"),
            Ok(_) | Err(_) => rest,
        }
    }

    /// Says that nothing more comes, and goes on listening.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }
}

/// Returns whether an error means that the connection has ended.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}
