<?php

require_once __DIR__ . '/tidings_signer.php';

/**
 * Shows changes at once. The page listens to a Tidings gateway and refreshes itself when something changed. While it
 * listens, it rarely polls.
 *
 * The page needs a token to listen. The plugin signs the token and sets it as a cookie. Scripts cannot read the cookie, and
 * browsers send it only to the gateway's path. So no page and no URL contains the key or the token.
 */
class tidings extends rcube_plugin
{
    public $task = 'mail|settings|logout';

    private const COOKIE = 'tidings_token';

    /** config.inc.php.dist says what each means. */
    private const DEFAULTS = [
        'tidings_url' => '/jmap/ws',
        'tidings_key_file' => '/etc/roundcube/tidings.key',
        'tidings_secret' => '',
        'tidings_account' => '%u',
        'tidings_claims' => [],
        'tidings_lifetime' => 900,
        'tidings_poll' => 600,
        'tidings_enabled' => true,
    ];

    private rcmail $rc;

    public function init(): void
    {
        $this->rc = rcmail::get_instance();
        $this->load_config();
        if ($this->rc->task === 'settings') {
            $this->add_hook('preferences_list', [$this, 'preferences_list']);
            $this->add_hook('preferences_save', [$this, 'preferences_save']);
        } elseif ($this->rc->task === 'logout') {
            $this->add_hook('logout_after', [$this, 'logout_after']);
        } elseif ($this->setting('enabled')) {
            $this->mail();
        }
    }

    private function mail(): void
    {
        $this->register_action('plugin.tidings', [$this, 'renew']);
        if ($this->rc->action === 'refresh' && isset($_POST['_tidings'])) {
            $this->add_hook('check_recent', [$this, 'check_recent']);
        }
        if ($this->rc->output->type === 'html' && $this->rc->action === '' && empty($_REQUEST['_framed'])) {
            $lifetime = $this->hand_over();
            if ($lifetime !== null) {
                $this->rc->output->set_env('tidings', [
                    'url' => $this->setting('url'),
                    'account' => $this->account(),
                    'poll' => (int) $this->setting('poll'),
                    'lifetime' => $lifetime,
                ]);
                $this->include_script('tidings.js');
            }
        }
    }

    /** The action by which a page has its token renewed. The answer says for how many seconds the new one is good. */
    public function renew(): void
    {
        $lifetime = $this->hand_over();
        http_response_code($lifetime === null ? 500 : 200);
        header('Content-Type: application/json');
        header('Cache-Control: no-store');
        echo json_encode(['lifetime' => $lifetime]);
        exit;
    }

    /** A change says which account it is of, not which folder: look at all of them. */
    public function check_recent(array $args): array
    {
        $subscribed = $this->rc->get_storage()->list_folders_subscribed('', '*', 'mail');
        $args['folders'] = array_values(array_unique(array_merge($args['folders'], $subscribed)));
        return $args;
    }

    public function preferences_list(array $args): array
    {
        if ($args['section'] === 'mailbox' && $this->is_up_to_the_user()) {
            $this->add_texts('localization/');
            $box = new html_checkbox(['name' => '_tidings_enabled', 'id' => '_tidings_enabled', 'value' => 1]);
            $args['blocks']['new_message']['options']['tidings_enabled'] = [
                'title' => html::label('_tidings_enabled', rcube::Q($this->gettext('enabled'))),
                'content' => $box->show((int) $this->setting('enabled')),
            ];
        }
        return $args;
    }

    public function preferences_save(array $args): array
    {
        if ($args['section'] === 'mailbox' && $this->is_up_to_the_user()) {
            $args['prefs']['tidings_enabled'] = isset($_POST['_tidings_enabled']);
        }
        return $args;
    }

    public function logout_after(array $args): array
    {
        $this->set_cookie('', 1);
        return $args;
    }

    private function is_up_to_the_user(): bool
    {
        return !in_array('tidings_enabled', (array) $this->rc->config->get('dont_override', []));
    }

    private function setting(string $name): mixed
    {
        return $this->rc->config->get("tidings_$name", self::DEFAULTS["tidings_$name"]);
    }

    private function account(): string
    {
        $login = $this->rc->get_user_name();
        [$local, $domain] = explode('@', $login, 2) + [1 => ''];
        return strtr($this->setting('account'), ['%u' => $login, '%n' => $local, '%d' => $domain]);
    }

    /** Gives the browser a token; for how many seconds it is good, or null where the log says why there is none. */
    private function hand_over(): ?int
    {
        $lifetime = (int) $this->setting('lifetime');
        try {
            $signer = new tidings_signer($this->key());
            $claims = ['sub' => $this->account(), 'exp' => time() + $lifetime] + $this->setting('claims');
            $this->set_cookie($signer->token($claims), time() + $lifetime);
        } catch (RuntimeException|JsonException $error) {
            rcube::raise_error(['code' => 500, 'message' => 'tidings: ' . $error->getMessage()], true, false);
            return null;
        }
        return $lifetime;
    }

    private function key(): string
    {
        $secret = (string) $this->setting('secret');
        if ($secret !== '') {
            return $secret;
        }
        $file = $this->setting('key_file');
        $key = is_readable($file) ? file_get_contents($file) : false;
        if ($key === false) {
            throw new RuntimeException("tidings_key_file cannot be read: $file");
        }
        return $key;
    }

    private function set_cookie(#[SensitiveParameter] string $token, int $expires): void
    {
        setcookie(self::COOKIE, $token, [
            'expires' => $expires,
            'path' => dirname((string) parse_url($this->setting('url'), PHP_URL_PATH)),
            'secure' => rcube_utils::https_check(),
            'httponly' => true,
            'samesite' => 'Strict',
        ]);
    }
}
