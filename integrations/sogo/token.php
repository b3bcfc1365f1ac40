<?php

declare(strict_types=1);

/**
 * Gives browsers of logged-in users of SOGo a token. The web server runs this page for `/SOGo/tidings-token`.
 *
 * Only SOGo knows which user a session cookie belongs to. SOGo redirects a logged-in user from its first page to the user's
 * page, whose path ends with the login. So this page requests SOGo's first page with the cookie.
 */

require __DIR__ . '/webmail.php';

/** The login of the request's session, or null if SOGo knows no such session. Ends with 502 if SOGo does not answer. */
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
