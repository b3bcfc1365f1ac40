/** A component that fetches again when it is told to. */

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useTidings } from "./use-tidings.js";

/** A token for the gateway, from the mail server, which knows the user by the session's cookie. */
async function token(): Promise<string> {
  const response = await fetch("/token", { method: "POST" });
  if (!response.ok) throw new Error(`no token: HTTP status ${response.status}`);
  return ((await response.json()) as { token: string }).token;
}

function Inbox() {
  const [fetched, setFetched] = useState<string[]>([]);
  const status = useTidings({
    name: "inbox",
    // Asked for before each attempt to connect: the gateway closes the connection of a token that has expired.
    url: async () => `/jmap/ws?${new URLSearchParams({ access_token: await token() })}`,
    types: ["Email", "Mailbox"],
    // Here a webmail asks its server for what it shows.
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
