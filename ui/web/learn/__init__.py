"""The Learn page: tools, lessons and games, each in a panel of its own."""
