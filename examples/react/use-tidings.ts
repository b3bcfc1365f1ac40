/** Changes as a React hook. Copy this file; it needs `tidings-client` and React 18 or newer. */

import { useEffect, useRef, useState } from "react";
import { SharedClient, type Changed, type SharedOptions, type Status } from "tidings-client";

export interface Wanted extends Pick<SharedOptions, "url" | "types" | "accounts"> {
  /** Whose mail it is: components and tabs with the same name share one connection. */
  name: string;
  /** Fetch what changed; everything, when that is null. */
  refetch: (changed: Changed | null) => void;
}

/** Listens for as long as the component is there, and says where the connection stands. */
export function useTidings({ name, url, types = null, accounts = null, refetch }: Wanted): Status {
  const [status, setStatus] = useState<Status>({ state: "connecting", transport: "websocket" });
  // Functions that are new with each render are no reason to connect again.
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
