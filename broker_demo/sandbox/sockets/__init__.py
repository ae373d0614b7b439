"""The two sockets: order events, and market data in JSON or MessagePack."""
