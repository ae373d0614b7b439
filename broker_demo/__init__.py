"""A broker that needs no account: invented or replayed prices, a small exchange, and a few symbols that misbehave on request."""
