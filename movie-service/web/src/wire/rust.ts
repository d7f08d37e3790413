/** A call in Rust, with tonic and the messages of the crate movie-proto. */
import { type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { type Call, isStream, messageLiteral, namesOf, target } from "./call";
import type { Definition, Scalar } from "./fields";
import { float32, rust } from "./quote";

/** Writes a program that makes a call with tonic. */
export function rustProgram(call: Call): string {
  const { method, base, authorized } = call;
  const service = method.parent.name;
  const client = `${camel(service)}Client`;
  const secure = base.protocol === "https:";
  const address = rust(`${base.protocol}//${target(base)}`);
  const request = messageLiteral(
    {
      text: (value) => `${rust(value)}.to_owned()`,
      scalar,
      list: (items) => `vec![${items.join(", ")}]`,
      message: struct,
    },
    method.input,
    call.request,
  );
  const response = `stub.${snake(method.name)}(request).await?`;
  return [
    "// [dependencies]",
    '// movie-proto = { path = "movie-proto" }',
    ...(request.includes("prost_types::") ? ['// prost-types = "0.14"'] : []),
    '// tokio = { version = "1", features = ["full"] }',
    `// tonic = ${secure ? '{ version = "0.14", features = ["tls-ring", "tls-native-roots"] }' : '"0.14"'}`,
    `use ${crate(method.parent.file.proto.package, `${snake(service)}_client`, client)};`,
    "",
    "#[tokio::main]",
    "async fn main() -> Result<(), Box<dyn std::error::Error>> {",
    ...(secure ? ["    let tls = tonic::transport::ClientTlsConfig::new().with_enabled_roots();"] : []),
    `    let channel = tonic::transport::Channel::from_static(${address})${secure ? ".tls_config(tls)?" : ""}.connect().await?;`,
    `    let mut stub = ${client}::new(channel);`,
    `    let ${authorized ? "mut " : ""}request = tonic::Request::new(${request.replaceAll("\n", "\n    ")});`,
    ...(authorized
      ? [
          '    let token = format!("Bearer {}", std::env::var("MOVIE_TOKEN")?);',
          '    request.metadata_mut().insert("authorization", token.parse()?);',
        ]
      : []),
    ...(isStream(call)
      ? [
          `    let mut messages = ${response}.into_inner();`,
          "    while let Some(message) = messages.message().await? {",
          '        println!("{message:#?}");',
          "    }",
        ]
      : [`    println!("{:#?}", ${response}.into_inner());`]),
    "    Ok(())",
    "}",
    "",
  ].join("\n");
}

/** Splits a name into words as Rust's generators do: "GetMovieByID" into Get, Movie, By, ID. */
const words = (name: string) => name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g) ?? [];
const snake = (name: string) => words(name).join("_").toLowerCase();
const camel = (name: string) => words(name).map((word) => word[0]!.toUpperCase() + word.slice(1).toLowerCase()).join("");

/** Returns the path of a generated type: its package is a module, and so is each message around it. */
function path(desc: DescMessage, inner?: string): string {
  const { packageName, names } = namesOf(desc);
  if (packageName === "google.protobuf") return `prost_types::${names.join("::")}`;
  const around = inner ? names : names.slice(0, -1);
  return crate(packageName, ...around.map(snake), camel(inner ?? names.at(-1)!));
}

/** Returns a path in the crate movie-proto, whose modules are named after the packages, without "movie". */
function crate(packageName: string, ...names: string[]): string {
  return ["movie_proto", ...packageName.split(".").slice(1), ...names].join("::");
}

function struct(desc: DescMessage, fields: [info: Definition, literal: string][]): string {
  const members = fields.map(([{ name, oneof, message, scalar, fieldKind, proto }, literal]) => {
    if (oneof) return `${oneof.name}: Some(${path(desc, oneof.name)}::${camel(name)}(${literal})),`;
    const optional = fieldKind !== "list" && (message || (scalar && proto?.proto3Optional));
    return `${name}: ${optional ? `Some(${literal})` : literal},`;
  });
  if (members.length < desc.members.length) members.push("..Default::default()");
  const body = members.map((member) => `    ${member.replaceAll("\n", "\n    ")}\n`).join("");
  return `${path(desc)} {${body && `\n${body}`}}`;
}

function scalar(value: Scalar, { scalar }: Definition): string {
  if (scalar !== ScalarType.FLOAT) return String(value);
  const digits = float32(value as number);
  return /^-?\d+$/.test(digits) ? `${digits}.0` : digits;
}
