import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** The running service that the development server forwards calls to. */
const service = process.env.MOVIE_SERVICE ?? "http://127.0.0.1:3001";

/**
 * Leaves out the JSON of protobuf, an eighth of the library. Connect imports it, but calls in binary, as all of the page are,
 * do not use it.
 */
function withoutProtobufJson(): Plugin {
  const functions: Record<string, string[]> = {
    "from-json": ["fromJson", "fromJsonString", "mergeFromJson", "mergeFromJsonString", "enumFromJson", "isEnumJson"],
    "to-json": ["toJson", "toJsonString", "enumToJson"],
  };
  return {
    name: "without-protobuf-json",
    apply: "build",
    load(id) {
      const names = functions[/@bufbuild\/protobuf\/dist\/esm\/([\w-]+)\.js$/.exec(id)?.[1] ?? ""];
      if (!names) return null;
      return `const missing = () => { throw new Error("the page has no JSON of protobuf") };
        export { ${names.map((name) => `missing as ${name}`).join(", ")} };`;
    },
  };
}

export default defineConfig({
  // Relative addresses, so that the page works under a sub-path.
  base: "./",
  plugins: [withoutProtobufJson()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // The service accepts calls of its own pages: the Origin has to be its own.
    proxy: {
      "^/(movie\\.catalog\\.v1\\.MovieCatalog/|Movie/|v1/|healthz)": {
        target: service,
        changeOrigin: true,
        headers: { origin: service },
      },
    },
  },
  test: {
    include: ["**/*.test.ts"],
    setupFiles: ["tests/unit/setup.ts"],
  },
});
