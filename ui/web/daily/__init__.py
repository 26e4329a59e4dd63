"""The picture of the day."""
