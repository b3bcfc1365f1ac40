"""For the person on call: asks the admin ports of running processes, and says the answers in words."""
