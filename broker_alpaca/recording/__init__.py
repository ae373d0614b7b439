"""``broker record``: a relay on loopback that takes down what any client says to Alpaca, and what it is told, without anybody's secrets."""
