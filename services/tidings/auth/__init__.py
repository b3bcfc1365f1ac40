"""Who may listen, publish or look: tokens, keys and claims."""
