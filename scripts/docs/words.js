// What ./rules look for.

// In one sentence.
export const MOST_WORDS = 25;

// Phrases that made readers stop, as regular expressions, each with what to do instead.
export const RIDDLES = {
  "no matter": "say which values are fine",
  "by three|as many as|as much \\w+ as": "give the number",
  "(?:name|one|some) of (?:its|their) own": "say which one",
  "of this name|the programs? (?:itself|themselves)": "name the thing",
  "of those that|(?:with|from|to|for|by|in|as) that of|those who": "name the things",
  "that (?:go|goes|stay|stays)": "say what happens to what",
  "to be had|(?:as|that) (?:is|are) said": "say who does what",
  "(?<!there )(?:is|are) no (?!longer|matter)[a-z]+|that (?:is|are) none": "write that something is not a thing",
  "(?:told|going) to look": "write that clients are asked to resynchronise",
  "fault of ours|(?:is|are) spoken": "name the program, or write what is supported",
  "for lack of|for want of|lest|hence|thereof|whence|wherein|whereof": "use plain words",
};

// Abbreviations that every reader knows, names of products and licenses, and those that docs/concepts.md explains.
export const KNOWN = new Set(
  (
    "AMD AMQP API ASCII ASGI AWS BSD CA CD CI CIDR CLI CORS CPU CSP CSS CSV DNS DOS EC EPYC GB GCC GKE GNU GPL HMAC HTML HTTP HTTPS ID IDLE IMAP " +
    "INBOX IP JMAP JS JSON JWK JWKS JWT KB KEDA LDAP LGPL LMTP MAC MB MIME MIT NAT NFS OAUTHBEARER OK OS PATH PDF PEM PHP PID POP3 RAM RES RFC RSA " +
    "RSS SASL SDK SHA SMTP SQL SSE SSH SVG TCP TLS TOML TTL UI UID UIDVALIDITY URI URL UTC UTF UUID VM WAL XML YAML XOAUTH2"
  ).split(" "),
);

// Words that protocols write in capitals: HTTP methods, IMAP commands, SQL, RFC 2119, signals, algorithms of tokens.
const HTTP = "GET|HEAD|POST|PUT|DELETE|CONNECT";
const IMAP = "APPEND|AUTH|COPY|EXAMINE|EXPUNGE|LIST|MOVE|NOTIFY|PLAIN|RENAME|SELECT|SETACL|STARTTLS|STATUS|SUBSCRIBE|UNSUBSCRIBE";
const SQL = "CREATE|GRANT|INSERT|LISTEN|NULL|UPDATE";
export const CAPITALS = new RegExp(`^(?:${HTTP}|${IMAP}|${SQL}|MUST|SHOULD|MAY|NOT|SIG[A-Z]+|(?:HS|RS|ES|PS)\\d+|README|LICENSE)$`);
