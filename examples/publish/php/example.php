<?php

/**
 * Sends the changes on standard input to a publisher: php example.php <changes. Each line is
 *
 *     ACCOUNT EVENT [STATES]        alice MessageNew {"Email": "s1042", "Mailbox": "s77"}
 *
 * If the publisher refuses a change, the program reports it and goes on. The exit code is then 1.
 */

declare(strict_types=1);

require __DIR__ . '/Tidings.php';

try {
    $tidings = new Tidings(getenv('TIDINGS_INGEST_URL') ?: '', getenv('TIDINGS_INGEST_TOKEN') ?: '');
} catch (InvalidArgumentException $error) {
    fwrite(STDERR, "{$error->getMessage()}\n");
    exit(2);
}
$code = 0;
while (($line = fgets(STDIN)) !== false) {
    $parts = explode(' ', trim($line), 3);
    if (count($parts) < 2) {
        fwrite(STDERR, 'not ACCOUNT EVENT [STATES]: ' . trim($line) . "\n");
        exit(2);
    }
    [$account, $event, $states] = $parts + [2 => null];
    $changed = $states === null ? null : json_decode($states, true);
    if ($states !== null && !is_array($changed)) {
        fwrite(STDERR, "not a JSON object: $states\n");
        exit(2);
    }
    try {
        $tidings->tell($account, $event, $changed);
    } catch (Refused $refused) {
        fwrite(STDERR, "refused: $account $event: {$refused->getMessage()}\n");
        $code = 1;
    }
}
exit($code);
