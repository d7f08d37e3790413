//! The body of a request: JSON, turned into the gRPC messages of the call as it arrives.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value};
use serde::de::DeserializeSeed;
use tonic::Status;
use tonic::codegen::StdError;
use tracing::debug;

use crate::catalogue::encoding::frame;
use crate::movie::Violation;
use crate::server::call::message::prefix::{PREFIX_BYTES, UNCOMPRESSED};
use crate::server::call::refusal::Refusal;
use crate::server::call::transcoding::body_fields::BodyFields;
use crate::server::call::transcoding::parameter;
use crate::servicer::CallError;

/// The name of the whole body in errors.
const BODY: &str = "body";

/// Maximum number of elements in one message of a streamed request.
const MAX_ELEMENTS: usize = 500;

/// The body of a request in gRPC, made of one in JSON.
pub(crate) struct TranscodedRequest<B> {
    source: B,
    messages: RequestMessages,
    /// What has been read of `source` and not used yet.
    buffer: BytesMut,
    /// How many bytes of the buffer are known to have no line end.
    searched: usize,
    /// Whether all of `source` has been read.
    is_complete: bool,
    /// Maximum size of the body, or of a line, in bytes.
    max_bytes: usize,
}

/// The messages that a request becomes.
#[derive(Debug)]
pub(crate) enum RequestMessages {
    /// The only message, or the reason for which there is none. `source` has nothing to add.
    Ready(Result<DynamicMessage, Vec<Violation>>),
    /// The only message, of which the whole body is a field.
    Field(Box<MessageWithField>),
    /// Messages, of which each line of the body is an element of a field.
    Elements {
        /// The repeated field.
        field: FieldDescriptor,
        /// The number of lines before those in the buffer.
        lines: usize,
    },
    Ended,
}

/// A message, and the field of it that is the body.
#[derive(Debug)]
pub(crate) struct MessageWithField {
    /// The message without the field.
    pub(crate) message: DynamicMessage,
    pub(crate) field: FieldDescriptor,
    /// Values within the body that come from the path of the request or a header: the path of each within `field`, and its
    /// text.
    pub(crate) set: Vec<(Vec<FieldDescriptor>, String)>,
}

impl<B> TranscodedRequest<B> {
    /// A request with this body. Neither it nor, in a stream, a line of it may have more than `max_bytes`.
    pub(crate) fn new(source: B, messages: RequestMessages, max_bytes: usize) -> Self {
        Self { source, messages, buffer: BytesMut::new(), searched: 0, is_complete: false, max_bytes }
    }

    /// Returns the next message if the buffer has it.
    fn next_message(&mut self) -> Result<Option<Bytes>, Status> {
        let is_complete = self.is_complete;
        match &mut self.messages {
            RequestMessages::Ready(_) => {
                let RequestMessages::Ready(message) =
                    std::mem::replace(&mut self.messages, RequestMessages::Ended)
                else {
                    return Ok(None);
                };
                framed(&message.map_err(invalid)?).map(Some)
            }
            RequestMessages::Field(_) if !is_complete => Ok(None),
            RequestMessages::Field(request) => {
                let message = request.complete(&self.buffer).map_err(invalid)?;
                self.messages = RequestMessages::Ended;
                framed(&message).map(Some)
            }
            RequestMessages::Elements { field, lines } => {
                let mut message = BytesMut::from(&[UNCOMPRESSED, 0, 0, 0, 0][..]);
                let mut count = 0;
                while count < MAX_ELEMENTS
                    && let Some(line) = next_line(&mut self.buffer, &mut self.searched, is_complete)
                {
                    *lines += 1;
                    if !line.trim_ascii().is_empty() {
                        add_element(&mut message, field, &line)
                            .map_err(|violation| invalid(vec![in_line(violation, *lines)]))?;
                        count += 1;
                    }
                }
                if count == 0 {
                    if is_complete {
                        self.messages = RequestMessages::Ended;
                    }
                    return Ok(None);
                }
                Ok(Some(with_length(message)))
            }
            RequestMessages::Ended => Ok(None),
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<StdError>> + Unpin> Body for TranscodedRequest<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            match self.next_message() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Ok(None) if matches!(self.messages, RequestMessages::Ended) => return Poll::Ready(None),
                Ok(None) => {}
                Err(status) => {
                    self.messages = RequestMessages::Ended;
                    return Poll::Ready(Some(Err(status)));
                }
            }
            match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        // Complete lines have been taken out before.
                        if self.buffer.len() + data.len() > self.max_bytes {
                            let max_bytes = self.max_bytes;
                            self.messages = RequestMessages::Ended;
                            return Poll::Ready(Some(Err(Refusal::MessageTooLarge { max_bytes }.into())));
                        }
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    debug!(error = &*error.into(), "the body of a request cannot be read");
                    self.messages = RequestMessages::Ended;
                    let expected = Violation::new(
                        BODY,
                        "expected a whole body, in valid chunks or of its content-length",
                    );
                    return Poll::Ready(Some(Err(invalid(vec![expected]))));
                }
                None => self.is_complete = true,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.messages, RequestMessages::Ended)
    }
}

impl MessageWithField {
    /// Returns the message with its field, parsed from JSON.
    fn complete(&self, json: &[u8]) -> Result<DynamicMessage, Vec<Violation>> {
        let Kind::Message(descriptor) = self.field.kind() else { return Err(Vec::new()) };
        let (mut value, given) = parse(&descriptor, json, false).map_err(|violation| vec![violation])?;
        for (fields, text) in &self.set {
            set_within(&mut value, fields, text)?;
        }
        let mut message = self.message.clone();
        message.set_field(&self.field, Value::Message(value));
        if let Some(mask) = mask_of_update(&message) {
            let names: Vec<_> =
                given.iter().filter(|field| is_updatable(field)).map(FieldDescriptor::json_name).collect();
            let _ = parameter::set(&mut message, &[mask], &names.join(","));
        }
        Ok(message)
    }
}

/// Returns the field for the mask of an update (AIP-134), if the message has one and it is unset. In JSON, the fields of the
/// body make the mask, so that a field with null or an empty value is cleared.
fn mask_of_update(message: &DynamicMessage) -> Option<FieldDescriptor> {
    let mask = message.descriptor().get_field_by_name("update_mask")?;
    (!message.has_field(&mask)).then_some(mask)
}

/// Returns whether an update can change a field (AIP-203).
fn is_updatable(field: &FieldDescriptor) -> bool {
    const OUTPUT_ONLY: i32 = 3;
    const IMMUTABLE: i32 = 5;
    let behavior = field.parent_pool().get_extension_by_name("google.api.field_behavior");
    let options = field.options();
    let behaviors = behavior.map(|behavior| options.get_extension(&behavior).into_owned());
    let behaviors = behaviors.as_ref().and_then(Value::as_list).unwrap_or_default();
    !behaviors
        .iter()
        .filter_map(Value::as_enum_number)
        .any(|behavior| [OUTPUT_ONLY, IMMUTABLE].contains(&behavior))
}

/// Sets a field that the path or a header sets. Fails if the body has another value.
fn set_within(
    message: &mut DynamicMessage,
    fields: &[FieldDescriptor],
    text: &str,
) -> Result<(), Vec<Violation>> {
    let Some(field) = fields.last().filter(|_| fields.len() == 1) else { return Ok(()) };
    let given = message.get_field(field);
    if given.as_str().is_some_and(|given| !given.is_empty() && given != text) {
        let expected = format!("expected `{text}` as in the path or the header, or none");
        return Err(vec![Violation::new(field.json_name(), expected)]);
    }
    drop(given);
    parameter::set(message, fields, text)
        .map_err(|error| vec![Violation::new(field.json_name(), error.to_string())])
}

/// Takes the next line from the buffer, without its end. Unless the buffer `is_complete`, the line needs one. The first
/// `searched` bytes have none.
fn next_line(buffer: &mut BytesMut, searched: &mut usize, is_complete: bool) -> Option<BytesMut> {
    let end = memchr::memchr(b'\n', &buffer[*searched..]).map(|end| *searched + end);
    *searched = if end.is_some() { 0 } else { buffer.len() };
    match end {
        Some(end) => {
            let line = buffer.split_to(end);
            buffer.advance(1);
            Some(line)
        }
        None if is_complete && !buffer.is_empty() => {
            *searched = 0;
            Some(buffer.split())
        }
        None => None,
    }
}

/// Appends the element of a repeated field.
fn add_element(message: &mut BytesMut, field: &FieldDescriptor, json: &[u8]) -> Result<(), Violation> {
    let Kind::Message(descriptor) = field.kind() else { return Ok(()) };
    let (element, _) = parse(&descriptor, json, true)?;
    encode_key(field.number(), WireType::LengthDelimited, message);
    encode_varint(element.encoded_len() as u64, message);
    // Cannot fail: the buffer grows.
    let _ = element.encode(message);
    Ok(())
}

fn in_line(violation: Violation, line: usize) -> Violation {
    let Violation { field, description } = violation;
    let before = if line > 1 { "; the lines before may have been imported" } else { "" };
    Violation { field, description: format!("line {line}: {description}{before}") }
}

/// Parses a message, which is the whole body or a line of it; returns it with the fields that the JSON has.
fn parse(
    descriptor: &MessageDescriptor,
    json: &[u8],
    is_line: bool,
) -> Result<(DynamicMessage, Vec<FieldDescriptor>), Violation> {
    let line = format!("a whole {} in JSON on one line", descriptor.name().to_lowercase());
    let violation = |error: &InvalidJson, problem: String| {
        let InvalidJson { path, error } = error;
        let (field, problem) = match path.as_deref() {
            None => {
                let problem = without_position(error);
                let expected = match problem.as_str() {
                    "trailing characters" => "the end of the JSON",
                    _ if is_line => &line,
                    _ => "JSON",
                };
                (BODY, format!("expected {expected}: {problem}"))
            }
            Some("") if is_line => (BODY, format!("expected {line}")),
            Some("") => (BODY, problem),
            Some(path) => (path, problem),
        };
        Violation::new(parameter::shorten(field), problem + &position(error, is_line))
    };
    let json = str::from_utf8(json).map_err(|_| Violation::new(BODY, "expected JSON in UTF-8"))?;
    let fields = read(BodyFields(descriptor), json)
        .map_err(|error| violation(&error, without_position(&error.error)))?;
    let message = read(descriptor.clone(), json).map_err(|error| {
        let expected = parameter::expected_at(descriptor, error.path.as_deref().unwrap_or_default());
        violation(&error, format!("expected {}", expected.unwrap_or_default()))
    })?;
    Ok((message, fields))
}

/// The text is not JSON, or not the JSON of a message.
struct InvalidJson {
    /// The path of the invalid value, which is empty for the whole; `None` if the text is not JSON.
    path: Option<String>,
    error: serde_json::Error,
}

/// Reads JSON up to its end.
fn read<'j, S: DeserializeSeed<'j>>(seed: S, json: &'j str) -> Result<S::Value, InvalidJson> {
    let mut json = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let value = seed.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let value = value.map_err(|error| {
        // The syntax of a number that no type can hold is valid.
        let is_value = error.is_data() || without_position(&error) == "number out of range";
        let path = track.path().to_string();
        let path = if path == "." { String::new() } else { path };
        InvalidJson { path: is_value.then_some(path), error }
    })?;
    json.end().map_err(|error| InvalidJson { path: None, error })?;
    Ok(value)
}

/// Returns the message of an error without its position.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

/// Returns the position of an error in a body, or in a line of it; nothing for an empty one.
fn position(error: &serde_json::Error, is_line: bool) -> String {
    match (error.line(), error.column()) {
        (_, 0) => String::new(),
        (_, column) if is_line => format!(", at column {column}"),
        (line, column) => format!(", at line {line} column {column}"),
    }
}

fn invalid(violations: Vec<Violation>) -> Status {
    CallError::from(violations).into()
}

/// Encodes a message with its prefix.
fn framed(message: &DynamicMessage) -> Result<Bytes, Status> {
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.encoded_len());
    frame.put_bytes(UNCOMPRESSED, PREFIX_BYTES);
    message.encode(&mut frame).map_err(|_| Status::from(Refusal::Internal))?;
    Ok(with_length(frame))
}

/// Completes the prefix of a message.
fn with_length(mut message: BytesMut) -> Bytes {
    frame::write_length(&mut message, 0);
    message.freeze()
}
