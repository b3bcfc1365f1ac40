<?php

declare(strict_types=1);

/** The publisher will not take a change, however often it is told. The message has its status and its reasons. */
final class Refused extends RuntimeException
{
}

/**
 * Tells a Tidings publisher what changed in the mail of an account. Copy this file: it needs nothing but PHP 8.1, with
 * the openssl extension for https.
 *
 *     $tidings = new Tidings(getenv('TIDINGS_INGEST_URL') ?: '', getenv('TIDINGS_INGEST_TOKEN') ?: '');
 *     $tidings->tell('alice', 'MessageNew', ['Email' => 's1042', 'Mailbox' => null]);
 *
 * tell() returns when the publisher answers for the change. It throws Refused when the publisher will never take the
 * change. Until one of both it repeats the same event, also while the publisher is away: that suits a worker, not the
 * answer to a web request. A web page writes its change to the outbox table of docs/integrate/postgres.md, or to a
 * queue that a worker reads.
 *
 * Changes of one account keep their order when one process tells them. What has not returned yet is lost with the process.
 */
final class Tidings
{
    private const SOURCE = '/tidings-php';
    private const TIMEOUT_SECONDS = 10;
    private const LONGEST_PAUSE_MS = 5_000;
    private const LONGEST_WAIT_SECONDS = 60;
    /** Of the publisher, or of a proxy in front of it. 0: no answer. */
    private const TRY_AGAIN = [0, 408, 429, 502, 503, 504];

    private readonly string $url;

    /** An empty URL is http://127.0.0.1:8081, an empty token is none. */
    public function __construct(string $url, #[SensitiveParameter] private readonly string $token)
    {
        $this->url = rtrim($url ?: 'http://127.0.0.1:8081', '/') . '/v1/changes';
        if (!preg_match('~^https?://[^/]~', $this->url)) {
            throw new InvalidArgumentException("$url is not the http or https URL of a publisher");
        }
        if (preg_match('~[^!-\~]~', $token)) {
            throw new InvalidArgumentException('the token has a character that no token has');
        }
    }

    /**
     * Tells of an RFC 5423 event, and of the new states by JMAP data type where there are states.
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

    /** Sends until it is answered for: always the same bytes, so the event has the same id each time. */
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
            // A random pause: publishers that come back are not met by everybody at once.
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
