<?php

require __DIR__ . '/webmail.php';

/** Refreshes the page when a Tidings gateway says that mail has changed. See docs/integrate/snappymail.md. */
class TidingsPlugin extends \RainLoop\Plugins\AbstractPlugin
{
    const
        NAME = 'Tidings',
        AUTHOR = 'The Tidings authors',
        VERSION = '0.1',
        RELEASE = '2026-11-30',
        REQUIRED = '2.36.0',
        CATEGORY = 'General',
        LICENSE = 'Apache-2.0',
        DESCRIPTION = 'Shows mail the moment it arrives';

    public function Init(): void
    {
        $this->addJs('snappymail.js');
        $this->addJsonHook('TidingsToken', 'token');
    }

    /** Answers whether the account that is shown may listen. Its address is the one that the mail server has let in. */
    public function token(): array
    {
        $account = $this->Manager()->Actions()->getAccountFromToken(false);
        $status = Tidings\let_listen($account?->Email(), Tidings\settings());
        return $this->jsonResponse(__FUNCTION__, $status === 204);
    }
}
