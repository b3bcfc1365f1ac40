<?php

/** Refreshes the page when a Tidings gateway says that mail has changed. See docs/integrate/cypht.md. */

if (!defined('DEBUG_MODE')) { die(); }

handler_source('tidings');
output_source('tidings');

setup_base_ajax_page('ajax_tidings', 'core');
add_handler('ajax_tidings', 'tidings_token', true, 'tidings', 'load_user_data', 'after');

return [
    'allowed_pages' => ['ajax_tidings'],
    'allowed_output' => ['tidings_user' => [FILTER_UNSAFE_RAW, false]],
    'allowed_get' => [],
    'allowed_post' => [],
];
