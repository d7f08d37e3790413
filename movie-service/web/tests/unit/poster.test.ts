import { expect, test } from "vitest";
import { initials, isAllowedPoster } from "../../src/views/poster";

test.each([
  ["The Night of the Hunter", "NOT"],
  ["Alien", "Al"],
  ["L'Avventura", "L'"],
  ["La Dolce Vita", "DV"],
  ["12 Angry Men", "1AM"],
  ["七人の侍", "七人"],
  ["שבעה סמוראים", "שס"],
  ["… (and so on)", "ASO"],
  ["🎬 Action", "Ac"],
  ["The", "Th"],
  ["!!!", "…"],
  ["<script>alert(1)</script>", "SS"],
])("the placeholder of %s has the letters %s", (title, letters) => {
  expect(initials(title)).toBe(letters);
});

test("posters come from allowed origins only", () => {
  const origins = ["https://posters.example", "https://images.example:8443"];
  expect(isAllowedPoster("https://posters.example/a.jpg", origins)).toBe(true);
  expect(isAllowedPoster("https://images.example:8443/a.jpg", origins)).toBe(true);
  for (const uri of ["", "posters.example/a", "http://posters.example/a", "https://posters.example.evil/a", "https://posters.example:444/a", "javascript:alert(1)", "data:,"]) {
    expect(isAllowedPoster(uri, origins)).toBe(false);
  }
  expect(isAllowedPoster("https://posters.example/a.jpg", [])).toBe(false);
});
