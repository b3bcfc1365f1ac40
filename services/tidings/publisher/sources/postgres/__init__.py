"""The PostgreSQL outbox: rows that are written with the mail and leave once the log has them."""
