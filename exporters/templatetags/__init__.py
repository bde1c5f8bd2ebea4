"""Template tags and filters of the hub's pages. They format values; what a page shows is collected in `pages`."""
