<?php

declare(strict_types=1);

/**
 * Gives the browser of a webmail's logged-in user a token for a Tidings gateway.
 *
 * The token is in a cookie. Browsers send the cookie only to the gateway, and no script can read it. The key that signs the
 * token stays in a file on the server. See docs/integrate/sogo.md, snappymail.md and cypht.md.
 */

namespace Tidings;

require_once __DIR__ . '/tidings_signer.php';

/** A browser asks for the next token when this one has expired. Each token costs one request. */
const LIFETIME_SECONDS = 900;

/** The operator's settings. */
function settings(): array
{
    $file = getenv('WEBMAIL_INI') ?: '/etc/tidings/webmail.ini';
    return parse_ini_file($file, false, INI_SCANNER_RAW) ?: throw new \RuntimeException("$file cannot be read");
}

/**
 * Sets the cookie. `$login` is the name that the mail server or the webmail has verified, or null if nobody is logged in.
 *
 * Returns the HTTP status of the answer: 204, or 401 if nobody is logged in, or 403 if the login has another domain than the
 * configured one, because such a login may belong to another mail server. With 401 and 403, the cookie of an earlier user
 * is removed.
 */
function let_listen(?string $login, array $settings): int
{
    if ($login === null || $login === '') {
        set_cookie('', 0);
        return 401;
    }
    $account = account($login, $settings['domain'] ?? '');
    if ($account === null) {
        set_cookie('', 0);
        return 403;
    }
    $key = file_get_contents($settings['key_file'] ?? '/etc/tidings/webmail.key');
    $signer = new \tidings_signer($key ?: throw new \RuntimeException('the file with the key cannot be read'));
    $expires = time() + LIFETIME_SECONDS;
    set_cookie($signer->token(['sub' => $account, 'exp' => $expires]), $expires);
    return 204;
}

/** An empty token removes the cookie. */
function set_cookie(string $token, int $expires): void
{
    setcookie('tidings_token', $token, [
        'expires' => $expires,
        'path' => '/jmap/',
        'secure' => true,
        'httponly' => true,
        'samesite' => 'Strict',
    ]);
}

/** The account of a login: the whole login, or the part before the configured domain. Null for another domain. */
function account(string $login, string $domain): ?string
{
    if ($domain === '') {
        return $login;
    }
    $at = strrpos($login, '@');
    return $at > 0 && strcasecmp(substr($login, $at + 1), $domain) === 0 ? substr($login, 0, $at) : null;
}
