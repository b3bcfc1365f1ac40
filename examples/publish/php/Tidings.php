<?php

declare(strict_types=1);

/** The publisher refused a change for good. The message has its status and its reasons. */
final class Refused extends RuntimeException
{
}

/**
 * Tells a Tidings publisher what changed in the mail of an account. Copy this file. It needs only PHP 8.1, and the
 * openssl extension for https.
 *
 *     $tidings = new Tidings(getenv('TIDINGS_INGEST_URL') ?: '', getenv('TIDINGS_INGEST_TOKEN') ?: '');
 *     $tidings->tell('alice', 'MessageNew', ['Email' => 's1042', 'Mailbox' => null]);
 *
 * tell() returns when the publisher has accepted the change, and throws Refused when the publisher refuses it for good.
 * Until then, tell() repeats the same event, also while the publisher is away. So call tell() in a worker, not while a web
 * page waits. A web page writes its change to the outbox table of docs/integrate/postgres.md, or to a queue that a worker
 * reads.
 *
 * Changes of one account keep their order if one process sends them. If the process ends, changes whose tell() has not
 * returned are lost.
 */
final class Tidings
{
    private const SOURCE = '/tidings-php';
    private const TIMEOUT_SECONDS = 10;
    private const LONGEST_PAUSE_MS = 5_000;
    private const LONGEST_WAIT_SECONDS = 60;
    /** From the publisher, or from a proxy in front of it. 0: no answer. */
    private const TRY_AGAIN = [0, 408, 429, 502, 503, 504];

    private readonly string $url;

    /** An empty URL means http://127.0.0.1:8081. An empty token means no token. */
    public function __construct(string $url, #[SensitiveParameter] private readonly string $token)
    {
        $this->url = rtrim($url ?: 'http://127.0.0.1:8081', '/') . '/v1/changes';
        if (!preg_match('~^https?://[^/]~', $this->url)) {
            throw new InvalidArgumentException("$url is not the http or https URL of a publisher");
        }
        if (preg_match('~[^!-\~]~', $token)) {
            throw new InvalidArgumentException('the token has a character that tokens may not have');
        }
    }

    /**
     * Sends an RFC 5423 event, with the new states by JMAP data type if there are states.
     *
     * @param ?array<string, ?string> $changed
     * @throws Refused
     */
    public function tell(string $account, string $event, ?array $changed = null): void
    {
        $told = [
            'specversion' => '1.0',
            'id' => bin2hex(random_bytes(16)),
            'source' => self::SOURCE,
            'type' => "mail.$event",
            'subject' => $account,
            'time' => gmdate('Y-m-d\TH:i:s') . substr(sprintf('%.3F', fmod(microtime(true), 1)), 1) . 'Z',
        ];
        if ($changed !== null) {
            $told['data'] = ['changed' => (object) $changed];
        }
        $this->repeat(json_encode($told, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES));
    }

    /** Sends the same bytes until the publisher answers for them, so the event keeps its id. */
    private function repeat(string $body): void
    {
        for ($bound = 250;; $bound = min(2 * $bound, self::LONGEST_PAUSE_MS)) {
            [$status, $wait, $reason] = $this->post($body);
            if ($status === 202) {
                return;
            }
            if (!in_array($status, self::TRY_AGAIN, true)) {
                throw new Refused("$status $reason");
            }
            // The pause is random, so that not all senders come at once when a publisher is back.
            $pause = $wait * 1000 + random_int(0, $bound);
            error_log(sprintf('not taken, told again in %.1f s: %d %s', $pause / 1000, $status, $reason));
            usleep($pause * 1000);
        }
    }

    /** @return array{int, int, string} the status, `Retry-After` in seconds, and the body of an answer */
    private function post(string $body): array
    {
        $headers = ['Content-Type: application/cloudevents+json', 'Connection: close'];
        if ($this->token !== '') {
            $headers[] = "Authorization: Bearer {$this->token}";
        }
        $stream = @fopen($this->url, 'r', false, stream_context_create(['http' => [
            'method' => 'POST',
            'protocol_version' => 1.1,
            'header' => $headers,
            'content' => $body,
            'timeout' => self::TIMEOUT_SECONDS,
            'follow_location' => 0,
            'ignore_errors' => true, // the bodies of errors are read too
        ]]));
        if ($stream === false) {
            return [0, 0, error_get_last()['message'] ?? 'no answer'];
        }
        $status = $wait = 0;
        foreach (stream_get_meta_data($stream)['wrapper_data'] as $line) {
            if (preg_match('~^HTTP/\S+ (\d{3})~', $line, $found)) {
                $status = (int) $found[1];
            } elseif (preg_match('~^Retry-After:\s*(\d{1,6})\s*$~i', $line, $found)) {
                $wait = min((int) $found[1], self::LONGEST_WAIT_SECONDS);
            }
        }
        $said = (string) stream_get_contents($stream, 4096);
        fclose($stream);
        return [$status, $wait, $said];
    }
}
