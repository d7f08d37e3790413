/** What the contract says about the bytes: methods by name, types as the contract writes them. */
import { type DescMethod, ScalarType } from "@bufbuild/protobuf";
import { MovieCatalog } from "../gen/movie/catalog/v1/catalog_pb";
import { Movie } from "../gen/movie_pb";
import type { Definition } from "./fields";

/** Returns the method of a service, if the contract has it. */
export function findMethod(service: string, method: string): DescMethod | undefined {
  const found = [Movie, MovieCatalog].find(({ typeName }) => typeName === service);
  return found?.methods.find(({ name }) => name === method);
}

const scalarName = (scalar: ScalarType) => ScalarType[scalar].toLowerCase();

/** Writes the type of a field: "string", "repeated Movie", "map<string, string>". */
export function typeOf({ scalar, message, enum: values, fieldKind, mapKey }: Definition): string {
  const type = scalar ? scalarName(scalar) : (message ?? values)!.name;
  if (fieldKind === "map") return `map<${scalarName(mapKey!)}, ${type}>`;
  return fieldKind === "list" ? `repeated ${type}` : type;
}
