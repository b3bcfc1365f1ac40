"""From the accept to the upgrade: heads, tokens and the session resource."""
