/** The script of the plugin in a page that has what SnappyMail's pages have of it. Prints what it does. */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const [, , script, root] = process.argv;
const did = [];
let answer = [null, { Result: true }];
globalThis.did = did;
globalThis.document = { baseURI: pathToFileURL(`${root}/`).href };
const list = () => ({ folder: "Sent" });
globalThis.window = globalThis;
globalThis.rl = {
  app: { folderInformation: (folder) => did.push(["information", folder]), messageList: list },
  settings: { get: (name) => (name === "Email" ? "alice@mail.example" : undefined) },
  pluginRemoteRequest: (callback, action) => {
    did.push(["remote", action]);
    callback(...answer);
  },
};
const events = new EventTarget();
globalThis.addEventListener = events.addEventListener.bind(events);
const shows = (detail) => events.dispatchEvent(Object.assign(new Event("sm-show-screen"), { detail }));

const importModuleDynamically = vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
vm.runInThisContext(readFileSync(script, "utf8"), { filename: script, importModuleDynamically });
for (const screen of ["login", "mailbox", "settings", "mailbox"]) shows(screen);
while (!globalThis.listening) await new Promise(setImmediate);
const [{ user, token, refresh }] = globalThis.listening;
refresh();
await token();
answer = [102, null];
const failed = await token().catch((error) => error.message);
console.log(JSON.stringify({ listening: globalThis.listening.length, user, did, failed }));
