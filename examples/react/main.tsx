/** A component that fetches again after each change. */

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useTidings } from "./use-tidings.js";

/** A token for the gateway, from the mail server. The mail server knows the user from the session's cookie. */
async function token(): Promise<string> {
  const response = await fetch("/token", { method: "POST" });
  if (!response.ok) throw new Error(`no token: HTTP status ${response.status}`);
  return ((await response.json()) as { token: string }).token;
}

function Inbox() {
  const [fetched, setFetched] = useState<string[]>([]);
  const status = useTidings({
    name: "inbox",
    // Called before each attempt to connect, because the gateway closes the connection when its token expires.
    url: async () => `/jmap/ws?${new URLSearchParams({ access_token: await token() })}`,
    types: ["Email", "Mailbox"],
    // A webmail fetches its list from its server here.
    refetch: (changed) => setFetched((before) => [...before, changed ? JSON.stringify(changed) : "everything"]),
  });
  return (
    <>
      <p id="status" role="status">{status.state}</p>
      <ol id="fetched">{fetched.map((what, index) => <li key={index}>{what}</li>)}</ol>
    </>
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(<StrictMode><Inbox /></StrictMode>);
