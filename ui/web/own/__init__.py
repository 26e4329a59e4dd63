"""Pictures that visitors drop on the page: searched by them only, and deleted when their session ends."""
