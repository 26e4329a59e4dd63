"""The side sheet "Why?" of a result."""
