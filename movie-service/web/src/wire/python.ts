/** A call in Python, as the course makes it: a channel, a stub, and a call. */
import { ScalarType } from "@bufbuild/protobuf";
import { type Call, isStream, messageLiteral, namesOf, target } from "./call";
import { float32, python } from "./quote";

/** Writes a program that makes a call with grpcio. */
export function pythonProgram(call: Call): string {
  const { method, base, authorized } = call;
  const file = method.parent.file.name;
  const imports = new Set<string>();
  const request = messageLiteral(
    {
      text: python,
      scalar: (value, { scalar }) => {
        if (typeof value === "boolean") return value ? "True" : "False";
        return scalar === ScalarType.FLOAT ? float32(value as number) : String(value);
      },
      list: (items) => `[${items.join(", ")}]`,
      message: (desc, fields) => {
        const type = [importModule(desc.file.name, imports), ...namesOf(desc).names].join(".");
        return `${type}(${fields.map(([{ name }, literal]) => `${name}=${literal}`).join(", ")})`;
      },
    },
    method.input,
    call.request,
  );
  const stub = `${importModule(file, imports, "_pb2_grpc")}.${method.parent.name}Stub(channel)`;
  const address = python(target(base));
  const channel =
    base.protocol === "https:"
      ? `secure_channel(${address}, grpc.ssl_channel_credentials())`
      : `insecure_channel(${address})`;
  const metadata = authorized ? ', metadata=[("authorization", "Bearer " + os.environ["MOVIE_TOKEN"])]' : "";
  const made = `stub.${method.name}(${request}${metadata})`;
  return [
    "# pip install grpcio grpcio-tools googleapis-common-protos",
    `# python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. ${file}.proto`,
    ...(authorized ? ["import os", ""] : []),
    "import grpc",
    ...[...imports].sort(),
    "",
    `with grpc.${channel} as channel:`,
    `    stub = ${stub}`,
    ...(isStream(call) ? [`    for message in ${made}:`, "        print(message)"] : [`    print(${made})`]),
    "",
  ].join("\n");
}

/** Returns the name of a generated module, and adds its import. */
function importModule(file: string, imports: Set<string>, suffix = "_pb2"): string {
  const folders = file.split("/");
  const module = folders.pop() + suffix;
  imports.add(`${folders.length ? `from ${folders.join(".")} ` : ""}import ${module}`);
  return module;
}
