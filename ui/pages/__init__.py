"""The browser: one file per page, and what the pages share."""
