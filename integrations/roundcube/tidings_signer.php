<?php

/**
 * Signs tokens (RFC 7519) by what it is given: with a secret HS256, with a private key in PEM RS256 or ES256. So nobody
 * has to say which.
 */
final class tidings_signer
{
    /** A gateway takes no shorter one. */
    private const SECRET_BYTES = 32;
    /** Of each of the two numbers in a signature of P-256. */
    private const NUMBER_BYTES = 32;

    private readonly string $algorithm;
    private readonly string|OpenSSLAsymmetricKey $key;

    /** @throws RuntimeException for a key that tokens cannot be signed with */
    public function __construct(#[SensitiveParameter] string $key)
    {
        // Files end with a line break, which is no part of a secret.
        $key = rtrim($key);
        if (str_starts_with($key, '-----BEGIN ')) {
            $this->key = openssl_pkey_get_private($key) ?: throw new RuntimeException('the key is not a private key in PEM');
            $this->algorithm = self::algorithm(openssl_pkey_get_details($this->key));
        } elseif (strlen($key) >= self::SECRET_BYTES) {
            $this->key = $key;
            $this->algorithm = 'HS256';
        } else {
            throw new RuntimeException('the secret has less than ' . self::SECRET_BYTES . ' bytes');
        }
    }

    /**
     * @param array<string, mixed> $claims
     * @throws JsonException for claims that are not UTF-8
     */
    public function token(array $claims): string
    {
        $signed = self::part(['alg' => $this->algorithm, 'typ' => 'JWT']) . '.' . self::part($claims);
        return $signed . '.' . self::base64url($this->sign($signed));
    }

    private function sign(string $text): string
    {
        if ($this->algorithm === 'HS256') {
            return hash_hmac('sha256', $text, $this->key, true);
        }
        openssl_sign($text, $signature, $this->key, OPENSSL_ALGO_SHA256);
        return $this->algorithm === 'ES256' ? self::numbers($signature) : $signature;
    }

    /** @param array{type: int, ec?: array{curve_name?: string}} $details */
    private static function algorithm(array $details): string
    {
        return match (true) {
            $details['type'] === OPENSSL_KEYTYPE_RSA => 'RS256',
            ($details['ec']['curve_name'] ?? '') === 'prime256v1' => 'ES256',
            default => throw new RuntimeException('the key is neither RSA nor of the curve P-256'),
        };
    }

    /** OpenSSL gives both numbers in DER, RFC 7518 section 3.4 wants them in a fixed width each. */
    private static function numbers(string $der): string
    {
        $length = ord($der[3]);
        $first = substr($der, 4, $length);
        $second = substr($der, 6 + $length);
        return self::fixed($first) . self::fixed($second);
    }

    private static function fixed(string $number): string
    {
        return str_pad(ltrim($number, "\0"), self::NUMBER_BYTES, "\0", STR_PAD_LEFT);
    }

    private static function part(array $values): string
    {
        return self::base64url(json_encode($values, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES));
    }

    private static function base64url(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
