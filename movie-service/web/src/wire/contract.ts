/** What the contract says about the bytes: methods by name, fields by number. */
import { type DescEnum, type DescField, type DescMessage, type DescMethod, ScalarType } from "@bufbuild/protobuf";
import { MovieCatalog } from "../gen/movie/catalog/v1/catalog_pb";
import { Movie } from "../gen/movie_pb";

/** A field as the contract defines it. */
export interface FieldInfo {
  readonly name: string;
  /** The type as the contract writes it: "string", "repeated Movie". */
  readonly type: string;
  readonly repeated: boolean;
  readonly scalar?: ScalarType | undefined;
  readonly enum?: DescEnum | undefined;
  /** The type of a nested message. */
  readonly message?: MessageInfo | undefined;
}

/** A message as the contract defines it. */
export interface MessageInfo {
  readonly typeName: string;
  field(number: number): FieldInfo | undefined;
}

/** Returns the method of a service, if the contract has it. */
export function findMethod(service: string, method: string): DescMethod | undefined {
  const found = [Movie, MovieCatalog].find(({ typeName }) => typeName === service);
  return found?.methods.find(({ name }) => name === method);
}

/** Returns the last part of a full name: "Movie" of "movie.catalog.v1.Movie". */
export const lastPart = (typeName: string) => typeName.slice(typeName.lastIndexOf(".") + 1);

/** Reads the definition of a message from its descriptor. */
export function messageInfo(desc: DescMessage): MessageInfo {
  return {
    typeName: desc.typeName,
    field: (number) => {
      const field = desc.fields.find((field) => field.number === number);
      return field && fieldInfo(field);
    },
  };
}

function fieldInfo(field: DescField): FieldInfo {
  const { name, scalar, message } = field;
  const single = { name, type: typeOf(field), repeated: false, scalar, enum: field.enum };
  const value = { ...single, message: message && messageInfo(message) };
  if (field.fieldKind === "list") return { ...value, type: `repeated ${value.type}`, repeated: true };
  if (field.fieldKind !== "map") return value;
  // On the wire, a map is a repeated message with the fields 1 and 2.
  const key = scalarName(field.mapKey);
  const entries: FieldInfo[] = [
    { name: "key", type: key, repeated: false, scalar: field.mapKey },
    { ...value, name: "value" },
  ];
  const type = `map<${key}, ${value.type}>`;
  return { name, type, repeated: true, message: { typeName: type, field: (number) => entries[number - 1] } };
}

const scalarName = (scalar: ScalarType) => ScalarType[scalar].toLowerCase();

function typeOf({ scalar, message, enum: values }: DescField): string {
  return scalar ? scalarName(scalar) : lastPart((message ?? values)!.typeName);
}
