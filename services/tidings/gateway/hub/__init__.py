"""Pure: who is subscribed to which accounts, and what is sent to whom."""
