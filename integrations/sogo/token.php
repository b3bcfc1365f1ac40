<?php

declare(strict_types=1);

/**
 * Lets the browser of whoever is logged in to SOGo listen. The web server runs it for `/SOGo/tidings-token`.
 *
 * SOGo alone can say whose session a cookie is of. It sends those who are logged in from its first page to a page of
 * their own, and the path of that page ends with their login.
 */

require __DIR__ . '/webmail.php';

/** The login of the session that the request has a cookie of, null where SOGo knows none. Ends with 502 without SOGo. */
function login(string $sogo): ?string
{
    if (!preg_match('~(?:^|; )(0xHIGHFLYxSOGo=[^;]+)~', $_SERVER['HTTP_COOKIE'] ?? '', $session)) {
        return null;
    }
    $asked = stream_context_create(['http' => [
        'header' => "Cookie: $session[1]",
        'follow_location' => 0,
        'ignore_errors' => true,
        'timeout' => 10,
    ]]);
    if (file_get_contents("$sogo/SOGo/so/", false, $asked) === false) {
        http_response_code(502);
        exit;
    }
    // To a page of SOGo itself: who has no session may be sent to where one logs in, with any path in the query.
    $own = '~^Location: (?:https?://[^/]+)?/SOGo/so/([^/?#\s]+)\s*$~i';
    $found = preg_grep($own, $http_response_header);
    return $found ? rawurldecode(preg_replace($own, '$1', end($found))) : null;
}

$settings = Tidings\settings();
header('Cache-Control: no-store');
http_response_code(Tidings\let_listen(login($settings['sogo'] ?? 'http://127.0.0.1:20000'), $settings));
