"""Alpaca Markets as a broker of broker-core: over HTTP and WebSocket, or over alpaca-py where that is installed."""
