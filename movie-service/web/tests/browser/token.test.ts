import { writeFileSync } from "node:fs";
import type { Tab } from "./support/browser";
import { DOZEN } from "./support/films";
import { type Folder, run } from "./support/service";
import { expect, test } from "./support/test";

interface Caller {
  readonly token: string;
  /** The line of the tokens file. */
  readonly line: string;
}

function caller(name: string, role: "reader" | "writer"): Caller {
  const [token, line] = run("token", name, "--role", role).trim().split("\n");
  return { token: token!, line: line! };
}

function protectedService(folder: Folder, callers: readonly Caller[]) {
  const tokens = folder.write("tokens", callers.map(({ line }) => `${line}\n`).join(""));
  return { database: folder.sqlite("films.db", DOZEN), args: ["--tokens", tokens] };
}

const alert = (tab: Tab) => tab.page.getByRole("main").getByRole("alert");

/** Opens the dialog for the token from the catalogue's. */
async function ask(tab: Tab): Promise<void> {
  await tab.light.click();
  await tab.button("Access token").click();
}

async function enter(tab: Tab, token: string): Promise<void> {
  await tab.page.getByLabel("Token", { exact: true }).fill(token);
  await tab.button("Use this token").click();
}

test("without a token, the page says that one is needed, and takes it", async ({ folder, serve, open }) => {
  const writer = caller("bob", "writer");
  const service = await serve(protectedService(folder, [writer]));
  const tab = await open(service.url);
  expect(await alert(tab).textContent()).toContain("This service needs a token.");
  await tab.button("Enter a token").click();
  await enter(tab, writer.token);
  await expect.poll(() => tab.count.textContent()).toBe("12 films");
  expect(await alert(tab).count()).toBe(0);
  await expect.poll(() => tab.light.textContent()).toContain("Live");
  await expect.poll(() => tab.button("Add a film").count()).toBe(1);
});

test("the token is kept for the session only, in no address, and hidden in the panel of calls", async ({ folder, serve, open }) => {
  const writer = caller("bob", "writer");
  const service = await serve(protectedService(folder, [writer]));
  const tab = await open(service.url);
  await tab.button("Enter a token").click();
  await enter(tab, writer.token);
  await expect.poll(() => tab.count.textContent()).toBe("12 films");
  await tab.page.reload();
  await expect.poll(() => tab.count.textContent()).toBe("12 films");
  expect(await tab.page.evaluate(() => Object.values(sessionStorage))).toEqual([writer.token]);
  expect(await tab.page.evaluate(() => [Object.keys(localStorage).length, document.cookie])).toEqual([0, ""]);
  await tab.button("On the wire").click();
  await tab.wire.getByRole("option").first().click();
  await tab.wire.getByText("Metadata").click();
  await expect.poll(() => tab.wire.getByText("Bearer …").count()).toBe(1);
  expect(await tab.page.content()).not.toContain(writer.token);
  const other = await open(tab.page.url());
  expect(await alert(other).textContent()).toContain("This service needs a token.");
});

test("a reader finds films, and may not edit them", async ({ folder, serve, open }) => {
  const reader = caller("alice", "reader");
  const service = await serve(protectedService(folder, [reader]));
  const tab = await open(service.url);
  await tab.button("Enter a token").click();
  await enter(tab, reader.token);
  await tab.film("Film 1").click();
  await expect.poll(() => tab.title.textContent()).toBe("Film 1");
  expect(await tab.button("Add a film").count()).toBe(0);
  expect(await tab.sheet.getByRole("button", { name: /Edit|Delete/ }).count()).toBe(0);
  await tab.light.click();
  await expect.poll(() => tab.page.getByRole("dialog", { name: "Catalogue" }).innerText()).toContain("You may only read");
});

test("a writer edits films", async ({ folder, serve, open }) => {
  const writer = caller("bob", "writer");
  const service = await serve(protectedService(folder, [writer]));
  const tab = await open(service.url);
  await tab.button("Enter a token").click();
  await enter(tab, writer.token);
  await tab.film("Film 1").click();
  await tab.sheet.getByRole("button", { name: "Edit" }).click();
  await tab.sheet.getByRole("textbox", { name: "Title (required)" }).fill("Film 1 by Bob");
  await tab.sheet.getByRole("button", { name: "Save" }).click();
  await expect.poll(() => tab.title.textContent()).toBe("Film 1 by Bob");
});

test("an unknown token is said, and can be replaced", async ({ folder, serve, open }) => {
  const [known, unknown] = [caller("bob", "writer"), caller("eve", "writer")];
  const service = await serve(protectedService(folder, [known]));
  const tab = await open(service.url);
  await tab.button("Enter a token").click();
  await enter(tab, unknown.token);
  await expect.poll(() => alert(tab).textContent()).toContain("The service does not know this token, or no longer.");
  await expect.poll(() => tab.light.textContent()).toContain("Not live");
  await ask(tab);
  await enter(tab, known.token);
  await expect.poll(() => tab.count.textContent()).toBe("12 films");
});

test("a text that no header can have is no token, and is said", async ({ folder, serve, open }) => {
  const service = await serve(protectedService(folder, [caller("bob", "writer")]));
  const tab = await open(service.url);
  await tab.button("Enter a token").click();
  await enter(tab, "jeton – clé ✓");
  const dialog = tab.page.getByRole("dialog", { name: "Access token" });
  await expect.poll(() => dialog.getByRole("alert").textContent()).toContain("This is no token");
  expect(await tab.page.evaluate(() => sessionStorage.length)).toBe(0);
});

test("a token that expires is said at the next call, and what was typed is kept", async ({ folder, serve, open }) => {
  const [old, renewed] = [caller("bob", "writer"), caller("bob2", "writer")];
  const service = await serve(protectedService(folder, [old]));
  const tab = await open(service.url);
  await tab.button("Enter a token").click();
  await enter(tab, old.token);
  await tab.film("Film 1").click();
  await tab.sheet.getByRole("button", { name: "Edit" }).click();
  const title = tab.sheet.getByRole("textbox", { name: "Title (required)" });
  await title.fill("Film 1 by Bob");
  writeFileSync(folder.file("tokens"), `${renewed.line}\n`);
  const isKnown = () => service.json("GET", "v1/catalog", undefined, { authorization: `Bearer ${renewed.token}` }).then(() => true, () => false);
  await expect.poll(isKnown).toBe(true);
  await tab.sheet.getByRole("button", { name: "Save" }).click();
  await expect.poll(() => tab.sheet.getByRole("alert").textContent()).toContain("The service does not know this token, or no longer.");
  await ask(tab);
  await enter(tab, renewed.token);
  await expect.poll(() => tab.light.textContent()).toContain("Live");
  expect(await title.inputValue()).toBe("Film 1 by Bob");
  await tab.sheet.getByRole("button", { name: "Save" }).click();
  await expect.poll(() => tab.title.textContent()).toBe("Film 1 by Bob");
});

test("a token can be forgotten", async ({ folder, serve, open }) => {
  const reader = caller("alice", "reader");
  const service = await serve(protectedService(folder, [reader]));
  const tab = await open(service.url);
  await tab.button("Enter a token").click();
  await enter(tab, reader.token);
  await expect.poll(() => tab.count.textContent()).toBe("12 films");
  await ask(tab);
  await tab.button("Forget the token").click();
  await expect.poll(() => alert(tab).textContent()).toContain("This service needs a token.");
  expect(await tab.page.evaluate(() => sessionStorage.length)).toBe(0);
});
