/** A React hook for changes. Copy this file. It needs `tidings-client` and React 18 or newer. */

import { useEffect, useRef, useState } from "react";
import { SharedClient, type Changed, type SharedOptions, type Status } from "tidings-client";

export interface Wanted extends Pick<SharedOptions, "url" | "types" | "accounts"> {
  /** The user. Components and tabs with the same name share one connection. */
  name: string;
  /** Fetches what changed. null: fetches everything. */
  refetch: (changed: Changed | null) => void;
}

/** Listens while the component is mounted. Gives the status of the connection. */
export function useTidings({ name, url, types = null, accounts = null, refetch }: Wanted): Status {
  const [status, setStatus] = useState<Status>({ state: "connecting", transport: "websocket" });
  // Each render makes new functions. They must not cause a new connection.
  const latest = useRef({ url, refetch });
  useEffect(() => {
    latest.current = { url, refetch };
  });
  const needs = JSON.stringify({ types, accounts });
  useEffect(() => {
    const client = new SharedClient({
      ...JSON.parse(needs),
      name,
      url: (all) => {
        const { url } = latest.current;
        return typeof url === "function" ? url(all) : url;
      },
      onChange: (changed) => latest.current.refetch(changed),
      onStatus: (now) => {
        setStatus(now);
        if (now.state === "connected" && !now.resumed) latest.current.refetch(null);
      },
    });
    return () => client.stop();
  }, [name, needs]);
  return status;
}
