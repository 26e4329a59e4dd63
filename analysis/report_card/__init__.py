"""What a model hears: negation, order, counting, attributes, relations and objects."""
