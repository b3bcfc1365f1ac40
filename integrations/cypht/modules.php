<?php

if (!defined('DEBUG_MODE')) { die(); }

require_once APP_PATH . 'modules/tidings/webmail.php';

/** Sets the token's cookie and gives the user's account, if a user is logged in. */
class Hm_Handler_tidings_token extends Hm_Handler_Module
{
    public function process()
    {
        // Other logins are names in Cypht's own database, and say nothing of whose mail somebody may read.
        $login = $this->config->get('auth_type') === 'IMAP' ? $this->session->get('username') : null;
        if (Tidings\let_listen($login, Tidings\settings()) === 204) {
            $this->out('tidings_user', $login);
        }
    }
}
