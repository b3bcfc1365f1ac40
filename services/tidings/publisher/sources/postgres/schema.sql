-- The outbox of Tidings, for PostgreSQL 13 and newer. Run this file once, as the owner of the mail's tables. You may run it
-- again: it then changes nothing. A program that changes mail inserts a row in the same transaction:
--
--     INSERT INTO tidings_outbox (account, type) VALUES ('alice', 'MessageNew');
--
-- Tidings deletes a row after it has published the change. A row that Tidings cannot publish stays:
--
--     SELECT * FROM tidings_outbox WHERE refused IS NOT NULL;

CREATE TABLE IF NOT EXISTS tidings_outbox (
    seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account       text,                     -- the owner of the mail: a login, or an account of Tidings
    type          text NOT NULL,            -- an event of RFC 5423, with or without "mail." before it
    changed       jsonb,                    -- {"Email": "s1042", "Mailbox": null}: new states by JMAP data type, if there are any
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    id            uuid NOT NULL DEFAULT gen_random_uuid(),
    -- Columns of Debezium's outbox. aggregateid is the account. payload is an object that may have "changed".
    aggregatetype text,
    aggregateid   text,
    payload       jsonb,
    refused       text,                     -- why Tidings cannot publish the row
    -- All rows of an account are in one lane. One publisher at a time reads a lane, so the rows keep their order.
    lane          smallint GENERATED ALWAYS AS (abs(hashtext(coalesce(account, aggregateid)) % 16)) STORED,
    CONSTRAINT tidings_outbox_has_account CHECK (coalesce(account, aggregateid) IS NOT NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);

CREATE INDEX IF NOT EXISTS tidings_outbox_waiting ON tidings_outbox (lane, seq) WHERE refused IS NULL;

CREATE TABLE IF NOT EXISTS tidings_outbox_lane (lane smallint PRIMARY KEY);
INSERT INTO tidings_outbox_lane SELECT generate_series(0, 15) ON CONFLICT DO NOTHING;

-- Wakes publishers once for each transaction. Without this trigger, publishers look once a second.
CREATE OR REPLACE FUNCTION tidings_outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tidings_outbox', '');
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS tidings_outbox_wake ON tidings_outbox;
CREATE TRIGGER tidings_outbox_wake AFTER INSERT ON tidings_outbox FOR EACH STATEMENT EXECUTE FUNCTION tidings_outbox_wake();

-- If the publisher's role is not the owner, grant it:
--     GRANT SELECT, UPDATE (refused), DELETE ON tidings_outbox TO tidings;
--     GRANT SELECT, UPDATE ON tidings_outbox_lane TO tidings;
-- Grant the programs that change mail:
--     GRANT INSERT ON tidings_outbox TO mail;
