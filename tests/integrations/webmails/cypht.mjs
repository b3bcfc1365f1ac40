/** The script of the module set in a page that has what Cypht's pages have of it. Prints what it does. */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const [, , script, root] = process.argv;
const did = [];
let page = "message_list";
let answer = { tidings_user: "alice" };
const ready = [];
Object.assign(globalThis, {
  $: (run) => ready.push(run),
  document: { baseURI: pathToFileURL(`${root}/`).href },
  hm_is_logged: () => 1,
  hm_web_root_path: () => "",
  getPageNameParam: () => page,
  getListPathParam: () => "imap_1_494e424f58",
  Hm_Utils: { get_url_page_number: () => 2 },
  select_imap_folder: (...asked) => did.push(["select", ...asked]),
  Hm_Ajax: {
    request: ([{ name, value }], callback, extra, quiet, batch, failed) => {
      did.push(["ajax", name, value, quiet]);
      if (answer) callback(answer);
      else failed(false);
    },
  },
});
const importModuleDynamically = vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
vm.runInThisContext(readFileSync(script, "utf8"), { filename: script, importModuleDynamically });
for (const run of ready) await run();
const [{ user, token, refresh }] = globalThis.listening;
refresh();
page = "compose";
refresh();
answer = undefined;
const failed = await token().catch((error) => error.message);
answer = {};
for (const run of ready) await run();
console.log(JSON.stringify({ listening: globalThis.listening.length, user, did, failed }));
