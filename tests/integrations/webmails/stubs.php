<?php

/**
 * What SnappyMail and Cypht give to code of others, as far as the drop-ins use it, for PHP's own web server. The path of a
 * request is the webmail, its query says who is logged in and how.
 */

namespace RainLoop\Plugins {
    abstract class AbstractPlugin
    {
        public array $added = [];

        protected function addJs(string $file): self
        {
            $this->added[] = $file;
            return $this;
        }

        protected function addJsonHook(string $action, string $function): self
        {
            $this->added[$action] = $function;
            return $this;
        }

        protected function jsonResponse(string $function, mixed $result): array
        {
            return ['Result' => $result];
        }

        public function Manager(): self
        {
            return $this;
        }

        public function Actions(): self
        {
            return $this;
        }

        public function getAccountFromToken(bool $throw): ?object
        {
            return isset($_GET['login']) ? new class () {
                public function Email(): string
                {
                    return $_GET['login'];
                }
            } : null;
        }
    }
}

namespace {
    define('DEBUG_MODE', false);
    define('APP_PATH', getenv('WEBMAILS') . '/');

    abstract class Hm_Handler_Module
    {
        public array $out = [];
        public object $config;
        public object $session;

        public function __construct()
        {
            $this->config = $this->session = new class () {
                public function get(string $name): mixed
                {
                    return ['auth_type' => $_GET['by'] ?? 'IMAP', 'username' => $_GET['login'] ?? false][$name];
                }
            };
        }

        public function out(string $name, mixed $value): void
        {
            $this->out[$name] = $value;
        }
    }

    foreach (['handler_source', 'output_source', 'setup_base_ajax_page', 'add_handler'] as $function) {
        eval("function $function() { global \$called; \$called[] = ['$function', ...func_get_args()]; }");
    }

    switch ($_SERVER['SCRIPT_NAME']) {
        case '/snappymail':
            require getenv('WEBMAILS') . '/snappymail/plugin/index.php';
            $plugin = new TidingsPlugin();
            $plugin->Init();
            $answer = $plugin->{$plugin->added['TidingsToken']}();
            break;
        case '/cypht':
            $setup = require APP_PATH . 'modules/tidings/setup.php';
            require APP_PATH . 'modules/tidings/modules.php';
            [, $page, $handler] = end($called);
            $class = "Hm_Handler_$handler";
            $module = new $class();
            $module->process();
            $answer = array_intersect_key($module->out, $setup['allowed_output']);
    }
    header('Content-Type: application/json');
    echo json_encode($answer);
}
