"""Any IMAP server: told of by NOTIFY or IDLE, compared by STATUS."""
