<?php

declare(strict_types=1);

/**
 * Lets the browser of whoever is logged in to a webmail listen to a Tidings gateway.
 *
 * The token goes into a cookie that is sent to the gateway alone and that no script can read. What it is signed with stays
 * in a file on the server. See docs/integrate/sogo.md, snappymail.md and cypht.md.
 */

namespace Tidings;

require_once __DIR__ . '/tidings_signer.php';

/** Browsers ask for the next token when this one has expired, which costs one request. */
const LIFETIME_SECONDS = 900;

/** What the operator has set. */
function settings(): array
{
    $file = getenv('WEBMAIL_INI') ?: '/etc/tidings/webmail.ini';
    return parse_ini_file($file, false, INI_SCANNER_RAW) ?: throw new \RuntimeException("$file cannot be read");
}

/**
 * Sets the cookie. `$login` is the name that the mail server or the webmail has verified, null where nobody is logged in.
 *
 * Returns the HTTP status to answer with: 204; 401 where nobody is logged in; 403 where the login is of another domain
 * than the one that is set, and so might be of another mail server. Who is refused loses the cookie of who was here before.
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

/** The account of a login: all of it, or the part before the domain that is set. Null for another domain. */
function account(string $login, string $domain): ?string
{
    if ($domain === '') {
        return $login;
    }
    $at = strrpos($login, '@');
    return $at > 0 && strcasecmp(substr($login, $at + 1), $domain) === 0 ? substr($login, 0, $at) : null;
}
