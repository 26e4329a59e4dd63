"""The Compare page: one query, several models of the same pictures side by side."""
