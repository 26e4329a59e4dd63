"""The two faces of the same functions: the browser (pages/) and the terminal. No arithmetic here."""
